"""Streaming through the chokepoint: a kept answer comes in one piece, a fresh one as it arrives.

A stream that was read to its end is priced, charged, kept and recorded like any call. One that is left early, or
breaks, is charged as a call, and nothing is kept of it. Streams do not wait for each other: an equal call under way
does not make a stream silent.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from time import perf_counter
from typing import TYPE_CHECKING, Any, Final, final

from telic.data import Request, Response
from telic.errors import LMResponseError
from telic.lm._chokepoint import Cached, Paid, refund
from telic.lm._forward import outputs_of
from telic.lm._prices import price_of
from telic.lm._usage import priced
from telic.lm.caching._cache import Cache, current_cache
from telic.lm.caching._key import request_key
from telic.protocols import Client, Delta
from telic.tracing import finish

if TYPE_CHECKING:
    from telic.budget import Budget

Record = Callable[[Request, Response | None, BaseException | None, float], None]
Begin = Callable[[Request], Any]
_LEFT_EARLY: Final = GeneratorExit()  # recorded where a stream was not read to its end


@final
class _Call:
    """What one streamed call holds from its start to its end."""

    def __init__(
        self, paid: Paid, cached: Cached, request: Request, use_cache: bool, record: Record, observed: Any
    ) -> None:
        self.started = perf_counter()
        self.observed = observed
        self.paid, self.cached, self.request, self.record = paid, cached, request, record
        store = current_cache() if use_cache else None
        self.store: Cache | None = store if store is not None and store.mode != "off" else None
        self.key = b"" if self.store is None else request_key(cached.model_identity, request)
        self.budget: Budget | None = None
        self.response: Response | None = None

    def kept_or_refused(self) -> Response | None:
        """Return the kept answer; None, with the budget asked for a call; or raise what refuses it."""
        try:
            return self._kept()
        except BaseException as error:
            finish(self.observed, None, error)
            raise

    def _kept(self) -> Response | None:
        if self.store is not None:
            hit = self.cached.lookup(self.key, self.request, self.store)
            if hit is not None:
                return hit
        self.budget = self.paid.admit()
        return None

    def passed_on(self, delta: Delta) -> Delta:
        """Return the delta, the last one with its cost."""
        if delta.response is None:
            return delta
        self.response = priced(delta.response, price_of(self.paid.model))
        return delta._replace(response=self.response)

    def __enter__(self) -> None: ...

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        """Settle, keep and record what came of it."""
        if self.response is None:
            failure = error if error is not None else _LEFT_EARLY
            if self.budget is not None:
                refund(self.budget, failure)
            self.record_end(None, failure)
            return
        if self.budget is not None:
            self.budget.settle(self.response.usage)
        if self.store is not None:
            self.cached.keep(self.key, self.response, self.store)
        self.record_end(self.response, None)

    def record_end(self, response: Response | None, failure: BaseException | None) -> None:
        """Tell history, usage and callbacks."""
        self.record(self.request, response, failure, perf_counter() - self.started)
        outputs = None if response is None else outputs_of(response)
        finish(self.observed, outputs, failure, response=response)

    def check_end(self) -> None:
        """Refuse a stream that ended without its response."""
        if self.response is None:
            raise LMResponseError(f"the stream of {self.paid.model!r} ended early", model=self.paid.model)


def stream_through(
    client: Client,
    paid: Paid,
    cached: Cached,
    request: Request,
    use_cache: bool,
    record: Record,
    begin: Begin,
) -> Iterator[Delta]:
    """Yield the pieces of one answer."""
    call = _Call(paid, cached, request, use_cache, record, begin(request))
    hit = call.kept_or_refused()
    if hit is not None:
        try:
            yield Delta(hit.text, response=hit)
        finally:
            call.record_end(hit, None)
        return
    deltas: Any = client.stream(request)
    with call:
        try:
            for delta in deltas:
                yield call.passed_on(delta)
            call.check_end()
        finally:
            if hasattr(deltas, "close"):  # now, not when it is collected: the connection closes with it
                deltas.close()


async def astream_through(
    client: Client,
    paid: Paid,
    cached: Cached,
    request: Request,
    use_cache: bool,
    record: Record,
    begin: Begin,
) -> AsyncIterator[Delta]:
    """Same as `stream_through`, for tasks."""
    call = _Call(paid, cached, request, use_cache, record, begin(request))
    hit = call.kept_or_refused()
    if hit is not None:
        try:
            yield Delta(hit.text, response=hit)
        finally:
            call.record_end(hit, None)
        return
    deltas: Any = client.astream(request)
    with call:
        try:
            async for delta in deltas:
                yield call.passed_on(delta)
            call.check_end()
        finally:
            if hasattr(deltas, "aclose"):
                await deltas.aclose()
