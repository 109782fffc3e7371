"""Vectors of a corpus, made batch by batch, in memory or in a folder where a stopped build goes on.

`vectors.f32` is appended to and flushed to the disk after each batch: its length says how far the build came, whatever
ended it. `building.json` says for which corpus and embedder; what it was built for otherwise is never continued.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from telic._optional import load
from telic.errors import StoredIndexError
from telic.retrieve import _folder
from telic.retrieve._corpus import OFFSETS, TEXTS, MemoryCorpus, write_corpus
from telic.retrieve._embedder import MAX_BATCHES, Embedder
from telic.retrieve._nearest import Graph
from telic.retrieve._vectors import normalized

KIND: Final = "dense"
VECTORS: Final = "vectors.f32"
GRAPH: Final = "graph.usearch"
BUILDING: Final = "building.json"

Progress = Callable[[int, int], object]


def embed_corpus(
    corpus: MemoryCorpus,
    embedder: Embedder,
    *,
    normalize: bool,
    at_once: int | None,
    progress: Progress | None,
) -> Any:
    """Return the vectors of a corpus, shape `(N, D)`, float32; `at_once`: texts of a batch, None: the embedder's."""
    np: Any = load("numpy")
    texts = [str(text) for text in corpus.texts()]
    parts: list[Any] = []
    step = _step(embedder) if at_once is None else at_once
    for start in range(0, len(texts), step):
        vectors = embedder(texts[start : start + step], batch_size=at_once)
        parts.append(normalized(vectors) if normalize else vectors)
        if progress is not None:
            progress(min(start + step, len(texts)), len(texts))
    return parts[0] if len(parts) == 1 else np.concatenate(parts)


def build_folder(
    folder: Path,
    corpus: MemoryCorpus,
    embedder: Embedder,
    settings: Mapping[str, Any],
    *,
    graph: Callable[[Any], Graph] | None,
    progress: Progress | None,
) -> None:
    """Make a finished index in `folder`, from nothing or from what a stopped build left; one that is there is left.

    Raises:
        StoredIndexError: The folder is being written, cannot be written, or holds something else.
    """
    with _folder.WriterLock(folder):
        if _folder.has_header(folder):
            return
        dimension = _embed_rest(folder, corpus, embedder, settings, progress)
        names: dict[str, int] = {VECTORS: 0, TEXTS: 0, OFFSETS: 0}
        notes: dict[str, Any] = {"dimension": dimension}
        if graph is not None:
            made = graph(map_vectors(folder, len(corpus), dimension))
            made.save(folder / GRAPH)
            names[GRAPH] = 0
            notes["recall"] = list(made.recall)
        write_corpus(corpus, folder)
        _folder.write_header(
            folder, _folder.Header(KIND, len(corpus), corpus.fingerprint, settings, names, notes)
        )
        (folder / BUILDING).unlink(missing_ok=True)


def map_vectors(folder: Path, count: int, dimension: int) -> Any:
    """Return the vectors of a folder, mapped, shape `(count, dimension)`."""
    np: Any = load("numpy")
    try:
        return np.memmap(folder / VECTORS, dtype="<f4", mode="r", shape=(count, dimension))
    except (OSError, ValueError) as error:
        raise StoredIndexError(
            f"the vectors of the index in {str(folder)!r} cannot be read ({error}); build it again",
            folder=str(folder),
        ) from error


def write_vectors(folder: Path, vectors: Any) -> None:
    """Write vectors that are all there, shape `(N, D)`."""
    load("numpy").ascontiguousarray(vectors, dtype="<f4").tofile(folder / VECTORS)


def _embed_rest(
    folder: Path,
    corpus: MemoryCorpus,
    embedder: Embedder,
    settings: Mapping[str, Any],
    progress: Progress | None,
) -> int:
    """Append the vectors that are not there yet; return their dimension."""
    texts = [str(text) for text in corpus.texts()]
    plan = {"corpus": corpus.fingerprint, "passages": len(corpus), **settings}
    dimension = _dimension_so_far(folder, plan)
    with (folder / VECTORS).open("ab") as file:
        done = file.tell() // (4 * dimension) if dimension else 0
        file.truncate(done * 4 * dimension)
        step = _step(embedder)
        while done < len(texts):
            vectors = embedder(texts[done : done + step])
            vectors = normalized(vectors) if settings["normalize"] else vectors
            found = int(vectors.shape[1])
            if not dimension:
                dimension = found
                note = load("orjson").dumps({**plan, "dimension": dimension})
                _folder.write_whole(folder / BUILDING, note)
            elif found != dimension:
                raise StoredIndexError(
                    f"the unfinished index in {str(folder)!r} has vectors of {dimension} numbers, and "
                    f"{embedder.name} gives {found}; delete the folder to build it anew",
                    folder=str(folder),
                )
            file.write(vectors.astype("<f4").tobytes())
            file.flush()
            os.fsync(file.fileno())
            done += len(vectors)
            if progress is not None:
                progress(done, len(texts))
    return dimension


def _dimension_so_far(folder: Path, plan: Mapping[str, Any]) -> int:
    """Return the dimension of an unfinished build that can be continued; 0: there is none."""
    try:
        found: dict[str, Any] = load("orjson").loads((folder / BUILDING).read_bytes())
    except FileNotFoundError:
        return 0
    except ValueError:
        found = {}
    if {**found, **plan} != found:
        raise StoredIndexError(
            f"the unfinished index in {str(folder)!r} is of another corpus, embedder or setting; name another folder, "
            "or delete this one",
            folder=str(folder),
        )
    return int(found["dimension"])


def _step(embedder: Embedder) -> int:
    """Return how many texts are embedded between two writes: as many batches as a server is sent at once."""
    return embedder.batch_size * (MAX_BATCHES if embedder.is_remote else 1)
