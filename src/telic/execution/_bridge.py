"""Between sync and async: run a coroutine from plain code, run blocking code beside an event loop."""

from __future__ import annotations

import contextvars
import threading
from typing import TYPE_CHECKING, Any, TypeVar

from telic._cancel import CancelScope
from telic._optional import load
from telic.context import get as setting
from telic.context import push
from telic.execution._workers import workers_for

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

T = TypeVar("T")


def run_coroutine(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine to its end and return its result, from code that is not async.

    It gets an event loop of its own: in this thread, or, where a loop runs in this thread already (a
    notebook), in a helper thread that this call waits for. It sees the present context. Objects that are
    bound to another loop cannot be used in it.
    """
    asyncio = load("asyncio")
    scope: CancelScope | None = setting("cancel_scope")
    if scope is not None:
        coroutine = _cancellable(scope, coroutine, asyncio)
    if asyncio._get_running_loop() is None:
        return asyncio.run(coroutine)
    return _run_beside(coroutine, asyncio)


async def _cancellable(scope: CancelScope, coroutine: Coroutine[Any, Any, T], asyncio: Any) -> T:
    """Await `coroutine`, and cancel it when the scope is cancelled, from any thread."""
    loop, task = asyncio.get_running_loop(), asyncio.current_task()
    try:
        scope.add(task, lambda: loop.call_soon_threadsafe(task.cancel))
        return await coroutine
    except asyncio.CancelledError:
        scope.check()
        raise
    finally:
        scope.discard(task)
        coroutine.close()  # where it never began


def _run_beside(coroutine: Coroutine[Any, Any, T], asyncio: Any) -> T:
    """Run `coroutine` in a helper thread and wait; an interrupt of the waiting thread cancels it."""
    carried = contextvars.copy_context()
    results: list[T] = []
    errors: list[BaseException] = []
    running: list[Any] = []  # its loop and its task, once it runs

    async def main() -> T:
        running.extend((asyncio.get_running_loop(), asyncio.current_task()))
        return await coroutine

    def run() -> None:
        try:
            results.append(carried.run(asyncio.run, main()))
        except BaseException as error:  # noqa: BLE001  carried over to the waiting thread
            errors.append(error)

    thread = threading.Thread(target=run, name="telic-coroutine", daemon=True)
    thread.start()
    try:
        thread.join()
    except BaseException:
        if running:
            running[0].call_soon_threadsafe(running[1].cancel)
        raise
    if errors:
        raise errors[0]
    return results[0]


async def run_in_thread(function: Callable[..., T], *args: Any, **kwargs: Any) -> T:
    """Run blocking code in a worker thread, in a copy of the present context, and await its result.

    At most `async_max_workers` (a setting) such calls run at once in the process; the others wait. Calls made
    from inside such a call have threads of their own, so that waiting for an inner one never blocks it. Cancelling the
    task that waits calls off what runs: its LM calls end, and none begins. Other code that was begun runs on, but
    nobody waits for it, neither here nor when the process ends.
    """
    depth = _depth.get()
    around: CancelScope | None = setting("cancel_scope")
    scope = CancelScope()
    carried = contextvars.copy_context()
    carried.run(_depth.set, depth + 1)
    carried.run(push, "cancel_scope", scope)
    workers = workers_for(setting("async_max_workers"), depth)
    if around is not None:
        around.add(scope, scope.cancel)
    try:
        return await workers.submit(lambda: carried.run(function, *args, **kwargs))
    except load("asyncio").CancelledError:
        scope.cancel()
        raise
    finally:
        if around is not None:
            around.discard(scope)


_depth: contextvars.ContextVar[int] = contextvars.ContextVar("telic_thread_depth", default=0)
