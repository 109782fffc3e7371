"""One row of an evaluation: run the program, ask the metric, note what it took.

`_flow` is a flow of `telic.modules`: `score_row` drives it in a thread, `ascore_row` on an event loop. Whatever the
program or the metric raises becomes the row's error: only what no other row could survive (no LM configured, the budget
used up) goes through to the caller.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple, final

from telic._text import plural, truncate
from telic.context import context
from telic.context import get as get_setting
from telic.context import pop as pop_setting
from telic.context import push as push_setting
from telic.data import AssertionOutcome, Example, Prediction
from telic.errors import (
    ENDS_A_RUN,
    AdapterParseError,
    AssertionFailed,
    LMAuthError,
    LMBillingError,
    NotConfiguredError,
    ProgramError,
    TelicError,
)
from telic.evaluate._away import done_away
from telic.evaluate._row_step import not_kept, packed_row, row_key, row_reader
from telic.evaluate._score import MetricCall, callable_name, own
from telic.execution import is_async, run_coroutine, run_in_thread, stray_cancellations
from telic.modules import Flow, adrive, drive, watched
from telic.tracing import UsageTracker

FATAL = (*ENDS_A_RUN, NotConfiguredError, LMAuthError, LMBillingError)
"""What stops a loop over rows at once: no other row would fare better."""


class Row(NamedTuple):
    """What became of one example."""

    index: int  # pyright: ignore[reportIncompatibleMethodOverride] - a tuple's `index` is of no use here
    example: Example
    prediction: Any
    """What the program returned; an empty `Prediction` where it failed."""
    score: float
    """The metric's number; `failure_score` where the row failed."""
    feedback: str = ""
    """The metric's words, and those of assertions that did not hold at once: what a reflective optimizer reads."""
    error: TelicError | None = None
    """A `ProgramError` or `MetricError` whose `__cause__` is what was raised, or None."""
    seconds: float = 0.0
    """Wall time of program and metric."""
    tokens: int = 0
    """Input and output tokens that were paid for; replies from the cache count 0."""
    cost_usd: float | None = None
    """None where a price is unknown or nothing was paid."""
    assertions: tuple[AssertionOutcome, ...] = ()
    """What became of the program's assertions; those of runs that failed too."""
    answer: Any = None
    """What the metric returned; None of a row that failed, or that is read back from a run."""
    noted: Any = None
    """What the job's `watch` found."""


@final
class RowFailed(Exception):
    """Carries a failed row out of the work function, so that the runner counts it as a failure."""

    def __init__(self, row: Row) -> None:
        super().__init__(str(row.error))
        self.row = row

    def __reduce__(self) -> Any:
        return RowFailed, (self.row,)


@final
class RowJob:
    """What all rows of one evaluation have in common.

    Args:
        program: What is scored; not changed while the job lasts.
        metric: Scores it.
        failure_score: What a failed row scores.
        suggest_cost: What each `Suggest` that did not hold takes off a row's score.
        purpose: Within a run, rows of another purpose are other work: a row that was scored is run again to be traced.
        watch: Called with the program, wherever a row is scored, it makes a callback that looks on (`score_row` alone);
            what that has `found` comes back in the row.
    """

    __slots__ = ("failure_score", "key", "metric", "program", "purpose", "sent", "suggest_cost", "watch")

    def __init__(
        self,
        program: Any,
        metric: MetricCall,
        failure_score: float = 0.0,
        *,
        suggest_cost: float = 0.0,
        purpose: str = "",
        watch: Callable[[Any], Any] | None = None,
    ) -> None:
        self.program = program
        self.metric = metric
        self.failure_score = failure_score
        self.suggest_cost = suggest_cost
        self.purpose = purpose
        self.watch = watch
        self.key: Any = None
        """Its part of the keys of rows, made at the first one that is a step of a run."""
        self.sent: Any = None
        """What stands for it where an executor runs its rows, from the first one on."""

    def __reduce__(self) -> Any:
        made = partial(RowJob, suggest_cost=self.suggest_cost, purpose=self.purpose, watch=self.watch)
        return made, (self.program, self.metric, self.failure_score)


