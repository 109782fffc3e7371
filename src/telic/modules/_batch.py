"""Running programs over many rows at once, for `Module.batch` and `Parallel`."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple, cast, final

from telic.context import get as setting
from telic.data import Example
from telic.errors import BudgetExceeded, ConfigurationError, InputError
from telic.execution import RunStopped, arun_all, run_all
from telic.modules._flow import UseTool
from telic.modules._stragglers import watch

if TYPE_CHECKING:
    from telic.execution import Outcome

Work = Sequence[tuple[Any, Any]]
"""Programs with their rows: an `Example`, a dict of inputs, or a tuple or list of positional ones."""


@final
class Batch(NamedTuple):
    """How programs are run over rows.

    Args:
        num_threads: How many at once; None: the setting.
        max_errors: How many failures end the run; None: the setting.
        return_failed: Also return the rows that failed and their exceptions.
        access_examples: True: an `Example` is taken apart into its inputs; False: it is passed as one argument.
        timeout: Seconds that a row may take; None or 0: no limit.
        straggler_limit: Rows are given up only while at most so many are unfinished; None: however many.
    """

    num_threads: int | None
    max_errors: int | None
    return_failed: bool
    access_examples: bool
    timeout: float | None = None
    straggler_limit: int | None = None

    def checked(self, owner: str) -> Batch:
        """Return these settings.

        Raises:
            ConfigurationError: A time or a number cannot work.
        """
        timeout, limit = cast("Any", self.timeout), cast("Any", self.straggler_limit)
        if timeout is not None and not (_is_number(timeout, (int, float)) and timeout >= 0):
            raise ConfigurationError(
                f"{owner}: timeout must be a number of seconds, or None; got {timeout!r}"
            )
        if limit is not None and not (_is_number(limit, int) and limit >= 0):
            raise ConfigurationError(f"{owner}: straggler_limit must be 0 or more, or None; got {limit!r}")
        return self

    def run(self, work: Work) -> Any:
        """Run each program on its row; results in order, None where one failed.

        Raises:
            RunStopped: `max_errors` was reached; `.outcomes` has what was finished.
            RunInterrupted: Ctrl-C (a `KeyboardInterrupt`); `.outcomes` too.
            BudgetExceeded: `.results` has what was finished.
        """
        stragglers = watch(self.timeout, self.straggler_limit, len(work))

        def one(pair: tuple[Any, Any]) -> Any:
            call = partial(_run_one, _called, *pair, self.access_examples)
            return call() if stragglers is None else stragglers.run(call)

        with _budget_as_such():
            return self._results(work, run_all(work, one, **self._limits()))

    async def arun(self, work: Work) -> Any:
        """`run` for callers on an event loop: programs are awaited on it, plain functions run in worker threads."""
        stragglers = watch(self.timeout, self.straggler_limit, len(work))

        async def one(pair: tuple[Any, Any]) -> Any:
            program, row = pair
            made = _run_one(_awaitable, program, row, self.access_examples)
            call = _in_turn(cast("list[Any]", made)) if isinstance(made, list) else made
            return await (call if stragglers is None else stragglers.arun(call))

        with _budget_as_such():
            return self._results(work, await arun_all(work, one, **self._limits()))

    def _limits(self) -> dict[str, Any]:
        return {
            "num_threads": setting("num_threads") if self.num_threads is None else self.num_threads,
            "max_errors": setting("max_errors") if self.max_errors is None else self.max_errors,
        }

    def _results(self, work: Work, outcomes: Sequence[Outcome]) -> Any:
        results = [outcome.value for outcome in outcomes]
        if not self.return_failed:
            return results
        failed = [outcome for outcome in outcomes if outcome.error is not None]
        return (
            results,
            [work[outcome.index][1] for outcome in failed],
            [outcome.error for outcome in failed],
        )


def _is_number(value: Any, kinds: Any) -> bool:
    return isinstance(value, kinds) and not isinstance(value, bool)


@contextmanager
def _budget_as_such() -> Generator[None]:
    """Raise a spent budget as what it is, so that whoever runs the program around this knows to stop."""
    try:
        yield
    except RunStopped as stopped:
        spent = stopped.__cause__
        if not isinstance(spent, BudgetExceeded):
            raise
        raised = BudgetExceeded(str(spent), limit=spent.limit, allowed=spent.allowed, used=spent.used)
        raised.results = [outcome.value for outcome in stopped.outcomes if outcome.ok]
        raise raised from stopped


def _called(program: Any, args: Sequence[Any], inputs: dict[str, Any]) -> Any:
    return program(*args, **inputs)


def _awaitable(program: Any, args: Sequence[Any], inputs: dict[str, Any]) -> Any:
    acall = getattr(program, "acall", None)
    return UseTool(partial(program, *args, **inputs), {}).arun() if acall is None else acall(*args, **inputs)


async def _in_turn(calls: list[Any]) -> list[Any]:
    return [await call for call in calls]


def _run_one(
    call: Callable[[Any, Sequence[Any], dict[str, Any]], Any], program: Any, row: Any, access_examples: bool
) -> Any:
    """Call a program with a row as it takes it; a list of examples is called one by one."""
    if isinstance(row, Example):
        return call(program, (), row.inputs().to_dict()) if access_examples else call(program, (row,), {})
    if isinstance(row, dict):
        return call(program, (), cast("dict[str, Any]", row))
    if isinstance(row, list) and getattr(program, "takes_pairs", False):  # a `Parallel` inside of another
        return call(program, (cast("list[Any]", row),), {})
    if isinstance(row, list) and len(cast("list[Any]", row)) > 0 and _is_list_of_rows(cast("list[Any]", row)):
        return [_run_one(call, program, inner, access_examples) for inner in cast("list[Any]", row)]
    if isinstance(row, (tuple, list)):
        return call(program, cast("Sequence[Any]", row), {})
    raise InputError(
        f"a row must be an Example, a dict of inputs, or a tuple of positional ones; got {type(row).__name__}"
    )


def _is_list_of_rows(row: list[Any]) -> bool:
    return all(isinstance(item, Example) for item in row)
