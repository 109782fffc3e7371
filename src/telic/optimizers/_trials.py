"""Trials: combinations of choices, scored on rows, chosen one after another by what the earlier ones scored.

The search of MIPROv2 and of the demonstration search over Optuna's name. A combination is a tuple of indices, one for
each variable (which instructions for this predictor, which demonstrations). What happens is a list of *events*, fixed
beforehand: the given program on all rows; trials on a minibatch, or on all rows; full evaluations of the best
combination so far that has not had one; a revision, which may add choices. The estimator is `_tpe`.

Each event's decision sees the results of the first so many events, and no others, whatever has come in by then. A few
events run at once (`ahead`), so that the last rows of one do not leave the threads idle; and any number of threads
finds the same. A row that a combination was scored on before is not paid for again.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from statistics import pstdev
from typing import TYPE_CHECKING, Any, Final, NamedTuple, final

from telic._seed import derive
from telic._text import plural
from telic.errors import BudgetExceeded, EvaluationError, LMOutageError
from telic.evaluate import EvaluationResult, MetricCall, Row, RowJob, is_unreadable, score_row
from telic.optimizers._choice import Scored
from telic.optimizers._compile import stop_words
from telic.optimizers._pool import Source, Standing, Task, told_best
from telic.optimizers._search import SUGGEST_COST
from telic.optimizers._tpe import Choice, Seen, suggest
from telic.optimizers._trial_events import Event, Kind

if TYPE_CHECKING:
    from telic.data import Example
    from telic.optimizers._report import Candidate

_STARTUP: Final = 10
_HOPE: Final = 1.645
"""Standard errors below the best full evaluation from which on a combination gets none (95 %, one-sided)."""


class Outcome(NamedTuple):
    """What became of an event, for people."""

    kind: Kind
    choice: Choice
    score: float
    """Mean over its rows, in percent."""
    rows: int


class Space(NamedTuple):
    """What there is to choose from."""

    sizes: Sequence[int]
    """How many choices each variable has."""
    added: Sequence[tuple[int, int]] = ()
    """What a revision added: variables and the indices of their new choices."""


Revise = Callable[[Mapping[Choice, float], Callable[[Space], None]], None]
"""Gets the mean scores so far, and what takes the new space once it is there."""


class Owner(NamedTuple):
    """Who knows what the combinations stand for.

    Attributes:
        make: Makes the program of a combination.
        scored: Makes the report's candidate of a combination that all rows are known of.
        decide: Writes a decision down.
        revise: Adds choices; None: there is no revision among the events.
    """

    make: Callable[[Choice], Any]
    scored: Callable[[Choice, Any, EvaluationResult], Candidate]
    decide: Callable[[str, Any], None]
    revise: Revise | None = None


@final
class Trials(Source):
    """The events as work for a pool.

    Args:
        rows: What is scored on.
        metric: Scores.
        events: What is to happen.
        owner: Knows what the combinations stand for.
        given: The combination that is the program as it was given.
        batch: Rows of a trial.
        seed: Of minibatches and draws.
        max_errors: Failed rows of one combination that end the search.
    """

    def __init__(
        self,
        rows: Sequence[Example],
        metric: MetricCall,
        events: Sequence[Event],
        owner: Owner,
        *,
        given: Choice,
        batch: int,
        seed: int,
        max_errors: int,
    ) -> None:
        self.stopped: str | None = None
        self._examples = rows
        self._metric = metric
        self._events = list(events)
        self._owner = owner
        self._given = given
        self._batch = batch
        self._seed = seed
        self._max_errors = max_errors
        self._spaces: list[tuple[int, Space]] = []
        """From how many seen events on which space holds."""
        self._table: dict[Choice, _Column] = {}
        self._started: list[_Started] = []
        self._complete = 0
        self._queue: list[tuple[_Column, int]] = []
        self._view: dict[Choice, dict[int, float]] = {}
        self._folded = 0
        self._rows_done = 0

    def open(self, space: Space) -> None:
        """Say what there is to choose from: trials may begin."""
        self._spaces.append((0, space))

    # What was found

    @property
    def found(self) -> list[Scored]:
        """The combinations that all rows are known of, in the order in which they were put forward."""
        return [column.scored for column in self._table.values() if column.scored is not None]

    @property
    def partly(self) -> list[tuple[Choice, EvaluationResult]]:
        """Those of which only some rows are known, best first."""
        columns = [column for column in self._table.values() if column.scored is None and column.done]
        known = [(column.choice, EvaluationResult([row for row in column.rows if row])) for column in columns]
        return sorted(known, key=lambda item: -item[1].mean)

    def scored_of(self, choice: Choice) -> Scored | None:
        """Return a combination that all rows are known of."""
        column = self._table.get(choice)
        return None if column is None else column.scored

    @property
    def failures(self) -> list[str]:
        """What went wrong, in the order of combinations and rows."""
        rows = [row for column in self._table.values() for row in column.rows if row is not None]
        return [str(row.error) for row in rows if row.error is not None]

    def outcomes(self) -> list[Outcome]:
        """Return what became of the events that are complete."""
        told: list[Outcome] = []
        for event, started in zip(self._events, self._started[: self._complete], strict=False):
            if started.column is not None:
                scores = [started.column.score(index) for index in started.indices]
                mean = 100 * math.fsum(scores) / len(scores)
                told.append(Outcome(event.kind, started.column.choice, mean, len(scores)))
        return told

    # The work

    @property
    def finished(self) -> bool:
        """Whether nothing more is to be started."""
        return self.stopped is not None or self._complete == len(self._events)

    def take(self) -> Task | None:
        """Return a row of an event that has begun, or of the next one, where its turn has come."""
        while not self._queue and self._begin():
            pass
        if not self._queue:
            return None
        column, index = self._queue.pop(0)
        job, example = column.job, self._examples[index]

        def done(row: Any, error: Exception | None) -> None:
            if isinstance(error, (BudgetExceeded, LMOutageError)):
                self.stopped = stop_words(error) if self.stopped is None else self.stopped
            elif error is not None:
                raise error
            else:
                self._put(column, index, row)

        return Task(lambda: score_row(job, index, example), done)

    def _begin(self) -> bool:
        """Begin the next event, if it can be decided; say whether anything has changed."""
        number = len(self._started)
        if number == len(self._events):
            return False
        event = self._events[number]
        if event.sees > self._complete or (event.kind != "given" and not self._spaces):
            return False
        self._fold(event.sees)
        if event.kind == "revise":
            self._started.append(_Started(None, [], 1))
            assert self._owner.revise is not None
            means = {choice: _mean(scores) for choice, scores in self._view.items()}
            self._owner.revise(means, lambda space: self._revised(number, space))
            return True
        choice = self._chosen(event)
        if choice is None:
            self._started.append(_Started(None, [], 0))
        else:
            self._owner.decide(f"{event.kind} {number}", choice)
            self._started.append(self._rows_of(event, choice))
            self._order(number)
        self._advance()
        return True

    def _chosen(self, event: Event) -> Choice | None:
        """Return the combination of an event, as far as the events that it sees decide it; None: there is none."""
        if event.kind == "given":
            return self._given
        if event.kind == "full":
            hopeful = self._hopeful()
            return hopeful[event.number] if event.number < len(hopeful) else None
        space = next(space for seen, space in reversed(self._spaces) if event.sees >= seen)
        if event.fresh is not None and event.fresh < len(space.added) and self._view:
            variable, index = space.added[event.fresh]
            best = max(self._view, key=lambda choice: _mean(self._view[choice]))
            return (*best[:variable], index, *best[variable + 1 :])
        whole = {choice for choice, scores in self._view.items() if len(scores) == len(self._examples)}
        seen = [Seen(choice, _mean(scores)) for choice, scores in self._view.items()]
        rng = derive(self._seed, "trial", event.number)
        return suggest(seen, space.sizes, rng, startup=_STARTUP, done=whole)

    def _hopeful(self) -> list[Choice]:
        """Return the combinations that some rows are known of and that may still win, the best on average first."""
        ranked = sorted(self._view.items(), key=lambda item: -_mean(item[1]))
        whole = [list(scores.values()) for _, scores in ranked if len(scores) == len(self._examples)]
        partly = [(choice, scores) for choice, scores in ranked if len(scores) < len(self._examples)]
        if not whole:
            return [choice for choice, _ in partly]
        best, spread = math.fsum(whole[0]) / len(whole[0]), pstdev(whole[0])
        return [
            choice
            for choice, scores in partly
            if _mean(scores) + _HOPE * spread / math.sqrt(len(scores)) >= best
        ]

    def _rows_of(self, event: Event, choice: Choice) -> _Started:
        """Return the event with the rows that it needs."""
        column = self._table.get(choice)
        if column is None:
            job = RowJob(self._owner.make(choice), self._metric, suggest_cost=SUGGEST_COST)
            column = self._table[choice] = _Column(choice, job, len(self._examples))
        every = range(len(self._examples))
        indices = list(every)
        if event.kind == "trial" and self._batch < len(every):
            indices = sorted(derive(self._seed, "minibatch", event.number).sample(every, self._batch))
        return _Started(column, indices, sum(column.rows[index] is None for index in indices))

    def _order(self, number: int) -> None:
        """Put the rows of an event that nobody has ordered into the queue."""
        started = self._started[number]
        column = started.column
        assert column is not None
        for index in started.indices:
            if column.rows[index] is None:
                column.waiting.setdefault(index, []).append(number)
                if len(column.waiting[index]) == 1:
                    self._queue.append((column, index))

    def _put(self, column: _Column, index: int, row: Row) -> None:
        column.rows[index] = row
        column.done += 1
        self._rows_done += 1
        for number in column.waiting.pop(index):
            self._started[number].left -= 1
        if row.error is not None and not is_unreadable(row.error):
            column.failed += 1
            self._check_failures(column, row.error)
        if column.done == len(column.rows):
            result = EvaluationResult([row for row in column.rows if row is not None])
            column.scored = Scored(self._owner.scored(column.choice, column.job.program, result), result)
        self._advance()

    def _check_failures(self, column: _Column, last: Exception) -> None:
        if column.failed >= self._max_errors:
            known = [row for row in column.rows if row is not None]
            raise EvaluationError(
                f"the combination {column.choice} failed on {column.failed} of {plural(len(known), 'row')} "
                f"(max_errors={self._max_errors}); the last: {last}",
                results=known,
            ) from last

    def _revised(self, number: int, space: Space) -> None:
        self._started[number].left = 0
        self._spaces.append((number + 1, space))
        self._advance()

    def _advance(self) -> None:
        while self._complete < len(self._started) and not self._started[self._complete].left:
            self._complete += 1

    def _fold(self, seen: int) -> None:
        """Bring the results of the first so many events into view."""
        for started in self._started[self._folded : seen]:
            if started.column is not None:
                scores = self._view.setdefault(started.column.choice, {})
                scores.update((index, started.column.score(index)) for index in started.indices)
        self._folded = max(self._folded, seen)

    def standing(self) -> Standing:
        """Return how many events are complete, and the best combination that all rows are known of."""
        best = max((one.result for one in self.found), key=lambda result: result.score, default=None)
        words = f"{self._complete} of {plural(len(self._events), 'step')}, {plural(self._rows_done, 'row')}"
        return Standing(
            self._complete, len(self._events), words if best is None else f"{words}, {told_best(best)}"
        )


@final
class _Column:
    """A combination, and what is known of its rows."""

    def __init__(self, choice: Choice, job: RowJob, size: int) -> None:
        self.choice = choice
        self.job = job
        self.rows: list[Row | None] = [None] * size
        self.waiting: dict[int, list[int]] = {}
        """The events that wait for a row."""
        self.done = 0
        self.failed = 0
        self.scored: Scored | None = None

    def score(self, index: int) -> float:
        row = self.rows[index]
        assert row is not None
        return row.score


@final
class _Started:
    """An event that has begun."""

    def __init__(self, column: _Column | None, indices: list[int], left: int) -> None:
        self.column = column
        """None: it has no rows."""
        self.indices = indices
        self.left = left


def _mean(scores: Mapping[int, float]) -> float:
    return math.fsum(scores.values()) / len(scores)
