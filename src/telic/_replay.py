"""The door through which calls of the outside (LMs, retrieval, tools) become steps of the module call they are made in.

An assertion that fails lets a module's `forward` run again, and what was called before is not called again but answered
from what the first run recorded. The record belongs to the module call under way (`telic.modules._frame`); this file
stands on the lowest floor so that all who call the outside can reach it, and knows nothing of it but that it has
`step` and `astep`. Outside of module calls a step is a plain call.
"""

from __future__ import annotations

import contextvars
from collections.abc import Awaitable, Callable
from typing import Any, Final, TypeVar

T = TypeVar("T")

ACTIVE: Final[contextvars.ContextVar[Any]] = contextvars.ContextVar("telic_frame", default=None)
"""The innermost module call under way, or None."""


def step(callee: Any, inputs: Any, work: Callable[[], T]) -> T:
    """Return `work()`, or in a run that is made again what it returned (or raised) the first time.

    Args:
        callee: What is called; two steps are the same if their callees and their inputs are equal.
        inputs: What it is called with; plain containers in it may change afterwards.
        work: Makes the call.
    """
    frame = ACTIVE.get()
    return work() if frame is None else frame.step(callee, inputs, work)


async def astep(callee: Any, inputs: Any, work: Callable[[], Awaitable[T]]) -> T:
    """`step` for coroutines."""
    frame = ACTIVE.get()
    return await work() if frame is None else await frame.astep(callee, inputs, work)
