"""One HTTP/1.1 connection: an `asyncio` protocol that has at most one request out.

It parses with llhttp, which also finds the end of chunked and counted bodies; a body without either ends with the
connection. Body pieces are collected in one list that is either joined at the end or read by a stream. A connection
goes back to the pool only when the answer ended where it should, nothing came after it, and the request was written
whole; in every other case it is closed. The protocol class is duck-typed, as `asyncio` allows, so that importing this
file does not import it.
"""

from __future__ import annotations

from contextvars import Context
from typing import TYPE_CHECKING, Any, Final, final

from telic._http._message import HttpResponse, Origin
from telic._optional import load
from telic.errors import LMResponseError, LMTransportError

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

MAX_HEAD_BYTES: Final = 256 * 1024
HIGH_WATER_BYTES: Final = 256 * 1024  # unread bytes of a stream at which reading from the socket pauses


@final
class Connection:
    """A connection to one origin. All methods belong to the event loop's thread."""

    __slots__ = (
        "_buffered",
        "_chunks",
        "_complete",
        "_error",
        "_exchange",
        "_head_done",
        "_headers",
        "_keep",
        "_loop",
        "_max_bytes",
        "_on_lost",
        "_own_chunks",
        "_parser",
        "_paused",
        "_reader",
        "_received",
        "_status",
        "_streaming",
        "_transport",
        "exchanges",
        "idle_since",
        "on_body",
        "origin",
        "usable",
    )

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        origin: Origin,
        max_bytes: int,
        on_lost: Callable[[Connection], None],
    ) -> None:
        self.origin = origin
        self.usable = False
        self.exchanges = 0
        self.idle_since = 0.0
        self._loop = loop
        self._max_bytes = max_bytes
        self._on_lost = on_lost
        self._transport: Any = None
        self._exchange: asyncio.Future[Any] | None = None
        self._reader: asyncio.Future[None] | None = None
        self._error: Exception | None = None
        self._chunks: list[bytes] = []
        self.on_body = self._chunks.append
        self._headers: dict[str, str] = {}
        self._status = 0
        self._received = 0
        self._buffered = 0
        self._own_chunks = -1
        self._head_done = self._complete = self._keep = self._streaming = self._paused = False
        self._parser: Any = load("httptools").HttpResponseParser(self)

    # What the pool calls.

    def send(self, data: bytes, *, stream: bool = False) -> asyncio.Future[Any]:
        """Write a request; return the future of its `HttpResponse`, or of None when a stream's head is in."""
        self.exchanges += 1
        self._headers = {}
        self._received = self._buffered = 0
        self._head_done = self._complete = False
        self._keep = True
        self._own_chunks = -1
        self._streaming = stream
        self._chunks.clear()
        exchange = self._exchange = self._loop.create_future()
        self._transport.write(data)
        return exchange

    @property
    def status(self) -> int:
        """Status of the present answer."""
        return self._status

    @property
    def headers(self) -> dict[str, str]:
        """Headers of the present answer."""
        return self._headers

    @property
    def is_untouched(self) -> bool:
        """True if the server closed before any byte of the present answer: the request may be sent again."""
        return not self.usable and self._received == 0

    @property
    def is_clean(self) -> bool:
        """True if another request may follow on this connection."""
        return self.usable and self._complete and self._keep and not self._chunks

    async def read(self) -> list[bytes]:
        """Return the body pieces that are there, waiting for at least one; empty at the end of the body.

        Raises:
            LMTransportError: The connection was lost within the body.
            LMResponseError: The body is larger than the limit.
        """
        while not self._chunks:
            if self._error is not None:
                raise self._error
            if self._complete:
                return []
            reader = self._reader = self._loop.create_future()
            try:
                await reader
            finally:
                self._reader = None
        chunks = self._chunks[:]
        self._chunks.clear()
        self._buffered = 0
        if self._paused:
            self._paused = False
            Context().run(self._transport.resume_reading)  # as in `Dialer._apart`
        return chunks

    def close(self) -> None:
        """Close at once; an answer that is on its way is lost."""
        self.usable = False
        if self._transport is not None:
            self._transport.abort()

    # What asyncio calls.

    def connection_made(self, transport: Any) -> None:
        """Keep the transport: requests may be sent."""
        self._transport = transport
        self.usable = True

    def data_received(self, data: bytes) -> None:
        """Parse what came."""
        if self._exchange is None:
            self._keep = False  # nothing was asked: whatever this is, it is not our answer
            self.close()
            return
        self._received += len(data)
        try:
            self._parser.feed_data(data)
        except load("httptools").HttpParserUpgrade:
            self._fail(LMTransportError(f"{self.origin.name} answered 101 and left HTTP; check the URL"))
            return
        except load("httptools").HttpParserError as error:
            if not self._complete:
                self._fail(LMTransportError(f"{self.origin.name} does not speak HTTP/1.1: {_plain(error)}"))
                return
            self._keep = False  # the answer is whole, and was paid for; what follows it is no answer
        if self._own_chunks >= 0:
            del self._chunks[self._own_chunks :]  # what came behind the answer
        if self._received > self._max_bytes or (not self._head_done and self._received > MAX_HEAD_BYTES):
            limit = self._max_bytes if self._head_done else MAX_HEAD_BYTES
            part = "an answer" if self._head_done else "headers"
            self._fail(
                LMResponseError(f"{self.origin.name} sent {part} of more than {limit:,} bytes; refused")
            )
        elif self._streaming:
            self._advance_stream(len(data))
        elif self._complete:
            self._finish()

    def eof_received(self) -> None:
        """The peer closed its side: let the transport close ours."""

    def connection_lost(self, error: Exception | None) -> None:
        """Fail or finish what is on its way, and tell the pool."""
        self.usable = False
        if self._exchange is not None and not self._complete and self._error is None:
            if self._ends_with_connection() and error is None:
                self._complete = True
                if self._streaming:
                    self._advance_stream(0)
                else:
                    self._finish()
            else:
                failure = LMTransportError(self._loss())
                failure.__cause__ = error
                self._fail(failure)
        self._parser = None
        self._on_lost(self)

    def pause_writing(self) -> None:
        """A request is in memory whole: there is nobody to slow down."""

    def resume_writing(self) -> None:
        """See `pause_writing`."""

    # What llhttp calls.

    def on_message_begin(self) -> None:
        """Anything after a finished answer is not ours."""
        if self._complete and self._own_chunks < 0:
            self._keep = False
            self._own_chunks = len(self._chunks)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keep a header; trailers are left out."""
        if self._head_done:
            return
        key = name.decode("latin-1").lower()
        text = value.decode("latin-1")
        known = self._headers.get(key)
        self._headers[key] = text if known is None else f"{known}, {text}"

    def on_headers_complete(self) -> None:
        """The head is in; 1xx heads are followed by the real one."""
        if not self._complete:
            self._status = self._parser.get_status_code()
            self._head_done = self._status >= 200

    def on_message_complete(self) -> None:
        """The answer ends here, unless it was a 1xx."""
        if self._head_done:
            self._complete = True
            self._keep = self._keep and self._parser.should_keep_alive()
        else:
            self._headers = {}

    # What happens then.

    def _finish(self) -> None:
        exchange, self._exchange = self._exchange, None
        chunks = self._chunks
        body = chunks[0] if len(chunks) == 1 else b"".join(chunks)
        chunks.clear()
        if self._transport.get_write_buffer_size():
            self._keep = False  # answered before the request was out: the rest must not meet another answer
        if exchange is not None and not exchange.done():
            exchange.set_result(HttpResponse(self._status, self._headers, body))

    def _advance_stream(self, received: int) -> None:
        self._buffered += received
        exchange = self._exchange
        if exchange is not None and self._head_done and not exchange.done():
            exchange.set_result(None)
        reader = self._reader
        if reader is not None and not reader.done() and (self._chunks or self._complete):
            reader.set_result(None)
        if self._complete:
            self._exchange = None
        elif self._buffered > HIGH_WATER_BYTES and not self._paused:
            self._paused = True
            self._transport.pause_reading()

    def _fail(self, error: Exception) -> None:
        self._keep = False
        self._error = error
        exchange, reader = self._exchange, self._reader
        self._exchange = None
        if exchange is not None and not exchange.done():
            exchange.set_exception(error)
        elif reader is not None and not reader.done():
            reader.set_result(None)  # `read` gives what came before, then raises
        self.close()

    def _ends_with_connection(self) -> bool:
        headers = self._headers
        return self._head_done and "content-length" not in headers and "transfer-encoding" not in headers

    def _loss(self) -> str:
        where = self.origin.name
        if self._received == 0:
            return f"{where} closed the connection without an answer"
        if not self._head_done:
            return f"{where} closed the connection within the headers of its answer"
        expected = self._headers.get("content-length", "")
        of = f" of {expected}" if expected else ""
        got = sum(map(len, self._chunks))
        return f"{where} closed the connection within the body of its answer ({got}{of} bytes came)"


def _plain(error: Exception) -> str:
    text = str(error)
    return text[:120] if text else type(error).__name__
