"""Running programs over many rows at once, for `Module.batch` and `Parallel`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, cast

from telic.context import get as setting
from telic.data import Example
from telic.errors import InputError
from telic.execution import run_all

if TYPE_CHECKING:
    from telic.execution import Outcome


def run_batch(
    work: Sequence[tuple[Any, Any]],
    *,
    num_threads: int | None,
    max_errors: int | None,
    return_failed: bool,
    access_examples: bool,
) -> Any:
    """Run each program on its row; results in order, None where one failed.

    Args:
        work: Programs with their rows: an `Example`, a dict of inputs, or a tuple or list of positional ones.
        num_threads: How many at once; None: the setting.
        max_errors: How many failures end the run; None: the setting.
        return_failed: Also return the rows that failed and their exceptions.
        access_examples: True: an `Example` is taken apart into its inputs; False: it is passed as one argument.

    Raises:
        RunStopped: `max_errors` was reached; `.outcomes` has what was finished.
        RunInterrupted: Ctrl-C (a `KeyboardInterrupt`); `.outcomes` too.
    """
    outcomes = run_all(
        work,
        lambda pair: _run_one(pair[0], pair[1], access_examples),
        num_threads=setting("num_threads") if num_threads is None else num_threads,
        max_errors=setting("max_errors") if max_errors is None else max_errors,
    )
    results = [outcome.value for outcome in outcomes]
    return (results, *_failures(work, outcomes)) if return_failed else results


def _failures(work: Sequence[tuple[Any, Any]], outcomes: Sequence[Outcome]) -> tuple[list[Any], list[Any]]:
    failed = [outcome for outcome in outcomes if outcome.error is not None]
    return [work[outcome.index][1] for outcome in failed], [outcome.error for outcome in failed]


def _run_one(program: Any, row: Any, access_examples: bool) -> Any:
    if isinstance(row, Example):
        return program(**row.inputs().to_dict()) if access_examples else program(row)
    if isinstance(row, dict):
        return program(**cast("dict[str, Any]", row))
    if isinstance(row, list) and len(cast("list[Any]", row)) > 0 and _is_list_of_rows(cast("list[Any]", row)):
        return [_run_one(program, inner, access_examples) for inner in cast("list[Any]", row)]
    if isinstance(row, (tuple, list)):
        return program(*cast("Sequence[Any]", row))
    raise InputError(
        f"a row must be an Example, a dict of inputs, or a tuple of positional ones; got {type(row).__name__}"
    )


def _is_list_of_rows(row: list[Any]) -> bool:
    return all(isinstance(item, Example) for item in row)
