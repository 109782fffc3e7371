"""`asyncify` and `syncify`: one way of calling a program turned into the other."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import wraps
from typing import Any

from telic.execution import is_async, run_coroutine, run_in_thread
from telic.modules._module import Module


def asyncify(program: Callable[..., Any]) -> Callable[..., Awaitable[Any]]:
    """Return a coroutine function that runs `program` without blocking the loop.

    A module's `acall` is used. Any other function runs in a worker thread, in the context of the caller; at most
    `async_max_workers` (a setting) at once, the others wait. Cancelling the task calls its LM calls off and lets it
    begin none.

    Example:
        >>> import asyncio
        >>> asyncio.run(asyncify(len)("four"))
        4
    """
    if isinstance(program, Module):
        return program.acall
    if is_async(program):
        return program

    @wraps(program)
    async def run(*args: Any, **kwargs: Any) -> Any:
        result = await run_in_thread(program, *args, **kwargs)
        return await result if hasattr(result, "__await__") else result

    return run


def syncify(program: Any, in_place: bool = True) -> Any:
    """Return `program` made callable from plain code, also where an event loop runs in this thread already.

    A module needs nothing: calling one that has only `aforward` runs it to its end. A coroutine function becomes a
    plain one. Where a loop runs (a notebook), the coroutine runs on a loop of its own in a helper thread, and the
    running one waits for it.

    Args:
        program: A module or a coroutine function.
        in_place: Kept for programs that pass it; a module is returned as it is either way.
    """
    if isinstance(program, Module) or not is_async(program):
        return program

    @wraps(program)
    def run(*args: Any, **kwargs: Any) -> Any:
        return run_coroutine(program(*args, **kwargs))

    return run
