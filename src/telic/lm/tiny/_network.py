"""The transformer of `telic/tiny` in NumPy.

Every matrix product is cut into pieces of one fixed size, for two reasons. *Same bits*: a token's numbers depend on
its own sequence alone, not on what else is computed with it, nor on how much of the prompt came from the prefix cache;
so greedy answers do not change with threads or cache state (on one machine; BLAS differs between CPUs). *No thread
pool*: OpenBLAS runs products this small in the calling thread; its own threads spin, and with busy cores the same
work took a hundred times as long.

Shapes: `T` tokens, `D` channels, `H` heads of `C` channels, `L` positions of the cache.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple, cast

import numpy as np

if TYPE_CHECKING:
    from telic.lm.tiny._weights import Array, Shape, Weights

BLOCK: Final = 16
"""Tokens of a prompt that go through one product; prompts are cut at multiples of it."""
GROUP: Final = 4
"""Sequences that go through one product when single tokens are generated."""
_LIMIT: Final = 1 << 18  # products of at most this many multiplications stay in OpenBLAS's calling thread
_COLUMNS: Final = 64
"""Outputs of one product: their weights lie as BLAS reads them, which takes a third of the time that 256 took."""
_SEGMENT: Final = (
    128  # tokens of a prompt that are read at once: longer pieces fall out of the processor's cache
)
_KEYS: Final = 256  # cached positions that go through one product of attention


class _Matrix:
    """A weight matrix (inputs x outputs) cut into columns, once for prompts and once for generation."""

    __slots__ = ("_cuts", "outputs")

    def __init__(self, weight: Array) -> None:
        inputs, self.outputs = weight.shape
        by_width: dict[int, Array] = {}
        self._cuts: dict[int, Array] = {}
        for rows in (BLOCK, GROUP):
            most = min(_COLUMNS, _LIMIT // (rows * inputs))
            columns = max(n for n in range(1, most + 1) if self.outputs % n == 0)
            if columns not in by_width:
                cut = weight.reshape(inputs, self.outputs // columns, columns).transpose(1, 0, 2)
                by_width[columns] = np.ascontiguousarray(cut)
            self._cuts[rows] = by_width[columns]

    def times(self, x: Array, rows: int) -> Array:
        """Return (T, inputs) @ (inputs, outputs); T is a multiple of `rows`, which is BLOCK or GROUP."""
        pieces = (
            x.reshape(-1, 1, rows, x.shape[-1]) @ self._cuts[rows]
        )  # (T / rows, columns, rows, outputs / columns)
        return pieces.transpose(0, 2, 1, 3).reshape(x.shape[0], self.outputs)


class _Layer(NamedTuple):
    norm1: Array
    shift: Array
    qkv: _Matrix
    gains: Array  # of queries and keys: (2, 1, C)
    out: _Matrix
    norm2: Array
    gate_up: _Matrix
    down: _Matrix


class Cache:
    """What a sequence keeps: keys, values and, for the token shift, the last token's normed input of each layer.

    Attributes:
        keys: (layers, H, C, capacity).
        values: (layers, H, capacity, C + 1); the last channel is 1, so that one product also sums the weights.
        last: (layers, D).
        length: Positions in use.
    """

    __slots__ = ("keys", "last", "length", "values")

    def __init__(self, shape: Shape, capacity: int) -> None:
        channels = shape.width // shape.heads
        self.keys: Array = np.zeros((shape.layers, shape.heads, channels, capacity), np.float32)
        self.values: Array = np.zeros((shape.layers, shape.heads, capacity, channels + 1), np.float32)
        self.values[..., -1] = 1.0
        self.last: Array = np.zeros((shape.layers, shape.width), np.float32)
        self.length = 0


class Network:
    """The network with its weights; it keeps no state between calls.

    Args:
        weights: As read from a file.
    """

    def __init__(self, weights: Weights) -> None:
        self.shape = shape = weights.shape
        tensors = weights.tensors
        self._embed = tensors["embed"]
        self._scale = np.float32(shape.width**0.5)
        self._norm = tensors["norm"]
        self._head = _Matrix(np.ascontiguousarray(self._embed.T))
        self._layers: list[_Layer] = []
        for i in range(shape.layers):
            norm1, shift, q_gain, k_gain, norm2 = (
                tensors[f"blocks.{i}.{name}"] for name in ("norm1", "shift", "q_gain", "k_gain", "norm2")
            )
            qkv, out, gate_up, down = (
                _Matrix(np.ascontiguousarray(tensors[f"blocks.{i}.{name}"].T))
                for name in ("qkv", "out", "gate_up", "down")
            )
            gains = np.stack((q_gain, k_gain))[:, None]
            self._layers.append(_Layer(norm1, shift, qkv, gains, out, norm2, gate_up, down))
        channels = shape.width // shape.heads
        half = channels // 2
        frequency = shape.theta ** (-np.arange(half, dtype=np.float64) / half)
        angle = np.arange(shape.context + BLOCK)[:, None] * frequency[None, :]
        self._cos: Array = np.cos(angle).astype(np.float32)[:, None, None, :]
        self._sin: Array = np.sin(angle).astype(np.float32)[:, None, None, :]
        self._root = np.float32(channels**-0.5)

    def read(self, tokens: list[int], cache: Cache) -> tuple[Array, Array]:
        """Append `tokens` to `cache`, which must stand at a multiple of `BLOCK`.

        Returns:
            The logits (vocab,) that follow the last token; and what `cache.last` was at the end of each full block,
            (layers, blocks, D).
        """
        ends: list[Array] = []
        x = np.zeros((0, self.shape.width), np.float32)
        for at in range(0, len(tokens), _SEGMENT):
            x, end = self._read_segment(tokens[at : at + _SEGMENT], cache)
            ends.append(end)
        last = (len(tokens) - 1) % _SEGMENT
        row = last // BLOCK * BLOCK
        logits = self._head.times(_rms(x[row : row + BLOCK]) * self._norm, BLOCK)[last - row]
        return logits, np.concatenate(ends, axis=1)

    def _read_segment(self, tokens: list[int], cache: Cache) -> tuple[Array, Array]:
        """Append some tokens to `cache`; return their states (T padded to blocks, D), and the ends of blocks."""
        count = len(tokens)
        padded = -(-count // BLOCK) * BLOCK
        ids = np.zeros(padded, np.int64)
        ids[:count] = tokens
        start = cache.length
        at = slice(start, start + padded)
        x = self._embed[ids] * self._scale
        cos, sin = self._cos[at], self._sin[at]
        ends: Array = np.zeros((len(self._layers), count // BLOCK, self.shape.width), np.float32)
        for i, layer in enumerate(self._layers):
            h = _rms(x) * layer.norm1
            before = np.concatenate((cache.last[i][None], h[:-1]))
            cache.last[i] = h[count - 1]
            ends[i] = h[BLOCK - 1 : count : BLOCK]
            q, k, v = self._project(layer, h + layer.shift * before, cos, sin, BLOCK)
            cache.keys[i, :, :, start : start + count] = k[:count].transpose(1, 2, 0)
            cache.values[i, :, start : start + count, :-1] = v[:count].transpose(1, 0, 2)
            y = _attend_blocks(q, cache.keys[i], cache.values[i], start)
            x = self._mix(layer, x, y, BLOCK)
        cache.length = start + count
        return x, ends

    def step(self, tokens: list[int], caches: list[Cache]) -> Array:
        """Append one token to each cache and return the logits (sequences, vocab) that follow."""
        count = len(tokens)
        padded = -(-count // GROUP) * GROUP
        ids = np.zeros(padded, np.int64)
        ids[:count] = tokens
        positions = np.zeros(padded, np.int64)
        positions[:count] = [c.length for c in caches]
        x = self._embed[ids] * self._scale
        cos, sin = self._cos[positions], self._sin[positions]
        for i, layer in enumerate(self._layers):
            h = _rms(x) * layer.norm1
            before = h.copy()
            for b, cache in enumerate(caches):
                before[b] = cache.last[i]
                cache.last[i] = h[b]
            q, k, v = self._project(layer, h + layer.shift * before, cos, sin, GROUP)
            for b, cache in enumerate(caches):
                p = cache.length
                cache.keys[i, :, :, p] = k[b]
                cache.values[i, :, p, :-1] = v[b]
                scores = (q[b, :, None] @ cache.keys[i, :, :, : p + 1]) * self._root
                scores -= np.maximum.reduce(scores, axis=-1, keepdims=True)
                mixed = (np.exp(scores, out=scores) @ cache.values[i, :, : p + 1])[:, 0]
                np.divide(mixed[:, :-1], mixed[:, -1:], out=q[b])  # a query is not needed any more
            x = self._mix(layer, x, q, GROUP)
        for cache in caches:
            cache.length += 1
        return self._head.times(_rms(x) * self._norm, GROUP)[:count]

    def _project(
        self, layer: _Layer, h: Array, cos: Array, sin: Array, rows: int
    ) -> tuple[Array, Array, Array]:
        """Return queries, keys and values, (T, H, C) each, normed and rotated."""
        qkv = layer.qkv.times(h, rows).reshape(h.shape[0], 3, self.shape.heads, -1)
        both = _rotate(_rms(qkv[:, :2]) * layer.gains, cos, sin)
        return both[:, 0], both[:, 1], qkv[:, 2]

    def _mix(self, layer: _Layer, x: Array, y: Array, rows: int) -> Array:
        x = x + layer.out.times(y.reshape(x.shape), rows)
        h = _rms(x) * layer.norm2
        both = layer.gate_up.times(h, rows)
        gate, up = both[:, : self.shape.hidden], both[:, self.shape.hidden :]
        return x + layer.down.times(gate / (1.0 + np.exp(-gate)) * up, rows)


def _rms(x: Array) -> Array:
    squares = np.einsum("...c,...c->...", x, x)[..., None]
    squares *= np.float32(1 / x.shape[-1])
    squares += np.float32(1e-6)
    return x / np.sqrt(squares, out=squares)


def _rotate(x: Array, cos: Array, sin: Array) -> Array:
    half = x.shape[-1] // 2
    a, b = x[..., :half], x[..., half:]
    return np.concatenate((a * cos - b * sin, b * cos + a * sin), axis=-1)


def _attend_blocks(q: Array, keys: Array, values: Array, start: int) -> Array:
    """Causal attention of T queries at positions `start`… over a cache that holds them already; returns (T, H, C)."""
    count, heads, channels = q.shape
    blocks = q.reshape(-1, BLOCK, heads, channels).transpose(2, 0, 1, 3) * np.float32(channels**-0.5)
    end = min(start + count, keys.shape[-1])
    cuts = [(a, min(a + _KEYS, end)) for a in range(0, end, _KEYS)]
    scores = np.concatenate([blocks @ keys[:, None, :, a:b] for a, b in cuts], axis=-1)  # (H, T / 16, 16, L)
    late = cast("Array", np.arange(end)[None, :] > (start + np.arange(count))[:, None])
    scores[:, late.reshape(-1, BLOCK, end)] = -np.inf
    np.exp(scores - scores.max(-1, keepdims=True), out=scores)
    mixed: Array = np.zeros((*scores.shape[:-1], channels + 1), np.float32)
    for a, b in cuts:
        mixed += scores[..., a:b] @ values[:, None, a:b]
    out = mixed[..., :-1] / mixed[..., -1:]
    return out.transpose(1, 2, 0, 3).reshape(count, heads, channels)
