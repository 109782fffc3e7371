"""One row of an evaluation: run the program, ask the metric, note what it took.

The steps stand once, in `_flow`, which yields what is to be called; `score_row` drives it in a thread, `ascore_row`
on an event loop. Whatever the program or the metric raises becomes the row's error: only what no other row could
survive (no LM configured, the budget used up) goes through to the caller.
"""

from __future__ import annotations

import time
from collections.abc import Generator, Mapping
from typing import Any, NamedTuple, final

from telic._text import truncate
from telic.context import get as get_setting
from telic.context import pop as pop_setting
from telic.context import push as push_setting
from telic.data import Example, Prediction
from telic.errors import BudgetExceeded, NotConfiguredError, ProgramError, TelicError
from telic.evaluate._score import MetricCall, callable_name
from telic.execution import is_async, run_coroutine, run_in_thread
from telic.tracing import UsageTracker

FATAL = (BudgetExceeded, NotConfiguredError)
"""What stops a loop over rows at once."""


class Row(NamedTuple):
    """What became of one example."""

    index: int  # pyright: ignore[reportIncompatibleMethodOverride] - a tuple's `index` is of no use here
    example: Example
    prediction: Any
    """What the program returned; an empty `Prediction` where it failed."""
    score: float
    """The metric's number; `failure_score` where the row failed."""
    feedback: str = ""
    error: TelicError | None = None
    """A `ProgramError` or `MetricError` whose `__cause__` is what was raised, or None."""
    seconds: float = 0.0
    """Wall time of program and metric."""
    tokens: int = 0
    """Input and output tokens that were paid for; replies from the cache count 0."""
    cost_usd: float | None = None
    """None where a price is unknown or nothing was paid."""


@final
class RowFailed(Exception):
    """Carries a failed row out of the work function, so that the runner counts it as a failure."""

    def __init__(self, row: Row) -> None:
        super().__init__(str(row.error))
        self.row = row

    def __reduce__(self) -> Any:
        return RowFailed, (self.row,)


class RowJob(NamedTuple):
    """What all rows of one evaluation have in common."""

    program: Any
    metric: MetricCall
    failure_score: float = 0.0


_PROGRAM, _METRIC = 0, 1
_Flow = Generator[tuple[int, Any], Any, Row]


def _flow(job: RowJob, index: int, example: Example) -> _Flow:
    """Yield (what to call, its arguments); receive the answers; return the row."""
    clock = time.perf_counter
    started = clock()
    tracker = UsageTracker(get_setting("usage_tracker"))
    token = push_setting("usage_tracker", tracker)
    prediction: Any = None
    error: TelicError | None = None
    value, feedback = job.failure_score, ""
    try:
        try:
            prediction = yield _PROGRAM, inputs_of(example)
            if prediction is None:
                raise ProgramError("it returned None instead of a Prediction")
        except FATAL:
            raise
        except Exception as raised:  # noqa: BLE001 - the user's program, at its boundary
            error = program_failure(job.program, raised, index)
        else:
            judging = push_setting("role", "judge")  # LM calls of the metric are not the program's
            try:
                answer = yield _METRIC, (example, prediction)
            except FATAL:
                raise
            except Exception as raised:  # noqa: BLE001 - the user's metric, at its boundary
                error = job.metric.failure(raised, index)
                error.__cause__ = raised
            else:
                try:
                    value, feedback = job.metric.score(answer, index)
                except TelicError as raised:
                    error = raised
            finally:
                pop_setting(judging)
    finally:
        pop_setting(token)
    used = tracker.total
    return Row(
        index,
        example,
        Prediction() if prediction is None else prediction,
        value,
        feedback,
        error,
        clock() - started,
        used.total_tokens,
        used.cost_usd if used.calls else None,
    )


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
    flow = _flow(job, index, example)
    what, arguments = next(flow)
    while True:
        try:
            if what == _PROGRAM:
                answer = resolved(job.program(**arguments))
            else:
                answer = resolved(job.metric.evaluate(*arguments))
        except Exception as error:  # noqa: BLE001 - handed to the flow, which decides
            step, value = flow.throw, error
        except BaseException:  # an interrupt, a cancellation: the flow undoes what it set in this context
            flow.close()
            raise
        else:
            step, value = flow.send, answer
        try:
            what, arguments = step(value)
        except StopIteration as end:
            return end.value


async def ascore_row(job: RowJob, index: int, example: Example) -> Row:
    """`score_row` on an event loop.

    A `Module` is called by `acall`, a coroutine function awaited, any other program runs in a worker thread; a metric
    that is no coroutine function runs on the loop: write one that waits for something as `async def`.
    """
    flow = _flow(job, index, example)
    what, arguments = next(flow)
    while True:
        try:
            if what == _PROGRAM:
                answer = await _acall_program(job.program, arguments)
            else:
                answer = await _acall_metric(job.metric, arguments)
        except Exception as error:  # noqa: BLE001 - handed to the flow, which decides
            step, value = flow.throw, error
        except BaseException:  # an interrupt, a cancellation: the flow undoes what it set in this context
            flow.close()
            raise
        else:
            step, value = flow.send, answer
        try:
            what, arguments = step(value)
        except StopIteration as end:
            return end.value


async def _acall_program(program: Any, inputs: Mapping[str, Any]) -> Any:
    acall = getattr(program, "acall", None)
    if acall is not None:
        return await acall(**inputs)
    if is_async(program):
        return await program(**inputs)
    answer = await run_in_thread(program, **inputs)
    return await answer if hasattr(answer, "__await__") else answer


async def _acall_metric(metric: MetricCall, arguments: tuple[Any, Any]) -> Any:
    acall = getattr(metric.metric, "acall", None)
    answer = acall(*arguments) if acall is not None else metric.evaluate(*arguments)
    return await answer if hasattr(answer, "__await__") else answer
