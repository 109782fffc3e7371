"""The portal: one event loop for all wire calls of the process, and two doors to it.

`run` blocks a thread until a coroutine is done; `arun` awaits it from any event loop. Threads and loops of the user's
so share connections and limits.

Waking another thread costs more than sending a request (80 µs of CPU against 35 here). So the loop has no thread of
its own while one thread calls after another: the caller drives it until its call is done. Whoever holds the baton
drives; calls of others are queued, and when the driver has its answer while others wait, a daemon thread takes over
until there was nothing to do for a moment. Many calls are handed over in one wake-up, and many results to another loop
in one of that.

The invariant: whoever queues work looks at the baton after, and whoever lets go of the baton looks at the work after,
so work is never left without a driver. After a fork the child starts anew; the parent's loop is left alone there,
since closing it would unregister the parent's sockets.
"""

from __future__ import annotations

import atexit
import os
import sys
import threading
import weakref
from _thread import allocate_lock, get_ident
from collections import deque
from collections.abc import Callable
from contextvars import Context
from typing import TYPE_CHECKING, Any, Final, TypeVar, final

from telic._http._portal_call import Function, Outbox, PortalCall
from telic._optional import load
from telic.context import get as get_setting
from telic.errors import ConfigurationError

if TYPE_CHECKING:
    import asyncio

    from telic._cancel import CancelScope

T = TypeVar("T")

# Windows cannot interrupt a lock that waits forever, so Ctrl-C needs a wait that ends now and then.
_WAIT_S: Final = 0.2 if sys.platform == "win32" else -1.0
_QUIET_S: Final = 0.1  # without work for so long, the daemon thread lets go of the baton
_HOUSEKEEPING_S: Final = 20.0  # how often timers run while nobody calls
_POLL_AFTER_S: Final = 0.5  # after such a pause, sockets are looked at before a call starts


