"""The nearest vectors: exactly, by one product with all of them, or by way of a graph (HNSW, usearch).

A graph finds *nearly* all of the nearest. How nearly is measured when it is built, against the exact answer; where it
falls short of what was asked for, the search is widened, and where that does not help, building fails. What the graph
finds is scored again with the exact vectors, and a search that it cannot fill is done exactly: a wrong neighbour never
comes silently.

Shapes: `N` passages, `D` dimensions, `Q` queries.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple, Protocol, final

from telic._optional import load, require
from telic.errors import ConfigurationError, RetrievalError
from telic.retrieve._crowd import Crowd
from telic.retrieve._ranking import best_first

Found = tuple[list[int], list[float]]
"""Places in the corpus, best first, and their scores."""

_TOGETHER: Final = 32  # queries that the vectors are read for at once
_VECTOR: Final = 9215  # numbers of a matrix that OpenBLAS multiplies with a vector in the calling thread
_MATRIX: Final = 1 << 18  # multiplications of two matrices that it does there
_SAMPLE: Final = 200
_RECALL_K: Final = 10


class Recall(NamedTuple):
    """How many of the nearest a graph finds."""

    value: float
    """The share of the `k` nearest that were found, on average."""
    k: int
    queries: int
    """Vectors of the corpus, moved at random, that stood for queries."""
    breadth: int
    """Candidates that a search keeps, which the measurement settled."""


class Nearest(Protocol):
    """Finds vectors."""

    @property
    def recall(self) -> Recall | None: ...
    def find(self, queries: Any, k: int) -> list[Found]: ...


@final
class Exact:
    """All vectors, compared with each query.

    Args:
        vectors: float32, shape `(N, D)`; may be mapped from a file.
    """

    recall = None

    def __init__(self, vectors: Any) -> None:
        self._vectors = vectors
        self._crowd: Crowd[tuple[Any, int], Found] = Crowd(self._together, _TOGETHER)

    def find(self, queries: Any, k: int) -> list[Found]:
        """Return the `k` best for each query; `queries` is float32 of shape `(Q, D)`."""
        if len(queries) == 1:
            return [self._crowd.run((queries[0], k))]
        found: list[Found] = []
        for start in range(0, len(queries), _TOGETHER):
            found += self._together([(query, k) for query in queries[start : start + _TOGETHER]])
        return found

    def _together(self, asked: Sequence[tuple[Any, int]]) -> list[Found]:
        np: Any = load("numpy")
        found: list[Found] = []
        for scores, (_, k) in zip(
            _products(self._vectors, np.stack([query for query, _ in asked])), asked, strict=True
        ):
            places = best_first(scores, k)
            found.append((places, [float(scores[place]) for place in places]))
        return found


def _products(vectors: Any, queries: Any) -> Any:
    """Return `queries @ vectors.T`, shape `(Q, N)`, computed in this thread.

    The product is bound by memory, so that more threads gain little; but OpenBLAS wakes them for anything larger than
    the sizes above, and where the cores are busy it waits for the last one: 20 ms in place of 1. So it is cut into
    pieces that stay below.
    """
    np: Any = load("numpy")
    count, dimension = vectors.shape
    one = len(queries) == 1
    rows = max(1, _VECTOR // dimension if one else _MATRIX // (dimension * len(queries)))
    whole = count - count % rows
    other = queries[0] if one else queries.T
    head = (vectors[:whole].reshape(-1, rows, dimension) @ other).reshape(whole, len(queries))
    return np.concatenate([head, vectors[whole:] @ queries.T]).T.copy()


@final
class Graph:
    """A graph of near vectors, and the exact vectors that score what it finds.

    Args:
        vectors: float32 of length 1 each, shape `(N, D)`.
        file: Where a graph was kept; None: it is built now.
        recall: What was measured for the kept one.
        min_recall: What a new one must reach.
        seed: For the vectors that stand for queries.

    Raises:
        RetrievalError: The graph does not reach `min_recall`, however wide it is searched.
        MissingExtraError: The extra `retrieve` is not installed.
    """

    def __init__(
        self,
        vectors: Any,
        *,
        file: Path | None = None,
        recall: Recall | None = None,
        min_recall: float = 0.95,
        seed: int = 0,
    ) -> None:
        if not 0.0 < min_recall <= 1.0:
            raise ConfigurationError(f"min_recall is {min_recall!r}; a share above 0 and at most 1")
        usearch: Any = require("usearch.index", extra="retrieve", purpose="approximate search")
        self._np: Any = load("numpy")
        self._vectors = vectors
        self._exact = Exact(vectors)
        self._graph: Any = usearch.Index(ndim=int(vectors.shape[1]), metric="cos", dtype="f16")
        if file is not None and recall is not None:
            self._graph.view(str(file))
            self._graph.expansion_search = recall.breadth
            self.recall = recall
            return
        self._graph.add(self._np.arange(len(vectors), dtype=self._np.uint64), vectors)
        self.recall = self._measured(min_recall, seed)

    def save(self, file: Path) -> None:
        """Write the graph; the vectors are kept elsewhere."""
        self._graph.save(str(file))

    def find(self, queries: Any, k: int) -> list[Found]:
        """Return the `k` best for each query; `queries` is float32 of shape `(Q, D)`, each of length 1."""
        total = len(self._vectors)
        wanted = min(k, total)
        reach = min(total, max(4 * wanted, 32))
        found: list[Found] = []
        for query in queries:
            places = self._candidates(query, reach)
            if len(places) < wanted:
                found += self._exact.find(query[None], wanted)
                continue
            scores = self._vectors[places] @ query
            best = best_first(scores, wanted)
            found.append(([int(places[place]) for place in best], [float(scores[place]) for place in best]))
        return found

    def _candidates(self, query: Any, reach: int) -> Any:
        """Return places of the corpus, in its order, each once; what is no place of it is left out."""
        keys = self._np.asarray(self._graph.search(query, reach).keys).astype(self._np.int64, copy=False)
        return self._np.unique(keys[(keys >= 0) & (keys < len(self._vectors))])

    def _measured(self, min_recall: float, seed: int) -> Recall:
        np, total = self._np, len(self._vectors)
        random: Any = np.random.default_rng(seed)
        places = random.choice(total, size=min(_SAMPLE, total), replace=False)
        noise = random.standard_normal((len(places), self._vectors.shape[1])).astype(np.float32)
        moved = self._vectors[places] + 0.5 * noise / np.sqrt(self._vectors.shape[1])
        queries = moved / np.linalg.norm(moved, axis=1, keepdims=True)
        k = min(_RECALL_K, total)
        truth = [set(found) for found, _ in self._exact.find(queries, k)]
        breadth, value = 64, 0.0
        while breadth <= 2048:
            self._graph.expansion_search = breadth
            found = [set(places) for places, _ in self.find(queries, k)]
            value = sum(len(a & b) for a, b in zip(truth, found, strict=True)) / (k * len(truth))
            if value >= min_recall:
                return Recall(value, k, len(truth), breadth)
            breadth *= 2
        raise RetrievalError(
            f"the graph over {total:,} vectors finds {value:.1%} of the {k} nearest at its widest, and "
            f"{min_recall:.1%} was asked for; search exactly (brute_force_threshold=None), or lower min_recall"
        )
