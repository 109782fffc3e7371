"""Texts with labels: any files of them, and Banking77."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from telic.datasets._dataset import Dataset, Origin, needed, rows_at
from telic.datasets._hub import hub_splits
from telic.datasets._splits import split
from telic.errors import DatasetError


def label_match(example: Any, pred: Any, trace: Any = None) -> bool:
    """Return whether the label is the right one; case, blanks, and `_` or `-` for a blank do not count."""
    del trace
    return _folded(example.label) == _folded(pred.label)


def _folded(label: Any) -> str:
    return " ".join(str(label).casefold().replace("_", " ").replace("-", " ").split())


class TextClassification(Dataset):
    """Rows with `text` and `label`, from files.

    Args:
        path: A folder with `train` and `test` (and `dev` or `validation`) files, or one file, which is cut in three
            (60, 20 and 20 of 100, the same for the same file).
        text: The column of texts.
        label: The column of labels.
        train_seed: As in `Dataset`.
        train_size: As in `Dataset`.
        eval_seed: As in `Dataset`.
        dev_size: As in `Dataset`.
        test_size: As in `Dataset`.

    Attributes:
        labels: All labels, sorted.

    Where there is no dev file, a fifth of the training rows is dev.

    Raises:
        DatasetError: The files cannot be read, a row lacks a column, or the test has a label that training has not.
    """

    inputs = ("text",)
    metric = staticmethod(label_match)

    def __init__(
        self,
        path: str | Path,
        *,
        text: str = "text",
        label: str = "label",
        train_seed: int = 0,
        train_size: int | None = None,
        eval_seed: int = 0,
        dev_size: int | None = None,
        test_size: int | None = None,
    ) -> None:
        super().__init__(train_seed, train_size, eval_seed, dev_size, test_size)
        names = {"train": ("train",), "dev": ("dev", "valid"), "test": ("test",)}
        self._fill(rows_at(path, names, type(self).__name__), text, label)

    def _fill(self, found: Mapping[str, Sequence[Mapping[str, Any]]], text: str, label: str) -> None:
        rows = {name: self._rows(part, text, label) for name, part in found.items()}
        if "all" in rows:
            parts = split(self._examples("all", rows["all"]), 0.6, 0.2, 0.2)
            self._train, self._dev, self._test = parts
        else:
            self._test = rows.get("test", ())
            self._train, self._dev = rows.get("train", ()), rows.get("dev", ())
            if not rows.get("dev") and len(rows.get("train", ())) > 4:
                self._train, self._dev = split(self._examples("train", rows["train"]), 0.8, 0.2)
        known = {row["label"] for row in self._train}
        self.labels: list[str] = sorted(known)
        unknown = sorted({row["label"] for row in (*self._dev, *self._test)} - known)
        if unknown and known:
            raise DatasetError(
                f"{self.name}: {len(unknown)} labels are in dev or test and never in train, first {unknown[0]!r}; a "
                "program cannot learn them"
            )

    def _rows(self, rows: Sequence[Mapping[str, Any]], text: str, label: str) -> list[dict[str, Any]]:
        return [
            {
                "text": str(needed(row, (text,), self.name, place)),
                "label": str(needed(row, (label,), self.name, place)),
            }
            for place, row in enumerate(rows)
        ]


class Banking77(TextClassification):
    """Banking77: customers' messages to a bank, 77 intents.

    Args:
        path: A folder with `train` and `test` files as published (columns `text` and `category` or `label`); None: the
            hub (`PolyAI/banking77`, extra `hub`).
        options: Seeds and sizes, as in `Dataset`.

    Source: Casanueva et al. 2020, arXiv 2003.04807.
    """

    origin = Origin(
        "https://github.com/PolyAI-LDN/task-specific-datasets", "CC BY 4.0",
        "Casanueva et al. 2020, Efficient Intent Detection with Dual Sentence Encoders, arXiv 2003.04807",
    )  # fmt: skip

    def __init__(self, path: str | Path | None = None, **options: Any) -> None:
        Dataset.__init__(self, **options)
        found = (
            hub_splits("PolyAI/banking77", local="use Banking77(path) with the files of its repository")
            if path is None
            else rows_at(path, {"train": ("train",), "test": ("test",)}, "Banking77")
        )
        has_label = any("label" in row for part in found.values() for row in part[:1])
        self._fill(found, "text", "label" if has_label else "category")
