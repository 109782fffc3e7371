"""GSM8K: grade school maths in words, with whole numbers for answers."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

from telic.datasets._dataset import Dataset, Origin, needed, rows_at
from telic.datasets._hub import hub_splits

_NUMBER: Final = re.compile(r"-?\$?\s?(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?|-?\$?\.\d+")


def parse_integer_answer(answer: str, only_first_line: bool = True) -> int:
    """Return the last whole number of an answer, decimals cut; 0 where there is none, as in DSPy.

    Example:
        >>> parse_integer_answer("She pays $1,234.50 in all.")
        1234
    """
    text = answer.strip().split("\n")[0] if only_first_line else answer
    value = number_in(text)
    return 0 if value is None else int(value)


def number_in(text: str) -> Decimal | None:
    """Return the last number of a text, or None.

    Example:
        >>> number_in("first 3, then -1,250.5 dollars"), number_in("none") is None
        (Decimal('-1250.5'), True)
    """
    found = _NUMBER.findall(text)
    return Decimal(re.sub(r"[$,\s]", "", found[-1])) if found else None


def gsm8k_metric(gold: Any, pred: Any, trace: Any = None) -> bool:
    """Return whether the last number of the answer is the right one.

    Deviations from DSPy: decimals and signs count, and an answer without a number is wrong (there it is 0).
    """
    del trace
    right, answered = number_in(str(gold.answer)), number_in(str(pred.answer).strip().split("\n")[0])
    return right is not None and right == answered


class GSM8K(Dataset):
    """GSM8K, with the fields `question`, `gold_reasoning` and `answer`.

    Args:
        path: A folder with `train` and `test` files (.jsonl as published, or .parquet, .csv), or None: the hub
            (`openai/gsm8k`, extra `hub`).
        train_seed: Shuffles the training rows, of which dev rows are cut.
        train_size: How many rows to train on.
        dev_size: How many rows to choose by; they come from the published training rows.
        test_size: How many test rows, in their published order; None: all.

    Raises:
        DatasetError: The files or the hub cannot be read, or a row is none of GSM8K's.

    Source: Cobbe et al. 2021, arXiv 2110.14168. Deviations from DSPy's: sizes can be chosen, test rows are in `test`
    only.
    """

    origin = Origin(
        "https://github.com/openai/grade-school-math", "MIT",
        "Cobbe et al. 2021, Training Verifiers to Solve Math Word Problems, arXiv 2110.14168",
    )  # fmt: skip
    inputs = ("question",)
    metric = staticmethod(gsm8k_metric)

    def __init__(
        self,
        path: str | Path | None = None,
        *,
        train_seed: int = 0,
        train_size: int | None = 200,
        dev_size: int = 300,
        test_size: int | None = None,
    ) -> None:
        super().__init__(train_seed, None, 0, None, test_size)
        found = (
            hub_splits("openai/gsm8k", "main", local="use GSM8K(path) with the files of its repository")
            if path is None
            else rows_at(path, {"train": ("train",), "test": ("test",)}, "GSM8K")
        )
        learn = _rows(found.get("train", found.get("all", ())))
        self._test = _rows(found.get("test", ()))
        shuffled = self._shuffle_and_sample("train", learn, None, train_seed)
        cut = min(dev_size, max(0, len(shuffled) - (train_size or 1)))
        self._dev, self._train = shuffled[:cut], shuffled[cut:]
        self.do_shuffle = False  # the published rows were shuffled above, before they were cut
        self.train_size = None if train_size is None else min(train_size, len(shuffled) - cut)


def _reasoning(row: Mapping[str, Any]) -> str:
    return str(row.get("gold_reasoning", row.get("rationale", "")))


def _rows(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    made: list[dict[str, Any]] = []
    for place, row in enumerate(rows):
        text = str(needed(row, ("answer",), "GSM8K", place))
        reasoning, mark, answer = text.rpartition("####")
        made.append(
            {
                "question": str(needed(row, ("question",), "GSM8K", place)),
                "gold_reasoning": reasoning.strip() if mark else _reasoning(row),
                "answer": answer.strip().replace(",", ""),
            }
        )
    return made
