"""Runs of teachers on the training set: those that the metric and the assertions accept, with all their calls."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, final

from telic._text import plural
from telic.data import AssertionCount, count_assertions
from telic.errors import BudgetExceeded, EvaluationError, LMOutageError
from telic.optimizers._checks import told_failures
from telic.optimizers._harvest import Harvest, Try
from telic.optimizers._pool import Source, Standing, Task
from telic.optimizers._stops import stop_words
from telic.optimizers._teacher import Teacher
from telic.training import Call, TracedRun, calls_of_trace

if TYPE_CHECKING:
    from telic.data import Example, Step
    from telic.evaluate import MetricCall


def collected(trace: list[Step], paths: Mapping[int, str], score: float) -> list[Any]:
    """Return a run as plain data: its score, and path, inputs and outputs of each call."""
    calls = calls_of_trace(trace, paths)
    return [score, [[call.path, dict(call.inputs), dict(call.outputs)] for call in calls]]


@final
class Traces(Source):
    """The runs of one or several teachers, as work for a pool.

    Args:
        teachers: Programs with the student's predictors.
        rows: What each of them is run on.
        metric: Decides which runs are learned from, and by its score what they weigh.
        threshold: The least score of such a run; None: any score but 0.
        settings: For the teachers' runs. A program that is given several times answers anew each time.
        max_errors: Failures that end it.
    """

    def __init__(
        self,
        teachers: Sequence[Any],
        rows: Sequence[Example],
        metric: MetricCall,
        *,
        threshold: float | None,
        settings: dict[str, Any] | None,
        max_errors: int,
    ) -> None:
        self._rows = rows
        self._max_errors = max_errors
        self.total = len(teachers) * len(rows)
        self.harvest = Harvest(self.total, self.total + 1, max_errors)
        self.stopped: str | None = None
        self._teachers: list[Teacher] = []
        for at, teacher in enumerate(teachers):
            before = sum(one is teacher for one in teachers[:at])
            again = {"sample": before} if before else {}
            self._teachers.append(
                Teacher(
                    teacher.deepcopy(),
                    metric,
                    threshold=threshold,
                    settings={**({} if settings is None else settings), **again},
                    max_rounds=1,
                    seed=0,
                    collect=collected,
                )
            )

    def take(self) -> Task | None:
        """Return the next run."""
        index = self.harvest.take()
        if index is None:
            return None
        teacher, at = divmod(index, len(self._rows))

        def work() -> Try:
            found = self._teachers[teacher].attempt(at, self._rows[at])
            return found._replace(index=index)

        return Task(work, self._done)

    def _done(self, found: Try | None, error: Exception | None) -> None:
        if isinstance(error, (BudgetExceeded, LMOutageError)):
            self.stopped = stop_words(error)
            self.harvest.stop()
        elif error is not None:
            raise error
        elif found is not None:
            self.harvest.put(found)
            if self.harvest.failed:
                failures = self.harvest.failures
                raise EvaluationError(
                    f"collecting traces stopped after {self.harvest.used} runs: "
                    f"{told_failures(failures, self._max_errors)}",
                    results=[one.value for one in self.harvest.accepted],
                ) from failures[-1][1]

    @property
    def finished(self) -> bool:
        """Whether all runs were begun."""
        return self.harvest.closed

    def standing(self) -> Standing:
        """Return how many runs were made."""
        kept = len(self.harvest.accepted)
        return Standing(
            self.harvest.used, self.total, f"{kept} of {plural(self.harvest.used, 'run')} accepted"
        )

    def runs(self) -> list[TracedRun]:
        """Return the accepted runs, teacher by teacher, in the order of the rows."""
        return [
            TracedRun([Call(*call) for call in found.value[1]], found.value[0], found.index % len(self._rows))
            for found in self.harvest.accepted
        ]

    @property
    def failures(self) -> list[str]:
        """What went wrong on the way."""
        return [str(error) for _, error in self.harvest.failures]

    @property
    def assertions(self) -> dict[str, AssertionCount]:
        """What became of assertions, by name."""
        return count_assertions(self.harvest.assertions)


def labelled_calls(program: Any, paths: Sequence[str], rows: Sequence[Example]) -> list[Call]:
    """Return the calls that rows with labels stand for: those that have all outputs of a predictor."""
    found: list[Call] = []
    for path, predictor in program.named_predictors():
        if path in paths:
            outputs = list(predictor.signature.output_fields)
            found += [
                Call(path, dict(row.items()), {name: row[name] for name in outputs})
                for row in rows
                if all(name in row for name in outputs)
            ]
    return found
