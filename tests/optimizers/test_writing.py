"""The optimizer of docs/optimizers/writing.md holds to what the page promises."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from telic.testing import OptimizerConformance

PAGE = Path(__file__).parents[2] / "docs" / "optimizers" / "writing.md"


def rewording() -> Any:
    first = re.search(r"^```python\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    assert first is not None
    names: dict[str, Any] = {"__name__": "page"}
    exec(compile(first.group(1), str(PAGE), "exec"), names)
    return names["Rewording"]


Rewording = rewording()


class TestRewording(OptimizerConformance):
    def make_optimizer(self, metric, **settings):
        return Rewording(metric, n=2, **settings)
