"""The wire client: a dialect, a transport, and between them the limiter and the retries.

A call runs on the portal's loop, whoever made it. Each try passes the limiter anew, so that a call waiting for its
next try holds no place that another could use. The deadline covers everything: waiting in line, connecting, all
tries and the waits between them. A streamed answer is tried again only while nothing of it was given out.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, final

from telic._http import HttpRequest, HttpResponse, Transport, portal, shared_transport
from telic._optional import load
from telic.context import get as get_setting
from telic.errors import ConfigurationError, LMError, LMRateLimitError, LMTimeoutError, RequestsForbiddenError
from telic.lm.wire._limiter import Limiter
from telic.lm.wire._openai import OpenAIDialect
from telic.lm.wire._retry import RetryPolicy
from telic.lm.wire._stream import StreamReader

if TYPE_CHECKING:
    import asyncio
    from collections.abc import AsyncIterator, Iterator, Mapping

    from telic.data import Request, Response
    from telic.lm._registry import ClientSpec
    from telic.lm.wire._dialect import Dialect
    from telic.protocols import Capabilities, Client, Delta

_limiters: dict[tuple[Any, ...], Limiter] = {}
_MANY_LIMITERS = 1024


@final
class WireClient:
    """A `protocols.Client` over HTTP.

    Args:
        dialect: The model and its endpoint.
        transport: None: the process's own.
        retry: Which failures are tried again.
        timeout_s: For a whole call, retries and waits included.
        attempt_timeout_s: For one try; None: only the whole call is limited.
        limiter: None: shared by all clients of the same endpoint, key and model.
    """

    def __init__(
        self,
        dialect: Dialect,
        *,
        transport: Transport | None = None,
        retry: RetryPolicy | None = None,
        timeout_s: float | None = 600.0,
        attempt_timeout_s: float | None = None,
        limiter: Limiter | None = None,
    ) -> None:
        if timeout_s is not None and not timeout_s > 0:
            raise ConfigurationError(
                f"timeout={timeout_s!r} leaves no time for a call; pass seconds > 0, or None"
            )
        self.dialect = dialect
        self._transport = shared_transport() if transport is None else transport
        self.retry = RetryPolicy() if retry is None else retry
        if self.retry.num_retries < 0:
            raise ConfigurationError(f"num_retries={self.retry.num_retries!r}; pass 0 or more")
        self._timeout_s = math.inf if timeout_s is None else timeout_s
        self._attempt_timeout_s = math.inf if attempt_timeout_s is None else attempt_timeout_s
        self._own_limiter = limiter
        self._native_n = dialect.native_n

    @property
    def capabilities(self) -> Capabilities:
        """What the model can do natively."""
        return self.dialect.capabilities

    @property
    def endpoint(self) -> str:
        """Where the answers come from, for cache keys."""
        return f"{self.dialect.endpoint.origin.name}{self.dialect.endpoint.target}"

    def complete(self, request: Request) -> Response:
        """Return the answer. Cost: one LM call, or n where the server gives one completion a request.

        Raises:
            LMError: What went wrong, with `attempts`.
            ConfigurationError: An option that cannot work; nothing was sent.
        """
        self._refuse_if_forbidden()
        return portal.run(self._complete, request)

    async def acomplete(self, request: Request) -> Response:
        """Return the answer; see `complete`."""
        self._refuse_if_forbidden()
        return await portal.arun(self._complete, request)

    def stream(self, request: Request) -> Iterator[Delta]:
        """Yield pieces as they come, then one with the whole `response`. Leaving early closes the connection."""
        self._refuse_if_forbidden()
        opened: list[StreamReader] = []
        try:
            reader = portal.run(self._open_stream, request, opened)
            while batch := portal.run(reader.next_batch):
                yield from batch
        finally:
            if not (opened and opened[0].closed):  # left early
                portal.call_soon(_close, opened)

    async def astream(self, request: Request) -> AsyncIterator[Delta]:
        """Yield pieces as they come, then one with the whole `response`. Leaving early closes the connection."""
        self._refuse_if_forbidden()
        opened: list[StreamReader] = []
        try:
            reader = await portal.arun(self._open_stream, request, opened)
            while batch := await portal.arun(reader.next_batch):
                for delta in batch:
                    yield delta
        finally:
            if not (opened and opened[0].closed):  # left early
                portal.call_soon(_close, opened)

    def _refuse_if_forbidden(self) -> None:
        refuse_if_forbidden(self.dialect)

    # On the portal's loop.

    async def _complete(self, request: Request) -> Response:
        loop = load("asyncio").get_running_loop()
        deadline = loop.time() + self._timeout_s
        n = request.options.get("n")
        if n is None or n == 1:
            return await self._ask(loop, self.dialect.encode(request), deadline)
        if not isinstance(n, int) or n < 1:
            raise ConfigurationError(f"n={n!r}: how many completions must be a whole number of at least 1")
        if not self._native_n:
            return await self._fan_out(loop, request, n, deadline)
        response = await self._ask(loop, self.dialect.encode(request, n=n), deadline)
        missing = n - len(response.completions)
        if missing <= 0:
            return response
        self._native_n = False  # the server ignored n: ask for the rest, and from now on one by one
        rest = await self._fan_out(loop, request, missing, deadline)
        return join_responses([response, rest])

    async def _fan_out(
        self, loop: asyncio.AbstractEventLoop, request: Request, n: int, deadline: float
    ) -> Response:
        message = self.dialect.encode(request, n=1)
        tasks = [loop.create_task(self._ask(loop, message, deadline)) for _ in range(n)]
        try:
            return join_responses(await load("asyncio").gather(*tasks))
        except BaseException:
            for task in tasks:
                task.cancel()
            raise

    async def _ask(self, loop: asyncio.AbstractEventLoop, message: HttpRequest, deadline: float) -> Response:
        """Send until an answer comes or trying again is of no use."""
        limiter = self._limiter(loop)
        attempt = 0
        while True:
            attempt += 1
            try:
                await self._enter(loop, limiter, deadline, first=attempt > 1)
                sent_at = loop.time()
                try:
                    limit = min(deadline, sent_at + self._attempt_timeout_s)
                    response = self._decode(await self._transport.send(message, limit), limiter)
                except LMRateLimitError as error:
                    limiter.refused(sent_at, error.retry_after_s)
                    raise
                finally:
                    limiter.leave(loop)
            except LMError as error:
                await self._pause(loop, error, attempt, deadline)
                continue
            limiter.succeeded()
            return response

    def _decode(self, answer: HttpResponse, limiter: Limiter) -> Response:
        response = self.dialect.decode(answer)
        _heed(answer.headers, limiter)
        return response

    async def _open_stream(self, request: Request, opened: list[StreamReader]) -> StreamReader:
        """Return the reader of an answer that has begun, and put it into `opened`.

        There it is found by a caller that is called off just when this returns, and so is handed nothing.
        """
        loop = load("asyncio").get_running_loop()
        deadline = loop.time() + self._timeout_s
        n = request.options.get("n")
        if n not in (None, 1):
            raise ConfigurationError(f"n={n!r} cannot be streamed; ask for one completion, or do not stream")
        message = self.dialect.encode(request, stream=True)
        limiter = self._limiter(loop)
        attempt = 0
        while True:
            attempt += 1
            try:
                await self._enter(loop, limiter, deadline, first=attempt > 1)
                sent_at = loop.time()
                reader: StreamReader | None = None
                try:
                    stream = await self._transport.stream(message, deadline)
                    reader = StreamReader(stream, self.dialect.open_stream(), lambda: limiter.leave(loop))
                    await reader.start(self.dialect)
                except BaseException as error:
                    if reader is None:
                        limiter.leave(loop)
                    else:
                        reader.close()
                    if isinstance(error, LMRateLimitError):
                        limiter.refused(sent_at, error.retry_after_s)
                    raise
            except LMError as error:
                await self._pause(loop, error, attempt, deadline)
                continue
            limiter.succeeded()
            _heed(stream.headers, limiter)
            opened.append(reader)
            return reader

    async def _pause(
        self, loop: asyncio.AbstractEventLoop, error: LMError, attempt: int, deadline: float
    ) -> None:
        """Wait before the next try, or raise `error`: no more tries, or no time for them."""
        error.attempts = attempt
        error.model = error.model or self.dialect.model
        error.provider = error.provider or self.dialect.provider
        wait = self.retry.wait_s(error, attempt)
        if wait is None or loop.time() + wait >= deadline:
            _tell(error, attempt, early=wait is not None)
            raise error
        if wait:
            await load("asyncio").sleep(wait)

    async def _enter(
        self, loop: asyncio.AbstractEventLoop, limiter: Limiter, deadline: float, *, first: bool
    ) -> None:
        if limiter.enter():
            return
        asyncio = load("asyncio")
        try:
            async with asyncio.timeout_at(None if deadline == math.inf else deadline):
                await limiter.wait(loop, first=first)
        except LMTimeoutError:
            raise
        except TimeoutError:
            error = LMTimeoutError(
                f"{self.dialect.provider}/{self.dialect.model}: the deadline passed while waiting in line for the "
                "rate limit; lower num_threads or raise `timeout`"
            )
            raise error from None

    def _limiter(self, loop: asyncio.AbstractEventLoop) -> Limiter:
        if self._own_limiter is not None:
            return self._own_limiter
        dialect = self.dialect
        key = (loop, dialect.endpoint.origin, dialect.endpoint.target, dialect.key_hash, dialect.model)
        limiter = _limiters.get(key)
        if limiter is None:
            if len(_limiters) >= _MANY_LIMITERS:  # keys that rotate: what knows nothing is as good as new
                for old in [old for old, one in _limiters.items() if one.is_fresh]:
                    del _limiters[old]
            limiter = _limiters[key] = Limiter(loop.time)
        return limiter


def refuse_if_forbidden(dialect: Dialect) -> None:
    """Raise where no client may open a socket.

    Raises:
        RequestsForbiddenError: It is so.
    """
    if get_setting("forbid_requests"):
        raise RequestsForbiddenError(
            f"a request to {dialect.provider}/{dialect.model} at {dialect.endpoint.origin.name} "
            "while requests are forbidden; pass a scripted LM, or a recorded cassette",
            model=dialect.model,
            provider=dialect.provider,
        )


def _close(opened: list[StreamReader]) -> None:
    for reader in opened:
        reader.close()


def _tell(error: LMError, attempt: int, *, early: bool) -> None:
    """Add to the message what only the retries know."""
    notes: list[str] = []
    if early and error.retry_after_s:
        notes.append(f"the server asks to wait {error.retry_after_s:g} s, more than `timeout` leaves")
    if attempt > 1:
        notes.append(f"tried {attempt} times")
    if notes:
        error.args = ("; ".join([str(error), *notes]), *error.args[1:])


def _heed(headers: Mapping[str, str], limiter: Limiter) -> None:
    """Hold new calls back where the server says that nothing is left.

    The reset it names is when the allowance is full again; the next call fits in long before, so the wait is the
    reset's share of one request.
    """
    left = headers.get("x-ratelimit-remaining-requests") or headers.get(
        "anthropic-ratelimit-requests-remaining"
    )
    if left != "0":
        return
    reset = load("telic.lm.wire._failure").rate_reset_s(headers)
    size = (
        headers.get("x-ratelimit-limit-requests") or headers.get("anthropic-ratelimit-requests-limit") or "1"
    )
    if reset:
        limiter.pause(reset / max(1, int(size)) if size.isdigit() else min(reset, 1.0))


def join_responses(responses: list[Response]) -> Response:
    """Return the completions of all as one response."""
    completions = tuple(completion for response in responses for completion in response.completions)
    usage = responses[0].usage
    for response in responses[1:]:
        usage = usage.plus(response.usage)
    return responses[0]._replace(completions=completions, usage=usage)


def open_client(
    prefix: str,
    model: str,
    *,
    api_key: str | None = None,
    base_url: str | None = None,
    model_type: str = "chat",
    extra_headers: Mapping[str, str] | None = None,
    **wire: Any,
) -> WireClient:
    """Return the client for "prefix/model".

    Args:
        prefix: "openai", "anthropic", or another that `_hosts` lists.
        model: The name that the server knows.
        api_key: None: from the environment.
        base_url: None: from the environment, else the provider's own.
        model_type: "chat" or "text".
        extra_headers: Sent with every request.
        wire: Arguments of `WireClient`.

    Raises:
        UnknownProviderError: No client has this prefix.
        NotConfiguredError: A key is needed and there is none.
        ConfigurationError: Something else that cannot work.
    """
    dialect: Dialect
    if prefix == "anthropic":
        if model_type != "chat":
            raise ConfigurationError(f"anthropic/{model} has no model_type {model_type!r}; use 'chat'")
        anthropic = load("telic.lm.wire._anthropic")
        dialect = anthropic.AnthropicDialect(
            model, api_key=api_key, base_url=base_url, extra_headers=extra_headers
        )
    else:
        dialect = OpenAIDialect(
            prefix,
            model,
            api_key=api_key,
            base_url=base_url,
            model_type=model_type,
            extra_headers=extra_headers,
        )
    return WireClient(dialect, **wire)


def wire_client(spec: ClientSpec) -> Client:
    """Return the client for what an `LM` was given; see `open_client`."""
    client = open_client(
        spec.provider,
        spec.name,
        api_key=spec.api_key,
        base_url=spec.base_url,
        model_type=spec.model_type,
        extra_headers=spec.headers,
        timeout_s=spec.timeout_s,
        retry=RetryPolicy(num_retries=spec.num_retries),
    )
    return load("telic.lm.wire._batch").batch_client(client, spec.timeout_s) if spec.batch else client
