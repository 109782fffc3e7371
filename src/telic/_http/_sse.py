"""Server-sent events: bytes in any pieces to whole events. Pure; lines may end in LF, CRLF or CR."""

from __future__ import annotations

from typing import NamedTuple, final


class Event(NamedTuple):
    """One event; several data lines are joined by line feeds."""

    name: bytes
    data: bytes


@final
class ServerSentEvents:
    r"""A reader of one stream.

    Example:
        >>> events = ServerSentEvents()
        >>> events.feed(b"data: 1\n\nda")
        [Event(name=b'', data=b'1')]
        >>> events.feed(b"ta: 2\r\n\r\n")
        [Event(name=b'', data=b'2')]
    """

    __slots__ = ("_held", "_rest")

    def __init__(self) -> None:
        self._rest = b""
        self._held: list[bytes] = []  # of one long line: joined once, at its end

    def feed(self, chunk: bytes) -> list[Event]:
        """Return the events that `chunk` completes."""
        if b"\n" not in chunk and b"\r" not in chunk and not self._rest.endswith(b"\r"):
            self._held.append(chunk)
            return []
        text = self._taken() + chunk
        if b"\r" in text:
            # A CR at the very end may be half of a CRLF: it waits for the next piece.
            held = b"\r" if text.endswith(b"\r") else b""
            text = text[: len(text) - len(held)].replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        else:
            held = b""
        *blocks, rest = text.split(b"\n\n")
        self._rest = rest + held
        events: list[Event] = []
        for block in blocks:
            event = _parse(block)
            if event is not None:
                events.append(event)
        return events

    def finish(self) -> list[Event]:
        """Return the last event, if the stream ended without the blank line behind it."""
        rest = self._taken()
        event = _parse(rest.replace(b"\r\n", b"\n").replace(b"\r", b"\n"))
        return [] if event is None else [event]

    def _taken(self) -> bytes:
        """Return what has come and is not read yet, and forget it."""
        rest = b"".join((self._rest, *self._held)) if self._held else self._rest
        self._rest = b""
        self._held.clear()
        return rest


def _parse(block: bytes) -> Event | None:
    if block.startswith(b"data: ") and b"\n" not in block:  # by far the most frequent form
        return Event(b"", block[6:])
    name = b""
    data: list[bytes] = []
    for line in block.removeprefix(b"\xef\xbb\xbf").split(
        b"\n"
    ):  # the stream's first may have a byte order mark
        field, _, value = line.partition(b":")
        value = value[1:] if value.startswith(b" ") else value
        if field == b"data":
            data.append(value)
        elif field == b"event":
            name = value
    return Event(name, b"\n".join(data)) if data else None