@final
class Portal:
    """A door to one event loop. Use the module's `portal`; more are for tests.

    All methods may be called from any thread.
    """

    def __init__(self) -> None:
        self._reset()
        self._abandoned: list[Any] = []

    def _reset(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._driver = -1
        self._exiting = False
        self._starting = threading.Lock()  # two first callers must not make two loops
        self._baton = allocate_lock()  # held by whoever drives the loop
        self._signal = allocate_lock()  # held while the daemon thread has nothing to do
        self._queue: deque[PortalCall] = deque()
        self._running: set[PortalCall] = set()
        self._awake = False
        self._busy = False  # somebody handed work over since the daemon thread looked last
        self._nudged = False  # a plain function waits on the loop
        self._closing = False
        self._driven_at = 0.0
        self._outboxes: weakref.WeakKeyDictionary[Any, Outbox] = weakref.WeakKeyDictionary()
        self._cleanups: list[Callable[[], None]] = []

    def run(self, function: Function[T], *args: Any) -> T:
        """Run `function(*args)` on the loop and wait for its result.

        Ctrl-C while waiting cancels the coroutine and raises KeyboardInterrupt at once.

        Raises:
            RuntimeError: Called from within the loop, where waiting would never end.
            Cancelled: The setting `cancel_scope` holds a scope that was cancelled; the coroutine was, too.
        """
        scope = get_setting("cancel_scope")
        if scope is not None:
            function, args = self._cancellable, (scope, function, args)
        loop = self._loop
        if loop is None:
            loop = self._start()
        if self._baton.acquire(False):
            if load("asyncio")._get_running_loop() is None:
                return self._lead(loop, function, args)
            self._let_go()  # this thread runs a loop of its own: it cannot drive another
        elif self._driver == get_ident():
            raise RuntimeError("portal.run would wait for its own thread; use `await portal.arun(…)` there")
        return self._follow(function, args)

    async def arun(self, function: Function[T], *args: Any) -> T:
        """Await `function(*args)`, run on the portal's loop, from any event loop; cancelling here cancels there."""
        asyncio = load(
            "asyncio"
        )  # now: an abandoned coroutine may be closed when nothing can be imported any more
        loop = asyncio._get_running_loop()
        if loop is None:
            raise ConfigurationError(
                "an LM is awaited where no event loop of asyncio runs; under trio call the program from a thread: "
                "await trio.to_thread.run_sync(functools.partial(program, question=…))"
            )
        if loop is self._loop:
            return await function(*args)
        outbox = self._outboxes.get(loop)
        if outbox is None:
            for other in list(self._outboxes):
                if other.is_closed():  # a result that came too late may keep it
                    del self._outboxes[other]
            outbox = self._outboxes[loop] = Outbox(loop)
        call = PortalCall(function, args, outbox.put)
        future = call.future = loop.create_future()
        self._submit(call)
        try:
            return await future
        except asyncio.CancelledError:
            call.future = call.done = None  # what comes of it now must not keep this loop, which keeps it
            self.call_soon(call.cancel, self._running)
            raise

    def call_soon(self, function: Callable[..., object], *args: Any) -> None:
        """Run a plain function on the loop, soon; nothing comes back. Does nothing if the loop never ran."""
        loop = self._loop
        if loop is not None and not loop.is_closed():
            loop.call_soon_threadsafe(function, *args)
            self._nudged = True
            self._ensure_driver()

    def on_close(self, cleanup: Callable[[], None]) -> None:
        """Have `cleanup` called on the loop when the portal closes."""
        self._cleanups.append(cleanup)

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The loop, made if it was not."""
        return self._loop if self._loop is not None else self._start()

    def close(self) -> None:
        """Cancel what runs, close the loop, end the thread; a later call starts anew. Idempotent."""
        loop, thread = self._loop, self._thread
        if loop is None or thread is None or thread is threading.current_thread():
            return
        self._closing = True
        loop.call_soon_threadsafe(loop.stop)
        _release(self._signal)
        thread.join(timeout=2.0)
        if self._baton.acquire(timeout=2.0):
            self._close_loop(loop)
        self._reset()

    def close_at_exit(self) -> None:
        """Close without a word to daemon threads that still wait: they end with the process."""
        self._exiting = True
        for call in (*self._running, *self._queue):
            call.done = None
        self.close()

    def forget(self) -> None:
        """Start anew after a fork: the thread is gone, and the loop's epoll is shared with the parent."""
        self._abandoned.append((self._loop, self._thread, self._cleanups, self._running, self._queue))
        self._reset()

    async def _cancellable(self, scope: CancelScope, function: Function[T], args: tuple[Any, ...]) -> T:
        """Await `function(*args)` unless the scope is cancelled first; in the task that runs it."""
        asyncio = load("asyncio")
        task = asyncio.current_task()
        scope.add(task, lambda: self.call_soon(task.cancel))
        try:
            return await function(*args)
        except asyncio.CancelledError:
            scope.check()
            raise
        finally:
            scope.discard(task)

    # Callers.

    def _lead(self, loop: asyncio.AbstractEventLoop, function: Function[T], args: tuple[Any, ...]) -> T:
        """Drive the loop in this thread until the call is done; the baton is held."""
        call = PortalCall(function, args, lambda _: loop.stop())
        try:
            self._driver = get_ident()
            if loop.time() - self._driven_at < _POLL_AFTER_S:
                self._begin(call)
            else:
                loop.call_soon(self._begin, call)  # behind what sockets have to tell: peers may have closed
            loop.run_forever()
            while call in self._running and not self._closing:
                loop.run_forever()  # stopped by somebody else
        except BaseException:
            self.call_soon(call.cancel, self._running)
            raise
        finally:
            self._driven_at = loop.time()
            self._let_go()
        if call in self._running:
            self._end_here()
        return call.outcome()

    def _end_here(self) -> None:
        """The loop was closed under a call that this thread drove."""
        if self._exiting:
            threading.Event().wait()  # a daemon thread: it ends with the process
        raise RuntimeError("the portal was closed while a call was out")

    def _follow(self, function: Function[T], args: tuple[Any, ...]) -> T:
        """Let another thread drive, and wait."""
        lock = allocate_lock()
        lock.acquire()
        call = PortalCall(function, args, lambda _: lock.release())
        try:
            self._submit(call)
            while not lock.acquire(True, _WAIT_S):
                pass
        except BaseException:
            self.call_soon(call.cancel, self._running)
            raise
        return call.outcome()

    def _submit(self, call: PortalCall) -> None:
        loop = self._loop
        if loop is None:
            loop = self._start()
        self._busy = True
        self._queue.append(call)
        if not self._awake:
            self._awake = True
            loop.call_soon_threadsafe(self._drain)
        self._ensure_driver()

    def _ensure_driver(self) -> None:
        if not self._baton.locked():
            _release(self._signal)

    def _let_go(self) -> None:
        self._driver = -1
        self._baton.release()
        if self._queue or self._running or self._nudged:
            _release(self._signal)

    # On the loop.

    def _drain(self) -> None:
        self._awake = False  # before the queue is read: a call put now wakes us again
        while self._queue:
            self._begin(self._queue.popleft())

    def _begin(self, call: PortalCall) -> None:
        loop = self._loop
        if loop is not None and not call.cancelled:
            self._running.add(call)
            call.task = loop.create_task(call.execute(self._running), context=call.context)

    # The daemon thread.

    def _start(self) -> asyncio.AbstractEventLoop:
        with self._starting:
            if self._loop is not None:
                return self._loop
            self._signal.acquire(False)
            loop: asyncio.AbstractEventLoop = Context().run(load("asyncio").new_event_loop)
            self._thread = threading.Thread(target=self._serve, args=(loop,), name="telic-http", daemon=True)
            self._loop = loop
            self._thread.start()
            return loop

    def _serve(self, loop: asyncio.AbstractEventLoop) -> None:
        while not self._closing:
            called = self._signal.acquire(True, _HOUSEKEEPING_S)
            # Called: wait for the driver to finish. Else timers may be due, and whoever drives sees to them.
            if self._closing or not self._baton.acquire(called):
                continue
            self._driver = get_ident()
            self._nudged = False
            timer = loop.call_later(_QUIET_S if called else 0.0, self._look, loop)
            try:
                if not self._closing:
                    loop.run_forever()
            finally:
                timer.cancel()
                self._driven_at = loop.time()
                self._let_go()

    def _look(self, loop: asyncio.AbstractEventLoop) -> None:
        if self._driver != self._thread_ident():
            return  # a caller drives; it stops when its call is done
        if self._running or self._queue or self._busy:
            self._busy = False
            loop.call_later(_QUIET_S, self._look, loop)
        else:
            loop.stop()

    def _thread_ident(self) -> int | None:
        return None if self._thread is None else self._thread.ident

    def _close_loop(self, loop: asyncio.AbstractEventLoop) -> None:
        asyncio = load("asyncio")
        loop.call_soon(loop.stop)
        loop.run_forever()  # a stop that nobody took must not end what follows
        for cleanup in self._cleanups:
            cleanup()
        for call in tuple(self._running):
            call.cancel(self._running)
        tasks = asyncio.all_tasks(loop)
        for task in tasks:
            task.cancel()
        if tasks:
            loop.run_until_complete(asyncio.wait(tasks, timeout=1.0))
        for _ in range(3):  # sockets close a step after their transports
            loop.run_until_complete(asyncio.sleep(0))
        loop.close()


def _release(lock: Any) -> None:
    try:
        lock.release()
    except RuntimeError:
        return  # it was released before: the signal is up


portal: Final = Portal()
"""The process's portal."""

atexit.register(portal.close_at_exit)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=portal.forget)
