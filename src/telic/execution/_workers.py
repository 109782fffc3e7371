"""Threads that run blocking code for event loops.

The standard library's executor keeps its threads for ever, and a process that ends waits for what they are doing: a
call to a stalled server would hold up the exit, and Ctrl-C with it, for as long as its timeout. These are daemon
threads, which end with the process, or when there was nothing to do for a while. A forked child starts with none.
"""

from __future__ import annotations

import os
import threading
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any, Final, final

from telic._optional import load

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

_IDLE_S: Final = 10.0


@final
class _Job:
    """One call on its way through a worker."""

    __slots__ = ("call", "future", "loop")

    def __init__(self, call: Callable[[], Any], loop: asyncio.AbstractEventLoop) -> None:
        self.call = call
        self.loop = loop
        self.future: asyncio.Future[Any] = loop.create_future()

    def run(self) -> None:
        if self.future.cancelled():
            return
        result: Any = None
        error: BaseException | None = None
        try:
            result = self.call()
        except BaseException as raised:  # noqa: BLE001 - not swallowed: it is raised where the caller waits
            error = raised
        try:
            self.loop.call_soon_threadsafe(self._settle, result, error)
        except RuntimeError:
            return  # its loop was closed meanwhile: nobody waits there any more

    def _settle(self, result: Any, error: BaseException | None) -> None:
        if self.future.done():
            return
        if error is None:
            self.future.set_result(result)
        elif isinstance(error, StopIteration):  # a future cannot carry one
            failure = RuntimeError("the function that ran in a thread raised StopIteration")
            failure.__cause__ = error
            self.future.set_exception(failure)
        else:
            self.future.set_exception(error)


@final
class Workers:
    """Up to `size` daemon threads, started as they are needed.

    Args:
        size: How many calls run at once; the others wait.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._jobs: SimpleQueue[_Job] = SimpleQueue()
        self._lock = threading.Lock()  # protects the two below
        self._threads = 0
        self._free = 0  # threads that wait for a job, less the jobs that wait for them

    def submit(self, call: Callable[[], Any]) -> asyncio.Future[Any]:
        """Run `call` in a thread; the future is of the running loop. Cancelling it drops a call not yet begun."""
        job = _Job(call, load("asyncio").get_running_loop())
        with self._lock:
            self._jobs.put(job)
            self._free -= 1
            start = self._free < 0 and self._threads < self._size
            if start:
                self._threads += 1
                self._free += 1
        if start:
            self._start()
        return job.future

    def _start(self) -> None:
        try:
            threading.Thread(target=self._work, name="telic-worker", daemon=True).start()
        except RuntimeError:  # the system allows no more: those that run do the work
            with self._lock:
                self._threads -= 1
                self._free -= 1
                if not self._threads:
                    raise

    def _work(self) -> None:
        while True:
            try:
                job = self._jobs.get(timeout=_IDLE_S)
            except Empty:
                with self._lock:
                    if self._free <= 0:
                        continue  # a job came just now, counting on this thread
                    self._threads -= 1
                    self._free -= 1
                    return
            job.run()
            del job  # an idle thread holds on to nothing
            with self._lock:
                self._free += 1


_by_size: dict[tuple[int, int], Workers] = {}
_lock = threading.Lock()  # protects `_by_size`: two first calls make one


def workers_for(size: int, depth: int) -> Workers:
    """Return the process's threads for calls made `depth` deep inside such calls, `size` at once."""
    with _lock:
        workers = _by_size.get((size, depth))
        if workers is None:
            workers = _by_size[size, depth] = Workers(size)
        return workers


def _after_fork() -> None:
    global _lock  # noqa: PLW0603  another thread may have held it
    _lock = threading.Lock()
    _by_size.clear()  # their threads are the parent's


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
