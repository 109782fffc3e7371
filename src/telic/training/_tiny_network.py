"""The embedded LM's network in torch, as one function of its weights.

The network that `telic.lm.tiny._network` runs in NumPy, with the same names of tensors, here with gradients:
RMSNorm, RoPE by halves, SwiGLU, QK-norm, tied embedding and head, no biases, and token shift before attention
(`h_t + gate * h_(t-1)`). Weights come through a function from their names, which is all that LoRA needs to know.

Shapes: `B` rows, `T` tokens, `D` channels, `H` heads of `C` channels.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from telic._optional import load

if TYPE_CHECKING:
    from telic.lm.tiny._weights import Shape

Weigh = Callable[[str], Any]
"""From a tensor's name to the tensor."""

MATRICES: Final = ("qkv", "out", "gate_up", "down")
"""The matrices of a block, outputs x inputs."""


def tiny_states(weight: Weigh, shape: Shape, tokens: Any) -> Any:
    """Return the normed states (B, T, D) of tokens (B, T); rows may be padded behind their end."""
    torch = load("torch")
    length = tokens.shape[1]
    half = shape.width // shape.heads // 2
    step = torch.arange(half, dtype=torch.float64) / half
    angle = torch.arange(length, dtype=torch.float64)[:, None] * (shape.theta**-step)[None, :]
    cos, sin = (part.float().to(tokens.device)[:, None, :] for part in (angle.cos(), angle.sin()))
    x = torch.nn.functional.embedding(tokens, weight("embed")) * shape.width**0.5
    for number in range(shape.layers):
        x = _block(lambda name, n=number: weight(f"blocks.{n}.{name}"), shape, x, cos, sin)
    return _rms(x) * weight("norm")


def tiny_logits(weight: Weigh, states: Any) -> Any:
    """Return the logits (…, vocab) that follow states (…, D)."""
    return load("torch").nn.functional.linear(states, weight("embed"))


def _block(weight: Weigh, shape: Shape, x: Any, cos: Any, sin: Any) -> Any:
    f = load("torch").nn.functional
    rows, length, width = x.shape
    h = _rms(x) * weight("norm1")
    h = h + weight("shift") * f.pad(h, (0, 0, 1, -1))
    q, k, v = f.linear(h, weight("qkv")).view(rows, length, 3, shape.heads, -1).unbind(2)
    q = _rotate(_rms(q) * weight("q_gain"), cos, sin)
    k = _rotate(_rms(k) * weight("k_gain"), cos, sin)
    mixed = f.scaled_dot_product_attention(*(z.transpose(1, 2) for z in (q, k, v)), is_causal=True)
    x = x + f.linear(mixed.transpose(1, 2).reshape(rows, length, width), weight("out"))
    gate, up = f.linear(_rms(x) * weight("norm2"), weight("gate_up")).chunk(2, dim=-1)
    return x + f.linear(f.silu(gate) * up, weight("down"))


def _rms(x: Any) -> Any:
    return x * load("torch").rsqrt(x.pow(2).mean(-1, keepdim=True) + 1e-6)


def _rotate(x: Any, cos: Any, sin: Any) -> Any:
    a, b = x.chunk(2, dim=-1)
    return load("torch").cat((a * cos - b * sin, b * cos + a * sin), dim=-1)
