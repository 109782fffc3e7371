"""Reading `[[ ## field ## ]]` sections while they are written; see `_deltas` and, for the whole reply, `_markers`."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import final

from telic.adapters._deltas import Piece, Trickle, Unthought
from telic.adapters._markers import COMPLETED, END

_OPEN = "[[ ## "
_CLOSE = " ## ]]"
_LONGEST_NAME = 200
_LONGEST_END = 1000  # an end marker, and whitespace behind it
_MARGIN = 40  # a marker stands at the start of its line, or behind less whitespace than this


@final
class MarkerDeltas:
    """Reads one reply of exact markers at the start of lines.

    Args:
        names: The output fields.
        texts: Those that are plain text.
        restore: Takes guards out of text.
    """

    def __init__(self, names: Collection[str], texts: Collection[str], restore: Callable[[str], str]) -> None:
        self._names = names
        self._texts = texts
        self._restore = restore
        self._thoughts = Unthought()
        self._tail = ""  # may yet be a marker
        self._margin = 0  # whitespace before the tail in its line; -1: something else stands there
        self._room = _MARGIN + 1  # the first line may have one more
        self._section = ""
        self._found: set[str] = set()
        self._out: Trickle | None = None
        self._ended = False

    def feed(self, text: str) -> list[Piece]:
        """Take the next piece of the reply."""
        if not self._thoughts.passing:
            text = self._thoughts.push(text)
        if self._ended or not text:
            return []
        pieces: list[Piece] = []
        text, start = self._tail + text, 0
        self._tail = ""
        at = text.find("[")
        while at >= 0:
            end = _marker_end(text, at)
            leads = end != 0 and self._at_line_start(text, start, at)
            if (end < 0 and leads) or (not leads and _may_be_end(text, at)):
                break  # more must come before it is known
            if not leads:
                at = text.find("[", at + 1)
                continue
            self._give(text[start:at], pieces)
            self._turn(text[at + len(_OPEN) : end - len(_CLOSE)], pieces)
            if self._ended:
                return pieces
            start, self._margin, self._room = end, -1, _MARGIN
            at = text.find("[", end)
        if at >= 0:
            self._tail = text[at:]
            text = text[:at]
        self._give(text[start:], pieces)
        self._walk(text, start)
        return pieces

    def finish(self) -> list[Piece]:
        """Take the end of the reply."""
        pieces: list[Piece] = []
        tail, self._tail = self._tail, ""
        if self._ended:
            return pieces
        said = tail.rstrip()
        if len(said) < len("[[ ##") or not END.startswith(said):
            self._give(tail, pieces)
        self._close(pieces)
        self._ended = True
        return pieces

    def _give(self, text: str, pieces: list[Piece]) -> None:
        if self._out is None or not text:
            return
        certain = self._out.push(text)
        if certain:
            pieces.append(Piece(self._section, certain))

    def _close(self, pieces: list[Piece]) -> None:
        if self._out is not None:
            pieces.append(Piece(self._section, self._out.close(), closed=True))
            self._found.add(self._section)
            self._out = None

    def _turn(self, name: str, pieces: list[Piece]) -> None:
        """Begin the section `name`, which ends the one before."""
        self._close(pieces)
        if name == COMPLETED and self._section and (COMPLETED not in self._names or COMPLETED in self._found):
            self._ended = True
            return
        self._section = name
        if name in self._names and name not in self._found:
            self._out = Trickle(self._restore if name in self._texts else None)

    def _at_line_start(self, text: str, start: int, at: int) -> bool:
        """Whether only whitespace, and not much, stands before `at` in its line."""
        line = text.rfind("\n", start, at)
        if line >= 0:
            return at - line - 1 < _MARGIN and not text[line + 1 : at].strip()
        if self._margin < 0:
            return False
        return self._margin + at - start < self._room and not text[start:at].strip()

    def _walk(self, text: str, start: int) -> None:
        """Note what stands before the tail in its line."""
        line = text.rfind("\n", start)
        if line >= 0:
            self._margin, self._room, start = 0, _MARGIN, line + 1
        if self._margin < 0 or start >= len(text):
            return
        self._margin = -1 if text[start:].strip() else self._margin + len(text) - start


def _marker_end(text: str, at: int) -> int:
    """Return where the marker at `at` ends, 0 where there is none, -1 where more text must tell."""
    name_at = at + len(_OPEN)
    if not text.startswith(_OPEN, at):
        return -1 if _OPEN.startswith(text[at:name_at]) and len(text) < name_at else 0
    end = text.find(" ", name_at, name_at + _LONGEST_NAME)
    if end < 0:
        rest = text[name_at:]
        return -1 if len(rest) < _LONGEST_NAME and (not rest or rest.isidentifier()) else 0
    if not text[name_at:end].isidentifier():
        return 0
    if text.startswith(_CLOSE, end):
        return end + len(_CLOSE)
    return -1 if len(text) < end + len(_CLOSE) and _CLOSE.startswith(text[end:]) else 0


def _may_be_end(text: str, at: int) -> bool:
    """Whether the reply may end here with an end marker that stands behind a value, in its line."""
    return len(text) - at < _LONGEST_END and END.startswith(text[at:].rstrip()) and text[at - 1 : at] != "\\"
