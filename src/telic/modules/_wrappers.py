"""`asyncify` and `syncify`: one way of calling a program turned into the other."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from telic.execution import is_async, run_coroutine, run_in_thread
from telic.modules._module import Module


def asyncify(program: Callable[..., Any]) -> Callable[..., Awaitable[Any]]:
    """Return a coroutine function that runs `program` without blocking the loop.

    A module's `acall` is used; any other function runs in a worker thread (at most `async_max_workers` at once), with
    the context of the caller.

    Example:
        >>> import asyncio
        >>> asyncio.run(asyncify(len)("four"))
        4
    """
    if isinstance(program, Module):
        return program.acall
    if is_async(program):
        return program

    async def run(*args: Any, **kwargs: Any) -> Any:
        return await run_in_thread(program, *args, **kwargs)

    return run


def syncify(program: Any, in_place: bool = True) -> Any:
    """Return `program` made callable from plain code.

    A module needs nothing: calling one that has only `aforward` runs it to its end. A coroutine function becomes a
    plain one.

    Args:
        program: A module or a coroutine function.
        in_place: Kept for programs that pass it; a module is returned as it is either way.
    """
    if isinstance(program, Module) or not is_async(program):
        return program

    def run(*args: Any, **kwargs: Any) -> Any:
        return run_coroutine(program(*args, **kwargs))

    return run
