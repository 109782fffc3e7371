"""Deadlines for tasks, cheap where nearly none is ever reached.

One timer per loop stands at the earliest deadline known; a task that finishes only leaves a set. A deadline that
passes cancels its task, whatever it awaits there, and the waiting code turns that cancellation into its own error.
"""

from __future__ import annotations

from contextvars import Context
from typing import TYPE_CHECKING, Any, final

from telic._optional import load

if TYPE_CHECKING:
    import asyncio


@final
class Watch:
    """One deadline of one task."""

    __slots__ = ("deadline", "expired", "task")

    def __init__(self, task: asyncio.Task[Any], deadline: float) -> None:
        self.task = task
        self.deadline = deadline
        self.expired = False

    def caused(self, error: BaseException) -> bool:
        """Return True if `error` is this deadline's cancellation, and take the cancellation back.

        A task that was cancelled from outside as well stays cancelled.
        """
        return self.expired and self.task.uncancel() == 0


@final
class Deadlines:
    """All deadlines of one event loop."""

    __slots__ = ("_due", "_loop", "_timer", "_watches")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._watches: set[Watch] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._due = 0.0

    def start(self, deadline: float) -> Watch:
        """Watch the current task until `stop`; `deadline` is in the loop's time."""
        watch = Watch(load("asyncio").current_task(self._loop), deadline)
        self._watches.add(watch)
        if self._timer is None or deadline < self._due:
            self._arm(deadline)
        return watch

    def stop(self, watch: Watch) -> None:
        """Forget a watch."""
        self._watches.discard(watch)

    def close(self) -> None:
        """Stop the timer."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _arm(self, deadline: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._due = deadline
        self._timer = self._loop.call_at(deadline, self._expire, context=Context())

    def _expire(self) -> None:
        self._timer = None
        now = self._loop.time()
        late = [watch for watch in self._watches if watch.deadline <= now]
        for watch in late:
            watch.expired = True
            self._watches.discard(watch)
            watch.task.cancel()
        if self._watches:
            self._arm(min(watch.deadline for watch in self._watches))
