"""Did it help? The evidence for the winner of a search, from the rows that chose it and from rows that did not.

On the rows that chose, the best of many has luck on its side. `chance_of_best` asks how often candidates that differ
from the given program by chance alone would bring forth a best one as good as this (a sign-flip permutation test of the
largest mean difference, Westfall and Young 1993: candidates that resemble each other count less than their number). On
the other rows the winner stands alone, and a plain paired test holds. The two are independent where nothing is better,
and Fisher's method makes one p value of them (Fisher 1925, section 21.1).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from telic._seed import derive

if TYPE_CHECKING:
    from telic.evaluate import Comparison

_FLIPS: Final = 1000
_FEWEST_FLIPS: Final = 200
_MOST_WORK: Final = 1_000_000  # scores looked at, for some 0.1 s


def chance_of_best(differences: Sequence[Sequence[float]], seed: int) -> float:
    """Return how often chance alone gives a best candidate as good as the best of these; 1.0 where none is better.

    Args:
        differences: For each candidate its scores less those of the given program, row by row; 0 where a row is not
            known because the candidate was given up before.
        seed: Of the flips.

    Example:
        >>> chance_of_best([[1, 1, 1, 1, 1, 1, 1, 1]], 0) < 0.02
        True
        >>> chance_of_best([[1, -1, 0, 0]], 0)
        1.0
    """
    sums = [math.fsum(one) for one in differences]
    best = max(sums, default=0.0)
    if best <= 0:
        return 1.0
    rows = len(differences[0])
    moved = [i for i in range(rows) if any(one[i] != 0 for one in differences)]
    columns = [[one[i] for one in differences] for i in moved]
    flips = max(_FEWEST_FLIPS, min(_FLIPS, _MOST_WORK // (len(moved) * len(differences))))
    rng = derive(seed, "flips", rows, len(differences))
    reached = 0
    for _ in range(flips):
        signs = rng.getrandbits(len(moved))
        kept = [column for place, column in enumerate(columns) if signs >> place & 1]
        # The sum over flipped signs is twice the kept part less the whole.
        largest = (
            max(2 * sum(column) - whole for column, whole in zip(zip(*kept, strict=True), sums, strict=True))
            if kept
            else -min(sums)
        )
        reached += largest >= best - 1e-9
    return (reached + 1) / (flips + 1)


def one_sided(comparison: Comparison) -> float:
    """Return the p value of "better" of a two-sided comparison; 1.0 where there is none."""
    p = comparison.p_value
    if math.isnan(p):
        return 1.0
    return p / 2 if comparison.difference > 0 else 1 - p / 2


def combined(first: float, second: float) -> float:
    """Return the p value of two independent ones together, by Fisher's method.

    Example:
        >>> round(combined(0.05, 0.05), 4), combined(1.0, 1.0)
        (0.0175, 1.0)
    """
    product = first * second
    return 0.0 if product <= 0 else product * (1 - math.log(product))
