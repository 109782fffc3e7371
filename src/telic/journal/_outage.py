"""Waiting for an LM that is away: a run pauses, tries again, and ends when it has waited long enough.

A call that failed for reasons that may pass (refused or reset connections, 5xx, 429, timeouts; the client has retried
by then) is tried again after growing waits. If other calls of the same LM go through meanwhile, twice, the LM is there
and it is this call that fails: its error goes on, to be counted as a failure. If none do, the LM is away: the run
pauses, and after `outage_patience` seconds `LMOutageError` ends it, with all it has. No row is ever scored
because an LM was away.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar, final

from telic._optional import load
from telic.errors import (
    LMOutageError,
    LMRateLimitError,
    LMServerError,
    LMTimeoutError,
    LMTransportError,
)

T = TypeVar("T")

PASSING: Final = (LMTransportError, LMServerError, LMRateLimitError, LMTimeoutError)
"""Failures that may pass."""
_FIRST_WAIT_S: Final = 0.1
_LONGEST_WAIT_S: Final = 30.0
_OTHERS: Final = 2
"""So many successes of other calls show that the LM is there."""


@final
class Outages:
    """Who is away, for one run; safe to use from any thread.

    Args:
        patience: Seconds to wait for an LM before the run ends.
    """

    def __init__(self, patience: float) -> None:
        self._patience = patience
        self._lock = threading.Lock()  # protects the two below
        self._successes: dict[str, int] = {}
        self._since: dict[str, float] = {}
        self._closing = threading.Event()
        self.ended: LMOutageError | None = None
        """The run ends for this: what a program made of it that caught the error is no result."""

    def close(self) -> None:
        """Let nobody wait any longer: the run is ending."""
        self._closing.set()

    @property
    def told(self) -> str:
        """Who is away, as words for the progress line; "" where nobody is."""
        with self._lock:
            away = sorted(self._since.items())
        now = time.monotonic()
        return "; ".join(f"paused: {model} has been away for {now - since:.0f} s" for model, since in away)

    def ask(self, model: str, call: Callable[[], T]) -> T:
        """Make a call, again after failures that may pass.

        Raises:
            LMOutageError: The LM stayed away.
            LMError: The call failed otherwise, or alone.
        """
        attempt = _Attempt(self, model)
        while True:
            try:
                answer = call()
            except PASSING as error:
                wait = attempt.failed(error)
                if self._closing.wait(wait):
                    raise
            else:
                self.succeeded(model)
                return answer

    async def aask(self, model: str, call: Callable[[], Awaitable[T]]) -> T:
        """Same as `ask`, for tasks."""
        attempt = _Attempt(self, model)
        while True:
            try:
                answer = await call()
            except PASSING as error:
                wait = attempt.failed(error)
                if self._closing.is_set():
                    raise
                await load("asyncio").sleep(wait)
            else:
                self.succeeded(model)
                return answer

    def succeeded(self, model: str) -> None:
        """Note that an LM answered."""
        with self._lock:
            self._successes[model] = self._successes.get(model, 0) + 1
            self._since.pop(model, None)

    def successes(self, model: str) -> int:
        """Return how often an LM has answered."""
        return self._successes.get(model, 0)

    def away(self, model: str) -> tuple[float, float]:
        """Note that an LM is away; return for how many seconds it has been, and how many are left to wait."""
        with self._lock:
            since = self._since.setdefault(model, time.monotonic())
        gone = time.monotonic() - since
        return gone, self._patience - gone


@final
class _Attempt:
    """One call and its failures."""

    def __init__(self, outages: Outages, model: str) -> None:
        self._outages = outages
        self._model = model
        self._before = outages.successes(model)
        self._wait = _FIRST_WAIT_S

    def failed(self, error: Exception) -> float:
        """Return how long to wait before the next try.

        Raises:
            LMOutageError: Long enough was waited.
            Exception: The error itself, where other calls go through.
        """
        if self._outages.successes(self._model) >= self._before + _OTHERS:
            raise error
        gone, left = self._outages.away(self._model)
        if left <= 0:
            self._outages.ended = LMOutageError(
                f"{self._model!r} has been away for {gone:.0f} s (outage_patience); the last failure: {error}. What "
                "was paid for is kept: the same run_dir goes on from here",
                model=self._model,
            )
            raise self._outages.ended from error
        wait = min(self._wait, left)
        self._wait = min(2 * self._wait, _LONGEST_WAIT_S)
        return wait
