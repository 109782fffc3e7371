"""How many calls to one endpoint, key and model may be out at once: learned from the server, not configured.

It starts without a limit. A 429 that asks to wait stops new calls until then and halves what may be out; 429s that
name no wait halve it when they are more than a fifth of recent answers (a stray one is the retry's business). Every
answer adds a little back, one call a round trip: additive increase, multiplicative decrease (Chiu & Jain 1989).
Deviations: one decrease for all 429s to calls that were out together. A limit that has doubled without a 429 since
the last decrease is lifted.

All of it runs on the event loop, in the order of arrival, without polling.
"""

from __future__ import annotations

import math
from collections import deque
from typing import TYPE_CHECKING, Final, final

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

_DECREASE: Final = 0.5
_MEMORY: Final = 0.05  # weight of the last answer in the share of 429s
_TOO_MANY: Final = 0.2
_MAX_PAUSE_S: Final = 300.0


@final
class Limiter:
    """The limit of one endpoint, key and model.

    Args:
        clock: Seconds, monotonic: the loop's time.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._limit = math.inf
        self._lift_at = math.inf
        self._out = 0
        self._share = 0.0
        self._paused_until = 0.0
        self._decreased_at = -math.inf
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._timer: asyncio.TimerHandle | None = None

    @property
    def limit(self) -> float:
        """How many calls may be out; infinity: no limit."""
        return self._limit

    @property
    def out(self) -> int:
        """How many calls are out."""
        return self._out

    @property
    def waiting(self) -> int:
        """How many calls wait."""
        return len(self._waiting)

    @property
    def paused_until(self) -> float:
        """When new calls may start again, on the clock."""
        return self._paused_until

    @property
    def is_fresh(self) -> bool:
        """True if nothing is out, waits, or has been learned."""
        idle = not self._out and not self._waiting and self._clock() >= self._paused_until
        return idle and self._limit == math.inf and self._share < _MEMORY / 2

    def enter(self) -> bool:
        """Take a place at once if there is one; else `await wait(loop)`."""
        if self._waiting or self._out >= self._limit or self._clock() < self._paused_until:
            return False
        self._out += 1
        return True

    async def wait(self, loop: asyncio.AbstractEventLoop, *, first: bool = False) -> None:
        """Take a place when it is this call's turn.

        Args:
            loop: The running loop.
            first: True for a retry: it has waited before, and goes before those that have not.
        """
        future: asyncio.Future[None] = loop.create_future()
        if first:
            self._waiting.appendleft(future)
        else:
            self._waiting.append(future)
        self._admit(loop)
        try:
            await future
        except BaseException:
            if future.done() and not future.cancelled():
                self.leave(loop)  # the place was given and not wanted any more
            raise

    def leave(self, loop: asyncio.AbstractEventLoop) -> None:
        """Give the place back."""
        self._out -= 1
        if self._waiting:
            self._admit(loop)

    def succeeded(self) -> None:
        """Note an answer that was no 429."""
        if self._share:
            self._share *= 1 - _MEMORY
        if self._limit != math.inf:
            self._limit += 1 / self._limit
            if self._limit >= self._lift_at:
                self._limit = self._lift_at = math.inf

    def refused(self, sent_at: float, retry_after_s: float | None) -> None:
        """Note a 429 to a call sent at `sent_at`; None: the server named no wait, 0: it may be asked again now."""
        now = self._clock()
        self._share += (1 - self._share) * _MEMORY
        if retry_after_s:
            self.pause(retry_after_s)
        elif self._share <= _TOO_MANY:
            return
        if sent_at > self._decreased_at:
            self._limit = max(1.0, min(self._limit, float(self._out)) * _DECREASE)
            self._lift_at = 4 * self._limit
            self._decreased_at = now

    def pause(self, seconds: float) -> None:
        """Start no call for so long."""
        self._paused_until = max(self._paused_until, self._clock() + min(seconds, _MAX_PAUSE_S))

    def _admit(self, loop: asyncio.AbstractEventLoop) -> None:
        now = self._clock()
        if now < self._paused_until:
            if self._timer is None:
                self._timer = loop.call_later(self._paused_until - now, self._resume, loop)
            return
        while self._waiting and self._out < self._limit:
            future = self._waiting.popleft()
            if not future.done():
                self._out += 1
                future.set_result(None)

    def _resume(self, loop: asyncio.AbstractEventLoop) -> None:
        self._timer = None
        self._admit(loop)