class _RunProgram(NamedTuple):
    program: Any
    inputs: Mapping[str, Any]

    def run(self) -> Any:
        with stray_cancellations:
            return resolved(self.program(**self.inputs))

    async def arun(self) -> Any:
        with stray_cancellations:
            acall = getattr(self.program, "acall", None)
            if acall is not None:
                return await acall(**self.inputs)
            if is_async(self.program):
                return await self.program(**self.inputs)
            answer = await run_in_thread(self.program, **self.inputs)
            return await answer if hasattr(answer, "__await__") else answer


class _AskMetric(NamedTuple):
    metric: MetricCall
    example: Example
    prediction: Any

    def run(self) -> Any:
        with stray_cancellations:
            return resolved(self.metric.evaluate(self.example, self._judged))

    async def arun(self) -> Any:
        acall = getattr(self.metric.metric, "acall", None)
        with stray_cancellations:
            if acall is None:
                answer = self.metric.evaluate(self.example, self._judged)
            else:
                answer = acall(own(self.example), self._judged)
            return await answer if hasattr(answer, "__await__") else answer

    @property
    def _judged(self) -> Any:
        """The prediction; a copy where a trace is kept, whose last step may be the same object."""
        return self.prediction if get_setting("trace") is None else own(self.prediction)


def _flow(job: RowJob, index: int, example: Example) -> Flow[Row]:
    clock = time.perf_counter
    started = clock()
    tracker = UsageTracker(get_setting("usage_tracker"))
    token = push_setting("usage_tracker", tracker)
    prediction: Any = None
    error: TelicError | None = None
    value, feedback = job.failure_score, ""
    outcomes: tuple[AssertionOutcome, ...] = ()
    answer: Any = None
    watch = watched()
    seen = watch.__enter__()
    try:
        try:
            prediction = yield _RunProgram(job.program, inputs_of(example))
            if prediction is None:
                raise ProgramError("it returned None instead of a Prediction")
        except FATAL:
            raise
        except Exception as raised:  # noqa: BLE001 - the user's program, at its boundary
            error = program_failure(job.program, raised, index)
            outcomes = tuple(seen.outcomes)
        else:
            outcomes = tuple(seen.outcomes)
            judging = push_setting("role", "judge")  # LM calls of the metric are not the program's
            try:
                answer = yield _AskMetric(job.metric, example, prediction)
            except FATAL:
                raise
            except Exception as raised:  # noqa: BLE001 - the user's metric, at its boundary
                error = job.metric.failure(raised, index)
                error.__cause__ = raised
            else:
                try:
                    value, feedback = job.metric.score(answer, index)
                    value -= job.suggest_cost * sum(_is_failed_wish(one) for one in outcomes)
                except TelicError as raised:
                    error = raised
            finally:
                pop_setting(judging)
    finally:
        watch.__exit__()
        pop_setting(token)
    used = tracker.total
    return Row(
        index,
        example,
        Prediction() if prediction is None else prediction,
        value,
        "\n".join([*([feedback] if feedback else []), *assertion_feedback(outcomes)]),
        error,
        clock() - started,
        used.total_tokens,
        used.cost_usd if used.calls else None,
        outcomes,
        answer,
    )


def assertion_feedback(outcomes: Sequence[AssertionOutcome]) -> list[str]:
    """Return a line for each assertion that did not hold at once: the predictor, the message, what came of it."""
    told: list[str] = []
    for one in outcomes:
        if one.message and not one.bypassed:
            end = (
                f"held after {plural(one.backtracks, 'correction')}"
                if one.passed
                else "did not hold in the end"
            )
            told.append(f"{f'{one.target}: ' if one.target else ''}{one.message} ({end})")
    return told


