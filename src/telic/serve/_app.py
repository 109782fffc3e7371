"""The endpoints: chat completions, models, health.

An LM is asked for as many requests at once as `at_once` says; further ones wait in line, and where the line is full
they are refused with 429. A client that goes away stops the work that was done for it.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
from typing import TYPE_CHECKING, Any, Final, final

from starlette.applications import Starlette
from starlette.responses import JSONResponse, StreamingResponse
from starlette.routing import Route

from telic.serve._body import Asked, BadRequestError, error_of, read_body
from telic.serve._reply import Replies, event

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator

    from starlette.requests import Request as HttpRequest
    from starlette.responses import Response as HttpResponse

    from telic.protocols import LanguageModel

MAX_BODY_BYTES: Final = 8 << 20
_log = logging.getLogger("telic")


def make_app(
    lm: LanguageModel, *, name: str | None = None, at_once: int = 64, in_line: int = 1_000
) -> Starlette:
    """Return an ASGI application that serves `lm` to OpenAI's clients.

    Args:
        lm: The LM; its own cache should be off, or equal requests get equal answers at any temperature.
        name: The model's name for clients; None: the LM's.
        at_once: Requests that are worked on at once.
        in_line: Requests that may wait.

    Example:
        >>> from telic.testing import ScriptedLM
        >>> [route.path for route in make_app(ScriptedLM(["Hello."])).routes]
        ['/v1/chat/completions', '/v1/models', '/health']
    """
    desk = _Desk(lm, name or lm.model, at_once, in_line)
    return Starlette(
        routes=[
            Route("/v1/chat/completions", desk.chat, methods=["POST"]),
            Route("/v1/models", desk.models, methods=["GET"]),
            Route("/health", desk.health, methods=["GET"]),
        ],
        exception_handlers={404: _not_found, 405: _not_allowed},
    )


@final
class _Desk:
    """Where requests come in."""

    def __init__(self, lm: Any, name: str, at_once: int, in_line: int) -> None:
        self._lm, self._name = lm, name
        self._most = at_once + in_line
        self._here = 0
        self._gate = asyncio.Semaphore(at_once)
        self._numbers = itertools.count()

    async def chat(self, http: HttpRequest) -> HttpResponse:
        """Answer a chat-completion request."""
        try:
            asked = read_body(await _body(http), self._name)
            if self._here >= self._most:
                raise BadRequestError(
                    "too many requests are waiting; try again", status=429, code="rate_limit_exceeded"
                )
            if asked.stream:
                return await self._streamed(asked)
            return await self._whole(http, asked)
        except Exception as error:  # noqa: BLE001 - told to the client; what is not ours is logged
            return _refusal(error)

    async def models(self, http: HttpRequest) -> HttpResponse:
        """List the one model."""
        model = {"id": self._name, "object": "model", "created": 0, "owned_by": "telic"}
        return JSONResponse({"object": "list", "data": [model]})

    async def health(self, http: HttpRequest) -> HttpResponse:
        """Say that the server is there, and how busy."""
        return JSONResponse({"status": "ok", "requests": self._here})

    @contextlib.asynccontextmanager
    async def _turn(self) -> AsyncGenerator[None]:
        """Wait for a place."""
        self._here += 1
        try:
            async with self._gate:
                yield
        finally:
            self._here -= 1

    async def _whole(self, http: HttpRequest, asked: Asked) -> HttpResponse:
        async def work() -> Any:
            async with self._turn():
                return await self._lm.acomplete(asked.request(next(self._numbers)))

        answer, gone = asyncio.ensure_future(work()), asyncio.ensure_future(_left(http))
        try:
            await asyncio.wait((answer, gone), return_when=asyncio.FIRST_COMPLETED)
            if not answer.done():
                return JSONResponse({}, status_code=499)  # nobody reads it: the client has gone
            return JSONResponse(Replies(self._name).whole(answer.result()))
        finally:
            for task in (answer, gone):
                task.cancel()

    async def _streamed(self, asked: Asked) -> HttpResponse:
        """Return a stream whose first piece is there already: what is refused has a status of its own."""
        events = self._events(asked)
        first = await anext(events)

        async def body() -> AsyncIterator[bytes]:
            async with contextlib.aclosing(events):
                yield first
                async for piece in events:
                    yield piece

        return StreamingResponse(
            body(), media_type="text/event-stream", headers={"Cache-Control": "no-cache"}
        )

    async def _events(self, asked: Asked) -> AsyncGenerator[bytes]:
        replies, begun = Replies(self._name), False
        try:
            async with self._turn():
                deltas: Any = self._lm.astream(asked.request(next(self._numbers)))
                async with contextlib.aclosing(deltas):
                    async for delta in deltas:
                        for chunk in replies.chunks(delta, usage=asked.usage_in_stream):
                            begun = True
                            yield event(chunk)
        except Exception as error:
            if not begun:
                raise
            yield event(_told(error)[1])  # the status is sent: the stream itself must say it
        yield event(b"[DONE]")


async def _body(http: HttpRequest) -> bytes:
    body = bytearray()
    async for piece in http.stream():
        body += piece
        if len(body) > MAX_BODY_BYTES:
            raise BadRequestError(f"the body has more than {MAX_BODY_BYTES} bytes", status=413)
    return bytes(body)


async def _left(http: HttpRequest) -> None:
    """Return when the client has gone."""
    while (await http.receive())["type"] != "http.disconnect":
        pass


def _told(error: Exception) -> tuple[int, dict[str, Any]]:
    status, told = error_of(error)
    if status >= 500:
        _log.error("a request failed", exc_info=error)
    return status, told


def _refusal(error: Exception) -> HttpResponse:
    status, told = _told(error)
    return JSONResponse(told, status_code=status)


async def _not_found(http: HttpRequest, error: Exception) -> HttpResponse:
    return _refusal(
        BadRequestError(f"there is nothing at {http.url.path}; chat is at /v1/chat/completions", status=404)
    )


async def _not_allowed(http: HttpRequest, error: Exception) -> HttpResponse:
    return _refusal(BadRequestError(f"{http.method} is not allowed at {http.url.path}", status=405))
