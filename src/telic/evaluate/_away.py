"""Rows that an executor runs: in other processes, or on other machines (the setting `executor`).

What goes there is the job (program, metric and settings, once for all its rows), a row's number and its example. What
comes back is the row, what each LM call used, and the steps of its trace where somebody keeps one: usage is counted,
budgets are charged and traces are kept here, as for rows of this process. Threads, order, `max_errors`, progress
and runs stay here as well; an executor only does the work.

A budget is asked before each row, not before each LM call: those of the rows that are away may pass it.
"""

from __future__ import annotations

import copy
import pickle
from typing import TYPE_CHECKING, Any, Final, NamedTuple, final

from telic.context import context
from telic.context import get as get_setting
from telic.data import NO_USAGE, Example, Step, Usage
from telic.errors import ProgramError

if TYPE_CHECKING:
    from collections.abc import Callable

    from telic.budget import Budget
    from telic.protocols import Executor

_CARRIED: Final = (
    "adapter", "allow_tool_async_sync_conversion", "async_max_workers", "bypass_assert", "bypass_suggest",
    "forbid_requests", "interpreter_factory", "lm", "lm_options", "max_backtracks", "max_retries", "rm", "role",
    "sample", "warn_on_type_mismatch",
)  # fmt: skip
"""Settings that hold there as they hold here; callbacks, caches of this process and streams stay behind."""


class _Call(NamedTuple):
    """One LM call of a row, as its usage is counted."""

    usage: Usage
    lm: str
    role: str
    predictor: Any
    """The path of the predictor that asked; itself, where the program does not have it; None: nobody."""
    cached: bool


class _Back(NamedTuple):
    """What comes back of a row."""

    row: Any
    """None where `raised` is set."""
    cause: BaseException | None
    """Of the row's error: pickle would leave it behind."""
    raised: BaseException | None
    """What stops the loop over rows."""
    calls: list[_Call]
    steps: list[tuple[Any, dict[str, Any], Any]] | None


@final
class _Calls:
    """Stands where a tracker of usage does, and writes calls down."""

    def __init__(self, names: dict[int, Any]) -> None:
        self.noted: list[_Call] = []
        self._names = names

    def add(
        self, usage: Usage, *, lm: str, role: str = "task", predictor: Any = None, cached: bool = False
    ) -> None:
        """Write one call down."""
        self.noted.append(_Call(usage, lm, role, self._names.get(id(predictor), predictor), cached))


class _Sent(NamedTuple):
    """What all rows of a job have in common, there."""

    job: Any
    settings: dict[str, Any]


def score_away(
    executor: Executor, job: Any, index: int, example: Example, score: Callable[[Any, int, Example], Any]
) -> Any:
    """Score one row where the executor does; `score` is what does it there.

    Raises:
        BudgetExceeded: The budget is used up.
        WorkerLostError: The process that worked on it ended.
    """
    budget: Budget | None = get_setting("budget")
    trace: list[Step] | None = get_setting("trace")
    if job.sent is None:  # two threads may do this at once: both share the same
        job.sent = executor.share(_Sent(job, {name: get_setting(name) for name in _CARRIED}))
    if budget is not None:
        budget.reserve()
    paid = NO_USAGE
    try:
        back: _Back = executor.run(_work, job.sent, index, example, score, trace is not None)
        paid = _count(back.calls, job.program)
    finally:
        if budget is not None:
            if paid.calls:
                budget.settle(paid)
            else:
                budget.release()
    if back.raised is not None:
        raise back.raised
    if back.row.error is not None:
        back.row.error.__cause__ = back.cause
    if trace is not None and back.steps is not None:
        predictors = _predictors(job.program)
        trace += [Step(predictors.get(who, who), inputs, made) for who, inputs, made in back.steps]
    return back.row._replace(example=example)


def _count(calls: list[_Call], program: Any) -> Usage:
    tracker = get_setting("usage_tracker")
    predictors = _predictors(program)
    paid = NO_USAGE
    for usage, lm, role, name, cached in calls:
        if tracker is not None:
            who = predictors.get(name, name)
            tracker.add(usage, lm=lm, role=role, predictor=who, cached=cached)
        if not cached:
            paid = paid.plus(usage if usage.calls else usage._replace(calls=1))
    return paid


def _work(
    sent: _Sent, index: int, example: Example, score: Callable[[Any, int, Example], Any], traced: bool
) -> _Back:
    """Score one row, there."""
    names = {id(predictor): path for path, predictor in _predictors(sent.job.program).items()}
    calls = _Calls(names)
    trace: list[Step] | None = [] if traced else None
    row: Any = None
    raised: BaseException | None = None
    with context(**sent.settings, usage_tracker=calls, trace=trace):
        try:
            row = score(sent.job, index, example)
        except Exception as error:  # noqa: BLE001 - raised again, here
            raised = _sendable(error)
    steps = (
        None
        if trace is None
        else [(names.get(id(s.predictor), s.predictor), s.inputs, s.prediction) for s in trace]
    )
    cause = None if row is None or row.error is None else row.error.__cause__
    return _Back(row, None if cause is None else _sendable(cause), raised, calls.noted, steps)


def _sendable(error: BaseException) -> BaseException:
    """Return the error, or its words in one that can be sent."""
    try:
        pickle.dumps(error)
        copy.copy(error)  # made again as it would be there, from its arguments
    except Exception:  # noqa: BLE001 - whatever its own class does when it is copied
        return ProgramError(f"{type(error).__name__}: {error}")
    return error


def _predictors(program: Any) -> dict[Any, Any]:
    named = getattr(program, "named_predictors", None)
    return {} if named is None else dict(named())
