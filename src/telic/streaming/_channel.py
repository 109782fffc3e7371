"""Between a program that runs and who looks at it: a queue that holds back the program when nobody reads.

Putting never waits, since events are told from callbacks that cannot. What produces many of them, the reading of an
LM's reply, asks for room before each piece: so at most `ROOM` events wait, and a few for each call that is under way.
When the reader has left, putting raises `Cancelled`, which ends the program at its next event.
"""

from __future__ import annotations

import threading
from collections import deque
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any, Final, Protocol, final

from telic._cancel import Cancelled
from telic._optional import load

if TYPE_CHECKING:
    import asyncio

ROOM: Final = 256
_HAND_OVER_S: Final = 0.002
_END: Final = object()


class Channel(Protocol):
    """What producers of events see of a queue."""

    def put(self, event: Any) -> None: ...
    def hand_over(self) -> None: ...
    def wait_for_room(self) -> None: ...
    async def await_room(self) -> None: ...


def _left() -> Cancelled:
    return Cancelled("nobody reads this stream any more")


@final
class ThreadChannel:
    """Read by a thread.

    Args:
        room: How many events may wait.
    """

    def __init__(self, room: int = ROOM) -> None:
        self._room = room
        self._events: SimpleQueue[Any] = SimpleQueue()
        self._free = threading.Event()
        self._taken = threading.Event()
        self._left = False

    def put(self, event: Any) -> None:
        """Add an event; from any thread. Raises `Cancelled` when the reader has left."""
        if self._left:
            raise _left()
        self._events.put(event)

    def hand_over(self) -> None:
        """Let the reader run for a moment: Python would not, as long as this thread has work."""
        self._taken.clear()
        if self._events.qsize():
            self._taken.wait(_HAND_OVER_S)

    def wait_for_room(self) -> None:
        """Wait until the reader has caught up."""
        while self._events.qsize() >= self._room and not self._left:
            self._free.clear()
            if self._events.qsize() < self._room or self._left:
                break
            self._free.wait()
        if self._left:
            raise _left()

    async def await_room(self) -> None:
        """Same; the loop stands still meanwhile, which is that of the program alone."""
        self.wait_for_room()

    def end(self) -> None:
        """Say that no event follows."""
        self._events.put(_END)

    def get(self) -> Any:
        """Return the next event, waiting for it; None at the end."""
        event = self._events.get()
        if not self._taken.is_set():
            self._taken.set()
        if not self._free.is_set() and self._events.qsize() <= self._room // 2:
            self._free.set()
        if event is _END:
            self._events.put(_END)
            return None
        return event

    def leave(self) -> None:
        """Read no more: the producers are let go."""
        self._left = True
        self._free.set()
        try:
            while True:
                self._events.get_nowait()
        except Empty:
            self._events.put(_END)


@final
class TaskChannel:
    """Read by a task of the running loop.

    Args:
        room: How many events may wait.
    """

    def __init__(self, room: int = ROOM) -> None:
        self._loop: asyncio.AbstractEventLoop = load("asyncio").get_running_loop()
        self._thread = threading.get_ident()
        self._room = room
        self._events: deque[Any] = deque()
        self._reader: asyncio.Future[None] | None = None
        self._awake = False  # a wake-up from another thread is on its way
        self._waiting: list[asyncio.Future[None]] = []
        self._free = threading.Event()
        self._taken = threading.Event()
        self._left = False

    def put(self, event: Any) -> None:
        """Add an event; from any thread. Raises `Cancelled` when the reader has left."""
        if self._left:
            raise _left()
        self._events.append(event)
        if threading.get_ident() == self._thread:
            self._wake()
        elif not self._awake:
            self._awake = True
            try:
                self._loop.call_soon_threadsafe(self._wake)
            except RuntimeError:  # the loop is closed: its tasks are gone, and the reader with them
                self._left = True
                raise _left() from None

    def hand_over(self) -> None:
        """Let the reader run for a moment, unless it is this thread's own loop that it reads in."""
        if threading.get_ident() != self._thread:
            self._taken.clear()
            if self._events:
                self._taken.wait(_HAND_OVER_S)

    def wait_for_room(self) -> None:
        """Wait until the reader has caught up, unless it is this thread's own loop that it reads in."""
        if threading.get_ident() == self._thread:
            return
        while len(self._events) >= self._room and not self._left:
            self._free.clear()
            if len(self._events) < self._room or self._left:
                break
            self._free.wait()
        if self._left:
            raise _left()

    async def await_room(self) -> None:
        """Wait until the reader has caught up."""
        if len(self._events) < self._room:
            return
        if threading.get_ident() != self._thread:
            self.wait_for_room()
            return
        while len(self._events) >= self._room and not self._left:
            free = self._loop.create_future()
            self._waiting.append(free)
            await free

    def end(self) -> None:
        """Say that no event follows."""
        self._events.append(_END)
        self._wake()

    async def get(self) -> Any:
        """Return the next event, waiting for it; None at the end."""
        while not self._events:
            reader = self._reader = self._loop.create_future()
            if self._events:  # put by another thread just now
                break
            await reader
        event = self._events[0]
        if event is _END:
            return None
        self._events.popleft()
        if not self._taken.is_set():
            self._taken.set()
        if len(self._events) <= self._room // 2:
            self._let_in()
        return event

    def leave(self) -> None:
        """Read no more: the producers are let go."""
        self._left = True
        self._events.clear()
        self._events.append(_END)
        self._let_in()

    def _let_in(self) -> None:
        if not self._free.is_set():
            self._free.set()
        if self._waiting:
            waiting, self._waiting = self._waiting, []
            for free in waiting:
                if not free.done():
                    free.set_result(None)

    def _wake(self) -> None:
        self._awake = False  # before the reader looks: an event put now wakes it again
        reader = self._reader
        if reader is not None and not reader.done():
            reader.set_result(None)
