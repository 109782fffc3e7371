"""A tree-structured Parzen estimator over categories: which combination of choices is worth trying next.

Bergstra et al. 2011, "Algorithms for Hyper-Parameter Optimization"; the multivariate form of Falkner et al. 2018
(BOHB) and Watanabe 2023 (arXiv 2304.11127): combinations seen so far are parted into the better share and the rest;
`l` and `g` are densities around each part, a mixture of one product kernel for each combination and a uniform one; of
some draws from `l` the one with the highest `l/g` is next, which is where the expected improvement is highest.

A kernel over a category with C choices gives its own choice `1 + w` and each other one `w`, over `1 + C w`, with
`w = 1/n` for n kernels: with more seen, kernels are narrower, and the uniform one weighs less.

Deviations: a combination is seen once, with the mean of all its scores so far, so that a lucky first score is
corrected by later ones and not averaged away by luck elsewhere; combinations in `done` are not drawn again.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from random import Random
from typing import Final, NamedTuple

Choice = tuple[int, ...]
"""For each variable the index of a choice."""

_BETTER: Final = 0.1
"""The share that counts as better."""
_MOST_BETTER: Final = 25
_DRAWS: Final = 24


class Seen(NamedTuple):
    """A combination with its mean score so far; higher is better."""

    choice: Choice
    score: float


def suggest(
    seen: Sequence[Seen],
    sizes: Sequence[int],
    rng: Random,
    *,
    startup: int = 10,
    done: Collection[Choice] = (),
) -> Choice:
    """Return the next combination to try.

    Args:
        seen: What was tried, each combination once.
        sizes: How many choices each variable has.
        rng: Where chance comes from.
        startup: So many combinations are drawn evenly before the estimator is asked.
        done: Combinations that nothing more is to be learned of; drawn only where there are no others.

    Example:
        >>> seen = [Seen((i, j), float(i == 1 and j == 2)) for i in range(3) for j in range(3)]
        >>> draws = [suggest(seen, [3, 3], Random(k), startup=0) for k in range(9)]
        >>> max(set(draws), key=draws.count)
        (1, 2)
    """
    if len(seen) < startup or len(seen) < 2:
        return _fresh(sizes, rng, {one.choice for one in seen} | set(done), done)
    ranked = sorted(seen, key=lambda one: -one.score)
    count = min(math.ceil(_BETTER * len(ranked)), _MOST_BETTER)
    better, rest = [one.choice for one in ranked[:count]], [one.choice for one in ranked[count:]]
    drawn = [_draw(better, sizes, rng) for _ in range(_DRAWS)]
    open_ones = [choice for choice in drawn if choice not in done]
    if not open_ones:
        return _fresh(sizes, rng, set(done), done)
    return max(
        open_ones, key=lambda choice: _log_density(choice, better, sizes) - _log_density(choice, rest, sizes)
    )


def _fresh(sizes: Sequence[int], rng: Random, known: Collection[Choice], done: Collection[Choice]) -> Choice:
    """Return an even draw: of what is not known, else of what is not done, else of all."""
    for left_out in (known, done):
        for _ in range(_DRAWS):
            choice = tuple(rng.randrange(size) for size in sizes)
            if choice not in left_out:
                return choice
    return tuple(rng.randrange(size) for size in sizes)


def _draw(kernels: Sequence[Choice], sizes: Sequence[int], rng: Random) -> Choice:
    """Return a draw from the mixture."""
    n = len(kernels) + 1
    number = rng.randrange(n)
    if number == len(kernels):
        return tuple(rng.randrange(size) for size in sizes)
    centre = kernels[number]
    w = 1 / n
    return tuple(
        own if rng.random() * (1 + size * w) < 1 else rng.randrange(size)
        for own, size in zip(centre, sizes, strict=True)
    )


def _log_density(choice: Choice, kernels: Sequence[Choice], sizes: Sequence[int]) -> float:
    n = len(kernels) + 1
    w = 1 / n
    total = 1 / math.prod(sizes)
    for centre in kernels:
        product = 1.0
        for at, own, size in zip(choice, centre, sizes, strict=True):
            product *= ((at == own) + w) / (1 + size * w)
        total += product
    return math.log(total / n)
