"""Reading the fields of one JSON object while it is written; see `_deltas` and, for the whole reply, `_objects`.

It follows JSON as the standard has it. At the first thing that is not, it gives out nothing more: the parser's repair
of the whole reply has the word then.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Collection
from typing import Final, final

from telic._text import whole_escapes
from telic.adapters._deltas import Piece, Trickle

_BEGIN = re.compile(r'\{\s*(?:"|\Z)')
_PLAIN_END = re.compile(r'["\\]')
_SIGN = re.compile(r'["{}\[\]]')
_SCALAR_END = re.compile(r"[,}\s]")
_ESCAPES: Final = {
    '"': '"', "\\": "\\", "/": "/", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t",
}  # fmt: skip
_MAX_KEY: Final = 1000


@final
class ObjectDeltas:
    """Reads one reply that holds a JSON object.

    Args:
        names: The output fields.
        texts: Those that are plain text: they come decoded; others as the JSON that was written.
        restore: Takes guards out of text.
    """

    def __init__(self, names: Collection[str], texts: Collection[str], restore: Callable[[str], str]) -> None:
        self._folded = {name.casefold(): name for name in names}
        self._names = names
        self._texts = texts
        self._restore = restore
        self._text = ""  # not read yet
        self._read: Callable[[list[Piece]], bool] = self._seek
        self._field = ""
        self._found: set[str] = set()
        self._out: Trickle | None = None
        self._whole: list[str] = []  # a value that is given out when it is whole
        self._depth = 0
        self._quoted = False

    def feed(self, text: str) -> list[Piece]:
        """Take the next piece of the reply."""
        if self._read == self._nothing:
            return []
        self._text += text
        pieces: list[Piece] = []
        while self._read(pieces):
            pass
        return pieces

    def finish(self) -> list[Piece]:
        """Take the end of the reply. What was not closed by then stays open."""
        self._read = self._nothing
        return []

    # One state each: reads what it can of `_text`, returns whether the next state may go on.

    def _nothing(self, pieces: list[Piece]) -> bool:
        del pieces
        self._text = ""
        return False

    def _seek(self, pieces: list[Piece]) -> bool:
        del pieces
        match = _BEGIN.search(self._text)
        if match is None:
            self._text = ""
            return False
        if not match.group().endswith('"'):
            self._text = self._text[match.start() :]
            return False
        self._text = self._text[match.end() - 1 :]
        self._read = self._key
        return True

    def _key(self, pieces: list[Piece]) -> bool:
        """Read `"name" :`, and a brace that ends the object instead."""
        text = self._text.lstrip(" \t\r\n,")
        self._text = text
        if not text:
            return False
        if text[0] != '"':
            self._read = self._nothing
            return True
        end = _string_end(text)
        if end < 0 or end + 1 >= len(text):
            if len(text) > _MAX_KEY:
                self._read = self._nothing
            return False
        rest = text[end + 1 :].lstrip()
        if not rest:
            return False
        try:
            key = json.loads(text[: end + 1], strict=False)
        except ValueError:
            key = None
        if rest[0] != ":" or key is None:
            self._read = self._nothing
            return True
        folded = key.strip().casefold()
        self._field = key if key in self._names else self._folded.get(folded, "")
        if self._field in self._found:
            self._field = ""
        self._text = rest[1:]
        self._read = self._value
        return True

    def _value(self, pieces: list[Piece]) -> bool:
        del pieces
        text = self._text.lstrip()
        if not text:
            self._text = ""
            return False
        self._text = text
        plain = self._field in self._texts
        self._whole, self._depth, self._quoted, self._out = [], 0, False, None
        if text[0] == '"' and plain:
            self._text = text[1:]
            self._out = Trickle(self._restore, strip=False)
            self._read = self._string
        elif text[0] in '{["':
            self._read = self._nested
        else:
            self._read = self._scalar
        return True

    def _string(self, pieces: list[Piece]) -> bool:
        """Read the text of a field, decoded."""
        text, at, parts = self._text, 0, list[str]()
        while True:
            match = _PLAIN_END.search(text, at)
            if match is None:
                parts.append(text[at:])
                at = len(text)
                break
            parts.append(text[at : match.start()])
            at = match.start()
            if match.group() == '"':
                self._push("".join(parts), pieces)
                self._close(pieces)
                self._text = text[at + 1 :]
                self._read = self._after
                return True
            end, decoded = _escape(text, at)
            if end == 0:  # more must come
                break
            if end < 0:
                self._push("".join(parts), pieces)
                self._read = self._nothing
                return True
            parts.append(decoded)
            at = end
        self._push("".join(parts), pieces)
        self._text = text[at:]
        return False

    def _nested(self, pieces: list[Piece]) -> bool:
        """Read an object, an array, or a string of a field that is no plain text, as it stands."""
        text, at = self._text, 0
        while True:
            if self._quoted:
                match = _PLAIN_END.search(text, at)
                if match is None or (match.group() == "\\" and match.end() >= len(text)):
                    break
                at = match.end() + (match.group() == "\\")
                self._quoted = match.group() == "\\"
            else:
                match = _SIGN.search(text, at)
                if match is None:
                    break
                at = match.end()
                sign = match.group()
                if sign == '"':
                    self._quoted = True
                else:
                    self._depth += 1 if sign in "{[" else -1
            if not self._quoted and self._depth <= 0:
                self._raw(text[:at], pieces)
                self._close(pieces)
                self._text = text[at:]
                self._read = self._after
                return True
        hold = len(text) - 1 if self._quoted and match is not None else len(text)
        self._raw(text[:hold], pieces)
        self._text = text[hold:]
        return False

    def _scalar(self, pieces: list[Piece]) -> bool:
        match = _SCALAR_END.search(self._text)
        if match is None:
            if len(self._text) > _MAX_KEY:
                self._read = self._nothing
            return False
        self._raw(self._text[: match.start()], pieces)
        self._close(pieces)
        self._text = self._text[match.start() :]
        self._read = self._after
        return True

    def _after(self, pieces: list[Piece]) -> bool:
        """Read the comma before the next key."""
        del pieces
        text = self._text.lstrip()
        self._text = text
        if not text:
            return False
        self._read = self._key if text[0] == "," else self._nothing
        return True

    # What was read.

    def _push(self, text: str, pieces: list[Piece]) -> None:
        if self._out is not None and text and self._field:
            certain = self._out.push(text)
            if certain:
                pieces.append(Piece(self._field, certain))

    def _raw(self, text: str, pieces: list[Piece]) -> None:
        if not self._field or not text:
            return
        if self._field in self._texts:
            self._whole.append(text)
        else:
            pieces.append(Piece(self._field, text))

    def _close(self, pieces: list[Piece]) -> None:
        if not self._field:
            return
        rest = "" if self._out is None else self._out.close()
        if self._whole:  # a text field whose value is no string: as the parser writes it
            try:
                rest = json.dumps(json.loads(whole_escapes("".join(self._whole))), ensure_ascii=False)
            except (ValueError, RecursionError):
                self._read = self._nothing
                return
        pieces.append(Piece(self._field, rest, closed=True))
        self._found.add(self._field)


def _string_end(text: str) -> int:
    """Return where the string that begins `text` has its closing quote, or -1."""
    at = 1
    while True:
        match = _PLAIN_END.search(text, at)
        if match is None:
            return -1
        if match.group() == '"':
            return match.start()
        at = match.end() + 1


def _escape(text: str, at: int) -> tuple[int, str]:
    """Decode the escape at `at`: where it ends and what it says; end 0: more must come; -1: it is none."""
    if at + 1 >= len(text):
        return 0, ""
    sign = text[at + 1]
    if sign != "u":
        simple = _ESCAPES.get(sign)
        return (-1, "") if simple is None else (at + 2, simple)
    first = _code_unit(text, at)
    if first is None or first < 0:
        return (0 if first is None else -1), ""
    if not 0xD800 <= first < 0xDC00:
        return at + 6, "\ufffd" if 0xDC00 <= first < 0xE000 else chr(first)
    # The first half of a surrogate pair: the other half may follow, else it stands for nothing.
    follow = text[at + 6 : at + 8]
    if not "\\u".startswith(follow):
        return at + 6, "\ufffd"
    if len(follow) < 2:
        return 0, ""
    second = _code_unit(text, at + 6)
    if second is None:
        return 0, ""
    if 0xDC00 <= second < 0xE000:
        return at + 12, chr(0x10000 + ((first - 0xD800) << 10) + (second - 0xDC00))
    return at + 6, "\ufffd"


def _code_unit(text: str, at: int) -> int | None:
    r"""Return the number of the `\uXXXX` at `at`; None where it is cut, -1 where it is wrong."""
    digits = text[at + 2 : at + 6]
    if any(sign not in "0123456789abcdefABCDEF" for sign in digits):
        return -1
    return int(digits, 16) if len(digits) == 4 else None
