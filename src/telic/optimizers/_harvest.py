"""Finding the first so many successes in a list, in its order, with many tries at once.

One after another, a search for `needed` successes tries example 0, 1, 2 … and stops at the last one it needs. Here
tries run ahead of what is known, and results are taken in index order: the same examples are accepted and the same
failures counted, whatever finished first. Running ahead may pay for tries that turn out not to be needed, so
another one is started only while those in flight are not likely to bring the missing successes: P(Binomial(in
flight, p) >= missing) decides, with p the share of the tries successful so far. Below 1/2 one more is started. Up
to `likely` one more is started only beside others that have just begun: near the end of their time it would be
waited for on its own. Before anything is known p is taken as 1, so that no more tries run than successes are
needed. The clock decides only what is tried ahead, never what is accepted.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, NamedTuple, final

from telic.data import AssertionOutcome
from telic.evaluate import is_unreadable


class Try(NamedTuple):
    """What became of one example."""

    index: int  # pyright: ignore[reportIncompatibleMethodOverride] - a tuple's `index` is of no use here
    value: Any
    """What the try found; None: no success."""
    failures: tuple[Exception, ...] = ()
    """What went wrong on the way; a try may fail, be made again, and succeed."""
    assertions: tuple[AssertionOutcome, ...] = ()
    """What became of the assertions of all its runs."""


def binomial_tail(n: int, k: int, p: float) -> float:
    """Return P(X >= k) of X ~ Binomial(n, p), for 0 < p <= 1.

    Example:
        >>> round(binomial_tail(10, 5, 0.5), 3)
        0.623
    """
    if p >= 1.0:
        return 1.0 if n >= k else 0.0
    term = (1.0 - p) ** n
    below = 0.0
    for successes in range(k):
        below += term
        term *= (n - successes) / (successes + 1) * p / (1.0 - p)
    return 1.0 - below


@final
class Harvest:
    """The order book of one search.

    Args:
        total: How many examples there are.
        needed: How many successes end the search.
        max_failures: How many failures end it, counted in index order, replies that could not be read left out.
        likely: How sure it is to be, at best, that no further round of tries is needed: nearer to 1 is sooner done,
            with more tries that were not needed. 0.5 where other work can use the threads.
        clock: Seconds, for telling whether tries have just begun.

    Attributes:
        accepted: The successes in index order, at most `needed`.
        failures: All failures up to where the search ended, in index order.
        tried: How many tries were started.
        closed: Nothing more is to be started: enough successes, too many failures, or the end of the list.
        failed: `max_failures` was reached.
        assertions: What became of the assertions, up to where the search ended, in index order.
    """

    def __init__(
        self,
        total: int,
        needed: int,
        max_failures: int,
        *,
        likely: float = 0.95,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self.accepted: list[Try] = []
        self.failures: list[tuple[int, Exception]] = []
        self.assertions: list[AssertionOutcome] = []
        self.tried = 0
        self.failed: bool = False
        self.closed = total == 0 or needed == 0
        self._total = total
        self._needed = needed
        self._max_failures = max_failures
        self._faults: int = 0
        self._waiting: dict[int, Try] = {}  # results that stand behind one not yet known
        self._cursor = 0
        self._done = 0
        self._successes = 0
        self._likely = likely
        self._clock = clock
        self._begun: dict[int, float] = {}
        self._newest = 0.0
        self._usual = 0.0  # seconds that a try takes, a running mean

    @property
    def used(self) -> int:
        """How many tries an unhurried search would have made."""
        return self._cursor

    def take(self) -> int | None:
        """Return the next index to try, or None while none is worth starting."""
        if self.closed or self.tried >= self._total or self._likely_enough(self.tried - self._done):
            return None
        self._newest = self._begun[self.tried] = self._clock()
        self.tried += 1
        return self.tried - 1

    def _likely_enough(self, in_flight: int) -> bool:
        missing = self._needed - self._successes
        if missing <= 0:
            # Enough successes are known, but one may stand behind a try that is still running: that one decides
            # whether they are the first ones. Nothing new can help.
            return True
        if in_flight < missing:
            return False
        share = (self._successes + 1) / (self._done + 1)
        chance = binomial_tail(in_flight, missing, share)
        return chance >= self._likely or (chance >= 0.5 and self._clock() - self._newest > self._usual / 4)

    def put(self, result: Try) -> None:
        """Note a result; accept what is now certain."""
        self._done += 1
        self._usual += (self._clock() - self._begun.pop(result.index) - self._usual) / self._done
        self._successes += result.value is not None
        self._waiting[result.index] = result
        while not self.closed and (known := self._waiting.pop(self._cursor, None)) is not None:
            self._cursor += 1
            self.failures += [(known.index, failure) for failure in known.failures]
            self.assertions += known.assertions
            self._faults += sum(not is_unreadable(failure) for failure in known.failures)
            if known.value is not None:
                self.accepted.append(known)
            self.failed = self._faults >= self._max_failures
            self.closed = self.failed or len(self.accepted) == self._needed or self._cursor == self._total

    def stop(self) -> None:
        """End the search here; what was accepted stays."""
        self.closed = True
