"""Calls on their way through the portal, and results on their way to other event loops."""

from __future__ import annotations

import weakref
from collections import deque
from collections.abc import Callable, Coroutine
from contextvars import Context, copy_context
from typing import TYPE_CHECKING, Any, TypeVar, final

from telic._optional import load

if TYPE_CHECKING:
    import asyncio

T = TypeVar("T")
Function = Callable[..., Coroutine[Any, Any, T]]


@final
class PortalCall:
    """A coroutine on its way through the portal."""

    __slots__ = ("args", "cancelled", "context", "done", "error", "function", "future", "result", "task")

    def __init__(
        self, function: Function[Any], args: tuple[Any, ...], done: Callable[[PortalCall], object] | None
    ) -> None:
        self.function = function
        self.args = args
        self.done = done
        self.context: Context = copy_context()
        self.task: asyncio.Task[None] | None = None
        self.future: asyncio.Future[Any] | None = None
        self.result: Any = None
        self.error: BaseException | None = None
        self.cancelled = False

    async def execute(self, running: set[PortalCall]) -> None:
        try:
            self.result = await self.function(*self.args)
        except BaseException as error:  # noqa: BLE001 - not swallowed: it is raised where the caller waits
            self.error = error
        running.discard(self)
        done = self.done
        if done is not None:
            done(self)

    def cancel(self, running: set[PortalCall]) -> None:
        self.cancelled = True
        task = self.task
        if task is None or task.done():
            return

        def settle(_: object) -> None:
            if self in running:  # cancelled before its first step: `execute` never ran
                running.discard(self)
                self.error = load("asyncio").CancelledError()
                if self.done is not None:
                    self.done(self)

        task.add_done_callback(settle)
        task.cancel()

    def outcome(self) -> Any:
        """Return the result, or raise the error."""
        error = self.error
        if error is None:
            return self.result
        try:
            raise error
        finally:
            self.error = error = None  # breaks the ring of error, traceback, frame and call


@final
class Outbox:
    """Results on their way to another event loop: many are delivered by one wake-up."""

    __slots__ = ("__weakref__", "_awake", "_calls", "_loop")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = weakref.ref(loop)
        self._calls: deque[PortalCall] = deque()
        self._awake = False

    def put(self, call: PortalCall) -> None:
        self._calls.append(call)
        if not self._awake:
            self._awake = True
            loop = self._loop()
            try:
                if loop is not None:
                    loop.call_soon_threadsafe(self._deliver)
            except RuntimeError:  # it is closed: nobody waits there any more
                self._calls.clear()

    def _deliver(self) -> None:
        self._awake = False  # before the queue is read: a result put now wakes us again
        calls = self._calls
        while calls:
            call = calls.popleft()
            future = call.future
            if future is None or future.done():
                continue
            if call.error is None:
                future.set_result(call.result)
            elif isinstance(call.error, load("asyncio").CancelledError):
                future.cancel()
            else:
                future.set_exception(call.error)
