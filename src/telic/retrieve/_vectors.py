"""What an embedder gave, as an array that can be used: one finite vector of one length for each text."""

from __future__ import annotations

from typing import Any

from telic._optional import require
from telic.errors import RetrievalError


def as_vectors(value: Any, count: int, owner: str, dimension: int | None = None) -> Any:
    """Return vectors as float32, shape `(count, dimension)`.

    Args:
        value: What the embedder returned: an array, a tensor on the CPU, or lists of numbers.
        count: How many texts it was given.
        owner: Which embedder, for messages.
        dimension: How long its vectors were before; None: not known yet.

    Raises:
        RetrievalError: There are more or fewer vectors than texts, their lengths differ, or a number is not finite.
    """
    np: Any = require("numpy", extra="retrieve", purpose="retrieval by embeddings")
    try:
        vectors = np.asarray(value, dtype=np.float32)
    except (ValueError, TypeError) as error:
        raise RetrievalError(
            f"{owner} returned {type(value).__name__} that is no array of numbers ({error}); it must return one vector "
            "of equal length for each text"
        ) from error
    if vectors.ndim != 2 or len(vectors) != count or vectors.shape[1] == 0:
        raise RetrievalError(
            f"{owner} returned an array of shape {vectors.shape} for {count} texts; it must be ({count}, dimension): "
            "one vector for each text of the list it is called with"
        )
    if dimension is not None and vectors.shape[1] != dimension:
        raise RetrievalError(
            f"{owner} returned vectors of {vectors.shape[1]} numbers, and {dimension} before; an index needs one "
            "embedder with one dimension"
        )
    finite = np.isfinite(vectors).all(axis=1)
    if not finite.all():
        place = int(np.flatnonzero(~finite)[0])
        raise RetrievalError(
            f"{owner} returned NaN or infinite numbers for {count - int(finite.sum())} of {count} texts, first for "
            f"number {place}; look at that text, and at the embedder's precision"
        )
    return vectors


def normalized(vectors: Any) -> Any:
    """Return vectors of length 1, shape `(n, dimension)`; a vector of zeros stays one, and is like nothing."""
    np: Any = require("numpy", extra="retrieve", purpose="retrieval by embeddings")
    lengths = np.sqrt(np.einsum("nd,nd->n", vectors, vectors))[:, None]  # no second array of that size
    return vectors / np.where(lengths == 0.0, 1.0, lengths)
