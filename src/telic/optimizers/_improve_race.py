"""A race: candidates are scored on a few rows, then on more; those shown to be behind are given up on the way.

Rows come in rungs of growing size. At the end of a rung each candidate is compared, row by row, with the best on the
rows so far, the champion among them: where the difference is below zero by more than chance explains, it is out. Of the
others the better half goes on (successive halving, Jamieson and Talwalkar 2016): candidates that are alike would
otherwise all be paid for to the end. What is left at the last rung has been scored on all rows. One that fails on too
many rows is out as well.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Final, final

from telic._text import plural
from telic.errors import BudgetExceeded, EvaluationError, LMOutageError
from telic.evaluate import EvaluationResult, MetricCall, Row, RowJob, is_unreadable, score_row
from telic.optimizers._pool import Source, Standing, Task
from telic.optimizers._search import SUGGEST_COST
from telic.optimizers._stops import stop_words

if TYPE_CHECKING:
    from telic.data import Example

_Z: Final = 1.64  # one-sided 5 %
_LEAST: Final = 8
"""Rows of the first rung, at least."""


def rungs_of(rows: int) -> list[int]:
    """Return after how many rows candidates are compared, the last time after all.

    Example:
        >>> rungs_of(100), rungs_of(12)
        ([25, 50, 100], [12])
    """
    found = [rows // 4, rows // 2]
    return [size for size in found if size >= _LEAST] + [rows]


def most_runs(entrants: int, rows: int) -> int:
    """Return how many runs of a program a race against a champion may take.

    Example:
        >>> most_runs(4, 100), most_runs(1, 100)
        (200, 100)
    """
    total, before = 0, 0
    for size in rungs_of(rows):
        total += entrants * (size - before)
        before, entrants = size, (entrants + 1) // 2
    return total


def is_behind(scores: Sequence[float], best: Sequence[float]) -> bool:
    """Whether some scores are shown to be below others on the same rows.

    Example:
        >>> is_behind([0, 0, 1, 0, 0, 1, 1, 1], [1, 1, 1, 1, 1, 1, 1, 1])
        True
        >>> is_behind([0, 0, 1, 1, 1, 1, 1, 1], [1, 1, 1, 1, 1, 1, 1, 1])
        False
    """
    differences = [a - b for a, b in zip(scores, best, strict=True)]
    n = len(differences)
    mean = math.fsum(differences) / n
    if mean >= 0 or n < 2:
        return False
    variance = math.fsum((d - mean) ** 2 for d in differences) / (n - 1)
    return mean + _Z * math.sqrt(variance / n) < 0


@final
class Entrant:
    """A candidate in a race.

    Args:
        number: Its number in the compile; 0 is the program as it was given.
        label: What it is.
        program: The program.
    """

    def __init__(self, number: int, label: str, program: Any) -> None:
        self.number = number
        self.label = label
        self.program = program
        self.rows: list[Row | None] = []
        self.faults = 0
        self.is_out = False

    @property
    def known(self) -> list[Row]:
        """The rows that were scored."""
        return [row for row in self.rows if row is not None]

    @property
    def is_complete(self) -> bool:
        """Whether all rows were scored."""
        return bool(self.rows) and None not in self.rows

    @property
    def mean(self) -> float:
        """The mean over the rows that were scored, in the metric's units; of none, -inf."""
        scores = [row.score for row in self.known]
        return math.fsum(scores) / len(scores) if scores else -math.inf

    @property
    def result(self) -> EvaluationResult:
        """The rows that were scored, as a result."""
        return EvaluationResult(self.known)

    def scores(self, count: int) -> list[float]:
        """Return the scores of the first so many rows, all of which must be known."""
        return [row.score for row in self.rows[:count] if row is not None]


