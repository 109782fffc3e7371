"""Several requests of one search at once, in threads: all answers in order, or the first failure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from telic.execution import RunStopped, run_all

T = TypeVar("T")


def together(items: Sequence[T], work: Callable[[T], Any], num_threads: int) -> list[Any]:
    """Return `work(item)` for each item, in their order; one thread or one item: in this one.

    Raises:
        Exception: The first failure, in the order of the items; where a budget ended the work, `BudgetExceeded`.
    """
    if len(items) < 2 or num_threads < 2:
        return [work(item) for item in items]
    try:
        outcomes = run_all(items, work, num_threads=min(num_threads, len(items)))
    except RunStopped as stop:
        raise (stop if stop.__cause__ is None else stop.__cause__) from None
    for outcome in outcomes:
        if outcome.error is not None:
            raise outcome.error
    return [outcome.value for outcome in outcomes]
