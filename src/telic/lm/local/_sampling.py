"""From logits to tokens for a whole batch, on its device; chance is one number in [0, 1) for each row."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from telic._optional import load


def choose(
    logits: Any, temperatures: Sequence[float], top_ps: Sequence[float], draws: Sequence[float]
) -> list[int]:
    """Return the next token of each row.

    Args:
        logits: (rows, vocab).
        temperatures: One for each row; 0 takes the likeliest token.
        top_ps: Draw from the likeliest tokens that together have at least this probability.
        draws: Where chance comes from: uniform in [0, 1).
    """
    torch = load("torch")
    greedy = logits.argmax(-1)
    if not any(temperatures):
        return [int(t) for t in greedy.tolist()]
    kind = torch.float32 if logits.device.type == "mps" else torch.float64

    def column(values: Sequence[float]) -> Any:
        return torch.tensor(values, dtype=kind, device=logits.device)[:, None]

    heat = column(temperatures)
    shares = (logits.to(kind) / heat.clamp(min=1e-6)).softmax(-1)
    shares, order = shares.sort(dim=-1, descending=True, stable=True)
    before = shares.cumsum(-1) - shares
    shares = shares.masked_fill(before >= column(top_ps), 0.0)
    shares[:, 0] = shares[:, 0].clamp(min=1e-12)
    sums = shares.cumsum(-1)
    places = torch.searchsorted(sums, column(draws) * sums[:, -1:], right=True)
    drawn = order.gather(-1, places.clamp(max=logits.shape[-1] - 1))[:, 0]
    return [int(t) for t in torch.where(heat[:, 0] > 0, drawn, greedy).tolist()]
