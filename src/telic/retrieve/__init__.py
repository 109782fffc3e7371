"""Finding passages: by words, by meaning, by both; in memory, on disk, or at a server."""

from __future__ import annotations

from typing import TYPE_CHECKING

from telic._optional import later
from telic.retrieve._fusion import Hybrid as Hybrid
from telic.retrieve._fusion import fuse as fuse
from telic.retrieve._passage import Passage as Passage
from telic.retrieve._passage import as_passage as as_passage
from telic.retrieve._passage import as_passages as as_passages
from telic.retrieve._search import Searcher as Searcher
from telic.retrieve._search import checked_k as checked_k

if TYPE_CHECKING:
    from telic.retrieve._bm25 import BM25 as BM25
    from telic.retrieve._chunks import split_text as split_text
    from telic.retrieve._colbert import ColBERTv2 as ColBERTv2
    from telic.retrieve._documents import Documents as Documents
    from telic.retrieve._documents import load_documents as load_documents
    from telic.retrieve._embedder import Embedder as Embedder
    from telic.retrieve._embeddings import Embeddings as Embeddings
    from telic.retrieve._nearest import Recall as Recall
    from telic.retrieve._qdrant import QdrantStore as QdrantStore
    from telic.retrieve._sql import SqlStore as SqlStore
    from telic.retrieve._store import StoreRetriever as StoreRetriever
    from telic.retrieve._store import VectorStore as VectorStore

# Embedders stand on the LM clients, and the rest on arrays: they load when they are asked for.
_LATER = {
    "BM25": "telic.retrieve._bm25",
    "ColBERTv2": "telic.retrieve._colbert",
    "Documents": "telic.retrieve._documents",
    "Embedder": "telic.retrieve._embedder",
    "Embeddings": "telic.retrieve._embeddings",
    "QdrantStore": "telic.retrieve._qdrant",
    "Recall": "telic.retrieve._nearest",
    "SqlStore": "telic.retrieve._sql",
    "StoreRetriever": "telic.retrieve._store",
    "VectorStore": "telic.retrieve._store",
    "load_documents": "telic.retrieve._documents",
    "split_text": "telic.retrieve._chunks",
}

__getattr__ = later(__name__, _LATER)
