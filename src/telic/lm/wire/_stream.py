"""A streamed answer between the connection and the caller: bytes to events to pieces.

Of pieces that have come at once the first few are handed over before the others are decoded, and then twice as many
each time: a fast stream shows its first words at once and costs few hand-overs, a slow one gives each piece as it
comes.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any, Final, final

from telic._http import HttpResponse, HttpStream, ServerSentEvents
from telic.protocols import Delta

if TYPE_CHECKING:
    from telic.data import Response
    from telic.lm.wire._dialect import Dialect, StreamDecoder


_FIRST_PIECES: Final = 8
_MOST_PIECES: Final = 1024


@final
class StreamReader:
    """One streamed answer."""

    def __init__(self, stream: HttpStream, decoder: StreamDecoder, on_close: Any) -> None:
        self._stream = stream
        self._decoder = decoder
        self._on_close = on_close
        self._events = ServerSentEvents()
        self._came: deque[Any] = deque()  # events that are not decoded yet
        self._at_once = _FIRST_PIECES  # how many of them are decoded for one hand-over
        self._ready: list[Delta] = []
        self._read_all = False
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

    @property
    def closed(self) -> bool:
        """Whether there is nothing left to close."""
        return self._closed

    def close(self) -> None:
        """Close the connection unless the answer ended, and give the limiter's place back. Idempotent."""
        if not self._closed:
            self._closed = True
            self._stream.close()
            self._on_close()

    async def _advance(self) -> None:
        came = self._came
        if not came:
            data = await self._stream.read()
            came.extend(self._events.feed(data) if data else self._events.finish())
            self._read_all = not data
        for _ in range(min(self._at_once, len(came))):
            event = came.popleft()
            self._ready.extend(self._decoder.feed(event.name, event.data))
        if came:
            self._at_once = min(2 * self._at_once, _MOST_PIECES)
        elif self._read_all:
            self._ready.append(Delta(response=self._decoder.finish()))
            self._end()

    def _end(self) -> None:
        self._finished = True
        self.close()


def _deltas(response: Response) -> list[Delta]:
    completion = response.completions[0]
    return [Delta(completion.text, completion.reasoning or ""), Delta(response=response)]
