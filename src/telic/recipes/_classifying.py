"""`classify`: texts into classes, few or many."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

from telic._text import join_names
from telic.datasets.classification import label_match
from telic.errors import DatasetError
from telic.recipes._choice import choose_optimizer
from telic.recipes._index import save_index
from telic.recipes._recipe import Recipe, rows_of
from telic.recipes._rows import Parts, cut, read_rows
from telic.recipes._source import ProgramSource
from telic.recipes.programs import FEW, Classify, labelled
from telic.retrieve import BM25


def classify(
    rows: Any, *, text: str = "text", label: str = "label", seed: int = 0, num_threads: int | None = None
) -> Recipe:
    """Sort texts into classes.

    Args:
        rows: A file of rows (.csv, .tsv, .json, .jsonl, .parquet), or examples. At least 10.
        text: The column of texts.
        label: The column of labels.
        seed: Of splits and search.
        num_threads: Calls at once; None: the setting.

    Returns:
        The recipe: print it, then `compile(out)`. With more than 12 labels the nearest labelled rows make a short list.

    Raises:
        DatasetError: The rows cannot be used; nothing was paid for.
        MissingExtraError: There are many labels, and the extra `retrieve` is not installed.

    Cost: none; no LM is called.

    Example:
        >>> rows = [{"text": f"{n} euros back", "label": "refund"} for n in range(20)]
        >>> classify(rows)
        Traceback (most recent call last):
        ...
        telic.errors.DatasetError: the data has only the label 'refund'; there is nothing to choose between
    """
    found, notes = read_rows(rows, {"text": text, "label": label}, "text", owner="classify", most_leaks=0.9)
    several = [row for row in found if isinstance(row.label, list)]
    if several:
        raise DatasetError(
            f"a text has one label, and one has {several[0].label!r}; give each label a row, or choose one"
        )
    labels = sorted({row.label for row in found})
    if len(labels) < 2:
        raise DatasetError(f"the data has only the label {labels[0]!r}; there is nothing to choose between")
    parts = cut(found, seed)
    rm = BM25(labelled(parts.trainset)) if len(labels) > FEW else None
    program = Classify(labels, rm=rm)
    retriever = "" if rm is None else ", rm=BM25.open(HERE / 'index')"
    make = f"Classify(LABELS{retriever})"
    imports = () if rm is None else ("from telic.retrieve import BM25",)
    source = ProgramSource(Classify, make, label_match.__name__, imports, f"LABELS = {_listed(labels)}")
    choice = choose_optimizer(label_match, len(parts.trainset), seed, num_threads)
    told = [
        *(("rows", note) for note in notes),
        ("program", make + (f"; a short list of {FEW} by the nearest rows" if rm is not None else "")),
        ("labels", _told_labels(labels, parts)),
        ("metric", "label_match: the right label; case, blanks, _ and - do not count"),
    ]
    save: Callable[[Path], None] | None = None if rm is None else lambda path: save_index(rm, path)
    return Recipe("classify", program, source, parts, choice, told, save)


def _listed(labels: list[str]) -> str:
    return "[\n" + "".join(f"    {label!r},\n" for label in labels) + "]"


def _told_labels(labels: list[str], parts: Parts) -> str:
    counts = Counter(cast("list[str]", [row.label for row in rows_of(parts)]))
    usual, most = counts.most_common(1)[0]
    told = f"{len(labels)}; always saying {usual!r} would be right in {100 * most / counts.total():.0f} %"
    shown = {row.label for row in parts.trainset}
    unseen = [label for label in labels if label not in shown]
    return f"{told}; no row to learn from has {join_names(unseen[:5])}" if unseen else told
