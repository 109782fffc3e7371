"""Reading a reply while it is written: what each output field has got so far.

A delta reader takes the pieces of a reply in whatever cuts they come and gives out the text of fields as soon as no
later piece can change it: a marker may be cut anywhere, whitespace at the end of a value may still be its end, a
backslash may still hide a marker. Each piece is looked at once, so that a long reply costs linear time.

A delta reader follows what LMs are asked to write and nearly always do. The plan's own `parse` of the whole reply stays
the judge: whoever shows deltas compares, and takes back what the parser reads otherwise (loose markers, repaired JSON).
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Collection, Mapping
from typing import Any, NamedTuple, Protocol, final

from telic._text import whole_escapes
from telic.adapters._coerce import Coercer

_GUARD_BEGUN = re.compile(r"\\\[{0,200}[^\S\n]{0,4}#?\Z|\\<[^\S\n]{0,4}/?[^\S\n]{0,4}\w{0,100}\Z")


class Piece(NamedTuple):
    """Text that a field has got."""

    field: str
    text: str
    closed: bool = False
    """The field is complete; nothing more of it comes."""


class DeltaReader(Protocol):
    """Reads one reply. Made anew for each."""

    def feed(self, text: str) -> list[Piece]:
        """Take the next piece of the reply, and return what is certain now."""
        ...

    def finish(self) -> list[Piece]:
        """Return what the end of the reply makes certain."""
        ...


class Deltas(NamedTuple):
    """How the replies to one signature are read while they are written."""

    start: Callable[[], DeltaReader]
    """Makes the reader of one reply."""
    texts: Collection[str]
    """The fields that are text: their pieces joined are their values. Others come as they were written."""
    coercers: Mapping[str, Coercer]
    """What makes the value of a field out of its raw value."""
    quoted: bool = False
    """The raw value of a field that is no plain text is what its JSON says."""
    thoughts: Collection[str] = ()
    """The fields that the LM's own channel for reasoning holds."""

    def read_raw(self, text: str) -> Any:
        """Return the raw value of a field that is no plain text."""
        return json.loads(whole_escapes(text), strict=False) if self.quoted else text


@final
class Trickle:
    """The text of one field on its way out: without whitespace around it, with the format's guards taken off.

    Args:
        restore: Takes guards off.
        strip: False: whitespace around the text belongs to it.
    """

    __slots__ = ("_begun", "_held", "_restore", "_space", "_strip")

    def __init__(self, restore: Callable[[str], str] | None, *, strip: bool = True) -> None:
        self._restore = restore
        self._strip = strip
        self._begun = not strip
        self._space: list[str] = []  # whitespace that may yet be the end
        self._held = ""  # a backslash that may yet hide a marker, and what follows it

    def push(self, text: str) -> str:
        """Take a piece and return what is certain."""
        if self._held:
            text, self._held = self._held + text, ""
        elif self._strip and text.isspace():
            if self._begun:
                self._space.append(text)
            return ""
        if not self._begun:
            text = text.lstrip()
            if not text:
                return ""
            self._begun = True
        if self._restore is not None and "\\" in text:
            begun = _GUARD_BEGUN.search(text, max(0, len(text) - 320))
            if begun:
                text, self._held = text[: begun.start()], text[begun.start() :]
            text = self._restore(text)
        if not self._strip or not text:
            return text
        kept = text.rstrip()
        if not kept:
            self._space.append(text)
            return ""
        if self._space:
            out = "".join(self._space) + kept
            self._space = []
        else:
            out = kept
        if len(kept) < len(text):
            self._space.append(text[len(kept) :])
        return out

    def close(self) -> str:
        """Return what was held back and belongs to the text after all."""
        held, self._held = self._held, ""
        if not held:
            return ""
        if self._restore is not None:
            held = self._restore(held)
        if self._strip:
            held = held.rstrip()
        out = "".join(self._space) + held
        self._space = []
        return out


@final
class Unthought:
    """Drops the `<think>` block that some models put before their reply."""

    __slots__ = ("_mode", "_tail")

    def __init__(self) -> None:
        self._mode = "start"
        self._tail: str = ""

    @property
    def passing(self) -> bool:
        """Whether all that comes is the reply's own."""
        return self._mode == "reply"

    def push(self, text: str) -> str:
        """Return what of the piece is no thought."""
        if self._mode == "reply":
            return text
        text = self._tail + text
        if self._mode == "start":
            begun = text.lstrip()
            if begun.startswith("<think>"):
                self._mode = "thought"
            elif "<think>".startswith(begun):
                self._tail = begun
                return text[: len(text) - len(begun)]
            else:
                self._mode = "reply"
                self._tail = ""
                return text
        at = text.find("</think>")
        if at < 0:
            self._tail = text[-8:]
            return ""
        self._mode = "reply"
        self._tail = ""
        return text[at + 8 :].lstrip()
