"""Text to token ids and back, without loss for any Python string.

A word of the vocabulary is one token, and so is each fixed piece of the Chat adapter's layout. A blank between two
tokens costs nothing where both expect one; where the text has none, a *glue* token says so, and a blank that nobody
expects is a token of its own. Other words are spelled: a starting piece and continuing pieces; a capital letter
before a lower-case rest is a token of its own, so that `Label` and `label` share what was learned. What is not ASCII
is spelled in UTF-8 bytes (lone surrogates too).
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

PAD, SYSTEM, USER, ASSISTANT, END, CAP, GLUE, BLANK = range(8)  # the first specials of every vocabulary

_ARROW: Final = "->"
_CLOSING: Final = frozenset(".,?!:;)]}%")
_OPENING: Final = frozenset("([{$")
_BOTH: Final = frozenset("+-=*<>|&")


class _Shape(NamedTuple):
    """How a token stands in text: its text, and whether it expects a blank on either side."""

    text: str
    left: bool
    right: bool


class Tokenizer:
    """The vocabulary of one model.

    Args:
        vocabulary: `specials` (tokens without text), `fixed` (pieces of prompts that are one token), `words`, and
            lower-case `pieces` for spelling.

    Example:
        >>> specials = ["<pad>", "<system>", "<user>", "<assistant>", "<end>", "<cap>", "<glue>", "<blank>"]
        >>> vocabulary = {"specials": specials, "fixed": ["[["], "words": ["the", "dog"], "pieces": ["zo", "r"]}
        >>> tokens = Tokenizer(vocabulary)
        >>> tokens.decode(tokens.encode("The dog  Zorba!"))
        'The dog  Zorba!'
    """

    def __init__(self, vocabulary: Mapping[str, Sequence[str]]) -> None:
        self.vocabulary: dict[str, list[str]] = {k: list(v) for k, v in vocabulary.items()}
        specials, fixed_texts = vocabulary["specials"], vocabulary["fixed"]
        self._specials = {name: token for token, name in enumerate(specials)}
        shapes: list[_Shape] = [_Shape("", False, False)] * len(specials)
        shapes[CAP] = _Shape("", True, False)
        shapes[BLANK] = _Shape(" ", False, False)
        self._fixed = {text: len(shapes) + i for i, text in enumerate(fixed_texts)}
        shapes += [_Shape(text, text == _ARROW, text == _ARROW) for text in fixed_texts]
        self._bytes = len(shapes)
        shapes += [_Shape("", False, False)] * 256
        self._marks: dict[str, int] = {}
        for code in range(33, 127):
            mark = chr(code)
            if not mark.isalnum():
                self._marks[mark] = len(shapes)
                both = mark in _BOTH
                shapes.append(_Shape(mark, both or mark in _OPENING, both or mark in _CLOSING))
        self._words = {word: len(shapes) + i for i, word in enumerate(self.vocabulary["words"])}
        shapes += [_Shape(word, True, True) for word in self.vocabulary["words"]]
        spelling = [*map(str, range(10)), *map(chr, range(65, 91)), *map(chr, range(97, 123))]
        spelling += [p for p in self.vocabulary["pieces"] if len(p) > 1]
        self._starts = {piece: len(shapes) + i for i, piece in enumerate(spelling)}
        shapes += [_Shape(piece, True, True) for piece in spelling]
        self._continuations = {piece: len(shapes) + i for i, piece in enumerate(spelling)}
        shapes += [_Shape(piece, False, True) for piece in spelling]
        self._shapes = shapes
        self._longest = max(map(len, spelling))
        fixed = "|".join(re.escape(text) for text in sorted(fixed_texts, key=len, reverse=True)) or "(?!)"
        self._units = re.compile(f"({fixed})|([A-Za-z]+)|([0-9]+)|( )|.", re.DOTALL)
        self._spelled: dict[str, tuple[int, ...]] = {}
        self._encoded: dict[str, tuple[int, ...]] = {}

    @classmethod
    def from_json(cls, text: str) -> Tokenizer:
        """Return the tokenizer of a vocabulary file."""
        value: Any = json.loads(text)
        return cls(value)

    def __len__(self) -> int:
        return len(self._shapes)

    def special(self, name: str) -> int | None:
        """Return the id of a token that stands for no text, such as "<call>"; None: this vocabulary has none."""
        return self._specials.get(name)

    def encode(self, text: str) -> list[int]:
        """Return the ids of `text`; any string has some."""
        return self.encode_parts((text,))[0]

    def encode_parts(self, parts: Iterable[str]) -> list[list[int]]:
        """Return the ids of each part of one text; together they are the ids of the whole.

        Args:
            parts: The text, cut where no word and no fixed piece of the layout spans the cut.
        """
        shapes = self._shapes
        made: list[list[int]] = []
        expects = False  # whether the token before expects a blank to its right
        blank = False  # whether a blank stands before the present unit that nothing has said yet
        for part in parts:
            ids: list[int] = []
            made.append(ids)
            for match in self._units.finditer(part):
                kind = match.lastindex
                if kind == 4:
                    if blank:
                        ids.append(BLANK)
                        expects = False
                    blank = True
                    continue
                unit = match.group()
                new = self._unit_ids(unit, kind)
                expected = expects and shapes[new[0]].left
                if blank and not expected:
                    ids.append(BLANK)
                elif expected and not blank:
                    ids.append(GLUE)
                ids += new
                blank = False
                expects = shapes[new[-1]].right
        if blank:
            made[-1].append(BLANK)
        return made

    def encode_cached(self, text: str) -> tuple[int, ...]:
        """Return `encode(text)`; the last few hundred short texts are remembered (prompts repeat their beginnings)."""
        ids = self._encoded.get(text)
        if ids is None:
            ids = tuple(self.encode(text))
            if len(text) < 10_000:
                if len(self._encoded) >= 1_000:
                    self._encoded.clear()
                self._encoded[text] = ids
        return ids

    def _unit_ids(self, unit: str, kind: int | None) -> Sequence[int]:
        if kind == 1:
            return (self._fixed[unit],)
        if kind == 2:
            return self._word(unit)
        if kind == 3:
            return (self._starts[unit[0]], *(self._continuations[d] for d in unit[1:]))
        mark = self._marks.get(unit)
        if mark is not None:
            return (mark,)
        return tuple(self._bytes + b for b in unit.encode("utf-8", "surrogatepass"))

    def _word(self, word: str) -> tuple[int, ...]:
        known = self._words.get(word)
        if known is not None:
            return (known,)
        ids = self._spelled.get(word)
        if ids is None:
            if word[0].isupper() and (len(word) == 1 or word[1:].islower()) and len(word) > 1:
                ids = (CAP, *self._word(word.lower()))
            else:
                ids = self._spell(word)
            if len(self._spelled) < 20_000:
                self._spelled[word] = ids
        return ids

    def _spell(self, word: str) -> tuple[int, ...]:
        ids: list[int] = []
        at = 0
        while at < len(word):
            table = self._continuations if at else self._starts
            for size in range(min(self._longest, len(word) - at), 0, -1):
                piece = table.get(word[at : at + size])
                if piece is not None:
                    ids.append(piece)
                    at += size
                    break
        return tuple(ids)

    def decode(self, ids: Iterable[int]) -> str:
        """Return the text of `ids`; role and end tokens have none, broken UTF-8 becomes replacement characters."""
        decoder = Decoder(self)
        return "".join([decoder.push(i) for i in ids]) + decoder.finish()

    def shape(self, token: int) -> _Shape:
        """Return how a token stands in text."""
        return self._shapes[token]

    def shown(self, token: int) -> str:
        """Return a token as reports show it: its text, or the name of one that has none."""
        if token < len(self._specials):
            return next(name for name, at in self._specials.items() if at == token)
        value = self.byte(token)
        return self._shapes[token].text if value is None else f"<0x{value:02X}>"

    def byte(self, token: int) -> int | None:
        """Return the byte that a token stands for, or None."""
        value = token - self._bytes
        return value if 0 <= value < 256 else None


class Decoder:
    """Turns tokens into text one by one; text is given out as soon as it is certain.

    Args:
        tokenizer: Whose tokens they are.
    """

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        self._expects: bool = False
        self._glued: bool = False
        self._capital: bool = False
        self._held = bytearray()

    def push(self, token: int) -> str:
        """Return the text that `token` adds, with the bytes held back until now if they end here."""
        byte = self._tokenizer.byte(token)
        if byte is not None:
            self._held.append(byte)
            self._expects = False
            return ""
        text = self.finish()
        if token == GLUE:
            self._glued = True
            return text
        shape = self._tokenizer.shape(token)
        if shape.left and self._expects and not self._glued:
            text += " "
        self._glued = False
        self._expects = shape.right
        if token == CAP:
            self._capital = True
            return text
        body = shape.text
        if self._capital and body:
            body = body[0].upper() + body[1:]
            self._capital = False
        return text + body

    def after(self, token: int) -> str:
        """Return the text that `push(token)` would add; nothing changes."""
        expects, glued, capital, held = self._expects, self._glued, self._capital, bytearray(self._held)
        text = self.push(token)
        self._expects, self._glued, self._capital, self._held = expects, glued, capital, held
        return text

    def forget(self) -> None:
        """Take back glue and a capital that no text has followed yet."""
        self._glued = self._capital = False

    def finish(self) -> str:
        """Return the text of the bytes that are held back."""
        if not self._held:
            return ""
        data, self._held = bytes(self._held), bytearray()
        try:
            return data.decode("utf-8", "surrogatepass")
        except UnicodeDecodeError:
            return data.decode("utf-8", "replace")
