"""Reading `<field>…</field>` blocks while they are written; see `_deltas` and, for the whole reply, `_tags`."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection
from typing import final

from telic.adapters._deltas import Piece, Trickle, Unthought
from telic.adapters._tags import tag_pattern

_BEGUN = re.compile(r"<[^\S\n]{0,4}/?[^\S\n]{0,4}(\w{0,100})((?:\s[^<>]{0,200})?)/?\Z")


@final
class TagDeltas:
    """Reads one reply of tags.

    Args:
        names: The output fields.
        texts: Those that are plain text.
        restore: Takes guards out of text.
    """

    def __init__(self, names: Collection[str], texts: Collection[str], restore: Callable[[str], str]) -> None:
        self._known = {name.casefold(): name for name in names}
        self._names = names
        self._texts = texts
        self._restore = restore
        self._pattern = tag_pattern(tuple(names))
        self._thoughts = Unthought()
        self._tail = ""
        self._field = ""
        self._depth = 0
        self._verbatim = False  # a CDATA section: given out when it is whole
        self._begun = False  # something of the value was read
        self._parts: list[str] = []
        self._found: set[str] = set()
        self._out: Trickle | None = None

    def feed(self, text: str) -> list[Piece]:
        """Take the next piece of the reply."""
        if not self._thoughts.passing:
            text = self._thoughts.push(text)
        if not text:
            return []
        pieces: list[Piece] = []
        text = self._tail + text
        keep = len(text)
        last = text.rfind("<", max(0, len(text) - 320))
        if last >= 0 and self._may_be_tag(text, last):
            keep = last - (text[last - 1 : last] == "\\")
        elif text.endswith("\\"):
            keep -= 1
        start = 0
        for match in self._pattern.finditer(text, 0, keep):
            if self._tag(text[start : match.start()], match, pieces):
                start = match.end()
        self._give(text[start:keep], pieces)
        self._tail = text[keep:]
        return pieces

    def finish(self) -> list[Piece]:
        """Take the end of the reply: a field whose tag was not closed ends with it."""
        pieces: list[Piece] = []
        tail, self._tail = self._tail, ""
        if not re.fullmatch(r"</?\w{0,80}", tail):
            self._give(tail, pieces)
        if self._out is not None:
            self._close(pieces)
        return pieces

    def _tag(self, before: str, match: re.Match[str], pieces: list[Piece]) -> bool:
        """Take a tag of a field; return False where it is part of a value or of no meaning."""
        name = match.group(2)
        name = name if name in self._names else self._known[name.casefold()]
        closing, empty = bool(match.group(1)), bool(match.group(3))
        if self._out is None:
            if not closing and name not in self._found:
                if empty:
                    self._found.add(name)
                    pieces.append(Piece(name, "", closed=True))
                else:
                    self._field, self._depth = name, 1
                    self._out = Trickle(self._restore if name in self._texts else None)
            return True
        if name != self._field or empty:
            return False
        self._depth += -1 if closing else 1
        if self._depth:
            return False
        self._give(before, pieces)
        self._close(pieces)
        return True

    def _give(self, text: str, pieces: list[Piece]) -> None:
        if self._out is None or not text:
            return
        certain = self._out.push(text)
        if not certain:
            return
        if not self._begun:
            self._begun, self._verbatim = True, certain.startswith("<![")
        if self._verbatim:
            self._parts.append(certain)
        else:
            pieces.append(Piece(self._field, certain))

    def _close(self, pieces: list[Piece]) -> None:
        out = self._out
        if out is None:
            return
        rest = out.close()
        if self._verbatim:
            whole = "".join((*self._parts, rest))
            rest = whole[9:-3].strip() if whole.startswith("<![CDATA[") and whole.endswith("]]>") else whole
        pieces.append(Piece(self._field, rest, closed=True))
        self._found.add(self._field)
        self._out, self._begun, self._verbatim, self._parts = None, False, False, []

    def _may_be_tag(self, text: str, at: int) -> bool:
        """Whether more text may make a field's tag, or a CDATA section, of what begins at `at`."""
        if self._out is not None and not self._begun and "<![CDATA[".startswith(text[at:]):
            return True
        match = _BEGUN.match(text, at)
        if match is None:
            return False
        name = match.group(1).casefold()
        if match.group(2):
            return name in self._known or not name
        return any(known.startswith(name) for known in self._known)
