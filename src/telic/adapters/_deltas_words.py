"""Reading a reply whose whole text is one field, as beside native calls of tools."""

from __future__ import annotations

from functools import partial
from typing import final

from telic.adapters._deltas import Deltas, Piece, Trickle


@final
class WordsDeltas:
    """Gives out all text of a reply as one field.

    Args:
        field: Its name.
    """

    def __init__(self, field: str) -> None:
        self._field = field
        self._text = Trickle(None)

    def feed(self, text: str) -> list[Piece]:
        """Take the next piece."""
        certain = self._text.push(text)
        return [Piece(self._field, certain)] if certain else []

    def finish(self) -> list[Piece]:
        """Return the rest."""
        self._text.close()  # whitespace alone
        return []


def words_deltas(field: str) -> Deltas:
    """Return how replies are read while they are written whose whole text is the field of this name."""
    return Deltas(partial(WordsDeltas, field), frozenset((field,)), {})
