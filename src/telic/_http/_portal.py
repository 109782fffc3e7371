"""The portal: one event loop in one daemon thread, and two doors to it.

All wire calls of the process run there, so that threads and event loops of the user's share connections and limits.
`run` blocks a thread until the coroutine is done; `arun` awaits it from any event loop. Calls from many threads are
handed over in one wake-up of the loop, and results to another loop in one wake-up of that.

The thread starts with the first call. After a fork the child starts one of its own; the parent's loop is left alone
there, since closing it would unregister the parent's sockets. At exit the loop cancels what still runs and closes.
"""

from __future__ import annotations

import atexit
import os
import sys
import threading
import weakref
from _thread import allocate_lock, get_ident
from collections import deque
from collections.abc import Callable, Coroutine
from contextvars import Context, copy_context
from typing import TYPE_CHECKING, Any, Final, TypeVar, final

from telic._optional import load

if TYPE_CHECKING:
    import asyncio

T = TypeVar("T")
Function = Callable[..., Coroutine[Any, Any, T]]

# Windows cannot interrupt a lock that waits forever, so Ctrl-C needs a wait that ends now and then.
_WAIT_S: Final = 0.2 if sys.platform == "win32" else -1.0


@final
class _Call:
    """A coroutine on its way through the portal."""

    __slots__ = ("args", "cancelled", "context", "done", "error", "function", "future", "result", "task")

    def __init__(self, function: Function[Any], args: tuple[Any, ...], done: Callable[[_Call], None]) -> None:
        self.function = function
        self.args = args
        self.done = done
        self.context: Context = copy_context()
        self.task: asyncio.Task[None] | None = None
        self.future: asyncio.Future[Any] | None = None
        self.result: Any = None
        self.error: BaseException | None = None
        self.cancelled = False

    async def execute(self) -> None:
        try:
            self.result = await self.function(*self.args)
        except BaseException as error:  # noqa: BLE001 - not swallowed: it is raised where the caller waits
            self.error = error
        self.done(self)

    def cancel(self) -> None:
        self.cancelled = True
        if self.task is not None:
            self.task.cancel()


@final
class _Outbox:
    """Results on their way to another event loop: many are delivered by one wake-up."""

    __slots__ = ("__weakref__", "_awake", "_calls", "_loop")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = weakref.ref(loop)
        self._calls: deque[_Call] = deque()
        self._awake = False

    def put(self, call: _Call) -> None:
        self._calls.append(call)
        if not self._awake:
            self._awake = True
            loop = self._loop()
            if loop is not None and not loop.is_closed():
                try:
                    loop.call_soon_threadsafe(self._deliver)
                except RuntimeError:
                    return  # closed just now: nobody waits there any more

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


