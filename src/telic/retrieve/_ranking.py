"""The best of many scores, in an order that does not depend on chance."""

from __future__ import annotations

from typing import Any

from telic._optional import load


def best_first(scores: Any, k: int) -> list[int]:
    """Return the places of the `k` highest scores, best first; equal scores in corpus order.

    Args:
        scores: One score a passage, shape `(passages,)`, without NaN.
        k: How many; more than there are gives all.

    Cost: O(n + k log k).

    Example:
        >>> import numpy as np
        >>> best_first(np.array([0.1, 0.9, 0.4, 0.9]), k=3)
        [1, 3, 2]
    """
    np = load("numpy")
    total = len(scores)
    if k >= total:
        return np.argsort(-scores, kind="stable").tolist()
    kth = np.partition(scores, total - k)[total - k]  # the smallest score that is kept
    above = np.flatnonzero(scores > kth)
    ties = np.flatnonzero(scores == kth)[: k - len(above)]
    places = np.concatenate([above, ties])
    places.sort()
    return places[np.argsort(-scores[places], kind="stable")].tolist()
