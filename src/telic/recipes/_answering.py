"""`rag` and `multihop`: answers from a folder of documents."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from statistics import median
from typing import Any, Final

from telic.data import Example, Prediction
from telic.errors import ConfigurationError, DatasetError
from telic.evaluate import answer_passage_match
from telic.recipes._choice import choose_optimizer
from telic.recipes._index import save_index
from telic.recipes._measures import accepted, answer_score, judged_answer
from telic.recipes._recipe import Recipe, rows_of
from telic.recipes._rows import Parts, cut, read_rows
from telic.recipes._source import ProgramSource
from telic.recipes.programs import NOT_FOUND, RAG, MultiHop, is_not_found
from telic.retrieve import BM25, Documents, load_documents

KS: Final = (3, 5, 8, 12)
"""How many passages a search may give; the fewest that find nearly as many answers as the best are taken."""
LONG: Final = 10
"""Answers of more words than this, in the middle, are judged by an LM: shared words say little about them."""
_IMPORTS = ("from telic.retrieve import BM25",)


def rag(
    documents: str | Path | Iterable[str | Path] | Documents,
    questions: Any,
    *,
    k: int | None = None,
    size: int = 1000,
    metric: str | None = None,
    question: str = "question",
    answer: str = "answer",
    seed: int = 0,
    num_threads: int | None = None,
) -> Recipe:
    """Answer questions from documents, with citations, or "not in the documents".

    Args:
        documents: A folder of text, markdown, HTML and PDF files; or what `load_documents` returned.
        questions: A file of rows (.csv, .tsv, .json, .jsonl, .parquet), or examples. At least 10. The answer may be a
            list of accepted ones, and "not in the documents".
        k: How many passages are read; None: picked by how often the answers of the questions stand in them.
        size: How many characters a passage has at most; smaller ones for an LM of little context.
        metric: "answer_score" (words in common, for short answers) or "judged_answer" (by an LM); None: picked.
        question: The column of questions.
        answer: The column of answers.
        seed: Of splits and search.
        num_threads: Calls at once; None: the setting.

    Returns:
        The recipe: print it, then `compile(out)`.

    Raises:
        DatasetError: Documents or questions cannot be used; nothing was paid for.
        ConfigurationError: An argument cannot work.
        MissingExtraError: The extra `retrieve` (or `documents`, for PDF files) is not installed.

    Cost: none; no LM is called.

    Example:
        >>> import pathlib, tempfile
        >>> folder = pathlib.Path(tempfile.mkdtemp())
        >>> _ = (folder / "rooms.md").write_text(" ".join(f"Room {n} is used by team {n + 50}." for n in range(20)))
        >>> rows = [Example(question=f"Which team uses room {n}?", answer=f"team {n + 50}") for n in range(20)]
        >>> recipe = rag(folder, rows)
        >>> [len(part) for part in recipe.parts[:3]], recipe.metric.__name__
        ([8, 6, 6], 'answer_score')
    """
    return _answering(
        "rag", RAG, (documents, size), questions, k, metric, (question, answer), seed, num_threads
    )


def multihop(
    documents: str | Path | Iterable[str | Path] | Documents,
    questions: Any,
    *,
    k: int | None = None,
    size: int = 1000,
    metric: str | None = None,
    question: str = "question",
    answer: str = "answer",
    seed: int = 0,
    num_threads: int | None = None,
) -> Recipe:
    """Answer questions that need several searches; all else is as in `rag`.

    Args:
        documents: As in `rag`.
        questions: As in `rag`.
        k: How many passages each of the two searches adds; None: 3.
        size: As in `rag`.
        metric: As in `rag`.
        question: As in `rag`.
        answer: As in `rag`.
        seed: As in `rag`.
        num_threads: As in `rag`.
    """
    return _answering(
        "multihop", MultiHop, (documents, size), questions, k, metric, (question, answer), seed, num_threads
    )


def _answering(
    name: str, program: type[Any], documents: tuple[Any, int], questions: Any, k: int | None, metric: str | None,
    columns: tuple[str, str], seed: int, num_threads: int | None,
) -> Recipe:  # fmt: skip
    source, size = documents
    read = source if isinstance(source, Documents) else load_documents(source, size=size)
    if not len(read):
        raise DatasetError(f"there is nothing to answer from: no file has text. {read}")
    rows, notes = read_rows(questions, {"question": columns[0], "answer": columns[1]}, "question", owner=name)
    parts = cut(rows, seed)
    rm = BM25(read)
    looked = rows_of(parts)
    if k is not None:
        chosen, why = k, "as given"
    elif program is MultiHop:  # what its searches will find cannot be known before
        chosen, why = 3, "3 for each search"
    else:
        chosen, why = _chosen_k(rm, looked, len(read))
    measure, reason = _chosen_metric(metric, looked)
    choice = choose_optimizer(measure, len(parts.trainset), seed, num_threads)
    make = f"{program.__name__}(k={chosen}, rm=BM25.open(HERE / {'index'!r}))"
    source = ProgramSource(program, make, measure.__name__, _IMPORTS)
    told = [
        ("documents", str(read).replace("\n", "; ")),
        *(("questions", note) for note in notes),
        *_told_unanswerable(parts),
        ("program", make),
        ("k", why),
        ("metric", reason),
    ]
    return Recipe(
        name, program(k=chosen, rm=rm), source, parts, choice, told, lambda path: save_index(rm, path)
    )


def _chosen_k(rm: BM25, rows: Sequence[Example], passages: int) -> tuple[int, str]:
    """Return how many passages are read, and why: counted from retrieval alone, which costs nothing."""
    asked = [row for row in rows if not is_not_found(accepted(row)[0])]
    found = rm.search([row.question for row in asked], max(KS))
    pairs = list(zip(asked, found, strict=True))
    shares = {
        k: sum(answer_passage_match(row, Prediction(context=near[:k])) for row, near in pairs) / max(1, len(asked))
        for k in KS
    }  # fmt: skip
    told = ", ".join(f"{k}: {100 * share:.0f} %" for k, share in shares.items())
    best = max(shares.values())
    if best < 0.3:
        return min(5, passages), f"5: answers seldom stand word for word in the passages found ({told})"
    k = next(k for k, share in shares.items() if share >= best - 0.02)
    return min(
        k, passages
    ), f"{min(k, passages)}: questions whose answer stands in the first passages: {told}"


def _chosen_metric(name: str | None, rows: Sequence[Example]) -> tuple[Any, str]:
    known = {"answer_score": answer_score, "judged_answer": judged_answer}
    if name is not None and name not in known:
        raise ConfigurationError(
            f"unknown metric {name!r}; a recipe knows 'answer_score' and 'judged_answer'"
        )
    words = median(len(accepted(row)[0].split()) for row in rows)
    picked = name or ("answer_score" if words <= LONG else "judged_answer")
    why = f"answers have {words:g} words in the middle" if name is None else "as given"
    told = {
        "answer_score": "words in common with the true answer",
        "judged_answer": "an LM compares the answers: one more call a run",
    }[picked]
    return known[picked], f"{picked} ({told}): {why}"


def _told_unanswerable(parts: Parts) -> list[tuple[str, str]]:
    rows = [*rows_of(parts), *parts.testset]
    count = sum(is_not_found(accepted(row)[0]) for row in rows)
    if count:
        return [("questions", f"{count} of {len(rows)} are answered {NOT_FOUND!r}")]
    return [("questions", f"none is answered {NOT_FOUND!r}: add some, or nobody learns when to say so")]