@final
class Portal:
    """A door to one event loop in a thread of its own. Use the module's `portal`; more are for tests."""

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._ident = -1
        self._starting = threading.Lock()  # two first callers must not start two threads
        self._queue: deque[_Call] = deque()
        self._awake = False
        self._outboxes: weakref.WeakKeyDictionary[Any, _Outbox] = weakref.WeakKeyDictionary()
        self._cleanups: list[Callable[[], None]] = []
        self._abandoned: list[Any] = []

    def run(self, function: Function[T], *args: Any) -> T:
        """Run `function(*args)` on the loop and wait for its result; any thread but the loop's own may call.

        Ctrl-C while waiting cancels the coroutine and raises KeyboardInterrupt at once.

        Raises:
            RuntimeError: Called on the portal's own loop, where waiting would never end.
        """
        if get_ident() == self._ident:
            raise RuntimeError("portal.run would wait for its own thread; use `await portal.arun(…)` there")
        lock = allocate_lock()
        lock.acquire()

        def done(_: _Call) -> None:
            lock.release()

        call = _Call(function, args, done)
        try:
            self._submit(call)
            while not lock.acquire(True, _WAIT_S):
                pass
        except BaseException:
            self._cancel(call)
            raise
        if call.error is not None:
            try:
                raise call.error
            finally:
                call.error = None  # breaks the ring of error, traceback, frame and call
        return call.result  # pyright: ignore[reportReturnType]

    async def arun(self, function: Function[T], *args: Any) -> T:
        """Await `function(*args)`, run on the portal's loop, from any event loop; cancelling here cancels there."""
        loop = load("asyncio").get_running_loop()
        if loop is self._loop:
            return await function(*args)
        outbox = self._outboxes.get(loop)
        if outbox is None:
            outbox = self._outboxes[loop] = _Outbox(loop)
        call = _Call(function, args, outbox.put)
        future = call.future = loop.create_future()
        self._submit(call)
        try:
            return await future
        except load("asyncio").CancelledError:
            self._cancel(call)
            raise

    def call_soon(self, function: Callable[..., object], *args: Any) -> None:
        """Run a plain function on the loop, soon; nothing comes back. Does nothing if the loop never ran."""
        loop = self._loop
        if loop is not None and not loop.is_closed():
            loop.call_soon_threadsafe(function, *args)

    def on_close(self, cleanup: Callable[[], None]) -> None:
        """Have `cleanup` called on the loop when the portal closes."""
        self._cleanups.append(cleanup)

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The loop, started if it was not."""
        return self._loop if self._loop is not None else self._start()

    def close(self) -> None:
        """Cancel what runs, close the loop and end the thread; a later call starts another. Idempotent."""
        loop, thread = self._loop, self._thread
        if loop is None or thread is None or thread is threading.current_thread():
            return
        loop.call_soon_threadsafe(loop.stop)
        thread.join(timeout=2.0)
        self._loop = self._thread = None
        self._ident = -1

    def forget(self) -> None:
        """Start anew after a fork: the thread is gone, and the loop's epoll is shared with the parent."""
        self._abandoned.append((self._loop, self._thread, self._cleanups))  # kept, so that nothing is finalised
        self._loop = self._thread = None
        self._ident = -1
        self._starting = threading.Lock()
        self._queue = deque()
        self._awake = False
        self._outboxes = weakref.WeakKeyDictionary()
        self._cleanups = []

    def _submit(self, call: _Call) -> None:
        loop = self._loop
        if loop is None:
            loop = self._start()
        self._queue.append(call)
        if not self._awake:
            self._awake = True
            loop.call_soon_threadsafe(self._drain)

    def _drain(self) -> None:
        self._awake = False  # before the queue is read: a call put now wakes us again
        queue, loop = self._queue, self._loop
        if loop is None:
            return
        while queue:
            call = queue.popleft()
            if not call.cancelled:
                call.task = loop.create_task(call.execute(), context=call.context)

    def _cancel(self, call: _Call) -> None:
        loop = self._loop
        if loop is not None and not loop.is_closed():
            loop.call_soon_threadsafe(call.cancel)

    def _start(self) -> asyncio.AbstractEventLoop:
        with self._starting:
            if self._loop is not None:
                return self._loop
            loop: asyncio.AbstractEventLoop = load("asyncio").new_event_loop()
            ready = threading.Event()
            thread = threading.Thread(target=self._serve, args=(loop, ready), name="telic-http", daemon=True)
            thread.start()
            ready.wait()
            self._thread = thread
            self._loop = loop
            return loop

    def _serve(self, loop: asyncio.AbstractEventLoop, ready: threading.Event) -> None:
        asyncio = load("asyncio")
        self._ident = get_ident()
        asyncio.set_event_loop(loop)
        loop.call_soon(ready.set)
        try:
            loop.run_forever()
        finally:
            for cleanup in self._cleanups:
                cleanup()
            self._cleanups.clear()
            tasks = asyncio.all_tasks(loop)
            for task in tasks:
                task.cancel()
            if tasks:
                loop.run_until_complete(asyncio.wait(tasks, timeout=1.0))
            loop.run_until_complete(asyncio.sleep(0))  # sockets close one step after their transports
            loop.run_until_complete(asyncio.sleep(0))
            asyncio.set_event_loop(None)
            loop.close()


portal: Final = Portal()
"""The process's portal."""

atexit.register(portal.close)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=portal.forget)
