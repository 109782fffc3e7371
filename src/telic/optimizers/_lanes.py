"""`Lanes`: several rounds of a search under way at once, each one ordinary code that says what it needs next.

A round is a generator. It yields a *wave*, the pieces of work that may run side by side, and gets their values back
in order; what it returns is its outcome. So an algorithm reads as it stands in its paper, and threads stay busy: while
one round waits for an LM to write, another one is scored.

Outcomes are told (`fold`) in the order of the rounds, and none before it is due: a round begins when fewer than
`width` are open, and only then is the first open one folded. What a round sees at its beginning therefore depends on
its number alone, never on the order in which work ends, and any number of threads finds the same.

A round may wait for its turn (`TURN`): until those before it are folded, and as many as may begin have begun.

Work is known by its key: what one round has asked for, no other one pays for again.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Sequence
from typing import Any, Final, Generic, NamedTuple, TypeVar, final

from telic.errors import BudgetExceeded, LMOutageError
from telic.optimizers._compile import stop_words
from telic.optimizers._pool import Source, Standing, Task

T = TypeVar("T")


class Job(NamedTuple):
    """A piece of work."""

    key: tuple[Any, ...]
    """Equal keys are the same work."""
    work: Callable[[], Any]


TURN: Final[tuple[Job, ...]] = ()
"""Yielded by a round that goes on when it is the first open one."""

Round = Generator[Sequence[Job], list[Any], T]
"""Yields waves, is sent their values, returns its outcome."""


@final
class Lanes(Source, Generic[T]):
    """Rounds as work for a pool.

    Args:
        width: How many rounds are open at once.
        begin: Returns the next round; None: it cannot begin beside so many open ones (the argument), or, beside none,
            not at all.
        fold: Takes the outcome of a round.
        standing: How far it is.
    """

    def __init__(
        self,
        width: int,
        begin: Callable[[int], Round[T] | None],
        fold: Callable[[T], None],
        standing: Callable[[], Standing],
    ) -> None:
        self.stopped: str | None = None
        self._width = width
        self._begin = begin
        self._fold = fold
        self._standing = standing
        self._open: list[_Lane[T]] = []
        self._begun = False
        self._over = False
        self._known: dict[tuple[Any, ...], Any] = {}
        self._waiting: dict[tuple[Any, ...], list[tuple[_Lane[T], int]]] = {}

    @property
    def finished(self) -> bool:
        """Whether no work is worth starting any more."""
        return self.stopped is not None or self._over

    def take(self) -> Task | None:
        """Return work of the round that has the least of it left: it is the one that soon has more to ask for."""
        if (
            not self._begun
        ):  # afterwards only results bring more, so that what rounds raise is told like any failure
            self._begun = True
            self._refill()
        ready = [lane for lane in self._open if lane.queue]
        if self._over or not ready:
            return None
        lane = min(ready, key=lambda lane: len(lane.queue))
        job = lane.queue.popleft()

        def done(value: Any, error: Exception | None) -> None:
            if isinstance(error, (BudgetExceeded, LMOutageError)):
                self.stopped = stop_words(error) if self.stopped is None else self.stopped
            elif error is not None:
                raise error
            else:
                self._known[job.key] = value
                for waiting, place in self._waiting.pop(job.key):
                    self._put(waiting, place, value)
                self._refill()

        return Task(job.work, done)

    def standing(self) -> Standing:
        """Return how far it is."""
        return self._standing()

    def _refill(self) -> None:
        """Begin as many rounds as may begin; fold the first open ones, each only when its turn has come."""
        while not self._over:
            if len(self._open) < self._width:
                made = self._begin(len(self._open))
                if made is not None:
                    lane = _Lane(made)
                    self._open.append(lane)
                    self._advance(lane, None)
                    continue
                if not self._open:
                    self._over = True
                    return
            if self._open[0].waits:
                self._open[0].waits = False
                self._advance(self._open[0], [])
                continue
            if not self._open[0].done:
                return
            outcome = self._open.pop(0).outcome
            assert outcome is not None
            self._fold(outcome)

    def _advance(self, lane: _Lane[T], values: list[Any] | None) -> None:
        """Send a round what it waited for, until it waits for something that is not known."""
        while True:
            try:
                wave = next(lane.round) if values is None else lane.round.send(values)
            except StopIteration as end:
                lane.outcome, lane.done = end.value, True
                return
            if wave is TURN:
                lane.waits = True
                return
            lane.values, lane.left = [None] * len(wave), 0
            for place, job in enumerate(wave):
                if job.key in self._known:
                    lane.values[place] = self._known[job.key]
                    continue
                lane.left += 1
                others = self._waiting.setdefault(job.key, [])
                others.append((lane, place))
                if len(others) == 1:
                    lane.queue.append(job)
            if lane.left:
                return
            values = lane.values

    def _put(self, lane: _Lane[T], place: int, value: Any) -> None:
        lane.values[place] = value
        lane.left -= 1
        if not lane.left:
            self._advance(lane, lane.values)


@final
class _Lane(Generic[T]):
    """A round that has begun."""

    def __init__(self, made: Round[T]) -> None:
        self.round = made
        self.queue: deque[Job] = deque()
        """What nobody has taken yet."""
        self.values: list[Any] = []
        self.left = 0
        """How many values of the present wave are missing."""
        self.waits = False
        """It goes on when it is its turn."""
        self.outcome: T | None = None
        self.done = False
