"""The arithmetic of DPO, beside the paper: of two replies to a prompt, the better one is to become more probable.

    l = -log sigmoid(beta (log p(chosen) - log p(rejected) - (log q(chosen) - log q(rejected))))

Rafailov et al. 2023 (arXiv 2305.18290), equation 7: p are the weights in training, q those that it began with. What q
says of a pair does not change, so it is computed once, before the first update, and no second network is held.
"""

from __future__ import annotations

from typing import Any

from telic._optional import load
from telic.training._lengths import Encoded
from telic.training._trainable import Trainable


def preference_losses(values: Any, before: Any, beta: float) -> Any:
    """Return the loss of each pair (pairs,).

    Args:
        values: Log-probabilities of the replies' tokens (2 x pairs, tokens): a better reply, its worse one, the next …
        before: Of each pair, the logarithm of how many times as probable the better one was to begin with (pairs,).
        beta: How dear it is to depart from that.
    """
    return -load("torch").nn.functional.logsigmoid(beta * (_margins(values) - before))


def with_margins(network: Trainable, ready: Encoded, held: int) -> Encoded:
    """Return encoded pairs with what the network, as it was opened, says of them.

    Args:
        network: Not trained yet.
        ready: The pairs.
        held: How many of them are in memory at once.
    """
    before: list[float] = []
    with load("torch").no_grad():
        for at in range(0, ready.items, held):
            part = range(at, min(at + held, ready.items))
            before += _margins(network.logprobs(ready.of(part))).tolist()
    return ready._replace(before=tuple(before))


def _margins(values: Any) -> Any:
    sums = values.sum(1)
    return sums[0::2] - sums[1::2]
