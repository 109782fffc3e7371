"""The texts of an index, in memory or in a file that is mapped into memory, and the fingerprint that names them.

A stored corpus is two files: all passages one after the other as JSON (`passages.jsonl`), and where each begins
(`passages.npy`, unsigned 64-bit offsets). Opening it reads neither: a passage is read when a search finds it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, cast, final

from telic._optional import load
from telic.errors import DatasetError, StoredIndexError
from telic.retrieve._passage import Passage, as_passage

if TYPE_CHECKING:
    import mmap

TEXTS: Final = "passages.jsonl"
OFFSETS: Final = "passages.npy"


class Corpus(Sequence[Passage]):
    """Passages in an order that does not change; each one's `pid` is its place."""

    @property
    def fingerprint(self) -> str:
        """The SHA-256 of all texts with their lengths, as 64 hex digits; equal texts in equal order have equal ones."""
        raise NotImplementedError


@final
class MemoryCorpus(Corpus):
    """Passages in memory.

    Args:
        passages: Texts, passages, or objects and mappings with `long_text` (or `text`).

    Raises:
        DatasetError: There is none, or an item is no text.
        RetrievalError: An item is neither text nor a passage.
    """

    def __init__(self, passages: Iterable[Any]) -> None:
        if isinstance(passages, str):
            raise DatasetError("a corpus is a list of passages, and this is one text; pass [text]")
        self._items: list[str] = [item if type(item) is str else as_passage(item) for item in passages]
        if not self._items:
            raise DatasetError("the corpus has no passages; an index needs at least one")
        self._fingerprint = ""

    @property
    def fingerprint(self) -> str:
        """See `Corpus`; computed once."""
        if not self._fingerprint:
            digest = hashlib.sha256()
            for item in self._items:
                text = item.encode("utf-8", "surrogatepass")
                digest.update(b"%d:" % len(text))
                digest.update(text)
            self._fingerprint = digest.hexdigest()
        return self._fingerprint

    def __len__(self) -> int:
        return len(self._items)

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return [self[place] for place in range(*index.indices(len(self)))]
        place = range(len(self._items))[cast("int", index)]
        text = self._items[place]
        return Passage(text, **{**facts_of(text), "pid": place})

    def texts(self) -> list[str]:
        """Return the texts; not to be changed."""
        return self._items


def facts_of(text: str) -> Mapping[str, Any]:
    """Return what is known of a passage; nothing of a plain text."""
    return text.facts if isinstance(text, Passage) else {}


def as_corpus(passages: Any) -> MemoryCorpus:
    """Return `passages` as a corpus; one that is a corpus already stays as it is."""
    return passages if isinstance(passages, MemoryCorpus) else MemoryCorpus(passages)


def write_corpus(corpus: MemoryCorpus, folder: Path) -> None:
    """Write the two files of a stored corpus.

    Raises:
        DatasetError: A passage holds a lone surrogate, or facts that JSON cannot.
    """
    np, dumps = load("numpy"), load("orjson").dumps
    offsets = np.zeros(len(corpus) + 1, dtype=np.uint64)
    with (folder / TEXTS).open("wb") as file:
        for place, text in enumerate(corpus.texts()):
            facts = {name: value for name, value in facts_of(text).items() if name not in ("pid", "score")}
            try:
                line: bytes = dumps([str(text), facts] if facts else str(text))
            except TypeError as error:
                raise DatasetError(
                    f"passage {place} cannot be stored: {error}; keep plain text, and plain data as facts"
                ) from error
            file.write(line + b"\n")
            offsets[place + 1] = int(offsets[place]) + len(line) + 1
    np.save(folder / OFFSETS, offsets)


@final
class StoredCorpus(Corpus):
    """The passages of an index folder, read one by one when they are asked for.

    Args:
        folder: Where the two files are.
        count: How many passages the index has.
        fingerprint: As the index names it.

    Raises:
        StoredIndexError: A file is missing, cut, or of another size than the index says.
    """

    def __init__(self, folder: Path, count: int, fingerprint: str) -> None:
        np, mmap_module = load("numpy"), load("mmap")
        self.folder = folder
        self._fingerprint = fingerprint
        try:
            self._offsets: Any = np.load(folder / OFFSETS, mmap_mode="r", allow_pickle=False)
            with (folder / TEXTS).open("rb") as file:
                self._map: mmap.mmap = mmap_module.mmap(file.fileno(), 0, access=mmap_module.ACCESS_READ)
        except (OSError, ValueError, EOFError) as error:
            raise StoredIndexError(
                f"the passages of the index in {str(folder)!r} cannot be read ({error}); build it again",
                folder=str(folder),
            ) from error
        if self._offsets.shape != (count + 1,) or int(self._offsets[-1]) != len(self._map):
            raise StoredIndexError(
                f"the index in {str(folder)!r} is cut: its passages are not the {count} that it says it has; build it "
                "again",
                folder=str(folder),
            )

    @property
    def fingerprint(self) -> str:
        """See `Corpus`."""
        return self._fingerprint

    def __reduce__(self) -> tuple[type[StoredCorpus], tuple[Path, int, str]]:
        return StoredCorpus, (self.folder, len(self), self._fingerprint)  # maps are opened anew

    def __len__(self) -> int:
        return len(self._offsets) - 1

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return [self[place] for place in range(*index.indices(len(self)))]
        if not -len(self) <= index < len(self):
            raise IndexError(f"the corpus has {len(self)} passages, and no number {index}")
        place = index % len(self)
        start, end = int(self._offsets[place]), int(self._offsets[place + 1])
        try:
            value: Any = load("orjson").loads(self._map[start:end])
        except ValueError as error:
            raise StoredIndexError(
                f"passage {place} of the index in {str(self.folder)!r} is damaged ({error}); build it again",
                folder=str(self.folder),
            ) from error
        if isinstance(value, list):
            text, facts = cast("list[Any]", value)
            return Passage(text, **{**facts, "pid": place})
        return Passage(value, pid=place)