def _is_failed_wish(outcome: AssertionOutcome) -> bool:
    return outcome.kind == "suggest" and not outcome.passed and not outcome.bypassed


def inputs_of(example: Any) -> Mapping[str, Any]:
    """Return the inputs of an example, or a mapping as it is."""
    return dict(example.inputs().items()) if isinstance(example, Example) else example


def program_failure(program: Any, raised: BaseException, index: int) -> ProgramError:
    """Return the error of a program that raised, or returned nothing, on a row."""
    name = callable_name(program)
    if type(raised) is ProgramError:
        failure = ProgramError(f"program {name!r} on row {index}: {raised}")
    else:
        said = truncate(str(raised), 500)
        failure = ProgramError(f"program {name!r} raised on row {index}: {type(raised).__name__}: {said}")
    failure.__cause__ = raised
    return failure


def is_unreadable(error: BaseException | None) -> bool:
    """Return whether a program failed by what its LM answered: it could not be read, or an `Assert` did not hold.

    To evaluations and optimizers that is a wrong answer of the LM, and no fault that `max_errors` counts: the way to a
    better prompt leads over worse ones.
    """
    return isinstance(error, ProgramError) and isinstance(
        error.__cause__, (AdapterParseError, AssertionFailed)
    )


def resolved(answer: Any) -> Any:
    """Return what `answer` stands for: an awaitable's result, or itself. For plain code."""
    return run_coroutine(_awaited(answer)) if hasattr(answer, "__await__") else answer


async def _awaited(awaitable: Any) -> Any:
    return await awaitable


def score_row(job: RowJob, index: int, example: Example) -> Row:
    """Score one example in this thread; failures are in the row.

    Raises:
        BudgetExceeded: The budget is used up.
        NotConfiguredError: There is no LM.
    """
    run = get_setting("run")
    if run is None:
        return _score_row(job, index, example)
    return run.step(
        row_key(job, index, example),
        lambda: _score_row(job, index, example),
        packed=packed_row if get_setting("trace") is None else not_kept,
        unpacked=row_reader(Row, index, example),
    )


def _score_row(job: RowJob, index: int, example: Example) -> Row:
    executor = get_setting("executor")
    if executor is None:
        return _score_here(job, index, example)
    try:
        row: Row = done_away(executor, job, _score_here, index, example)
    except ProgramError as lost:  # its process ended, or it could not be sent
        failure = program_failure(job.program, lost, index)
        return Row(index, example, Prediction(), job.failure_score, error=failure)
    return row._replace(example=example)


def _score_here(job: RowJob, index: int, example: Example) -> Row:
    if job.watch is None:
        return _driven(job, index, example)
    watcher, others = job.watch(job.program), get_setting("callbacks")
    with context(callbacks=[*(() if others is None else others), watcher]):
        row = _driven(job, index, example)
    return row._replace(noted=watcher.found)


def _driven(job: RowJob, index: int, example: Example) -> Row:
    flow = _flow(job, index, example)
    try:
        return drive(flow)
    finally:
        flow.close()  # after an interrupt: what it set in this context is undone


async def ascore_row(job: RowJob, index: int, example: Example) -> Row:
    """`score_row` on an event loop.

    A `Module` is called by `acall`, a coroutine function awaited, any other program runs in a worker thread; a metric
    that is no coroutine function runs on the loop: write one that waits for something as `async def`.
    """
    run = get_setting("run")
    if run is None:
        return await _ascore_row(job, index, example)
    return await run.astep(
        row_key(job, index, example),
        lambda: _ascore_row(job, index, example),
        packed=packed_row if get_setting("trace") is None else not_kept,
        unpacked=row_reader(Row, index, example),
    )


async def _ascore_row(job: RowJob, index: int, example: Example) -> Row:
    if get_setting("executor") is None:
        return await adrive(_flow(job, index, example))
    return await run_in_thread(_score_row, job, index, example)
