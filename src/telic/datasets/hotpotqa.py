"""HotPotQA: questions that need two Wikipedia paragraphs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

from telic.datasets._dataset import Dataset, Origin, needed, rows_at
from telic.datasets._hub import hub_splits
from telic.errors import DatasetError
from telic.evaluate import answer_exact_match

_DETAILS = ("id", "type", "supporting_facts", "context")


class HotPotQA(Dataset):
    """HotPotQA, with the fields `question`, `answer` and `gold_titles`.

    Args:
        path: A folder with `train` and `test` (or `dev`, `validation`) files, or one file, as published or as one
            object a line; None: the hub (`hotpotqa/hotpot_qa`, extra `hub`).
        train_seed: As in `Dataset`.
        train_size: As in `Dataset`.
        eval_seed: As in `Dataset`.
        dev_size: As in `Dataset`.
        test_size: As in `Dataset`.
        only_hard_examples: Keep rows of the level "hard" alone, as in all of the published dev rows.
        keep_details: True: also `id`, `type`, `supporting_facts` and `context`, where the rows have them. "dev_titles"
            and False: the three fields.
        unofficial_dev: Cut dev from the published training rows (a quarter); False: there is no dev.
        input_keys: Which fields are inputs; None: `question`.

    `test` are the published dev rows, as the answers of the published test are not public.

    Raises:
        DatasetError: The files or the hub cannot be read, or a row is none of HotPotQA's.

    Source: Yang et al. 2018, arXiv 1809.09600.
    """

    origin = Origin(
        "https://hotpotqa.github.io", "CC BY-SA 4.0",
        "Yang et al. 2018, HotpotQA: A Dataset for Diverse, Explainable Multi-hop Question Answering, arXiv 1809.09600",
    )  # fmt: skip
    inputs = ("question",)
    metric = staticmethod(answer_exact_match)

    def __init__(
        self,
        path: str | Path | None = None,
        *,
        train_seed: int = 0,
        train_size: int | None = None,
        eval_seed: int = 0,
        dev_size: int | None = None,
        test_size: int | None = None,
        only_hard_examples: bool = True,
        keep_details: bool | str = "dev_titles",
        unofficial_dev: bool = True,
        input_keys: Sequence[str] | None = None,
    ) -> None:
        super().__init__(train_seed, train_size, eval_seed, dev_size, test_size, input_keys)
        if keep_details not in (True, False, "dev_titles"):
            raise DatasetError(f"HotPotQA: keep_details is {keep_details!r}; True, False or 'dev_titles'")
        found = (
            hub_splits(
                "hotpotqa/hotpot_qa",
                "fullwiki",
                local="use HotPotQA(path) with its files from hotpotqa.github.io",
            )
            if path is None
            else rows_at(
                path,
                {"train": ("train", "hotpot_train"), "test": ("test", "dev", "validation", "hotpot_dev")},
                "HotPotQA",
            )
        )
        learn = _rows(found.get("train", found.get("all", ())), only_hard_examples, keep_details is True)
        held_out = found.get("validation", found.get("test", ()))  # the hub's test rows have no answers
        self._test = _rows(held_out, only_hard_examples, keep_details is True)
        shuffled = self._shuffle_and_sample("train", learn, None, 0)
        cut = len(shuffled) * 3 // 4 if unofficial_dev else len(shuffled)
        self._train, self._dev = shuffled[:cut], shuffled[cut:]


def _rows(rows: Sequence[Mapping[str, Any]], only_hard: bool, details: bool) -> list[dict[str, Any]]:
    made: list[dict[str, Any]] = []
    for place, row in enumerate(rows):
        if only_hard and row.get("level", "hard") != "hard":
            continue
        fields = {
            "question": str(needed(row, ("question",), "HotPotQA", place)),
            "answer": str(needed(row, ("answer",), "HotPotQA", place)),
            "gold_titles": _titles(row),
        }
        if details:
            fields.update({name: row[name] for name in _DETAILS if name in row})
            if "_id" in row:
                fields["id"] = row["_id"]
        made.append(fields)
    return made


def _titles(row: Mapping[str, Any]) -> list[str]:
    """Return the titles of the paragraphs that hold the answer, each once, from any of the published layouts."""
    given: Any = row.get("gold_titles")
    if given is None:
        facts: Any = row.get("supporting_facts") or ()
        given = cast("Any", facts)["title"] if isinstance(facts, Mapping) else _firsts(facts)
    return list(dict.fromkeys(map(str, given)))


def _firsts(facts: Sequence[Sequence[Any]]) -> list[Any]:
    return [fact[0] for fact in facts]
