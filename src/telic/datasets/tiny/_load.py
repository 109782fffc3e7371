"""Splits of one task of the micro-world, ready for `compile` and `Evaluate`.

Rows are made from the seed, never read from disk; no input occurs twice, within a split or across splits. Phrasings of
the instructions are the tasks' own, and labels are drawn anew for every seed: what the LM has seen in training is the
kind of task, not the task.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from telic._seed import derive
from telic._text import did_you_mean
from telic.data import Example
from telic.datasets.tiny._arithmetic import arithmetic
from telic.datasets.tiny._classify import classification
from telic.datasets.tiny._qa import question_answering, searching
from telic.datasets.tiny._words import QUESTION_FIELDS
from telic.errors import ConfigurationError
from telic.signatures import Signature, make_signature

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from random import Random

    from telic.datasets.tiny._task import Task


@dataclass(frozen=True)
class TinyDataset:
    """One task with its splits.

    Attributes:
        task: The name it was loaded by.
        description: What it asks, in a sentence, and what it shows.
        signature: The task's signature, with the plain instructions that a newcomer would write.
        trainset: Rows to learn from, inputs declared.
        valset: Rows to choose by.
        testset: Rows to measure by.
        metric: `metric(example, prediction, trace=None)`: True where the answer is exactly right.
    """

    task: str
    description: str
    signature: type[Signature]
    trainset: list[Example]
    valset: list[Example]
    testset: list[Example]
    metric: Callable[..., bool]


class _Plan(NamedTuple):
    """How a named task is made: fields in order, the last one the answer."""

    description: str
    inputs: tuple[str, ...]
    output: str
    instructions: str | None
    make: Callable[[Random], Task]


TASKS: Final[Mapping[str, _Plan]] = {
    "hidden_labels": _Plan(
        "Sort short texts into three classes whose labels are invented words that only examples can tell; "
        "without demos nothing is right, and good demos show every class.",
        ("text",), "label", "Classify the text.",
        partial(classification, held_out=False, told_by="demos", axis="topic", count=3, reasoning=False),
    ),
    "hidden_labels4": _Plan(
        "As hidden_labels, with four classes: which demos are chosen matters more.",
        ("text",), "label", "Classify the text.",
        partial(classification, held_out=False, told_by="demos", axis="topic", count=4, reasoning=False),
    ),
    "hidden_sentiment": _Plan(
        "Good or bad? The two labels are invented words that only examples can tell.",
        ("text",), "label", "Classify the text.",
        partial(classification, held_out=False, told_by="demos", axis="sentiment", reasoning=False),
    ),
    "sentiment": _Plan(
        "Say whether a short text is positive or negative.",
        ("text",), "sentiment", "Is it positive or negative?",
        partial(classification, held_out=False, told_by="custom", axis="sentiment", reasoning=False),
    ),
    "qa": _Plan(
        "Answer a question from a few facts, in a word or two.",
        ("context", "question"), "answer", "Answer the question from the context.",
        partial(question_answering, held_out=False, style="short", told=False, hops=1, count=3, reasoning=False),
    ),
    "qa_style": _Plan(
        "Answer a question from a few facts. Answers must be sentences, and only examples (or better instructions) "
        "tell that.",
        ("context", "question"), "answer", "Answer the question from the context.",
        partial(question_answering, held_out=False, style="full", told=False, hops=1, count=3, reasoning=False),
    ),
    "arithmetic": _Plan(
        "Solve a problem of two steps. Without reasoning it is a leap, with reasoning two small sums.",
        ("question",), "answer", "Solve the problem. Answer with the number only.",
        partial(
            arithmetic, held_out=False, steps=2, reasoning=False, unit=False, bare=False, top=20
        ),
    ),
    "search": _Plan(
        "Given one fact and a question that needs two, write the search for the other one.",
        ("context", "question"), "search_query", "Write a search query.",
        partial(searching, held_out=False, with_context=True),
    ),
}  # fmt: skip


def load(task: str, *, n_train: int = 50, n_val: int = 50, n_test: int = 200, seed: int = 0) -> TinyDataset:
    """Return splits of a task of the micro-world, made for the embedded LM `telic/tiny`.

    Args:
        task: A key of `TASKS`.
        n_train: Rows to learn from.
        n_val: Rows to choose by.
        n_test: Rows to measure by.
        seed: Another seed gives other labels and other rows.

    Raises:
        ConfigurationError: There is no such task, or a number of rows is negative.

    Example:
        >>> data = load("hidden_labels", n_train=20, n_val=0, n_test=5)
        >>> len(data.trainset), sorted(data.trainset[0].inputs().keys())
        (20, ['text'])
    """
    plan = TASKS.get(task)
    if plan is None:
        raise ConfigurationError(
            f"there is no task {task!r} in telic.datasets.tiny{did_you_mean(task, TASKS)}; tasks: {', '.join(TASKS)}"
        )
    if min(n_train, n_val, n_test) < 0:
        raise ConfigurationError(f"numbers of rows must not be negative, not {min(n_train, n_val, n_test)}")
    made = plan.make(derive(seed, "tiny", task))
    names = dict(zip(_ordered(made, plan), plan.inputs, strict=True))
    names[list(made.signature.output_fields)[-1]] = plan.output
    seen: set[tuple[str, ...]] = set()
    splits = [
        _rows(made, names, plan, derive(seed, "tiny", task, split), count, seen)
        for split, count in (("train", n_train), ("val", n_val), ("test", n_test))
    ]
    return TinyDataset(task, plan.description, _signature(plan), *splits, metric=_metric(plan.output))


def _ordered(task: Task, plan: _Plan) -> list[str]:
    """Return the names of the task's inputs in the plan's order: the question last."""
    names = list(task.signature.input_fields)
    return names if len(plan.inputs) == 1 else sorted(names, key=lambda name: name in QUESTION_FIELDS)


def _rows(
    task: Task, names: Mapping[str, str], plan: _Plan, rng: Random, count: int, seen: set[tuple[str, ...]]
) -> list[Example]:
    rows: list[Example] = []
    while len(rows) < count:
        row = task.draw(rng)
        key = tuple(row.inputs.values())
        if key in seen:
            continue
        seen.add(key)
        values = {names[k]: v for k, v in {**row.inputs, **row.outputs}.items()}
        rows.append(Example({n: values[n] for n in (*plan.inputs, plan.output)}).with_inputs(*plan.inputs))
    return rows


def _signature(plan: _Plan) -> type[Signature]:
    return make_signature(f"{', '.join(plan.inputs)} -> {plan.output}", plan.instructions)


def _metric(output: str) -> Callable[..., bool]:
    def exact(example: Any, prediction: Any, trace: Any = None) -> bool:
        """Return whether the answer is exactly right, but for blanks at its ends."""
        return str(getattr(prediction, output, "")).strip() == str(getattr(example, output)).strip()

    return exact
