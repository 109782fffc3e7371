"""Passages in Qdrant: a server, a cloud, a folder (`QdrantClient(path=…)`) or memory (`QdrantClient(":memory:")`).

Points are named by what they say (UUID 5 of text and source), so that adding the same passages again adds nothing, and
a stopped `add` goes on where it ended.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable
from typing import Any, Final, cast, final

from telic._optional import require
from telic.errors import RetrievalError
from telic.retrieve._corpus import as_corpus, facts_of
from telic.retrieve._embedder import as_embedder
from telic.retrieve._passage import Passage

_NAMESPACE: Final = uuid.UUID("5d0f7d0c-2c4e-5b0b-9a3e-74656c696300")


@final
class QdrantStore:
    """One collection of a Qdrant client.

    Args:
        client: A `qdrant_client.QdrantClient`, made by the user with the user's address and key.
        collection: Its name.
        text_field: Which field of a point's payload holds the text; the other fields are facts of the passage.
        vector_name: Which vector, where points have several; None: they have one.
        query_filter: A filter of Qdrant's for all searches.
    """

    def __init__(
        self,
        client: Any,
        collection: str,
        *,
        text_field: str = "text",
        vector_name: str | None = None,
        query_filter: Any = None,
    ) -> None:
        self.client = client
        self.collection = collection
        self.text_field = text_field
        self.vector_name = vector_name
        self.query_filter = query_filter

    def add(
        self,
        passages: Iterable[Any],
        embedder: Any,
        *,
        batch_size: int = 256,
        progress: Callable[[int, int], object] | None = None,
    ) -> int:
        """Embed passages and put them into the collection, which is made (cosine) if it is not there.

        Args:
            passages: Texts or passages; their facts go into the payload.
            embedder: An `Embedder`, a "provider/model" or a function.
            batch_size: How many points are written at once.
            progress: Called with (passages done, all passages).

        Returns:
            How many were new.

        Raises:
            RetrievalError: The collection has vectors of another dimension.
            MissingExtraError: The extra `qdrant` is not installed.

        Cost: the embedder is asked once for each passage that is not in the collection yet.
        """
        models: Any = require("qdrant_client.models", extra="qdrant", purpose="QdrantStore")
        maker, corpus, added = as_embedder(embedder), as_corpus(passages), 0
        texts = corpus.texts()
        for start in range(0, len(texts), batch_size):
            batch = {_identity(text): text for text in texts[start : start + batch_size]}
            present = self._present(list(batch))
            missing = {key: text for key, text in batch.items() if key not in present}
            if missing:
                vectors = maker([str(text) for text in missing.values()])
                self._ensure(models, int(vectors.shape[1]), maker.name)
                points = [
                    models.PointStruct(
                        id=key,
                        vector=vector if self.vector_name is None else {self.vector_name: vector},
                        payload={**facts_of(text), self.text_field: str(text)},
                    )
                    for (key, text), vector in zip(missing.items(), vectors.tolist(), strict=True)
                ]
                self.client.upsert(self.collection, points=points, wait=True)
                added += len(missing)
            if progress is not None:
                progress(min(start + batch_size, len(texts)), len(texts))
        return added

    def find(self, vectors: Any, k: int) -> list[list[Passage]]:
        """See `VectorStore`."""
        found: list[list[Passage]] = []
        for vector in vectors.tolist():
            answer = self.client.query_points(
                self.collection,
                query=vector,
                limit=k,
                with_payload=True,
                query_filter=self.query_filter,
                using=self.vector_name,
            )
            found.append([self._passage(point) for point in answer.points])
        return found

    def _passage(self, point: Any) -> Passage:
        payload = cast("dict[str, Any]", dict(point.payload or {}))
        text = payload.pop(self.text_field, None)
        if not isinstance(text, str):
            raise RetrievalError(
                f"point {point.id!r} of the collection {self.collection!r} has no text in {self.text_field!r} (it has "
                f"{', '.join(map(repr, payload)) or 'no payload'}); set text_field"
            )
        return Passage(text, **{**payload, "pid": point.id, "score": float(point.score)})

    def _present(self, keys: list[str]) -> set[str]:
        if not self.client.collection_exists(self.collection):
            return set()
        return {
            str(point.id) for point in self.client.retrieve(self.collection, ids=keys, with_payload=False)
        }

    def _ensure(self, models: Any, dimension: int, owner: str) -> None:
        if not self.client.collection_exists(self.collection):
            parameters = models.VectorParams(size=dimension, distance=models.Distance.COSINE)
            config = parameters if self.vector_name is None else {self.vector_name: parameters}
            self.client.create_collection(self.collection, vectors_config=config)
            return
        config = self.client.get_collection(self.collection).config.params.vectors
        parameters = config if self.vector_name is None else config[self.vector_name]
        if parameters.size != dimension:
            raise RetrievalError(
                f"the collection {self.collection!r} has vectors of {parameters.size} numbers, and {owner} gives "
                f"{dimension}; use the embedder it was made with, or another collection"
            )


def _identity(text: str) -> str:
    facts = facts_of(text)
    return str(uuid.uuid5(_NAMESPACE, f"{facts.get('source', '')}\n{facts.get('page', '')}\n{text}"))
