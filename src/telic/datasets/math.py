"""MATH: problems of mathematics competitions, with answers in LaTeX."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from telic._text import did_you_mean
from telic.datasets._dataset import Dataset, Origin, needed, rows_at
from telic.datasets._hub import hub_splits
from telic.datasets._latex import boxed, same_answer
from telic.errors import DatasetError

SUBSETS: Final = (
    "algebra", "counting_and_probability", "geometry", "intermediate_algebra", "number_theory", "prealgebra",
    "precalculus",
)  # fmt: skip


def extract_answer(text: str) -> str:
    r"""Return the last boxed answer of a solution, or the text itself where nothing is boxed.

    Example:
        >>> extract_answer(r"Thus $\boxed{7}$."), extract_answer("7")
        ('7', '7')
    """
    found = boxed(text)
    return text.strip() if found is None else found


def math_metric(example: Any, pred: Any, trace: Any = None) -> bool:
    """Return whether the answer says the same as the right one; see `_latex`."""
    del trace
    return same_answer(str(example.answer), str(pred.answer))


class MATH(Dataset):
    """MATH, with the fields `question`, `reasoning`, `answer`, `level` and `subset`.

    Args:
        subset: One of `SUBSETS`, or None: all of them.
        path: The published folder (`train/algebra/1.json` …), or a folder with `train` and `test` files whose rows have
            `problem`, `solution` and `type`; None: the hub (`DigitalLearningGmbH/MATH-lighteval`, extra `hub`).
        train_seed: As in `Dataset`.
        train_size: As in `Dataset`.
        eval_seed: As in `Dataset`.
        dev_size: As in `Dataset`.
        test_size: As in `Dataset`.

    dev is a third of the published training rows, `test` are the published test rows (DSPy cuts the test in three).

    Raises:
        DatasetError: The subset is not known, the files or the hub cannot be read, or a row is none of MATH's.

    Source: Hendrycks et al. 2021, arXiv 2103.03874.
    """

    origin = Origin(
        "https://github.com/hendrycks/math", "MIT",
        "Hendrycks et al. 2021, Measuring Mathematical Problem Solving With the MATH Dataset, arXiv 2103.03874",
    )  # fmt: skip
    inputs = ("question",)
    metric = staticmethod(math_metric)

    def __init__(
        self,
        subset: str | None = None,
        path: str | Path | None = None,
        *,
        train_seed: int = 0,
        train_size: int | None = None,
        eval_seed: int = 0,
        dev_size: int | None = None,
        test_size: int | None = None,
    ) -> None:
        if subset is not None and subset not in SUBSETS:
            raise DatasetError(
                f"MATH: no subset is called {subset!r}{did_you_mean(str(subset), SUBSETS)}; one of {', '.join(SUBSETS)}"
            )
        super().__init__(train_seed, train_size, eval_seed, dev_size, test_size)
        if path is None:
            name, local = (
                "DigitalLearningGmbH/MATH-lighteval",
                "use MATH(subset, path) with the published folder",
            )
            found = hub_splits(name, *(() if subset is None else (subset,)), local=local)
        elif (Path(path) / "train").is_dir():
            found = {name: _published(Path(path) / name) for name in ("train", "test")}
        else:
            found = rows_at(path, {"train": ("train",), "test": ("test",)}, "MATH")
        learn = _rows(found.get("train", found.get("all", ())), subset)
        self._test = _rows(found.get("test", ()), subset)
        shuffled = self._shuffle_and_sample("train", learn, None, 0)
        cut = len(shuffled) * 2 // 3
        self._train, self._dev = shuffled[:cut], shuffled[cut:]


def _published(folder: Path) -> list[dict[str, Any]]:
    """Return the rows of a folder of folders, one problem a file."""
    found: list[dict[str, Any]] = []
    for file in sorted(folder.rglob("*.json")):
        try:
            found.append({"type": file.parent.name, **json.loads(file.read_text(encoding="utf-8"))})
        except (ValueError, TypeError, OSError) as error:
            raise DatasetError(f"MATH: {str(file)!r} cannot be read: {error}") from error
    return found


def _rows(rows: Sequence[Mapping[str, Any]], subset: str | None) -> list[dict[str, Any]]:
    made: list[dict[str, Any]] = []
    for place, row in enumerate(rows):
        kind = str(row.get("type", row.get("subset", ""))).lower().replace(" & ", "_and_").replace(" ", "_")
        if subset is not None and kind not in ("", subset):
            continue
        solution = str(needed(row, ("solution", "reasoning"), "MATH", place))
        made.append(
            {
                "question": str(needed(row, ("problem", "question"), "MATH", place)),
                "reasoning": solution,
                "answer": str(row["answer"]) if row.get("answer") is not None else extract_answer(solution),
                "level": row.get("level", ""),
                "subset": kind,
            }
        )
    return made
