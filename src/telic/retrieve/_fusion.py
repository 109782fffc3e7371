"""Joining rankings by reciprocal-rank fusion, and `Hybrid`, a retriever of several retrievers.

Scores of different retrievers do not compare; ranks do. A passage counts `weight / (constant + rank)` in each ranking
that has it, and the sums decide. Passages are the same where their texts are.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final, final

from telic._optional import load
from telic.errors import ConfigurationError
from telic.execution import run_in_thread
from telic.retrieve._passage import Passage, as_passages
from telic.retrieve._search import Searcher, checked_k
from telic.retrieve._together import together

CONSTANT: Final = 60
"""Source: Cormack, Clarke & Büttcher 2009, "Reciprocal rank fusion outperforms Condorcet"."""


def fuse(
    rankings: Sequence[Sequence[Passage]],
    k: int | None = None,
    *,
    weights: Sequence[float] | None = None,
    constant: int = CONSTANT,
) -> list[Passage]:
    """Return the passages of several rankings as one, best first, each once; its `score` is the fused one.

    Args:
        rankings: Best first each.
        k: How many to keep; None: all.
        weights: How much each ranking counts; None: all the same.
        constant: The larger, the less the first few ranks count above the others.

    Example:
        >>> one, other = [Passage("a"), Passage("b")], [Passage("b"), Passage("c")]
        >>> [str(passage) for passage in fuse([one, other])]
        ['b', 'a', 'c']
    """
    sums: dict[str, float] = {}
    first: dict[str, Passage] = {}
    shares = [1.0] * len(rankings) if weights is None else weights
    for ranking, weight in zip(rankings, shares, strict=True):
        seen: set[str] = set()
        for rank, passage in enumerate(ranking, 1):
            if passage in seen:
                continue
            seen.add(passage)
            sums[passage] = sums.get(passage, 0.0) + weight / (constant + rank)
            first.setdefault(passage, passage)
    order = sorted(
        sums, key=lambda text: -sums[text]
    )  # stable: ties stay in the order in which they were met
    return [first[text].but(score=sums[text]) for text in (order if k is None else order[:k])]


@final
class Hybrid(Searcher):
    """Several retrievers as one: words and meaning together find what either would miss.

    Args:
        retrievers: At least two; anything that `settings.rm` takes.
        k: How many passages a call returns that does not say so itself.
        depth: How many passages each retriever is asked for; None: three times `k`, and at least 30.
        weights: How much each counts; None: all the same.
        constant: See `fuse`.

    Raises:
        ConfigurationError: Fewer than two retrievers, or as many weights as there are not retrievers.

    Example:
        >>> from telic.retrieve import BM25
        >>> words = BM25(["Ada wrote programs.", "Paris is in France."])
        >>> other = lambda query, k: ["Grace wrote a compiler."]
        >>> [str(passage) for passage in Hybrid([words, other])("Who wrote programs?")]
        ['Ada wrote programs.', 'Grace wrote a compiler.']
    """

    _answers_by = ("retrievers", "_depth", "_weights", "_constant")

    def __init__(
        self,
        retrievers: Sequence[Callable[..., Any]],
        k: int = 5,
        *,
        depth: int | None = None,
        weights: Sequence[float] | None = None,
        constant: int = CONSTANT,
    ) -> None:
        super().__init__(k)
        self.retrievers = list(retrievers)
        if len(self.retrievers) < 2:
            raise ConfigurationError(f"Hybrid joins at least two retrievers; {len(self.retrievers)} given")
        if weights is not None and (len(weights) != len(self.retrievers) or not all(w > 0 for w in weights)):
            raise ConfigurationError(
                f"Hybrid: weights are {list(weights)!r} for {len(self.retrievers)} retrievers; one above 0 for each"
            )
        if constant < 0:
            raise ConfigurationError(f"Hybrid: constant is {constant!r}; a number of at least 0")
        self._depth = None if depth is None else checked_k(depth, "Hybrid (depth)")
        self._weights = weights
        self._constant = constant

    def search(self, queries: Sequence[str], k: int) -> list[list[Passage]]:
        """See `Searcher`; the retrievers are asked at the same time."""
        asked, depth = [self._query(query) for query in queries], self._reach(k)
        found = together(self.retrievers, lambda rm: search_with(rm, asked, depth), len(self.retrievers))
        return self._joined(found, len(asked), k)

    async def asearch(self, queries: Sequence[str], k: int) -> list[list[Passage]]:
        """See `Searcher`."""
        asked, depth = [self._query(query) for query in queries], self._reach(k)
        work = [asearch_with(rm, asked, depth) for rm in self.retrievers]
        return self._joined(await load("asyncio").gather(*work), len(asked), k)

    def _reach(self, k: int) -> int:
        return max(3 * self._k(k), 30) if self._depth is None else max(self._depth, self._k(k))

    def _joined(self, found: Sequence[list[list[Passage]]], queries: int, k: int) -> list[list[Passage]]:
        return [
            fuse([rankings[number] for rankings in found], k, weights=self._weights, constant=self._constant)
            for number in range(queries)
        ]


def search_with(rm: Callable[..., Any], queries: Sequence[str], k: int) -> list[list[Passage]]:
    """Ask any retriever several queries."""
    if isinstance(rm, Searcher):
        return rm.search(queries, k)
    return [as_passages(rm(query, k=k))[:k] for query in queries]


async def asearch_with(rm: Callable[..., Any], queries: Sequence[str], k: int) -> list[list[Passage]]:
    """Same as `search_with`, for tasks; a plain function runs in a worker thread."""
    if isinstance(rm, Searcher):
        return await rm.asearch(queries, k)
    return await run_in_thread(search_with, rm, queries, k)
