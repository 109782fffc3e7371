"""The one stack that every call passes: cache, single flight, budget, client, usage and price.

Each layer is a small class around the next; what a call does not need it does not pass. The client's own limiter and
retries are inside the client, so a budget counts a call once, however often it was sent.
"""

from __future__ import annotations

import os
import warnings
from typing import TYPE_CHECKING, Any, Final, Protocol, final

from telic.context import get as setting
from telic.data import Request, Response, Usage
from telic.errors import CacheMissError, ConfigurationError, RequestsForbiddenError
from telic.lm._flight import Flights
from telic.lm._prices import price_of
from telic.lm._usage import priced
from telic.lm.caching._cache import Cache, replays_only
from telic.lm.caching._key import request_key
from telic.lm.caching._store import CacheWarning

if TYPE_CHECKING:
    from collections.abc import Sequence

    from telic.budget import Budget

_FAILED_CALL: Final = Usage(calls=1, cost_usd=0.0)  # sent, and not billed: providers do not charge for errors

_flights: Final = Flights()  # equal calls find each other through any LM object

if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_flights.forget)


class Completes(Protocol):
    """The part of a client that the stack stands on."""

    def complete(self, request: Request) -> Response: ...
    async def acomplete(self, request: Request) -> Response: ...


@final
class Paid:
    """Budget before the client, usage and price after it.

    Args:
        client: Sends the request.
        model: "provider/model", for prices and messages.
        remote: Whether calls leave the process: replay-only mode refuses those.
    """

    __slots__ = ("client", "model", "remote")

    def __init__(self, client: Completes, model: str, *, remote: bool) -> None:
        self.client = client
        self.model = model
        self.remote = remote

    def complete(self, request: Request) -> Response:
        """Return the client's answer with its cost.

        Raises:
            BudgetExceeded: The call was not sent.
            ConfigurationError: The budget is in dollars, and the model's price is unknown.
        """
        budget = self.admit()
        if budget is None:
            return priced(self.client.complete(request), price_of(self.model))
        try:
            response = priced(self.client.complete(request), price_of(self.model))
        except BaseException as error:
            refund(budget, error)
            raise
        budget.settle(response.usage)
        return response

    async def acomplete(self, request: Request) -> Response:
        """Same as `complete`, for tasks."""
        budget = self.admit()
        if budget is None:
            return priced(await self.client.acomplete(request), price_of(self.model))
        try:
            response = priced(await self.client.acomplete(request), price_of(self.model))
        except BaseException as error:
            refund(budget, error)
            raise
        budget.settle(response.usage)
        return response

    def admit(self) -> Budget | None:
        """Return the budget that let the call through, or None where there is none."""
        if self.remote and replays_only():
            raise CacheMissError(
                f"replay-only: a call of {self.model!r} that does not use the cache was not sent; "
                "leave out cache=False, or use configure_cache(mode='on')",
                model=self.model,
            )
        budget: Budget | None = setting("budget")
        if budget is None:
            return None
        if budget.needs_prices and price_of(self.model) is None:
            raise ConfigurationError(
                f"the budget is in USD, and the price of {self.model!r} is unknown; say it once with "
                f"telic.lm.set_price({self.model!r}, input=…, output=…) in USD for a million tokens, 0 if it is free"
            )
        budget.reserve()
        return budget


def refund(budget: Budget, error: BaseException) -> None:
    """Settle a call that failed: it counts as a call, unless it was never sent."""
    if isinstance(error, (ConfigurationError, RequestsForbiddenError)):
        budget.release()
    else:
        budget.settle(_FAILED_CALL)


@final
class Cached:
    """Cache and single flight before what is paid for.

    Args:
        inner: What answers when the cache does not.
        model_identity: Who answers, as it stands in keys (`caching.identity`).
        shares_failures: Does the failure of one call speak for equal ones? Not where each has an API key of its own.
    """

    __slots__ = ("inner", "model_identity", "shares_failures")

    def __init__(self, inner: Paid, model_identity: Sequence[Any], *, shares_failures: bool = True) -> None:
        self.inner = inner
        self.model_identity = model_identity
        self.shares_failures = shares_failures

    def complete(self, request: Request, store: Cache) -> Response:
        """Return the kept answer, that of an equal call under way, or a fresh one, which is kept.

        Raises:
            CacheMissError: `store` is in replay-only mode and has no answer.
        """
        key = request_key(self.model_identity, request)
        landed = _flights.landed
        hit = self.lookup(key, request, store)
        if hit is not None:
            return hit

        def work() -> Response:
            response = self._landed_meanwhile(key, store, landed)
            return self.keep(key, self.inner.complete(request), store) if response is None else response

        response, mine = _flights.run(key, self if self.shares_failures else object(), work)
        return response if mine or response.cached else response._replace(cached=True)

    async def acomplete(self, request: Request, store: Cache) -> Response:
        """Same as `complete`, for tasks."""
        key = request_key(self.model_identity, request)
        landed = _flights.landed
        hit = self.lookup(key, request, store)
        if hit is not None:
            return hit

        async def work() -> Response:
            response = self._landed_meanwhile(key, store, landed)
            return (
                self.keep(key, await self.inner.acomplete(request), store) if response is None else response
            )

        response, mine = await _flights.arun(key, self if self.shares_failures else object(), work)
        return response if mine or response.cached else response._replace(cached=True)

    def lookup(self, key: bytes, request: Request, store: Cache) -> Response | None:
        """Return the kept answer, or None where a call may be sent."""
        if store.readable:
            hit = store.get_response(key)
            if hit is not None:
                return hit
        if store.mode == "replay-only":
            raise CacheMissError(
                f"replay-only: this call of {self.inner.model!r} is not in the cache (key {key.hex()}, sample "
                f"{request.sample}, last message {_last(request)}); record it by running once with "
                "configure_cache(mode='on') and the same cache folder",
                model=self.inner.model,
            )
        return None

    def keep(self, key: bytes, response: Response, store: Cache) -> Response:
        """Put a fresh answer into the cache and return it."""
        if store.writable:
            try:
                store.put(key, response)
            except TypeError as error:
                warnings.warn(
                    f"an answer of {self.inner.model!r} was not kept in the cache: {error}",
                    CacheWarning,
                    stacklevel=3,
                )
        return response

    @staticmethod
    def _landed_meanwhile(key: bytes, store: Cache, landed: int) -> Response | None:
        """Look again where a flight landed after the first look: it may have been this key's."""
        return store.get_response(key) if store.readable and _flights.landed != landed else None


def _last(request: Request) -> str:
    if not request.messages:
        return "none"
    content = request.messages[-1].get("content")
    text = content if isinstance(content, str) else repr(content)
    return repr(text if len(text) <= 80 else f"…{text[-80:]}")
