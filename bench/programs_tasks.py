"""What the grids of `programs.py` run on: tasks with their rows, and the programs that are compared.

A task is one draw of rows to learn from, to choose by and to measure by. On `tiny` each seed is another world; on GSM8K
and HotPotQA seeds take other rows of the published splits, and no test row twice.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from random import Random
from typing import Any, Final, NamedTuple

import telic
from telic.datasets import GSM8K, HotPotQA, tiny
from telic.recipes.programs import ThoughtReflection
from telic.retrieve import BM25, Passage

NOTHING: Final = "Nothing yet."


class Sizes(NamedTuple):
    """How many rows to learn from, to choose by and to measure by."""

    train: int
    val: int
    test: int


class Task(NamedTuple):
    """Rows with all that a program of theirs needs.

    Attributes:
        signature: `question -> answer`, with the instructions that a newcomer would write.
        train: Rows to learn from.
        val: Rows to choose by.
        test: Rows to measure by.
        metric: True where the answer is right.
        rm: The retriever, where there is something to be found.
        gold: The texts (or titles) of the passages that an answer rests on, and which of them a passage is.
    """

    signature: Any
    train: list[Any]
    val: list[Any]
    test: list[Any]
    metric: Callable[..., Any]
    rm: Any = None
    gold: tuple[Callable[[Any], Sequence[str]], Callable[[Any], str]] | None = None


# The data


def tiny_sums(seed: int, sizes: Sizes, path: Path | None) -> Task:
    data = tiny.load("units2", n_train=sizes.train, n_val=sizes.val, n_test=sizes.test, seed=seed)
    return Task(data.signature, data.trainset, data.valset, data.testset, data.metric)


def tiny_hops(seed: int, sizes: Sizes, path: Path | None) -> Task:
    data = tiny.load("agent_facts", n_train=sizes.train, n_val=sizes.val, n_test=sizes.test, seed=seed)
    gold = (lambda example: example.gold_passages), str
    rows = (data.trainset, data.valset, data.testset)
    return Task(data.signature, *rows, data.metric, BM25(data.passages), gold)


def gsm8k(seed: int, sizes: Sizes, path: Path | None) -> Task:
    data = GSM8K(path, train_seed=seed, train_size=sizes.train, dev_size=sizes.val)
    signature = telic.Signature("question -> answer", "Solve the problem. Answer with the number only.")
    test = part_of(data.test, seed, sizes.test)
    return Task(signature, data.train, data.dev, test, data.metric)


def hotpotqa(seed: int, sizes: Sizes, path: Path | None) -> Task:
    data = HotPotQA(path, train_seed=seed, eval_seed=seed, train_size=sizes.train, dev_size=sizes.val,
                    only_hard_examples=False)  # fmt: skip
    whole = HotPotQA(path, only_hard_examples=False, keep_details=True)
    passages = corpus_of(path, [*whole.train, *whole.dev, *whole.test])
    signature = telic.Signature("question -> answer", "Answer the question in a few words.")
    gold = (lambda example: example.gold_titles), (lambda passage: str(passage).partition(" | ")[0])
    test = part_of(whole.test, seed, sizes.test)
    return Task(signature, data.train, data.dev, test, data.metric, BM25(passages), gold)


def part_of(rows: Sequence[Any], seed: int, count: int) -> list[Any]:
    """Return the rows of a seed: of one shuffled list, so that no two seeds have a row in common.

    Raises:
        SystemExit: There are too few.
    """
    shuffled = list(rows)
    Random(0).shuffle(shuffled)
    found = shuffled[seed * count : (seed + 1) * count]
    if len(found) < count:
        raise SystemExit(
            f"seed {seed} needs test rows {seed * count} to {(seed + 1) * count}; there are {len(rows)}"
        )
    return found


def corpus_of(path: Path | None, rows: Sequence[Any]) -> list[Passage]:
    """Return "title | text" passages: of `corpus.jsonl` in the folder, else of the contexts of the rows.

    Raises:
        SystemExit: There are neither.
    """
    file = None if path is None else path / "corpus.jsonl"
    if file is not None and file.is_file():
        lines = [json.loads(line) for line in file.read_text("utf-8").splitlines() if line.strip()]
        told = [(line["title"], line["sentences"]) for line in lines]
    else:
        told = [pair for row in rows for pair in pairs_of(row.get("context"))]
    texts = dict.fromkeys(
        f"{title} | {' '.join(part.strip() for part in sentences)}" for title, sentences in told
    )
    if not texts:
        raise SystemExit(
            f"there is nothing to retrieve: no corpus.jsonl in {str(path)!r}, and rows without 'context'"
        )
    return [Passage(text) for text in texts]


def pairs_of(context: Any) -> list[Any]:
    """Return the paragraphs of a row as pairs, from both published layouts."""
    if isinstance(context, dict):
        return list(zip(context["title"], context["sentences"], strict=True))
    return list(context or ())


# The programs


class RAG(telic.Module):
    """Read the passages that the question finds; answer by a chain of thought."""

    def __init__(self, task: Task, k: int = 3) -> None:
        super().__init__()
        self.retrieve = telic.Retrieve(k=k)
        self.answer = telic.ChainOfThought(from_context(task))

    def forward(self, question: str) -> telic.Prediction:
        found = self.retrieve(question).passages
        said = self.answer(context=as_text(found), question=question)
        return telic.Prediction(answer=said.answer, context=found)


class MultiHop(telic.Module):
    """Simplified Baleen: write a query, read what it finds, write the next one, answer by a chain of thought."""

    def __init__(self, task: Task, k: int = 2, hops: int = 2) -> None:
        super().__init__()
        self.retrieve = telic.Retrieve(k=k)
        self.ask = [telic.Predict("context, question -> search_query") for _ in range(hops)]
        self.answer = telic.ChainOfThought(from_context(task))

    def forward(self, question: str) -> telic.Prediction:
        found: list[Passage] = []
        for ask in self.ask:
            query = ask(context=as_text(found), question=question).search_query
            new = self.retrieve(query).passages if query.strip() else []
            found += [passage for passage in new if passage not in found]
        said = self.answer(context=as_text(found), question=question)
        return telic.Prediction(answer=said.answer, context=found)


def as_text(passages: Sequence[str]) -> str:
    return "\n".join(passages) or NOTHING


def from_context(task: Task) -> Any:
    return telic.Signature("context, question -> answer", task.signature.instructions)


def react(task: Task) -> telic.Module:
    retrieve = telic.Retrieve(k=3)

    def search(query: str) -> list[str]:
        """Search for facts."""
        return retrieve(query).passages

    return telic.ReAct(task.signature, tools=[search], max_iters=5)


def read_by(prediction: Any) -> list[Any]:
    """Return the passages that a program has read."""
    if "trajectory" not in prediction:
        return list(prediction.get("context") or ())
    steps = prediction.trajectory
    seen = [
        value for name, value in steps.items() if name.startswith("observation_") and isinstance(value, list)
    ]
    return [passage for observation in seen for passage in observation]


def vanilla(task: Task) -> telic.Module:
    return telic.Predict(task.signature)


def chain(task: Task) -> telic.Module:
    return telic.ChainOfThought(task.signature)


def reflection(task: Task) -> telic.Module:
    return ThoughtReflection(task.signature, num_attempts=3)


GRIDS: Final[dict[str, dict[str, Callable[[Task], telic.Module]]]] = {
    "arithmetic": {"vanilla": vanilla, "CoT": chain, "reflection": reflection},
    "two hops": {"vanilla": vanilla, "CoT RAG": RAG, "ReAct": react, "multi-hop": MultiHop},
}
DATA: Final[dict[str, dict[str, Callable[[int, Sizes, Path | None], Task]]]] = {
    "tiny": {"arithmetic": tiny_sums, "two hops": tiny_hops},
    "gsm8k": {"arithmetic": gsm8k},
    "hotpotqa": {"two hops": hotpotqa},
}
