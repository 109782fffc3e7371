"""Texts into passages: whole sentences up to a size, the last ones of a passage repeated in the next.

A paragraph (blank lines are around it) begins on a line of its own. A sentence longer than a passage is cut between
words, a word longer than a passage within.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final, NamedTuple

from telic.errors import ConfigurationError

_PARAGRAPH: Final = re.compile(r"\n[ \t]*(?:\n[ \t]*)+")
_END: Final = re.compile(
    r"(?<=[.!?…])[\"'”’)\]]*\s+(?=[\"'“‘(\[]?[^\W_a-z])|(?<=[。！？])|\n(?=[ \t]*(?:[-*•]|\d+[.)])\s)"
)
_ABBREVIATION: Final = re.compile(
    r"(?:\b(?:Mr|Mrs|Ms|Dr|Prof|St|Sr|Jr|Gen|Col|Lt|Rev|Hon|No|Nr|Fig|Eq|Sec|Ch|Vol|pp|vs|cf|ca|al|approx|resp|Inc|Ltd|Co"
    r"|Corp|e\.g|i\.e|z\.B|u\.a|bzw)|(?:^|[\s(])[^\W\d_])\.$"
)

_REACH: Final = 12
"""How far back an abbreviation reaches."""


def sentences(text: str) -> list[str]:
    """Return the sentences of a paragraph, without blanks at their ends.

    Example:
        >>> sentences("Dr. Hopper found a moth. It was 1947! See Fig. 3.")
        ['Dr. Hopper found a moth.', 'It was 1947!', 'See Fig. 3.']
    """
    found: list[str] = []
    start = 0
    for match in _END.finditer(text):
        closing = match.group().rstrip()
        if not closing and _ABBREVIATION.search(text[max(start, match.start() - _REACH) : match.start()]):
            continue
        candidate = text[start : match.start()]
        sentence = (candidate + closing).strip()
        if sentence:
            found.append(sentence)
        start = match.end()
    rest = text[start:].strip()
    return [*found, rest] if rest else found


def split_text(text: str, size: int = 1000, overlap: int = 1) -> list[str]:
    """Return a text as passages.

    Args:
        text: The text.
        size: How many characters a passage has at most.
        overlap: How many sentences at the end of a passage stand again at the start of the next, where they leave room.

    Raises:
        ConfigurationError: `size` is below 1, or `overlap` below 0.

    Example:
        >>> split_text("One is here. Two is here. Three is here.", size=27, overlap=1)
        ['One is here. Two is here.', 'Two is here. Three is here.']
    """
    check_sizes(size, overlap)
    passages: list[str] = []
    open_: list[Piece] = []  # of the passage under way
    fresh = 0  # how many of them are not repeated
    for piece in _pieces(text, size):
        if fresh and _length(open_) + 1 + len(piece.text) > size:
            passages.append(_joined(open_))
            open_, fresh = _tail(open_, overlap, size - len(piece.text) - 1), 0
        open_.append(piece)
        fresh += 1
    if fresh:
        passages.append(_joined(open_))
    return passages


def check_sizes(size: int, overlap: int) -> None:
    """Refuse sizes that cannot work.

    Raises:
        ConfigurationError: See `split_text`.
    """
    if isinstance(size, bool) or not isinstance(size, int) or size < 1:  # pyright: ignore[reportUnnecessaryIsInstance]
        raise ConfigurationError(f"size is {size!r}; characters of a passage, a whole number of at least 1")
    if isinstance(overlap, bool) or not isinstance(overlap, int) or overlap < 0:  # pyright: ignore[reportUnnecessaryIsInstance]
        raise ConfigurationError(f"overlap is {overlap!r}; sentences, a whole number of at least 0")


class Piece(NamedTuple):
    """A sentence, or a part of one that is too long."""

    text: str
    begins: bool
    """It begins a paragraph: a new line."""


def _pieces(text: str, size: int) -> Iterator[Piece]:
    """Yield sentences of at most `size` characters, blanks within them made one."""
    for paragraph in _PARAGRAPH.split(text):
        begins = True
        for sentence in sentences(paragraph):
            for words in _cut(" ".join(sentence.split()), size):
                yield Piece(words, begins)
                begins = False


def _cut(words: str, size: int) -> Iterator[str]:
    start = 0
    while start < len(words):
        end = min(start + size, len(words))
        if end < len(words) and words[end] != " ":
            blank = words.rfind(" ", start + 1, end)
            end = end if blank < 0 else blank
        yield words[start:end]
        start = end + (words[end : end + 1] == " ")


def _tail(open_: list[Piece], overlap: int, room: int) -> list[Piece]:
    """Return the last sentences, at most `overlap`, as many as there is room for."""
    kept: list[Piece] = []
    for piece in reversed(open_[-overlap:] if overlap else []):
        if _length([piece, *kept]) > room:
            break
        kept.insert(0, piece)
    return kept


def _length(pieces: list[Piece]) -> int:
    return sum(len(piece.text) + 1 for piece in pieces) - 1


def _joined(pieces: list[Piece]) -> str:
    first, *rest = pieces
    return first.text + "".join(("\n" if piece.begins else " ") + piece.text for piece in rest)
