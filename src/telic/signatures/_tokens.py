"""The words of a signature string, and the values among them: text, numbers, lists, dicts.

Tokens are plain strings, their kind shows in the first character, and columns are found only for an error message:
reading a signature takes a few microseconds.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final, NoReturn

from telic.errors import SignatureSyntaxError

_TOKEN: Final = re.compile(
    r"""
      [^\W\d]\w*
    | ->
    | \.\.\.
    | "(?:[^"\\]|\\.)*"
    | '(?:[^'\\]|\\.)*'
    | \d[\d_]*(?:\.\d+)?(?:[eE][+-]?\d+)?
    | \S
    """,
    re.VERBOSE | re.DOTALL,
)
_ESCAPE: Final = re.compile(r"\\(x[0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8}|.)", re.DOTALL)
_SIMPLE_ESCAPES: Final[Mapping[str, str]] = {
    "n": "\n", "t": "\t", "r": "\r", "0": "\0", "\\": "\\", "'": "'", '"': '"', "\n": "",
}  # fmt: skip
_LAST_CODE_POINT: Final = 0x10FFFF
CONSTANTS: Final[Mapping[str, Any]] = {"True": True, "False": False, "None": None}
MAX_DEPTH: Final = 50


class Tokens:
    """A cursor over the tokens of `text`; the last token is "", the end."""

    __slots__ = ("at", "depth", "text", "words")

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self.depth = 0
        self.words: list[str] = _TOKEN.findall(text)
        self.words.append("")

    def fail(self, message: str, at: int | None = None, offset: int = 0) -> NoReturn:
        """Raise a syntax error that points `offset` characters into token number `at` (None: the present one)."""
        wanted = self.at if at is None else at
        column = len(self.text)
        for number, match in enumerate(_TOKEN.finditer(self.text)):
            if number == wanted:
                column = match.start()
                break
        raise SignatureSyntaxError(message, text=self.text, column=column + offset)

    def accept(self, symbol: str) -> bool:
        """Step over the present token if it is `symbol`, and say whether it was."""
        if self.words[self.at] == symbol:
            self.at += 1
            return True
        return False

    def expect(self, symbol: str, why: str) -> None:
        """Step over `symbol`, or fail."""
        if not self.accept(symbol):
            self.fail(f"expected {symbol!r} {why}, found {self.found()}")

    def found(self) -> str:
        """Return the present token in words."""
        word = self.words[self.at]
        if not word:
            return "the end"
        if word in "\"'":
            return "a quote that is never closed"
        return word if word[0] in "\"'" else f"'{word}'"

    def deeper(self, what: str) -> None:
        """Count one level of nesting; the caller takes it back."""
        self.depth += 1
        if self.depth > MAX_DEPTH:
            self.fail(f"{what} are nested more than {MAX_DEPTH} deep")

    # Values

    def value(self) -> Any:
        """Return the value that starts here."""
        word = self.words[self.at]
        if len(word) > 1 and word[0] in "\"'":
            return self.string()
        if word[:1].isdecimal():
            return self.number()
        if word in CONSTANTS:
            self.at += 1
            return CONSTANTS[word]
        if self.accept("-"):
            if not self.words[self.at][:1].isdecimal():
                self.fail(f"expected a number after '-', found {self.found()}")
            return -self.number()
        self.deeper("values")
        found = self._collection()
        self.depth -= 1
        return found

    def _collection(self) -> Any:
        if self.accept("["):
            return self._items("]")
        if self.accept("("):
            return tuple(self._items(")"))
        if self.accept("{"):
            return self._braces()
        return self.fail(
            f"expected a value (text in quotes, a number, True, False, None, a list …), found {self.found()}"
        )

    def _items(self, end: str) -> list[Any]:
        found: list[Any] = []
        while not self.accept(end):
            found.append(self.value())
            if not self.accept(","):
                self.expect(end, "or ','")
                break
        return found

    def _braces(self) -> Any:
        start = self.at - 1
        pairs: list[tuple[Any, Any]] = []
        items: list[Any] = []
        while not self.accept("}"):
            first = self.value()
            if self.accept(":"):
                pairs.append((first, self.value()))
            else:
                items.append(first)
            if not self.accept(","):
                self.expect("}", "or ','")
                break
        if pairs and items:
            self.fail("a value in braces is either a dict or a set", start)
        try:
            return set(items) if items else dict(pairs)
        except TypeError as error:
            return self.fail(f"this value cannot be made: {error}", start)

    def number(self) -> int | float:
        """Return the number that stands here."""
        word = self.words[self.at]
        self.at += 1
        try:
            return int(word) if word.replace("_", "").isdecimal() else float(word)
        except ValueError:
            return self.fail(f"{word[:20]!r} is no number that can be read", self.at - 1)

    def string(self) -> str:
        """Return the quoted string that stands here, escapes resolved as in Python."""
        quoted = self.words[self.at]
        self.at += 1
        body = quoted[1:-1]
        if "\\" not in body:
            return body

        def unescape(match: re.Match[str]) -> str:
            code = match[1]
            if code in _SIMPLE_ESCAPES:
                return _SIMPLE_ESCAPES[code]
            number = int(code[1:], 16) if len(code) > 1 else _LAST_CODE_POINT + 1
            if number > _LAST_CODE_POINT:
                self.fail(f"unknown escape {match[0]!r} in a string", self.at - 1, 1 + match.start())
            return chr(number)

        return _ESCAPE.sub(unescape, body)
