"""The book of one run over many items: hands out the next item, takes results, decides when to stop.

The threads' driver and the tasks' driver share it. Each item costs O(1): its result goes to its own slot, and
counts are kept, never recounted.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any, Protocol

from telic.errors import BudgetExceeded, ConfigurationError
from telic.execution._outcome import Outcome, RunInterrupted, RunStopped, StopReason

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


class CancelFlag(Protocol):
    """Something that can ask a run to stop: a `threading.Event` will do."""

    def is_set(self) -> bool: ...


class Ledger:
    """Which items are taken, which are done, and why no more are to be started."""

    def __init__(
        self,
        items: Sequence[Any],
        *,
        max_errors: int | None,
        on_done: Callable[[Outcome], object] | None,
        cancel: CancelFlag | None,
    ) -> None:
        if max_errors is not None and max_errors < 0:
            raise ConfigurationError(
                f"max_errors must be 0 or more, or None for no limit; got {max_errors!r}"
            )
        self.items = items
        self.stopped: StopReason | None = None
        self.cause: BaseException | None = None
        self._slots: list[Outcome | None] = [None] * len(items)
        self._next = iter(range(len(items)))
        self._max_errors = max_errors
        self._errors = 0
        self._on_done = on_done
        self._cancel = cancel
        self._lock = threading.Lock()  # protects the count of errors, and lets `on_done` run one at a time

    def take(self) -> int | None:
        """Return the next item's index, or None when there is none left or no more are to be started."""
        if self.stopped is not None:
            return None
        if self._cancel is not None and self._cancel.is_set():
            self.stop("cancelled")
            return None
        return next(self._next, None)  # atomic: one C call

    def put(self, outcome: Outcome) -> None:
        """Keep a finished item."""
        self._slots[outcome.index] = outcome
        if outcome.error is None and self._on_done is None:
            return
        with self._lock:
            if outcome.error is not None:
                self._count(outcome.error)
            if self._on_done is not None:
                self._on_done(outcome)

    def _count(self, error: BaseException) -> None:
        self._errors += 1
        if isinstance(error, BudgetExceeded):
            self.stop("budget", error)
        elif self._max_errors is not None and self._errors >= self._max_errors:
            self.stop("errors", error)

    def stop(self, reason: StopReason, cause: BaseException | None = None) -> None:
        """Start no more items; the first reason stands."""
        if self.stopped is None:
            self.cause = cause
            self.stopped = reason

    def outcomes(self) -> list[Outcome]:
        """Return all results in order.

        Raises:
            RunStopped: Some items were not done.
            RunInterrupted: Ctrl-C, also where all were done by then: whoever pressed it wants to stop.
        """
        done = [slot for slot in self._slots if slot is not None]
        if self.stopped == "interrupted":
            raise RunInterrupted(done, len(self._slots)) from self.cause
        if self.stopped is not None and (
            len(done) < len(self._slots) or self.stopped in ("errors", "budget")
        ):
            raise RunStopped(self.stopped, done, len(self._slots)) from self.cause
        return done
