"""The switch that keeps tests from paying by accident."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager

from telic.context import context


@contextmanager
def forbid_requests() -> Generator[None]:
    """Let no client open a connection inside the block, in this thread or task and what it starts.

    Cached replies, cassettes, fakes and the embedded LM still answer. For a whole test run, put
    `telic.configure(forbid_requests=True)` into `conftest.py`.

    Raises:
        RequestsForbiddenError: From the call that would have gone out.

    Example:
        >>> from telic.context import get
        >>> with forbid_requests():
        ...     get("forbid_requests")
        True
    """
    with context(forbid_requests=True):
        yield
