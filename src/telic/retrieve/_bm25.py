"""`BM25`: passages by the words they share with the query.

Scores are made when the index is built (bm25s keeps them as a sparse matrix); a query adds up a few of its columns.
Nothing is learned and nothing is asked of a model: it is the baseline that dense retrieval must beat.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, Final, Self, final

from telic._optional import require
from telic.errors import ConfigurationError, StoredIndexError
from telic.retrieve import _folder
from telic.retrieve._corpus import OFFSETS, TEXTS, Corpus, MemoryCorpus, StoredCorpus, as_corpus, write_corpus
from telic.retrieve._passage import Passage
from telic.retrieve._ranking import best_first
from telic.retrieve._search import Searcher
from telic.retrieve._words import Words

KIND: Final = "bm25"
_OWN_FILES: Final = (".index.npy", ".index.json")  # as bm25s calls them


@final
class BM25(Searcher):
    """Passages that share words with the query, best first.

    Args:
        corpus: Texts or passages; at least one.
        k: How many passages a call returns that does not say so itself.
        k1: How soon more of the same word stops to count.
        b: How far long passages are marked down: 0 not at all, 1 by their length.
        language: Whose frequent words are left out and whose endings are taken off ("runs", "running" are one word);
            None: words as they are.
        tokenizer: Cuts a text into words in place of the built-in way; for languages that write no blanks. Frequent
            words and endings are still taken off, unless `language` is None.
        folder: Where the index is kept. A finished one of the same corpus and settings there is opened, by memory
            map; otherwise it is built and written there. None: in memory alone.

    Passages that share no word with the query are not returned.

    Raises:
        DatasetError: The corpus has no passages, or one that is no text.
        ConfigurationError: A setting that cannot work.
        StoredIndexError: The folder holds an index of something else, or a damaged one, or is being written.
        MissingExtraError: The extra `retrieve` is not installed.

    Cost: no LM calls; building reads every passage once (1 s for 12,000 paragraphs); a query takes 0.5 ms there.
    Source: Robertson & Zaragoza 2009, in the form of Lucene; bm25s (Lù 2024). Deviations: accents are taken off.

    Example:
        >>> find = BM25(["Ada wrote programs.", "Paris is in France.", "Berlin is in Germany."])
        >>> [str(passage) for passage in find("Which programs were written?", k=2)]
        ['Ada wrote programs.']
    """

    _answers_by = ("_settings",)

    def __init__(
        self,
        corpus: Iterable[Any],
        k: int = 5,
        *,
        k1: float = 1.5,
        b: float = 0.75,
        language: str | None = "english",
        tokenizer: Callable[[str], Sequence[str]] | None = None,
        folder: str | Path | None = None,
    ) -> None:
        super().__init__(k)
        _check(k1, b)
        self._words = Words(language, tokenizer)
        self._settings = {"k1": k1, "b": b, "language": language, "tokenizer": _name_of(tokenizer)}
        held = as_corpus(corpus)
        self._corpus: Corpus = held
        self._folder = None if folder is None else Path(folder)
        if folder is None:
            self._index = self._build(held)
            return
        path = Path(folder)
        if not _folder.has_header(path):
            self._index = self._build(held)
            with _folder.WriterLock(path):
                if not _folder.has_header(path):
                    self._write(path, held)
        self._index, self._corpus = _opened(path, held, self._settings)

    @classmethod
    def open(
        cls, folder: str | Path, k: int = 5, *, tokenizer: Callable[[str], Sequence[str]] | None = None
    ) -> Self:
        """Return the index that is kept in `folder`, by memory map; nothing is read but what searches need.

        Args:
            folder: Where it is.
            k: As in the constructor.
            tokenizer: The one that it was built with.

        Raises:
            StoredIndexError: There is none, it is damaged, or it was built with another tokenizer.
        """
        path = Path(folder)
        header = _folder.read_header(path, KIND)
        made = cls.__new__(cls)
        Searcher.__init__(made, k)
        made._folder = path
        made._settings = {**header.settings, "tokenizer": _name_of(tokenizer)}
        language = header.settings.get("language")
        made._words = Words(
            None if language is None else _folder.entry(header.settings, "language", str, path), tokenizer
        )
        made._index, made._corpus = _opened(path, None, made._settings)
        return made

    def save(self, folder: str | Path) -> None:
        """Write the index and its passages to a folder; one that is there is replaced.

        Raises:
            StoredIndexError: The folder is being written, or cannot be written.
        """
        held = self._corpus
        with _folder.replacing(Path(folder)) as staging:
            self._write(staging, held if isinstance(held, MemoryCorpus) else MemoryCorpus(held))

    @property
    def corpus(self) -> Corpus:
        """The passages, in their order."""
        return self._corpus

    def search(self, queries: Sequence[str], k: int) -> list[list[Passage]]:
        """See `Searcher`."""
        return [self._one(self._query(query), self._k(k)) for query in queries]

    def _one(self, query: str, k: int) -> list[Passage]:
        known: Any = self._index.vocab_dict
        words = [word for word in self._words.of(query) if word and word in known]  # bm25s adds a word ""
        if not words:
            return []
        try:
            scores: Any = self._index.get_scores(words)
        except (IndexError, ValueError) as error:  # only an index from disk can name places that are none
            raise _damaged(self._folder, error) from error
        places = best_first(scores, k)
        return [
            self._corpus[place].but(score=float(scores[place])) for place in places if scores[place] > 0.0
        ]

    def _build(self, corpus: MemoryCorpus) -> Any:
        bm25s: Any = require("bm25s", extra="retrieve", purpose="BM25")
        rows, vocabulary = self._words.number(corpus.texts())
        if not vocabulary:
            raise ConfigurationError(
                f"BM25: none of the {len(corpus)} passages has a word to count; for a language that writes no blanks "
                "pass a tokenizer, for one of frequent words alone language=None"
            )
        index = bm25s.BM25(k1=self._settings["k1"], b=self._settings["b"])
        index.index(bm25s.tokenization.Tokenized(ids=rows, vocab=vocabulary), show_progress=False)
        return index

    def _write(self, folder: Path, corpus: MemoryCorpus) -> None:
        self._index.save(str(folder), show_progress=False)
        write_corpus(corpus, folder)
        names = [file.name for file in folder.iterdir() if file.name.endswith(_OWN_FILES)]
        files = dict.fromkeys([*names, TEXTS, OFFSETS], 0)
        header = _folder.Header(KIND, len(corpus), corpus.fingerprint, self._settings, files)
        _folder.write_header(folder, header)


def _opened(folder: Path, corpus: MemoryCorpus | None, settings: dict[str, Any]) -> tuple[Any, Corpus]:
    header = _folder.read_header(folder, KIND)
    fingerprint = header.corpus if corpus is None else corpus.fingerprint
    _folder.check_same(folder, header, fingerprint, len(corpus or ()), settings)
    bm25s: Any = require("bm25s", extra="retrieve", purpose="BM25")
    try:
        index: Any = bm25s.BM25.load(str(folder), mmap=True, show_progress=False)
        _check_index(index.scores, index.vocab_dict, header.passages)
        index.get_scores([next(iter(index.vocab_dict))])  # one search tries its settings out
    except Exception as error:  # what the parsers of NumPy and bm25s raise on damage is of all kinds
        raise _damaged(folder, error) from error
    stored = StoredCorpus(folder, header.passages, header.corpus)
    return index, stored if corpus is None else corpus


def _check_index(scores: Any, vocabulary: Any, passages: int) -> None:
    """Refuse what sizes of files do not show; scores themselves are not read, so that a memory map stays one.

    Raises:
        ValueError: The arrays or the words do not fit together.
    """
    starts, words = scores["indptr"], len(scores["indptr"]) - 1
    if scores["num_docs"] != passages or len(scores["data"]) != len(scores["indices"]):
        raise ValueError("the arrays do not fit together")
    if starts[0] != 0 or starts[-1] != len(scores["indices"]) or bool((starts[1:] < starts[:-1]).any()):
        raise ValueError("the columns of words do not fit together")
    if not all(isinstance(at, int) and 0 <= at < words for word, at in vocabulary.items() if word):
        raise ValueError("a word has a column that is none")


def _damaged(folder: Path | None, error: Exception) -> StoredIndexError:
    return StoredIndexError(
        f"the index in {str(folder)!r} is damaged ({type(error).__name__}: {error!s:.200}); delete the folder and "
        "build it again",
        folder=str(folder),
    )


def _check(k1: float, b: float) -> None:
    if not k1 >= 0.0:
        raise ConfigurationError(f"BM25: k1 is {k1!r}; a number of at least 0 (usual are 0.9 to 2)")
    if not 0.0 <= b <= 1.0:
        raise ConfigurationError(f"BM25: b is {b!r}; a number from 0 to 1")


def _name_of(tokenizer: Callable[[str], Sequence[str]] | None) -> str | None:
    if tokenizer is None:
        return None
    kind: Any = tokenizer if hasattr(tokenizer, "__qualname__") else type(tokenizer)
    return f"{kind.__module__}.{kind.__qualname__}"
