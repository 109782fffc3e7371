"""The arithmetic of GRPO, beside the papers: advantages within a group, and the loss of a token.

    A_i = (r_i - mean r) / (std r + 1e-4)          Shao et al. 2024 (arXiv 2402.03300), section 4.1; scale="group"
    A_i = r_i - mean r                             Liu et al. 2025 (arXiv 2503.20783, "Dr. GRPO"); scale="none"
    rho = exp(new - old)                           of a token, or of the mean over a reply (Zheng et al. 2025, GSPO)
    l   = -min(rho A, clip(rho, 1 - epsilon, 1 + epsilon_high) A) + beta (exp(ref - new) - (ref - new) - 1)

The last term is the estimator of the divergence from the reference that is called k3 (Schulman 2020). A batch's loss is
a weighted sum over its tokens, and the weights say which mean it is: of replies' means ("grpo"), over all tokens alike
("bnpo", as in DAPO), or over a constant length ("dr_grpo", which does not favour short right replies and long wrong
ones). As a sum it can be made in parts, of as many rows as fit into memory.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from telic._optional import load
from telic.training._grpo_settings import GRPOSettings, LossType, Scale

TINY: Final = 1e-4
"""Beside a standard deviation, which may be 0."""


def advantages(groups: Sequence[Sequence[float]], scale: Scale = "group") -> list[list[float]]:
    """Return the advantage of each reward over the others of its group.

    Args:
        groups: Rewards (groups of any size).
        scale: Divide by the standard deviation of the "group", of the whole "batch", or by nothing ("none"), which
            does not overweight prompts that nearly always, or nearly never, go right. A group of one has none.

    Example:
        >>> [round(a, 2) for a in advantages([[1.0, 0.0, 0.0, 1.0]], "none")[0]]
        [0.5, -0.5, -0.5, 0.5]
    """
    whole = deviation([reward for group in groups for reward in group]) if scale == "batch" else 0.0
    found: list[list[float]] = []
    for group in groups:
        mean = math.fsum(group) / len(group)
        unit = 1.0 if scale == "none" else TINY + (whole if scale == "batch" else deviation(group))
        found.append([(reward - mean) / unit for reward in group])
    return found


def deviation(values: Sequence[float]) -> float:
    """Return the standard deviation of a sample; 0.0 for one value."""
    if len(values) < 2:
        return 0.0
    mean = math.fsum(values) / len(values)
    return math.sqrt(math.fsum((value - mean) ** 2 for value in values) / (len(values) - 1))


def token_weights(sizes: Sequence[int], loss_type: LossType, longest: int) -> list[float]:
    """Return what each token of a reply weighs in the loss of a batch.

    Args:
        sizes: Tokens of each reply (rows).
        loss_type: Which mean.
        longest: Most tokens that a reply may have; for "dr_grpo".

    Example:
        >>> token_weights([1, 4], "grpo", 8), token_weights([1, 4], "bnpo", 8), token_weights([1, 4], "dr_grpo", 8)
        ([0.5, 0.125], [0.2, 0.2], [0.0625, 0.0625])
    """
    rows = len(sizes)
    if loss_type == "grpo":
        return [1.0 / (rows * max(1, size)) for size in sizes]
    every = max(1, sum(sizes)) if loss_type == "bnpo" else rows * longest
    return [1.0 / every] * rows


class Losses(NamedTuple):
    """Of each token of a batch (rows, tokens); 0 behind a reply's end."""

    loss: Any
    divergence: Any
    """From the reference, by k3."""
    clipped: Any
    """1 where the ratio was cut, so that the token is not learned from."""


def token_losses(
    new: Any, old: Any, reference: Any, mask: Any, advantage: Any, settings: GRPOSettings
) -> Losses:
    """Return the loss of each token.

    Args:
        new: Log-probabilities of the replies' tokens (rows, tokens), with gradients.
        old: The same under the weights that drew them.
        reference: The same under the weights that training began with; None: no divergence is asked for.
        mask: 1 for tokens of a reply, 0 behind its end (rows, tokens).
        advantage: Of each row (rows,).
        settings: `epsilon`, `epsilon_high`, `beta`, `importance_sampling_level`.
    """
    torch = load("torch")
    log_ratio = (new - old) * mask
    if settings.importance_sampling_level == "sequence":
        log_ratio = log_ratio.sum(1, keepdim=True) / mask.sum(1, keepdim=True).clamp(min=1.0)
    ratio = log_ratio.exp()
    low, high = 1 - settings.epsilon, 1 + settings.high
    rise = advantage[:, None]
    loss = -torch.min(ratio * rise, ratio.clamp(low, high) * rise) * mask
    clipped = (((ratio < low) & (rise < 0)) | ((ratio > high) & (rise > 0))) * mask
    if reference is None:
        return Losses(loss, torch.zeros_like(loss), clipped)
    apart = (reference - new) * mask
    divergence = apart.exp() - apart - 1
    return Losses(loss + settings.beta * divergence, divergence, clipped)
