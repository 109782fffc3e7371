"""Work that an executor does: in other processes, or on other machines (the setting `executor`).

What goes there is the job (program, metric and settings, once for all its pieces of work), and what a piece has of its
own: a row's number and its example. What comes back is what the work came to, what each LM call used, the steps of the
trace where somebody keeps one, and, within a run, the replies: usage is counted, budgets are charged, traces and
replies are kept here, as for work of this process. Threads, order, `max_errors`, progress and runs stay here as well;
an executor only does the work. Rows are such work, teachers' attempts, and rollouts.

A budget is asked before each piece, and a piece may use what was left of it then: those that are away at the same time
may pass it together.
"""

from __future__ import annotations

import copy
import functools
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol, cast, final

from telic._optional import load
from telic._text import truncate
from telic.budget import Budget
from telic.context import DEFAULTS, context, settings
from telic.context import get as get_setting
from telic.data import NO_USAGE, Step, Usage
from telic.errors import BudgetExceeded, ProgramError, TelicError
from telic.journal import PASSING, Lent, LentRun, Returned

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from telic.protocols import Executor

_CARRIED: Final = (
    "adapter", "allow_tool_async_sync_conversion", "async_max_workers", "bypass_assert", "bypass_suggest",
    "forbid_requests", "interpreter_factory", "lm", "lm_options", "max_backtracks", "max_retries", "rm", "role",
    "sample", "warn_on_type_mismatch",
)  # fmt: skip
"""Settings that hold there as they hold here, with those of the user's own; callbacks, caches of this process and
streams stay behind."""


class Job(Protocol):
    """What pieces of work have in common; picklable, without `sent`."""

    program: Any
    """Names the predictors."""
    sent: Any
    """What stands for it where an executor works, from the first piece on; None before."""


class _Call(NamedTuple):
    """One LM call, as its usage is counted."""

    usage: Usage
    lm: str
    role: str
    predictor: str | None
    """The path of the predictor that asked, or the name of its signature; None: nobody."""
    cached: bool


class _Sent(NamedTuple):
    """What all pieces of a job have in common, there."""

    job: Any
    settings: dict[str, Any]


class _Piece(NamedTuple):
    """What a piece of work has of its own."""

    do: Callable[..., Any]
    args: tuple[Any, ...]
    traced: bool
    limits: dict[str, Any] | None
    """What is left of the budget."""
    lent: Lent | None


class _Back(NamedTuple):
    """What comes back of it."""

    value: Any
    raised: BaseException | None
    """What it raised; `value` is None then."""
    causes: list[BaseException | None]
    """Of the errors above: pickle would leave them behind."""
    calls: list[_Call]
    steps: list[tuple[Any, dict[str, Any], Any]]
    returned: Returned | None


def done_away(executor: Executor, job: Job, do: Callable[..., Any], *args: Any) -> Any:
    """Return `do(job, *args)`, done where the executor does things.

    Args:
        executor: Does it.
        job: What all pieces of this work have in common.
        do: A function of a module.
        args: What this piece has of its own.

    Raises:
        ConfigurationError: The job cannot be sent; nothing was paid for.
        BudgetExceeded: The budget is used up.
        WorkerLostError: The process that worked on it ended.
        ProgramError: It could not be sent, or not be opened there, or what came of it could not be sent back.
        LMOutageError: An LM stayed away, as the run sees it.
        Exception: What the work raised.
    """
    run = get_setting("run")
    moment = None if run is None else run.outages.moment
    back = _worked(executor, job, do, args)
    if run is not None:
        back = _until_there(back, lambda: _worked(executor, job, do, args))
        for lm in {call.lm for call in back.calls if not call.cached}:
            run.outages.succeeded(lm, moment)
    if isinstance(back.raised, BudgetExceeded) and (budget := get_setting("budget")) is not None:
        budget.reserve()  # says which limit it is, of all that was used here
        budget.release()
    if back.raised is not None:
        raise back.raised
    trace: list[Step] | None = get_setting("trace")
    if trace is not None:
        predictors = _predictors(job.program)
        trace += [Step(predictors.get(who, who), inputs, made) for who, inputs, made in back.steps]
    return back.value


def check_sendable(program: Any, metric: Any) -> None:
    """Refuse what the setting `executor` cannot send, before anything is paid for; without a metric nothing is sent.

    Raises:
        ConfigurationError: It cannot be sent.
    """
    executor: Executor | None = get_setting("executor")
    if executor is not None and metric is not None:
        executor.share((program, metric, _carried()))


def _until_there(back: _Back, again: Callable[[], _Back]) -> _Back:
    """Return what came back, or, where an LM seems to be away, what comes back when it is there again."""
    known = [back]

    def ask() -> _Back:
        last = known[-1] if len(known) == 1 else again()
        known.append(last)
        if last.returned is not None and last.returned.away is not None:
            raise last.returned.away
        return last

    failed = None if back.returned is None else back.returned.away
    if failed is None:
        return back
    try:
        return get_setting("run").outages.ask(getattr(failed, "model", ""), ask)
    except PASSING:  # it is the call that fails, not the LM: what the program made of it holds
        return known[-1]


