"""Waiting for an LM that is away: a run pauses, tries again, and ends when it has waited long enough.

A call that failed for reasons that may pass (refused or reset connections, 5xx, 429, timeouts; the client has retried
by then) is tried again after growing waits. If other calls of the same LM that began after its first failure go
through, twice, the LM is there and it is this call that fails: its error goes on, to be counted as a failure. Calls
that were under way before say nothing: their answers may still come when the LM is gone. If none go through, the LM is
away: the run pauses, and after `outage_patience` seconds `LMOutageError` ends it, with all it has. No row is ever
scored because an LM was away.

Where there are no later calls (a run's last ones; all threads at rows that fail), others that were answered while a
call was under way must do: after some tries, for one that is the only one to fail, or that the server fails at (500).
"""

from __future__ import annotations

import threading
import time
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar, final

from telic._optional import load
from telic.errors import LMOutageError, LMRateLimitError, LMServerError, LMTimeoutError, LMTransportError

T = TypeVar("T")

PASSING: Final = (LMTransportError, LMServerError, LMRateLimitError, LMTimeoutError)
"""Failures that may pass."""
_FIRST_WAIT_S: Final = 0.1
_LONGEST_WAIT_S: Final = 30.0
_OTHERS: Final = 2
"""So many successes of other calls show that the LM is there."""
_TRIES: Final = 7
"""So often a call is tried after which there are no others: for some 6 seconds, beside what the tries take."""
_NOT_THERE: Final = (502, 503, 504)
"""Statuses of a server that nobody is behind."""


@final
class Outages:
    """Who is away, for one run; safe to use from any thread.

    Args:
        patience: Seconds to wait for an LM before the run ends.
    """

    def __init__(self, patience: float) -> None:
        self._patience = patience
        self._lock = threading.Lock()  # protects all below, and the counts of attempts
        self._successes: dict[str, int] = {}
        self._failing: list[_Attempt] = []
        """Calls that have failed and are tried again."""
        self._failures = 0
        """How many calls have begun to fail: the time by which calls are ordered."""
        self._since: dict[str, tuple[int, float]] = {}
        self._closing = threading.Event()
        self.ended: LMOutageError | None = None
        """The run ends for this: what a program made of it that caught the error is no result."""

    def close(self) -> None:
        """Let nobody wait any longer: the run is ending."""
        self._closing.set()

    @property
    def moment(self) -> int:
        """Now, as `succeeded` takes it."""
        return self._failures

    @property
    def told(self) -> str:
        """Who is away, as words for the progress line; "" where nobody is."""
        with self._lock:
            away = sorted(self._since.items())
        now = time.monotonic()
        return "; ".join(
            f"paused: {model} has been away for {now - since:.0f} s" for model, (_, since) in away
        )

    def ask(self, model: str, call: Callable[[], T]) -> T:
        """Make a call, again after failures that may pass.

        Raises:
            LMOutageError: The LM stayed away.
            LMError: The call failed otherwise, or alone.
        """
        attempt = _Attempt(self, model)
        try:
            while True:
                begun = self._failures
                try:
                    answer = call()
                except PASSING as error:
                    wait = attempt.failed(error)
                    if self._closing.wait(wait):
                        raise
                else:
                    self.succeeded(model, begun)
                    return answer
        finally:
            attempt.over()

    async def aask(self, model: str, call: Callable[[], Awaitable[T]]) -> T:
        """Same as `ask`, for tasks."""
        attempt = _Attempt(self, model)
        try:
            while True:
                begun = self._failures
                try:
                    answer = await call()
                except PASSING as error:
                    wait = attempt.failed(error)
                    if self._closing.is_set():
                        raise
                    await load("asyncio").sleep(wait)
                else:
                    self.succeeded(model, begun)
                    return answer
        finally:
            attempt.over()

    def succeeded(self, model: str, begun: int | None = None) -> None:
        """Note that an LM answered.

        Args:
            model: Which.
            begun: How many calls had begun to fail when this one began; None: as many as now.
        """
        with self._lock:
            begun = self._failures if begun is None else begun
            self._successes[model] = self._successes.get(model, 0) + 1
            for attempt in self._failing:
                attempt.others += attempt.model == model and begun >= attempt.first
            if model in self._since and begun >= self._since[model][0]:
                del self._since[model]

    def successes(self, model: str) -> int:
        """Return how often an LM has answered."""
        return self._successes.get(model, 0)

    def away(self, attempt: _Attempt) -> tuple[float, float]:
        """Note that a call failed, and so its LM may be away; return for how many seconds, and how many are left."""
        model, now = attempt.model, time.monotonic()
        with self._lock:
            if not attempt.tries:
                self._failures += 1
                attempt.first = self._failures
                self._failing.append(attempt)
            attempt.tries += 1
            since = self._since.setdefault(model, (self._failures, now))[1]
        return now - since, self._patience - (now - since)

    def is_own(self, attempt: _Attempt, error: Exception) -> bool:
        """Whether it is the call that fails, and not the LM that is away."""
        if attempt.others >= _OTHERS:
            return True
        if attempt.tries < _TRIES or self.successes(attempt.model) < attempt.before + _OTHERS:
            return False
        if isinstance(error, LMServerError) and error.status not in _NOT_THERE:
            return True
        with self._lock:
            return all(one is attempt or one.model != attempt.model for one in self._failing)

    def over(self, attempt: _Attempt) -> None:
        """Forget a call that has ended."""
        with self._lock:
            if attempt in self._failing:
                self._failing.remove(attempt)


@final
class _Attempt:
    """One call and its failures."""

    def __init__(self, outages: Outages, model: str) -> None:
        self.model = model
        self.before = outages.successes(model)
        """How often the LM had answered when it began."""
        self.first = 0
        """When it first failed, in calls that had begun to."""
        self.tries = 0
        """How often it failed."""
        self.others = 0
        """How many calls that began later were answered."""
        self._outages = outages
        self._wait = _FIRST_WAIT_S

    def failed(self, error: Exception) -> float:
        """Return how long to wait before the next try.

        Raises:
            LMOutageError: Long enough was waited.
            Exception: The error itself, where other calls go through.
        """
        if self._outages.is_own(self, error):
            raise error
        gone, left = self._outages.away(self)
        if left <= 0:
            self._outages.ended = LMOutageError(
                f"{self.model!r} has been away for {gone:.0f} s (outage_patience); the last failure: {error}. What "
                "was paid for is kept: the same run_dir goes on from here",
                model=self.model,
            )
            raise self._outages.ended from error
        wait = min(self._wait, left)
        self._wait = min(2 * self._wait, _LONGEST_WAIT_S)
        return wait

    def over(self) -> None:
        """Say that it has ended."""
        if self.tries:
            self._outages.over(self)
