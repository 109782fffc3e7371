"""`Embeddings`: passages whose vectors are near to the query's.

The corpus is embedded once, batch by batch, in memory or into a folder (see `_dense_folder`); a query is embedded and
compared with all of it, or found by a graph (see `_nearest`). An index that was read from a folder is compared with
the embedder that it is given: by name where it is opened, and by embedding its first passage again beside the first
query, so that vectors of two models never meet unnoticed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Self, final

from telic._optional import load, require
from telic.data import Prediction
from telic.errors import ConfigurationError, StoredIndexError
from telic.retrieve import _dense_folder, _folder
from telic.retrieve._corpus import OFFSETS, TEXTS, Corpus, MemoryCorpus, StoredCorpus, as_corpus, write_corpus
from telic.retrieve._embedder import Embedder, as_embedder
from telic.retrieve._nearest import Exact, Graph, Nearest, Recall
from telic.retrieve._passage import Passage
from telic.retrieve._search import Searcher
from telic.retrieve._vectors import as_vectors, normalized
from telic.tracing import begin, finish

_ALIKE: Final = 0.99
"""Two vectors of one text by one model are at least this alike (cosine); batches and precision move them a little."""


@final
class Embeddings(Searcher):
    """Passages near to the query, best first.

    Args:
        corpus: Texts or passages; at least one.
        embedder: An `Embedder`, a "provider/model", or a function from a list of texts to vectors, which (where there
            is no `folder`) is called with the whole corpus at once, as in DSPy.
        k: How many passages a call returns that does not say so itself.
        callbacks: Told of this retriever's calls, as of a module's.
        cache: Accepted for programs that pass False; vectors are cached by the `Embedder`.
        brute_force_threshold: With more passages than this, a graph finds them (`recall` says how well); None: every
            query is compared with all passages, however many.
        normalize: Vectors are brought to length 1, so that scores are cosines; False: scores are plain products.
        folder: Where the index is kept. A finished one there is opened by memory map, an unfinished one is continued.
            None: in memory alone.
        min_recall: What a graph must find of the nearest, from 0 to 1.
        progress: Called with (passages done, all passages) while the corpus is embedded.

    Calling it returns a `Prediction` with `passages`, their `indices` in the corpus, and their `scores`.

    Attributes:
        corpus: The passages.
        corpus_embeddings: Their vectors, float32, shape `(passages, dimension)`.
        recall: What was measured of the graph; None: the search is exact.

    Raises:
        DatasetError: The corpus has no passages, or one that is no text.
        RetrievalError: The embedder returned what cannot be used, or the graph does not reach `min_recall`.
        StoredIndexError: The folder holds an index of another corpus or embedder, a damaged one, or is being written.
        LMError: The embedding server failed; the next call goes on where this one ended.

    Cost: the embedder is asked once for each passage when the index is built, and once for each query. A search reads
    all vectors (10,000 × 384: about 1 ms; 100,000 × 384: about 15 ms); memory is 4 bytes a number.

    Example:
        >>> near = Embeddings(["aaa", "abc"], lambda texts: [[t.count(c) for c in "abc"] for t in texts], k=1)
        >>> near("bca").passages, near("bca").indices
        ([Passage('abc', pid=1, score=0.9999999403953552)], [1])
    """

    _answers_by = ("_settings", "embedder")

    def __init__(
        self,
        corpus: Iterable[Any],
        embedder: Any,
        k: int = 5,
        callbacks: Sequence[Any] | None = None,
        cache: bool = False,
        brute_force_threshold: int | None = None,
        normalize: bool = True,
        *,
        folder: str | Path | None = None,
        min_recall: float = 0.95,
        progress: Callable[[int, int], object] | None = None,
    ) -> None:
        super().__init__(k)
        if cache:
            raise ConfigurationError(
                "Embeddings: cache=True is not taken; Embedder(…, caching=True) keeps vectors"
            )
        require("numpy", extra="retrieve", purpose="Embeddings")
        self.callbacks: Sequence[Any] = () if callbacks is None else callbacks
        self.embedder = as_embedder(embedder)
        held = as_corpus(corpus)
        uses_graph = brute_force_threshold is not None and len(held) > brute_force_threshold
        if uses_graph and not normalize:
            raise ConfigurationError(
                "Embeddings: a graph compares directions, so normalize=False needs brute_force_threshold=None"
            )
        if not 0.0 < min_recall <= 1.0:
            raise ConfigurationError(f"Embeddings: min_recall is {min_recall!r}; above 0 and at most 1")
        self._settings = _settings_of(self.embedder, normalize=normalize, graph=uses_graph)
        if folder is None:
            self._unproven = False
            self.corpus: Corpus = held
            at_once = None if isinstance(embedder, (str, Embedder)) else len(held)
            self.corpus_embeddings = _dense_folder.embed_corpus(
                held, self.embedder, normalize=normalize, at_once=at_once, progress=progress
            )
            vectors = self.corpus_embeddings
            self._nearest: Nearest = Graph(vectors, min_recall=min_recall) if uses_graph else Exact(vectors)
            return
        _dense_folder.build_folder(
            Path(folder),
            held,
            self.embedder,
            self._settings,
            graph=(lambda vectors: Graph(vectors, min_recall=min_recall)) if uses_graph else None,
            progress=progress,
        )
        self._open(Path(folder), held)

    @classmethod
    def from_saved(cls, path: str | Path, embedder: Any, k: int = 5) -> Self:
        """Return the index that is kept in a folder, by memory map.

        Args:
            path: The folder.
            embedder: The one that it was built with.
            k: As in the constructor.

        Raises:
            StoredIndexError: There is none, it is damaged, or it was built with another embedder.
        """
        made = cls.__new__(cls)
        Searcher.__init__(made, k)
        made.callbacks = ()
        return made.load(path, embedder)

    def load(self, path: str | Path, embedder: Any) -> Self:
        """Read the index of a folder into this one, and return it; see `from_saved`."""
        require("numpy", extra="retrieve", purpose="Embeddings")
        self.embedder = as_embedder(embedder)
        folder = Path(path)
        header = _folder.read_header(folder, _dense_folder.KIND)
        normalize = _folder.entry(header.settings, "normalize", bool, folder)
        own = _settings_of(self.embedder, normalize=normalize, graph=None)
        self._settings = {**header.settings, **own}
        self._open(folder, None)
        return self

    def save(self, path: str | Path) -> None:
        """Write the index, passages included, to a folder; one that is there is replaced.

        Raises:
            StoredIndexError: The folder is being written, or cannot be written.
        """
        held = self.corpus
        corpus = held if isinstance(held, MemoryCorpus) else MemoryCorpus(held)
        names = {_dense_folder.VECTORS: 0, TEXTS: 0, OFFSETS: 0}
        notes: dict[str, Any] = {"dimension": int(self.corpus_embeddings.shape[1])}
        with _folder.replacing(Path(path)) as folder:
            _dense_folder.write_vectors(folder, self.corpus_embeddings)
            write_corpus(corpus, folder)
            if isinstance(self._nearest, Graph):
                self._nearest.save(folder / _dense_folder.GRAPH)
                names[_dense_folder.GRAPH] = 0
                notes["recall"] = list(self._nearest.recall)
            header = _folder.Header(
                _dense_folder.KIND, len(corpus), corpus.fingerprint, self._settings, names, notes
            )
            _folder.write_header(folder, header)

    @property
    def recall(self) -> Recall | None:
        """What was measured of the graph when it was built; None: the search is exact."""
        return self._nearest.recall

    def __call__(self, query: str, k: int | None = None) -> Prediction:
        """Return the nearest passages for one query; see the class."""
        call = begin("module", self, {"query": query, "k": k}) if self.callbacks else None
        try:
            found: Prediction = super().__call__(query, k)
        except BaseException as error:
            finish(call, None, error)
            raise
        finish(call, found)
        return found

    forward = __call__

    @property
    def search_fn(self) -> Callable[[str], Prediction]:
        """What answers one query: DSPy's name for calling it."""
        return self.__call__

    def search(self, queries: Sequence[str], k: int) -> list[list[Passage]]:
        """See `Searcher`; the queries are embedded together."""
        texts, number = [self._query(query) for query in queries], self._k(k)
        return self._found(self.embedder(self._with_proof(texts)), len(texts), number) if texts else []

    async def asearch(self, queries: Sequence[str], k: int) -> list[list[Passage]]:
        """Same as `search`, for tasks."""
        texts, number = [self._query(query) for query in queries], self._k(k)
        if not texts:
            return []
        return self._found(await self.embedder.acall(self._with_proof(texts)), len(texts), number)

    def _with_proof(self, texts: list[str]) -> list[str]:
        """Return the texts to embed: with the first passage where the embedder has not proved itself yet."""
        return [*texts, str(self.corpus[0])] if self._unproven else texts

    def _found(self, value: Any, count: int, k: int) -> list[list[Passage]]:
        vectors = as_vectors(value, len(value), self.embedder.name, int(self.corpus_embeddings.shape[1]))
        if self._settings["normalize"]:
            vectors = normalized(vectors)
        if len(vectors) > count:
            self._prove(vectors[count])
        return [
            [self.corpus[place].but(score=score) for place, score in zip(places, scores, strict=True)]
            for places, scores in self._nearest.find(vectors[:count], k)
        ]

    def _prove(self, vector: Any) -> None:
        np: Any = load("numpy")
        kept = self.corpus_embeddings[0]
        size = float(np.linalg.norm(kept) * np.linalg.norm(vector))
        alike = float(kept @ vector) / size if size else 1.0
        if alike < _ALIKE:
            raise StoredIndexError(
                f"the index was built with another embedder than {self.embedder.name}: its first passage is embedded "
                f"differently now (cosine {alike:.2f}); give the one it was built with, or build it again"
            )
        self._unproven = False

    def _answer(self, passages: list[Passage]) -> Prediction:
        return Prediction(
            passages=passages,
            indices=[passage.pid for passage in passages],
            scores=[passage.score for passage in passages],
        )

    def _open(self, folder: Path, corpus: MemoryCorpus | None) -> None:
        header = _folder.read_header(folder, _dense_folder.KIND)
        fingerprint = header.corpus if corpus is None else corpus.fingerprint
        _folder.check_same(folder, header, fingerprint, len(corpus or ()), self._settings)
        dimension = _folder.entry(header.notes, "dimension", int, folder)
        self.corpus = StoredCorpus(folder, header.passages, header.corpus)
        self.corpus_embeddings = _dense_folder.map_vectors(folder, header.passages, dimension)
        recall: Any = header.notes.get("recall")
        if recall is not None:
            recall = Recall(*_folder.entry(header.notes, "recall", list, folder))
        self._nearest = (
            Exact(self.corpus_embeddings)
            if recall is None
            else Graph(self.corpus_embeddings, file=folder / _dense_folder.GRAPH, recall=recall)
        )
        self._unproven = True


def _settings_of(embedder: Embedder, *, normalize: bool, graph: bool | None) -> Mapping[str, Any]:
    """Return what makes another index; a function has no name that says which vectors it makes."""
    named = {"embedder": embedder.fingerprint} if isinstance(embedder.model, str) else {}
    return {"normalize": normalize, **named, **({} if graph is None else {"graph": graph})}
