"""Beginnings of prompts whose keys and values are kept: system message and demos are computed once, not once a call."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, final

from telic.lm.local._prompt import shared_length

if TYPE_CHECKING:
    from telic.lm.local._batch import Kept

WORTH: int = 16
"""A shorter beginning is not worth keeping or reusing."""


@final
class Heads:
    """Beginnings that were computed, the least recently used ones given up first. For one thread.

    Args:
        room: Bytes of keys and values.
    """

    def __init__(self, room: int) -> None:
        self._room = room
        self._used = 0
        self._kept: OrderedDict[tuple[int, ...], Kept] = OrderedDict()

    @property
    def used_bytes(self) -> int:
        """Bytes of keys and values that are kept."""
        return self._used

    def find(self, prompt: list[int]) -> Kept | None:
        """Return the longest beginning of `prompt` that is known, at least one token shorter than it."""
        best, most = None, WORTH - 1
        for key in self._kept:
            length = min(shared_length(key, prompt), len(prompt) - 1)
            if length > most:
                best, most = key, length
        if best is None:
            return None
        self._kept.move_to_end(best)
        tokens, pairs = self._kept[best]
        return tokens[:most], [(keys[:, :most], values[:, :most]) for keys, values in pairs]

    def wants(self, tokens: list[int]) -> bool:
        """Whether a beginning is worth keeping and not known yet."""
        return len(tokens) >= WORTH and tuple(tokens) not in self._kept

    def keep(self, made: Kept) -> None:
        """Remember a beginning."""
        size = _size(made)
        if size > self._room:
            return
        self._kept[tuple(made[0])] = made
        self._used += size
        while self._used > self._room:
            _, old = self._kept.popitem(last=False)
            self._used -= _size(old)

    def clear(self) -> None:
        """Forget all of them."""
        self._kept.clear()
        self._used = 0


def _size(made: Kept) -> int:
    return sum(int(x.numel()) * int(x.element_size()) for pair in made[1] for x in pair)
