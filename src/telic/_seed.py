"""Named, independent random streams: chance depends on labels, never on the order of threads."""

from __future__ import annotations

import random

from telic._hash import content_key


def derive_seed(seed: int, *labels: object) -> int:
    """Return a 63-bit seed that depends on `seed` and `labels` alone.

    Args:
        seed: The user's seed.
        labels: What the stream is for: strings, numbers, or anything that `content_key` takes.
    """
    return int(content_key(["seed", seed, *labels])[:16], 16) >> 1


def derive(seed: int, *labels: object) -> random.Random:
    """Return a random stream of its own for `labels`.

    Example:
        >>> derive(0, "minibatch", 3).random() == derive(0, "minibatch", 3).random()
        True
    """
    return random.Random(derive_seed(seed, *labels))
