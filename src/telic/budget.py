"""Limits on what a run may use: dollars, calls, tokens, seconds.

    with telic.context(budget=Budget(usd=4.0, calls=10_000)):
        better = optimizer.compile(program, trainset=rows)

Every paid call asks `reserve` before it is sent and tells `settle` what it used. Answers from the cache cost nothing.
At a limit the next call is refused with `BudgetExceeded` before it is sent; calls in flight end as they would. Calls in
flight count with what a call has cost so far on average, so that many at once do not pass the limit together.

Budgets nest: a child (`parent=`, or `budget.child(…)`) draws on its own limits and on all above it.
"""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any, final

from telic.data import NO_USAGE, Usage
from telic.errors import BudgetExceeded, ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable

_NAMES = ("usd", "calls", "tokens", "seconds")


@final
class Budget:
    """Limits, what was used of them, and what is under way; safe to use from any thread.

    Args:
        usd: Dollars; only for models whose price is known (`telic.lm.set_price`).
        calls: Calls that are sent.
        tokens: Input and output tokens together.
        seconds: Wall-clock time from the first call on.
        parent: A budget that is charged as well.
        clock: Seconds that only grow; for tests.

    Raises:
        ConfigurationError: A limit is negative or not a number. 0 is a limit: nothing is allowed.

    Example:
        >>> budget = Budget(calls=1)
        >>> budget.reserve()
        >>> budget.settle(Usage(input_tokens=10, output_tokens=5, calls=1))
        >>> budget.reserve()
        Traceback (most recent call last):
        ...
        telic.errors.BudgetExceeded: the budget of 1 call is used up; raise `calls`, or let the run end here
    """

    __slots__ = (
        "_above", "_clock", "_in_flight", "_lock", "_settled", "_started", "_usd", "_used", "calls", "seconds",
        "tokens", "usd",
    )  # fmt: skip

    def __init__(
        self,
        *,
        usd: float | None = None,
        calls: int | None = None,
        tokens: int | None = None,
        seconds: float | None = None,
        parent: Budget | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        for name, limit in zip(_NAMES, (usd, calls, tokens, seconds), strict=True):
            if (
                limit is not None and not limit >= 0
            ):  # also NaN; an infinite limit is how a computed "none" looks
                raise ConfigurationError(
                    f"Budget({name}={limit!r}): a limit is a number, 0 or more; None: no limit"
                )
        self.usd = usd
        self.calls = calls
        self.tokens = tokens
        self.seconds = seconds
        self._above: tuple[Budget, ...] = () if parent is None else (parent,)
        self._clock = clock
        self._lock = threading.Lock()  # protects the five below
        self._started: float | None = None
        self._used = NO_USAGE
        self._usd = 0.0  # the known costs; `_used.cost_usd` is None once a price was unknown
        self._in_flight = 0
        self._settled = 0  # calls that told what they used

    def child(
        self,
        *,
        usd: float | None = None,
        calls: int | None = None,
        tokens: int | None = None,
        seconds: float | None = None,
    ) -> Budget:
        """Return a budget of its own limits that draws on this one too, by the same clock."""
        return Budget(usd=usd, calls=calls, tokens=tokens, seconds=seconds, parent=self, clock=self._clock)

    @property
    def parent(self) -> Budget | None:
        """The budget that this one draws on as well."""
        return self._above[0] if self._above else None

    @property
    def line(self) -> list[Budget]:
        """This budget and all that it draws on."""
        return [self, *(budget for above in self._above for budget in above.line)]

    def draw_on(self, other: Budget) -> None:
        """Charge another budget as well, and keep within it; before the first call."""
        self._above = (*self._above, other)

    @property
    def used(self) -> Usage:
        """What was used so far; `cost_usd` is None where a price was unknown."""
        return self._used

    @property
    def elapsed_s(self) -> float:
        """Seconds since the first call; 0.0 before it."""
        return 0.0 if self._started is None else self._clock() - self._started

    @property
    def in_flight(self) -> int:
        """Calls that were let through and have not told yet what they used."""
        return self._in_flight

    @property
    def needs_prices(self) -> bool:
        """Whether this budget, or one above it, limits dollars."""
        return self.usd is not None or any(above.needs_prices for above in self._above)

    def remaining(self) -> dict[str, float | None]:
        """Return what is left of each limit, here and above; None: no limit. Calls in flight are not counted."""
        with self._lock:
            used = self._amounts(0)
        mine: dict[str, float | None] = {}
        for name in _NAMES:
            limit: float | None = getattr(self, name)
            mine[name] = None if limit is None else max(0.0, limit - used[name])
        for above in self._above:
            for name, left in above.remaining().items():
                own = mine[name]
                mine[name] = left if own is None else own if left is None else min(own, left)
        return mine

    def exhausted(self) -> str | None:
        """Return the name of a limit that is reached, here or above, or None."""
        return next((name for name, left in self.remaining().items() if left is not None and left <= 0), None)

    def reserve(self) -> None:
        """Let one call through, or refuse it; each success must be followed by `settle` or `release`.

        Raises:
            BudgetExceeded: A limit is reached, here or above.
        """
        let: list[Budget] = []
        try:
            for above in self._above:
                above.reserve()
                let.append(above)
            self._reserve()
        except BudgetExceeded:
            for above in let:
                above.release()
            raise

    def _reserve(self) -> None:
        with self._lock:
            if self._started is None:
                self._started = self._clock()
            amounts = self._amounts(self._in_flight)
            for name in _NAMES:
                limit: float | None = getattr(self, name)
                if limit is not None and amounts[name] >= limit:
                    raise _exceeded(name, limit, amounts[name])
            self._in_flight += 1

    def _amounts(self, in_flight: int) -> dict[str, float]:
        """Return what is used of each limit, calls in flight taken at the average of those that ended."""
        used = self._used
        ahead = in_flight / self._settled if self._settled else 0.0
        return {
            "usd": self._usd * (1 + ahead),
            "calls": used.calls + in_flight,
            "tokens": used.total_tokens * (1 + ahead),
            "seconds": 0.0 if self._started is None else self._clock() - self._started,
        }

    def carry(self, usage: Usage, seconds: float) -> None:
        """Charge what earlier parts of the same run used, here alone: above, it was charged then.

        Args:
            usage: Of all its calls.
            seconds: How long it has worked; its clock goes on from there.
        """
        with self._lock:
            self._usd += 0.0 if usage.cost_usd is None else usage.cost_usd
            self._used = self._used.plus(usage)
            self._settled += usage.calls
            self._started = self._clock() - seconds

    def settle(self, usage: Usage) -> None:
        """Charge what a call that was let through has used; this never raises."""
        with self._lock:
            self._in_flight -= 1
            self._settled += 1
            self._usd += 0.0 if usage.cost_usd is None else usage.cost_usd
            self._used = self._used.plus(usage if usage.calls else usage._replace(calls=1))
        for above in self._above:
            above.settle(usage)

    def release(self) -> None:
        """Take back a reservation: the call was not sent."""
        with self._lock:
            self._in_flight -= 1
        for above in self._above:
            above.release()

    def to_dict(self) -> dict[str, Any]:
        """Return limits and use, for reports."""
        return {
            "limits": {name: getattr(self, name) for name in _NAMES if getattr(self, name) is not None},
            "used": self._used.to_dict(),
            "seconds": self.elapsed_s,
        }

    def __repr__(self) -> str:
        limits = ", ".join(
            f"{name}={getattr(self, name)!r}" for name in _NAMES if getattr(self, name) is not None
        )
        return f"Budget({limits})"


def for_run(given: Budget | None, ambient: Budget | None) -> Budget | None:
    """Return the budget of a run: its limits are those of `given`, and it draws on `given` and on `ambient`.

    A budget of its own, because a run that is resumed is charged with what it had used before, and the caller's
    budget was charged with that already, or belongs to another process.

    Args:
        given: The budget that was passed for the run, or None: there is none but the ambient one.
        ambient: The budget in force where the run begins, or None.
    """
    if given is None:
        return ambient
    own = given.child(usd=given.usd, calls=given.calls, tokens=given.tokens, seconds=given.seconds)
    if ambient is not None and ambient not in given.line:
        own.draw_on(ambient)
    return own


def _exceeded(name: str, limit: float, used: float) -> BudgetExceeded:
    shown = {
        "usd": f"{limit:g} USD",
        "calls": f"{limit:,} call" + ("" if limit == 1 else "s"),
        "tokens": f"{limit:,} tokens",
        "seconds": f"{limit:g} s",
    }[name]
    return BudgetExceeded(
        f"the budget of {shown} is used up; raise `{name}`, or let the run end here",
        limit=name,
        allowed=float(limit),
        used=float(used),
    )
