"""What became of one item of many, and of a run that stopped early."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, final

from telic.errors import TelicError

if TYPE_CHECKING:
    from collections.abc import Sequence

StopReason = Literal["errors", "interrupted", "cancelled", "budget"]


@final
class Outcome:
    """One item's result: a failure is a value, in `error`.

    Attributes:
        index: The item's position, from 0.
        value: What `work` returned, or None where it failed.
        error: What it raised, with its traceback, or None.
        seconds: How long it took.
    """

    __slots__ = ("error", "index", "seconds", "value")

    def __init__(self, index: int, value: Any, error: BaseException | None, seconds: float) -> None:
        self.index = index
        self.value = value
        self.error = error
        self.seconds = seconds

    @property
    def ok(self) -> bool:
        """Whether the item succeeded."""
        return self.error is None

    def __repr__(self) -> str:
        result = f"value={self.value!r}" if self.error is None else f"error={self.error!r}"
        return f"Outcome({self.index}, {result}, seconds={self.seconds:.6f})"


@final
class RunStopped(TelicError):
    """A run over many items that ended before all were done. Nothing that was finished is lost.

    Attributes:
        reason: "errors" (`max_errors` was reached), "cancelled" (`cancel` was set) or "budget" (a limit of a
            `Budget` was reached).
        outcomes: All finished items, failures included, in order.
        total: How many items there were.
    """

    def __init__(self, reason: StopReason, outcomes: Sequence[Outcome], total: int) -> None:
        super().__init__(_stopped(reason, outcomes, total))
        self.reason: StopReason = reason
        self.outcomes: Sequence[Outcome] = outcomes
        self.total = total


@final
class RunInterrupted(KeyboardInterrupt):
    """Ctrl-C during a run over many items: no `except Exception` on the way takes it for a failure of the work.

    Attributes:
        reason: "interrupted".
        outcomes: All finished items, failures included, in order.
        total: How many items there were.
    """

    def __init__(self, outcomes: Sequence[Outcome], total: int) -> None:
        super().__init__(_stopped("interrupted", outcomes, total))
        self.reason: StopReason = "interrupted"
        self.outcomes: Sequence[Outcome] = outcomes
        self.total = total


def _stopped(reason: StopReason, outcomes: Sequence[Outcome], total: int) -> str:
    failed = [outcome for outcome in outcomes if outcome.error is not None]
    detail = "" if not failed else f"; the first failure, item {failed[0].index}: {_told(failed[0].error)}"
    return (
        f"stopped ({_REASONS[reason]}) with {len(outcomes)} of {total} items finished, "
        f"{len(failed)} of them failed{detail}; the finished ones are in `.outcomes`"
    )


_REASONS: dict[str, str] = {
    "errors": "too many failures: `max_errors` was reached",
    "interrupted": "interrupted from the keyboard",
    "cancelled": "cancelled",
    "budget": "a limit of the budget was reached",
}


def _told(error: BaseException | None) -> str:
    return f"{type(error).__name__}: {error}"
