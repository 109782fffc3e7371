"""Prompts that begin alike share what was computed for their beginning.

A prompt is cut into blocks of `BLOCK` tokens; a block's keys and values depend on all tokens before it, so it is found
by its parent block and its own tokens. The least recently used blocks go first when the bytes run out.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, NamedTuple

from telic.lm.tiny._network import BLOCK, Cache

if TYPE_CHECKING:
    from telic.lm.tiny._weights import Array


class _Block(NamedTuple):
    number: int
    keys: Array  # (layers, heads, channels, BLOCK)
    values: Array  # (layers, heads, BLOCK, channels + 1)
    last: Array  # (layers, width), after the block's last token


class PrefixCache:
    """Blocks of prompts, at most `max_bytes` of them. Not thread-safe: the engine's lock protects it.

    Args:
        max_bytes: Room for keys and values; one block of 16 tokens takes about 100 kB.
    """

    def __init__(self, max_bytes: int) -> None:
        self._room = max_bytes
        self._used = 0
        self._blocks: OrderedDict[tuple[int, tuple[int, ...]], _Block] = OrderedDict()
        self._numbers = 0

    @property
    def used_bytes(self) -> int:
        """Bytes of keys and values that are kept."""
        return self._used

    def restore(self, tokens: list[int], cache: Cache) -> int:
        """Fill the empty `cache` with the blocks known for `tokens`; return how many tokens that are.

        At least one token is left over, because its logits are needed.
        """
        parent = 0
        at = 0
        block = None
        while at + BLOCK < len(tokens):
            key = (parent, tuple(tokens[at : at + BLOCK]))
            found = self._blocks.get(key)
            if found is None:
                break
            self._blocks.move_to_end(key)
            block = found
            cache.keys[..., at : at + BLOCK] = block.keys
            cache.values[:, :, at : at + BLOCK] = block.values
            parent = block.number
            at += BLOCK
        if block is not None:
            cache.last[:] = block.last
        cache.length = at
        return at

    def keep(self, tokens: list[int], cache: Cache, start: int, ends: Array) -> None:
        """Remember the full blocks of `tokens` from position `start` on, which `cache` has just read.

        Args:
            tokens: The whole prompt.
            cache: Its keys and values.
            start: Where reading began; what stood before it came from `restore`.
            ends: As `Network.read` returned it.
        """
        parent = 0
        for at in range(0, len(tokens) // BLOCK * BLOCK, BLOCK):
            key = (parent, tuple(tokens[at : at + BLOCK]))
            found = self._blocks.get(key)
            if found is None and at < start:
                return  # a block before went meanwhile: what follows it could not be found
            if found is None:
                found = self._add(key, cache, at, ends[:, (at - start) // BLOCK])
            parent = found.number
        while self._used > self._room and self._blocks:
            _, old = self._blocks.popitem(last=False)
            self._used -= _size(old)

    def _add(self, key: tuple[int, tuple[int, ...]], cache: Cache, at: int, last: Array) -> _Block:
        self._numbers += 1
        stop = at + BLOCK
        block = _Block(
            self._numbers, cache.keys[..., at:stop].copy(), cache.values[:, :, at:stop].copy(), last.copy()
        )
        self._blocks[key] = block
        self._used += _size(block)
        return block


def _size(block: _Block) -> int:
    return block.keys.nbytes + block.values.nbytes + block.last.nbytes
