"""From logits to a token: greedy, or a draw at a temperature from the smallest set that holds `top_p`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from telic.lm.tiny._weights import Array


def choose(logits: Array, temperature: float, top_p: float, rng: np.random.Generator) -> int:
    """Return the index of the next token.

    Args:
        logits: (vocab,).
        temperature: 0 takes the most likely token.
        top_p: Draw from the most likely tokens that together have at least this probability, in (0, 1].
        rng: Where chance comes from; not used at temperature 0.
    """
    if temperature <= 0.0:
        return int(logits.argmax())
    scaled = (logits.astype(np.float64) - float(logits.max())) / temperature
    weights = np.exp(scaled)
    if top_p < 1.0:
        order = np.argsort(-weights, kind="stable")
        shares = np.cumsum(weights[order]) / weights.sum()
        kept = order[: int(np.searchsorted(shares, top_p)) + 1]
        chosen = rng.choice(kept, p=weights[kept] / weights[kept].sum())
        return int(chosen)
    return int(rng.choice(len(weights), p=weights / weights.sum()))
