"""A streamed answer between the connection and the caller: bytes to events to pieces.

All pieces that have come are taken in one go, so that a fast stream costs one hand-over for many pieces and a slow one
gives each piece at once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, final

from telic._http import HttpResponse, HttpStream, ServerSentEvents
from telic.protocols import Delta

if TYPE_CHECKING:
    from telic.data import Response
    from telic.lm.wire._dialect import Dialect, StreamDecoder


@final
class StreamReader:
    """One streamed answer: all pieces that are there are taken in one go."""

    def __init__(self, stream: HttpStream, decoder: StreamDecoder, on_close: Any) -> None:
        self._stream = stream
        self._decoder = decoder
        self._on_close = on_close
        self._events = ServerSentEvents()
        self._ready: list[Delta] = []
        self._finished = False
        self._closed = False

    async def start(self, dialect: Dialect) -> None:
        """Check the status and read up to the first piece: until then the request may be sent again."""
        stream = self._stream
        if not 200 <= stream.status < 300:
            raise dialect.decode_error(stream.status, stream.headers, await stream.read_all())
        if "text/event-stream" not in stream.headers.get("content-type", "text/event-stream"):
            whole = HttpResponse(stream.status, stream.headers, await stream.read_all())
            self._ready = _deltas(dialect.decode(whole))  # a server that does not stream answers whole
            self._end()
            return
        while not self._ready and not self._finished:
            await self._advance()

    async def next_batch(self) -> list[Delta]:
        """Return the pieces that are there, waiting for at least one; empty at the end."""
        while not self._ready and not self._finished:
            await self._advance()
        batch, self._ready = self._ready, []
        return batch

    def close(self) -> None:
        """Close the connection unless the answer ended, and give the limiter's place back. Idempotent."""
        if not self._closed:
            self._closed = True
            self._stream.close()
            self._on_close()

    async def _advance(self) -> None:
        data = await self._stream.read()
        events = self._events.feed(data) if data else self._events.finish()
        for event in events:
            self._ready.extend(self._decoder.feed(event.name, event.data))
        if not data:
            self._ready.append(Delta(response=self._decoder.finish()))
            self._end()

    def _end(self) -> None:
        self._finished = True
        self.close()


def _deltas(response: Response) -> list[Delta]:
    completion = response.completions[0]
    return [Delta(completion.text, completion.reasoning or ""), Delta(response=response)]
