"""Single flight: equal calls that are under way at the same time share one answer.

The first caller of a key leads and does the work; the others wait, sync callers in their threads, async callers in
their tasks, on any event loop. What the leader's call gives, answer or failure, goes to those who were waiting for it.
Where a leader's end says nothing about the others' calls (it was cancelled, interrupted, or its own budget was used
up), one of them takes over.

Nobody waits for himself: a caller whose own work led to the call (the context carries which keys it leads), and a sync
caller in the thread whose event loop the leader needs, go alone.
"""

from __future__ import annotations

import threading
from contextvars import ContextVar
from time import monotonic
from typing import TYPE_CHECKING, Any, Final, final

from telic._optional import load
from telic.errors import BudgetExceeded, ConfigurationError, RequestsForbiddenError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from telic.data import Response

_OWN_REASONS: Final = (BudgetExceeded, ConfigurationError, RequestsForbiddenError)
"""Failures that come from the leader's own settings: no answer for those who wait."""

_ABANDONED_AFTER_S: Final = 5.0

_leading: ContextVar[tuple[bytes, ...]] = ContextVar("telic_leading", default=())


@final
class _Flight:
    """One call under way and who waits for it."""

    __slots__ = ("born", "error", "owner", "response", "running", "thread", "waiters")

    def __init__(self, owner: object) -> None:
        self.owner = owner
        self.thread = threading.get_ident()
        self.born = monotonic()
        self.running = False  # its leader has begun, and will end it whatever happens
        self.response: Response | None = None
        self.error: BaseException | None = None
        self.waiters: list[Callable[[], object]] = []  # each wakes one waiter; changed under the table's lock

    def is_abandoned(self) -> bool:
        """Return whether an interrupt hit the leader between taking the lead and beginning."""
        return not self.running and monotonic() - self.born >= _ABANDONED_AFTER_S

    def failed_for_another(self, owner: object) -> bool:
        """Return whether it failed for another owner: another API key, timeout or number of retries may do better."""
        return self.error is not None and self.owner is not owner

    def outcome(self) -> Response | None:
        """Return the answer, raise the failure, or return None: the flight ended without either."""
        if self.error is not None:
            raise self.error
        return self.response


@final
class Flights:
    """The calls under way, by key.

    `landed` counts the flights that ended well: who looked into the cache before that must look again.
    """

    def __init__(self) -> None:
        self.landed = 0
        self.forget()

    def forget(self) -> None:
        """Start anew, as a forked child must: the leaders of the calls under way are threads of the parent."""
        self._table: dict[bytes, _Flight] = {}
        self._lock = threading.Lock()  # protects the table and the waiters of its flights

    def run(self, key: bytes, owner: object, work: Callable[[], Response]) -> tuple[Response, bool]:
        """Return the answer for `key`, and whether this caller's own `work` gave it.

        Args:
            key: What is asked of whom.
            owner: Whose limits and API key stand behind `work`: a failure is shared where this is the same object.
            work: Asks.
        """
        while True:
            flight, event = self._join(key, owner, threading.Event, _set)
            if flight is None:
                return work(), True
            if event is None:
                return self._lead(key, flight, work), True
            while not event.wait(_ABANDONED_AFTER_S):
                if flight.is_abandoned():
                    break
            if flight.failed_for_another(owner):
                return work(), True
            response = flight.outcome()
            if response is not None:
                return response, False

    def _lead(self, key: bytes, flight: _Flight, work: Callable[[], Response]) -> Response:
        token = _leading.set((*_leading.get(), key))
        try:
            flight.running = True
            response = work()
        except BaseException as error:
            self._land(key, flight, None, error)
            raise
        finally:
            _leading.reset(token)
        self._land(key, flight, response, None)
        return response

    async def arun(
        self, key: bytes, owner: object, work: Callable[[], Awaitable[Response]]
    ) -> tuple[Response, bool]:
        """Same as `run`, for tasks."""
        while True:
            flight, future = self._join(key, owner, _new_future, _resolve)
            if flight is None:
                return await work(), True
            if future is None:
                return await self._alead(key, flight, work), True
            await future
            if flight.failed_for_another(owner):
                return await work(), True
            response = flight.outcome()
            if response is not None:
                return response, False

    async def _alead(self, key: bytes, flight: _Flight, work: Callable[[], Awaitable[Response]]) -> Response:
        token = _leading.set((*_leading.get(), key))
        try:
            flight.running = True
            response = await work()
        except BaseException as error:
            self._land(key, flight, None, error)
            raise
        finally:
            _leading.reset(token)
        self._land(key, flight, response, None)
        return response

    def _join(
        self,
        key: bytes,
        owner: object,
        make_waiter: Callable[[], Any],
        wake: Callable[[Any], Callable[[], object]],
    ) -> tuple[_Flight | None, Any]:
        """Return (flight, None) to lead it, (flight, waiter) to wait for it, or (None, None) to go alone."""
        with self._lock:
            flight = self._table.get(key)
            if flight is None or flight.is_abandoned():
                flight = self._table[key] = _Flight(owner)
                return flight, None
            sync = make_waiter is threading.Event
            if (sync and flight.thread == threading.get_ident()) or key in _leading.get():
                return None, None
            waiter = make_waiter()
            flight.waiters.append(wake(waiter))
            return flight, waiter

    def _land(
        self, key: bytes, flight: _Flight, response: Response | None, error: BaseException | None
    ) -> None:
        if isinstance(error, Exception) and not isinstance(error, _OWN_REASONS):
            flight.error = error
        flight.response = response
        with self._lock:
            if self._table.get(key) is flight:
                del self._table[key]
            self.landed += response is not None
            waiters = flight.waiters
        for wake in waiters:
            wake()


def _set(event: threading.Event) -> Callable[[], object]:
    return event.set


def _new_future() -> Any:
    return load("asyncio").get_running_loop().create_future()


def _resolve(future: Any) -> Callable[[], object]:
    loop = future.get_loop()

    def settle() -> None:
        if not future.done():
            future.set_result(None)

    def wake() -> None:
        try:
            loop.call_soon_threadsafe(settle)
        except RuntimeError:  # the waiter's loop was closed meanwhile: nobody waits there any more
            pass

    return wake