@final
class Race(Source):
    """The scoring of some candidates.

    Args:
        entrants: The candidates.
        champion: The best program so far, scored on all rows; None: there is none, and all candidates run all rows.
        rows: What is scored on.
        metric: Scores.
        max_errors: Failed rows after which a candidate is out; without a champion they end the compile.
        scored: Told of each candidate that was scored on all rows.
    """

    def __init__(
        self,
        entrants: Sequence[Entrant],
        champion: Entrant | None,
        rows: Sequence[Example],
        metric: MetricCall,
        *,
        max_errors: int,
        scored: Callable[[Entrant], None],
    ) -> None:
        self.entrants = list(entrants)
        self.stopped: str | None = None
        self._champion = champion
        self._examples = rows
        self._metric = metric
        self._max_errors = max_errors
        self._scored = scored
        self._rungs = rungs_of(len(rows)) if champion is not None else [len(rows)]
        self._rung = -1
        self._queue: deque[tuple[Entrant, int]] = deque()
        self._left = 0
        self._jobs = {
            one.number: RowJob(one.program, metric, suggest_cost=SUGGEST_COST) for one in self.entrants
        }
        for entrant in self.entrants:
            entrant.rows = [None] * len(rows)
        self._is_over = not self.entrants
        self._next_rung()

    @property
    def _running(self) -> list[Entrant]:
        return [entrant for entrant in self.entrants if not entrant.is_out]

    def _next_rung(self) -> None:
        """Begin the next rung with those that are left, or end the race."""
        running = self._running
        if self._rung + 1 == len(self._rungs) or not running:
            self._is_over = True
            return
        before = 0 if self._rung < 0 else self._rungs[self._rung]
        self._rung += 1
        for index in range(before, self._rungs[self._rung]):
            self._queue += [(entrant, index) for entrant in running]
        self._left = len(self._queue)

    def take(self) -> Task | None:
        """Return the next row of the present rung."""
        if not self._queue:
            return None
        entrant, index = self._queue.popleft()
        job, example = self._jobs[entrant.number], self._examples[index]

        def done(row: Any, error: Exception | None) -> None:
            if isinstance(error, (BudgetExceeded, LMOutageError)):
                self.stopped = stop_words(error) if self.stopped is None else self.stopped
            elif error is not None:
                raise error
            else:
                self._put(entrant, index, row)

        return Task(lambda: score_row(job, index, example), done)

    def _put(self, entrant: Entrant, index: int, row: Row) -> None:
        entrant.rows[index] = row
        self._left -= 1
        if row.error is not None and not is_unreadable(row.error):
            entrant.faults += 1
            if self._champion is None and entrant.faults >= self._max_errors:
                raise EvaluationError(
                    f"{entrant.label}: the program failed on {entrant.faults} of {plural(len(entrant.known), 'row')} "
                    f"(max_errors={self._max_errors}); the last: {row.error}",
                    results=entrant.known,
                ) from row.error
        if self._left == 0 and self.stopped is None:
            self._compare()
            self._next_rung()

    def _compare(self) -> None:
        """At the end of a rung: give up those that are behind; tell of those that are through."""
        count = self._rungs[self._rung]
        for entrant in self._running:
            entrant.is_out = self._champion is not None and entrant.faults >= self._max_errors
        running = self._running
        if count == len(self._examples):
            for entrant in running:
                self._scored(entrant)
            return
        tables = [entrant.scores(count) for entrant in running]
        if self._champion is not None:
            tables.append(self._champion.scores(count))
        best = max(tables, key=math.fsum)
        ranked = sorted(running, key=lambda one: -math.fsum(one.scores(count)))  # of equals the earlier one
        for place, entrant in enumerate(ranked):
            entrant.is_out = place >= (len(ranked) + 1) // 2 or is_behind(entrant.scores(count), best)

    @property
    def finished(self) -> bool:
        """Whether nothing more is to be started."""
        return self._is_over or self.stopped is not None

    @property
    def failures(self) -> list[str]:
        """What went wrong, in the order of the candidates."""
        rows = [row for entrant in self.entrants for row in entrant.known]
        return [str(row.error) for row in rows if row.error is not None]

    def standing(self) -> Standing:
        """Return how many rows were scored, how many candidates are left, and the best so far."""
        done = sum(len(entrant.known) for entrant in self.entrants)
        words = f"{len(self._running)} of {plural(len(self.entrants), 'candidate')} in the race, {plural(done, 'row')}"
        if self._champion is not None:
            result = self._champion.result
            low, high = result.interval
            words += f", best {result.score:.1f} % [{100 * low:.0f}–{100 * high:.0f}]"
        return Standing(done, None, words)
