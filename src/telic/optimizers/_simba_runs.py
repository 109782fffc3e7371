"""Runs of programs with their traces, many of each row, for SIMBA: what was done on the way, and what it scored.

A run is a step of the compile and is kept as plain data (inputs and outputs by the predictor's path), so that a resumed
compile has it again, and so that nothing holds on to the program that made it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, Protocol, TypeVar, final

from telic._hash import content_key
from telic._text import plural
from telic.context import context
from telic.errors import BudgetExceeded, EvaluationError, LMOutageError
from telic.evaluate import (
    MetricCall,
    Row,
    RowJob,
    callable_key,
    is_unreadable,
    program_key,
    score_row,
    settings_key,
    stable,
)
from telic.optimizers._compile import stop_words
from telic.optimizers._pool import Source, Standing, Task
from telic.optimizers._search import SUGGEST_COST
from telic.optimizers._selection import shows

if TYPE_CHECKING:
    from telic.data import Example, Step
    from telic.optimizers._compile import Compile

StepOf = tuple[str, dict[str, Any], dict[str, Any]]
"""One call of a predictor: its path, inputs, outputs."""


@final
class Trajectory(NamedTuple):
    """One run of a program on a row."""

    steps: tuple[StepOf, ...]
    score: float
    feedback: str
    error: str | None
    """What it raised, as text."""
    is_fault: bool
    """Whether that was a fault of program or metric, and not a reply that could not be read."""
    is_sound: bool
    """It did not fail, and its assertions held: fit to be shown."""


@final
class Traced:
    """Makes runs of a program's pool, each a step of the compile.

    Args:
        run: The compile.
        metric: Scores.
        teacher_settings: Settings of the first run of each row; None: it is as the others.
    """

    def __init__(self, run: Compile, metric: MetricCall, teacher_settings: Mapping[str, Any] | None) -> None:
        self._run = run
        self._metric = metric
        self._teacher = teacher_settings

    def work(
        self, program: Any, row: Example, index: int, *, first: bool, sample: int
    ) -> Callable[[], Trajectory]:
        """Return the work of one run.

        Args:
            program: What is run, without those of its demos that show this row.
            row: On what.
            index: The row's number.
            first: The run that the teacher's settings are for.
            sample: Its number as a draw; never 0, which is that of runs without a trace.
        """
        program = without(program, row)
        teacher = self._teacher if first else None
        settings: dict[str, Any] = {"sample": sample, "lm_options": {"temperature": 1.0}}
        if teacher is not None:
            settings = {"role": "teacher", "sample": sample, **teacher}

        def work() -> Trajectory:
            with context(**settings):
                known = [program_key(program, code=True), callable_key(self._metric.metric), settings_key()]
                job = RowJob(program, self._metric, suggest_cost=SUGGEST_COST)
                job.key = content_key(known)
                key = ["trajectory", job.key, index, stable(row)]
                # kept as a plain tuple, which is what comes back on resume
                values: Any = self._run.step(key, lambda: tuple(_traced(job, row, index)))
                return Trajectory(*values)

        return work


def _traced(job: RowJob, row: Example, index: int) -> Trajectory:
    trace: list[Step] = []
    paths = {id(predictor): path for path, predictor in job.program.named_predictors()}
    with context(trace=trace):
        scored = score_row(job, index, row)
    steps = tuple(
        (paths[id(step.predictor)], dict(step.inputs), dict(step.prediction.items()))
        for step in trace
        if id(step.predictor) in paths
    )
    return _of(scored, steps)


def _of(row: Row, steps: tuple[StepOf, ...]) -> Trajectory:
    return Trajectory(
        steps,
        row.score,
        row.feedback,
        None if row.error is None else str(row.error),
        row.error is not None and not is_unreadable(row.error),
        row.error is None and all(one.passed or one.bypassed for one in row.assertions),
    )


def without(program: Any, row: Example) -> Any:
    """Return the program, or a copy without the demos that show this row: it would only have to copy the answer."""
    if not any(shows(demo, row) for predictor in program.predictors() for demo in predictor.demos):
        return program
    made = program.deepcopy()
    for predictor in made.predictors():
        predictor.demos = [demo for demo in predictor.demos if not shows(demo, row)]
    return made


class Tried(Protocol):
    """What a run came to."""

    @property
    def error(self) -> str | None: ...
    @property
    def is_fault(self) -> bool: ...


RunT = TypeVar("RunT", bound=Tried)


@final
class Runs(Source, Generic[RunT]):
    """A list of runs as work for a pool; `found` has the results in their order.

    Args:
        works: The runs.
        max_errors: Failed runs that end the compile.
    """

    def __init__(self, works: Sequence[Callable[[], RunT]], max_errors: int) -> None:
        self.found: list[RunT | None] = [None] * len(works)
        self.stopped: str | None = None
        self._works = works
        self._max_errors = max_errors
        self._started = self._done = self._faults = 0

    def take(self) -> Task | None:
        """Return the next run."""
        if self._started == len(self._works):
            return None
        index = self._started
        self._started += 1

        def done(value: Any, error: Exception | None) -> None:
            self._done += 1
            if isinstance(error, (BudgetExceeded, LMOutageError)):
                self.stopped = stop_words(error) if self.stopped is None else self.stopped
            elif error is not None:
                raise error
            else:
                self._put(index, value)

        return Task(self._works[index], done)

    def _put(self, index: int, value: RunT) -> None:
        self.found[index] = value
        self._faults += value.is_fault
        if value.is_fault and self._faults >= self._max_errors:
            raise EvaluationError(
                f"{self._faults} of {plural(self._done, 'run')} failed (max_errors={self._max_errors}); "
                f"the last: {value.error}",
                results=[],
            )

    @property
    def failures(self) -> list[str]:
        """What went wrong, in the order of the runs."""
        return [found.error for found in self.found if found is not None and found.error is not None]

    @property
    def finished(self) -> bool:
        """Whether all are done, or nothing more can be."""
        return self.stopped is not None or self._done == len(self._works)

    def standing(self) -> Standing:
        """Return how many are done."""
        return Standing(self._done, len(self._works), f"{self._done} of {plural(len(self._works), 'run')}")
