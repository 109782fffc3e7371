"""Passages that lie in a vector store of the user's: embedding here, searching there.

A store is anything with `find(vectors, k)`. Two come along: Qdrant (`_qdrant`) and SQL databases with vectors, such as
Postgres with pgvector (`_sql`). Others are a class with that one method.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol, final

from telic.errors import RetrievalError, TelicError
from telic.execution import run_in_thread
from telic.retrieve._embedder import as_embedder
from telic.retrieve._passage import Passage
from telic.retrieve._search import Searcher
from telic.retrieve._vectors import as_vectors


class VectorStore(Protocol):
    """Where vectors and their passages are kept."""

    def find(self, vectors: Any, k: int) -> list[list[Passage]]:
        """Return for each vector (float32, shape `(queries, dimension)`) at most `k` passages, best first."""
        ...


@final
class StoreRetriever(Searcher):
    """Passages of a vector store, near to the query.

    Args:
        store: `QdrantStore`, `SqlStore`, or any object with `find(vectors, k)`.
        embedder: The one that the vectors in the store were made with: an `Embedder`, a "provider/model" or a function.
        k: How many passages a call returns that does not say so itself.

    Raises:
        RetrievalError: The store failed; its own error is the cause.
        LMError: The embedding server failed.

    Cost: one text embedded for each query, and one search of the store.
    """

    _answers_by = ("store", "embedder")

    def __init__(self, store: VectorStore, embedder: Any, k: int = 5) -> None:
        super().__init__(k)
        self.store = store
        self.embedder = as_embedder(embedder)

    def search(self, queries: Sequence[str], k: int) -> list[list[Passage]]:
        """See `Searcher`; the queries are embedded together."""
        texts = [self._query(query) for query in queries]
        return self._find(self.embedder(texts), k) if texts else []

    async def asearch(self, queries: Sequence[str], k: int) -> list[list[Passage]]:
        """Same as `search`, for tasks."""
        texts = [self._query(query) for query in queries]
        return await run_in_thread(self._find, await self.embedder.acall(texts), k) if texts else []

    def _find(self, value: Any, k: int) -> list[list[Passage]]:
        vectors = as_vectors(value, len(value), self.embedder.name)
        try:
            return self.store.find(vectors, self._k(k))
        except TelicError:
            raise
        except Exception as error:
            raise RetrievalError(
                f"the store {type(self.store).__name__} failed: {type(error).__name__}: {error}"
            ) from error
