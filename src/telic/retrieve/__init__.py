"""Finding passages: by words, by meaning, by both; in memory, on disk, or at a server."""

from telic.retrieve._bm25 import BM25 as BM25
from telic.retrieve._colbert import ColBERTv2 as ColBERTv2
from telic.retrieve._embedder import Embedder as Embedder
from telic.retrieve._embeddings import Embeddings as Embeddings
from telic.retrieve._fusion import Hybrid as Hybrid
from telic.retrieve._fusion import fuse as fuse
from telic.retrieve._nearest import Recall as Recall
from telic.retrieve._passage import Passage as Passage
from telic.retrieve._passage import as_passage as as_passage
from telic.retrieve._passage import as_passages as as_passages
from telic.retrieve._search import Searcher as Searcher
from telic.retrieve._search import checked_k as checked_k
