"""The torch side of `telic/tiny`: a small decoder-only transformer.

RMSNorm, RoPE (theta 10^4, halves), SwiGLU, QK-norm, tied embedding and head, no biases, and one detail that Llama has
not: *token shift* before attention, `h_t <- h_t + gate * h_(t-1)` on the normed input, one gate per channel. It makes
induction ("what followed this word the last time") a one-layer circuit, which a model of this size else finds late.

`src/telic/lm/tiny` runs the same network in NumPy; the names of the tensors are shared.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn


@dataclass(frozen=True)
class Shape:
    vocab: int
    width: int = 256
    layers: int = 4
    heads: int = 4
    hidden: int = 704
    context: int = 1024
    theta: float = 10_000.0

    def to_dict(self) -> dict:
        return asdict(self)


def rms(x: Tensor) -> Tensor:
    return x * torch.rsqrt(x.float().pow(2).mean(-1, keepdim=True) + 1e-6).to(x.dtype)


def rope_tables(shape: Shape) -> tuple[Tensor, Tensor]:
    half = shape.width // shape.heads // 2
    frequency = shape.theta ** (-torch.arange(half, dtype=torch.float32) / half)
    angle = torch.arange(shape.context, dtype=torch.float32)[:, None] * frequency[None, :]
    return angle.cos(), angle.sin()


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    a, b = x.chunk(2, dim=-1)
    return torch.cat((a * cos - b * sin, b * cos + a * sin), dim=-1)


class Block(nn.Module):
    def __init__(self, shape: Shape) -> None:
        super().__init__()
        d, f = shape.width, shape.hidden
        self.heads = shape.heads
        self.norm1 = nn.Parameter(torch.ones(d))
        self.shift = nn.Parameter(torch.zeros(d))
        self.qkv = nn.Parameter(torch.empty(3 * d, d))
        self.q_gain = nn.Parameter(torch.ones(d // shape.heads))
        self.k_gain = nn.Parameter(torch.ones(d // shape.heads))
        self.out = nn.Parameter(torch.zeros(d, d))
        self.norm2 = nn.Parameter(torch.ones(d))
        self.gate_up = nn.Parameter(torch.empty(2 * f, d))
        self.down = nn.Parameter(torch.zeros(d, f))
        for matrix in (self.qkv, self.gate_up):
            nn.init.uniform_(matrix, -(3**0.5) * d**-0.5, 3**0.5 * d**-0.5)

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        b, t, d = x.shape
        h = rms(x) * self.norm1.to(x.dtype)
        h = h + self.shift.to(x.dtype) * F.pad(h, (0, 0, 1, -1))
        q, k, v = F.linear(h, self.qkv.to(x.dtype)).view(b, t, 3, self.heads, -1).unbind(2)
        q = rotate(rms(q) * self.q_gain.to(x.dtype), cos, sin)
        k = rotate(rms(k) * self.k_gain.to(x.dtype), cos, sin)
        q, k, v = (z.transpose(1, 2) for z in (q, k, v))
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + F.linear(y.transpose(1, 2).reshape(b, t, d), self.out.to(x.dtype))
        h = rms(x) * self.norm2.to(x.dtype)
        gate, up = F.linear(h, self.gate_up.to(x.dtype)).chunk(2, dim=-1)
        return x + F.linear(F.silu(gate) * up, self.down.to(x.dtype))


class TinyLM(nn.Module):
    def __init__(self, shape: Shape, dtype: torch.dtype = torch.bfloat16) -> None:
        super().__init__()
        self.shape, self.dtype = shape, dtype
        self.embed = nn.Parameter(torch.randn(shape.vocab, shape.width) * 0.02)
        self.blocks = nn.ModuleList(Block(shape) for _ in range(shape.layers))
        self.norm = nn.Parameter(torch.ones(shape.width))
        cos, sin = rope_tables(shape)
        self.register_buffer("cos", cos, persistent=False)
        self.register_buffer("sin", sin, persistent=False)

    def hidden(self, tokens: Tensor) -> Tensor:
        """(rows, time) token ids -> (rows, time, width) normed states."""
        t = tokens.shape[1]
        # The table is scaled so that rows have RMS near 1; the head uses the same table unscaled.
        x = F.embedding(tokens, self.embed).to(self.dtype) * self.shape.width**0.5
        cos = self.cos[:t, None, :].to(self.dtype)
        sin = self.sin[:t, None, :].to(self.dtype)
        for block in self.blocks:
            x = block(x, cos, sin)
        return rms(x) * self.norm.to(x.dtype)

    def loss(self, tokens: Tensor, positions: Tensor, targets: Tensor, weights: Tensor) -> Tensor:
        """Weighted cross entropy at `positions` (flat indices into rows x time) only: the head is skipped elsewhere."""
        h = self.hidden(tokens).flatten(0, 1)[positions]
        logits = F.linear(h, self.embed.to(h.dtype)).float()
        return (F.cross_entropy(logits, targets, reduction="none") * weights).sum()

    def forward(self, tokens: Tensor) -> Tensor:
        return F.linear(self.hidden(tokens), self.embed.to(self.dtype)).float()
