"""Ways in which an LM's server fails, one function each, for `FaultServer`.

from telic.testing import FaultServer, faults

with FaultServer("hello", faults=[faults.status(429, retry_after=0.1), faults.reset_mid_body()]) as server: …
"""

from __future__ import annotations

import asyncio
import json
import socket
import struct
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final, final

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

_RESET: Final = struct.pack("ii", 1, 0)


@final
@dataclass(frozen=True)
class RecordedRequest:
    """One request as it came."""

    method: str
    path: str
    headers: Mapping[str, str]
    """By lower-case name."""
    body: Any
    """The JSON object, or the bytes where it is none."""
    connection: int
    """Which connection it came over, counted from 1."""


@final
@dataclass(frozen=True)
class Fault:
    """One way to fail; made by the functions of this module."""

    name: str
    act: Callable[[Exchange], Awaitable[None]]

    def __repr__(self) -> str:
        return f"Fault({self.name})"


@final
class Exchange:
    """What a fault works with: the request, the connection, and the answer that would have been given."""

    def __init__(
        self,
        request: RecordedRequest,
        writer: asyncio.StreamWriter,
        answer: Callable[[], Any],
        closing: asyncio.Event,
    ) -> None:
        self.request = request
        self.writer = writer
        self.closing = closing
        self.closes = False
        self._answer = answer

    @property
    def answer(self) -> Any:
        """The right answer, as JSON has it; looking at it uses it up."""
        return self._answer()

    @property
    def healthy(self) -> bytes:
        """The right answer, as bytes."""
        return http_message(200, "application/json", json.dumps(self.answer).encode())

    def reset(self) -> None:
        """Close with a TCP reset."""
        sock = self.writer.get_extra_info("socket")
        if sock is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        self.writer.transport.abort()
        self.closes = True

    def close(self) -> None:
        """Close in an orderly way."""
        self.writer.close()
        self.closes = True


def http_message(
    code: int, content_type: str, content: bytes, headers: Mapping[str, str] | None = None
) -> bytes:
    """Return an HTTP answer."""
    extra = "".join(f"{name}: {value}\r\n" for name, value in (headers or {}).items())
    head = (
        f"HTTP/1.1 {code} {_phrase(code)}\r\n"
        f"Content-Type: {content_type}\r\nContent-Length: {len(content)}\r\n{extra}\r\n"
    )
    return head.encode("latin-1") + content


def _phrase(code: int) -> str:
    try:
        return HTTPStatus(code).phrase
    except ValueError:
        return "Status"


def _fixed(name: str, data: Callable[[Exchange], bytes], *, close: bool = False) -> Fault:
    async def act(exchange: Exchange) -> None:
        exchange.writer.write(data(exchange))
        if close:
            exchange.close()

    return Fault(name, act)


def status(
    code: int,
    message: str = "scripted failure",
    *,
    retry_after: float | str | None = None,
    error_code: str | None = None,
    headers: Mapping[str, str] | None = None,
) -> Fault:
    """Answer with a status and an error body of OpenAI's shape; `retry_after` in seconds, or a date as text."""
    extra = dict({} if headers is None else headers)
    if retry_after is not None:
        extra["Retry-After"] = str(retry_after)
    content = json.dumps({"error": {"message": message, "type": "scripted", "code": error_code}}).encode()
    return _fixed(f"status {code}", lambda _: http_message(code, "application/json", content, extra))


def body(data: bytes, content_type: str = "application/json", *, code: int = 200) -> Fault:
    """Answer with any bytes."""
    return _fixed("body", lambda _: http_message(code, content_type, data))


def raw(data: bytes, *, close: bool = True) -> Fault:
    """Write any bytes where an answer should be, then close."""
    return _fixed("raw", lambda _: data, close=close)


def html() -> Fault:
    """Answer with a web page, as a proxy or a wrong URL does."""
    return body(b"<!DOCTYPE html><html><body>Welcome to nginx!</body></html>", "text/html")


def bad_json() -> Fault:
    """Answer with JSON that is cut."""
    return body(b'{"choices": [{"message": {"content": "he')


def wrong_content_type() -> Fault:
    """Answer rightly under a content type that is wrong."""
    return _fixed(
        "wrong_content_type",
        lambda exchange: http_message(200, "text/plain", json.dumps(exchange.answer).encode()),
    )


def empty_choices() -> Fault:
    """Answer without completions."""
    return body(b'{"id": "x", "object": "chat.completion", "model": "m", "choices": []}')


def content_filter() -> Fault:
    """Answer that the completion was withheld."""
    choice = {
        "index": 0,
        "message": {"role": "assistant", "content": None},
        "finish_reason": "content_filter",
    }
    return body(json.dumps({"choices": [choice]}).encode())


def truncated(text: str = "The answer is") -> Fault:
    """Answer with a completion that was cut at max_tokens."""
    choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "length"}
    return body(json.dumps({"choices": [choice]}).encode())


def close_before_answer() -> Fault:
    """Read the request and close the connection."""
    return _fixed("close_before_answer", lambda _: b"", close=True)


def half_headers() -> Fault:
    """Close within the headers."""
    return _fixed("half_headers", lambda _: b"HTTP/1.1 200 OK\r\nContent-Ty", close=True)


def half_body() -> Fault:
    """Close in an orderly way within the body."""
    return _fixed("half_body", lambda exchange: exchange.healthy[:-20], close=True)


def reset_mid_body() -> Fault:
    """Reset the connection within the body."""

    async def act(exchange: Exchange) -> None:
        exchange.writer.write(exchange.healthy[:-20])
        await exchange.writer.drain()
        await asyncio.sleep(0.01)  # the reset would overtake what was not sent yet
        exchange.reset()

    return Fault("reset_mid_body", act)


def stall() -> Fault:
    """Take the request and never answer; ends when the client closes or the server does."""

    async def act(exchange: Exchange) -> None:
        await exchange.closing.wait()

    return Fault("stall", act)


def slow_drip(delay_s: float = 0.01) -> Fault:
    """Answer rightly, one byte at a time."""

    async def act(exchange: Exchange) -> None:
        for value in exchange.healthy:
            exchange.writer.write(bytes((value,)))
            await exchange.writer.drain()
            await asyncio.sleep(delay_s)

    return Fault("slow_drip", act)


def slow(delay_s: float) -> Fault:
    """Answer rightly, after a while."""

    async def act(exchange: Exchange) -> None:
        await asyncio.sleep(delay_s)
        exchange.writer.write(exchange.healthy)

    return Fault("slow", act)


def close_after_answer() -> Fault:
    """Answer rightly, then close without having said so: the next request meets a stale connection."""
    return _fixed("close_after_answer", lambda exchange: exchange.healthy, close=True)