def _worked(executor: Executor, job: Job, do: Callable[..., Any], args: tuple[Any, ...]) -> _Back:
    """Send a piece of work, and count what it cost."""
    budget: Budget | None = get_setting("budget")
    run = get_setting("run")
    if job.sent is None:  # two threads may do this at once: both share the same
        job.sent = executor.share(_Sent(job, _carried()))
    if budget is not None:
        budget.reserve()
    paid = NO_USAGE
    try:
        limits = None if budget is None else budget.remaining()
        piece = _Piece(
            do, args, get_setting("trace") is not None, limits, None if run is None else run.lend()
        )
        try:
            back: _Back = executor.run(_work, job.sent, piece)
        except TelicError:
            raise
        except Exception as error:
            said = truncate(str(error), 500)
            raise ProgramError(
                f"the executor could not have it done: {type(error).__name__}: {said}; what a program takes and "
                "returns must be picklable, and its modules must be importable there"
            ) from error
        paid = _count(back.calls, job.program)
    finally:
        if budget is not None:
            if paid.calls:
                budget.settle(paid)
            else:
                budget.release()
    if run is not None and back.returned is not None:
        run.take_back(get_setting("run_step"), back.returned)
    for error, cause in zip(_errors(back), back.causes, strict=True):
        error.__cause__ = cause
    return back


def _carried() -> dict[str, Any]:
    own = [name for name in settings.copy() if name not in DEFAULTS]
    return {name: get_setting(name) for name in (*_CARRIED, *own)}


def _count(calls: list[_Call], program: Any) -> Usage:
    tracker = get_setting("usage_tracker")
    predictors = _predictors(program)
    paid = NO_USAGE
    for usage, lm, role, name, cached in calls:
        if tracker is not None:
            who = None if name is None else predictors.get(name) or _stranger(name)
            tracker.add(usage, lm=lm, role=role, predictor=who, cached=cached)
        if not cached:
            paid = paid.plus(usage if usage.calls else usage._replace(calls=1))
    return paid


@functools.lru_cache(maxsize=1024)
def _stranger(name: str) -> Any:
    """Return what stands for a predictor that the program does not have: trackers name it by its signature."""
    return SimpleNamespace(signature=SimpleNamespace(__name__=name))


# There


@final
class _Calls:
    """Stands where a tracker of usage does, and writes calls down."""

    def __init__(self, names: dict[int, str]) -> None:
        self.noted: list[_Call] = []
        self._names = names

    def add(
        self, usage: Usage, *, lm: str, role: str = "task", predictor: Any = None, cached: bool = False
    ) -> None:
        """Write one call down."""
        self.noted.append(_Call(usage, lm, role, self._name(predictor), cached))

    def _name(self, predictor: Any) -> str | None:
        if predictor is None:
            return None
        known = self._names.get(id(predictor))
        if known is not None:
            return known
        callers: tuple[Any, ...] = get_setting("caller")
        if callers:  # a copy of the program
            own = {id(one): path for path, one in _predictors(callers[0]).items()}
            if id(predictor) in own:
                return own[id(predictor)]
        signature = getattr(predictor, "signature", None)
        return getattr(signature, "__name__", type(predictor).__name__)


def _work(sent: _Sent, piece: _Piece) -> _Back:
    """Do a piece of work, there."""
    names = {id(predictor): path for path, predictor in _predictors(sent.job.program).items()}
    calls = _Calls(names)
    trace: list[Step] | None = [] if piece.traced else None
    run = None if piece.lent is None else LentRun(piece.lent)
    budget = None if piece.limits is None else Budget(**piece.limits)
    for name in sent.settings:
        settings.register(name)
    value: Any = None
    raised: BaseException | None = None
    step = "" if piece.lent is None else piece.lent.step
    with context(**sent.settings, usage_tracker=calls, trace=trace, budget=budget, run=run, run_step=step):
        try:
            value = piece.do(sent.job, *piece.args)
        except Exception as error:  # noqa: BLE001 - raised again, here
            raised = _sendable(error)
            raised.__cause__ = error.__cause__
    steps = [(names.get(id(s.predictor), s.predictor), s.inputs, s.prediction) for s in trace or ()]
    returned = None if run is None else run.returned()
    back = _Back(value, raised, [], calls.noted, steps, returned)
    causes = [None if error.__cause__ is None else _sendable(error.__cause__) for error in _errors(back)]
    return back._replace(causes=causes)


def _errors(back: _Back) -> Iterator[BaseException]:
    """Yield the errors that came of it: raised, or in the fields of a result, or in tuples there."""
    if back.raised is not None:
        yield back.raised
    for field in _parts(back.value):
        for one in _parts(field) or (field,):
            if isinstance(one, BaseException):
                yield one


def _parts(value: object) -> tuple[Any, ...]:
    return cast("tuple[Any, ...]", value) if isinstance(value, tuple) else ()


def _sendable(error: BaseException) -> BaseException:
    """Return the error, or its words in one that can be sent."""
    try:
        load("pickle").dumps(error)
        copy.copy(error)  # made again as it would be there, from its arguments
    except Exception:  # noqa: BLE001 - whatever its own class does when it is copied
        return ProgramError(f"{type(error).__name__}: {error}")
    return error


def _predictors(program: Any) -> dict[str, Any]:
    named = getattr(program, "named_predictors", None)
    return {} if named is None else dict(named())
