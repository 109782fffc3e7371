"""An LM whose calls go through a batch service, quickly."""

from __future__ import annotations

from contextlib import contextmanager

import pytest

import telic
from telic.lm.wire._batch import BatchClient
from telic.lm.wire._openai import OpenAIDialect
from telic.lm.wire._retry import RetryPolicy


@pytest.fixture
def opened():
    """Return a manager of (service) -> LM."""

    @contextmanager
    def manager(service, **options):
        with service.server() as server:
            settings = {
                "gather_s": 0.05,
                "poll_s": (0.01, 0.02),
                "retry": RetryPolicy(3, base_s=0.01),
                **options,
            }
            cache = settings.pop("cache", False)
            dialect = OpenAIDialect("openai", "m", api_key="hush", base_url=server.url)
            lm = telic.LM("openai/m", client=BatchClient(dialect, **settings), cache=cache)
            lm.batch = True
            yield lm

    return manager
