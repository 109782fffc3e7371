"""The threads of one run: started together, begun together, waited for so that Ctrl-C is heard.

`Thread.join` is no way to wait here: a Ctrl-C in it makes Python 3.11 take the thread for ended while it still runs.
And any wait without end is deaf to a signal that comes just before it begins. So the threads say when they end, and
the wait looks up now and then.
"""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Final, final

if TYPE_CHECKING:
    from collections.abc import Callable

_LOOK_UP_S: Final = 0.05


@final
class Crew:
    """Threads that all run one function once.

    Args:
        work: What each of them runs; it sees to its own errors.
    """

    def __init__(self, work: Callable[[], None]) -> None:
        self._work = work
        self._threads: list[threading.Thread] = []
        self._ended: list[None] = []  # an item for each thread that has ended: appending needs no lock
        self._one_ended = threading.Event()
        self._begun = threading.Event()

    def start(self, num_threads: int) -> None:
        """Start the threads; as many as the system allows, at least one. None works before all are started.

        Starting hundreds of threads beside some that work already takes ten times as long.
        """
        for number in range(num_threads):
            thread = threading.Thread(target=self._run, name=f"telic-{number}", daemon=True)
            self._threads.append(thread)  # before: an interrupt that comes while it starts must not lose it
            try:
                thread.start()
            except RuntimeError:
                self._threads.pop()
                if number == 0:
                    raise
                break
        self._begun.set()

    def wait(self, seconds: float | None = None) -> None:
        """Return when all threads have ended, or after so many seconds; also after a `start` that was interrupted.

        Threads that an interrupt kept from starting may still come to life: they find nothing to do, if `work` looks.
        """
        self._begun.set()
        until = None if seconds is None else time.monotonic() + seconds
        started = sum(thread.ident is not None for thread in self._threads)
        while len(self._ended) < started and (until is None or time.monotonic() < until):
            self._one_ended.wait(_LOOK_UP_S)
            self._one_ended.clear()

    def _run(self) -> None:
        try:
            self._begun.wait()
            self._work()
        finally:
            self._ended.append(None)
            self._one_ended.set()
