"""Splits of one task of the micro-world, ready for `compile` and `Evaluate`.

Rows are made from the seed, never read from disk; no input occurs twice, within a split or across splits. Names, labels
and phrasings are of the part of the world that the embedded LM's training never drew: what it has seen is the kind of
task, not the task.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from telic._seed import derive
from telic._text import did_you_mean
from telic.data import Example
from telic.datasets.tiny._agent_world import AgentWorld
from telic.datasets.tiny._arithmetic import arithmetic
from telic.datasets.tiny._classify import classification
from telic.datasets.tiny._history import remembering
from telic.datasets.tiny._qa import question_answering, searching
from telic.datasets.tiny._table import threshold
from telic.datasets.tiny._task import Row, Task
from telic.datasets.tiny._typed import listing, record, truth
from telic.datasets.tiny._words import QUESTION_FIELDS
from telic.errors import ConfigurationError
from telic.signatures import InputField, OutputField, Signature, make_signature

if TYPE_CHECKING:
    from random import Random


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
        metric: `metric(example, prediction, trace=None)`: True where every output is exactly right.
        tools: What an agent needs to answer: a search over the facts, a calculator. Empty for other tasks.
        passages: What can be found by retrieval: all facts of the world, where answers must be searched for. The rows
            name those that their answers rest on as `gold_passages`. Empty for other tasks.
    """

    task: str
    description: str
    signature: type[Signature]
    trainset: list[Example]
    valset: list[Example]
    testset: list[Example]
    metric: Callable[..., bool]
    tools: Sequence[Callable[..., Any]] = ()
    passages: Sequence[str] = ()


class _Plan(NamedTuple):
    """How a named task is made.

    Attributes:
        description: What it asks, and what it shows.
        fields: Names of the inputs (the question last) and of the outputs.
        instructions: What a newcomer would write; None: nothing; "own": the task's own, which tell what is wanted.
        make: The task; or the world of an agent.
    """

    description: str
    fields: tuple[tuple[str, ...], tuple[str, ...]]
    instructions: str | None
    make: Callable[[Random], Task] | str


_hidden = partial(classification, held_out=True, told_by="demos", reasoning=False)
_told = partial(classification, held_out=True, told_by="instructions", reasoning=False)
_qa = partial(question_answering, held_out=True, told=False, count=3, reasoning=False)
_solve = partial(arithmetic, held_out=True, reasoning=False, bare=False, top=20)
_TEXT: Final = (("text",), ("label",))
_ASK: Final = (("context", "question"), ("answer",))
_PROBLEM: Final = (("question",), ("answer",))

TASKS: Final[Mapping[str, _Plan]] = {
    "hidden_labels": _Plan(
        "Sort short texts into three classes whose labels are invented words that only examples can tell; "
        "without demos nothing is right, and good demos show every class.",
        _TEXT, "Classify the text.", partial(_hidden, axis="topic", count=3),
    ),
    "hidden_labels4": _Plan(
        "As hidden_labels, with four classes: which demos are chosen matters more.",
        _TEXT, "Classify the text.", partial(_hidden, axis="topic", count=4),
    ),
    "hidden_sentiment": _Plan(
        "Good or bad? The two labels are invented words that only examples can tell.",
        _TEXT, "Classify the text.", partial(_hidden, axis="sentiment"),
    ),
    "told_labels": _Plan(
        "As hidden_labels, but the instructions tell what the labels mean: what a good instruction is worth.",
        _TEXT, "own", partial(_told, axis="topic", count=3),
    ),
    "sentiment": _Plan(
        "Say whether a short text is positive or negative.",
        (("text",), ("sentiment",)), "Is it positive or negative?",
        partial(classification, held_out=True, told_by="custom", axis="sentiment", reasoning=False),
    ),
    "qa": _Plan(
        "Answer a question from a few facts, in a word or two.",
        _ASK, "Answer the question from the context.", partial(_qa, style="short", hops=1),
    ),
    "qa_style": _Plan(
        "Answer a question from a few facts. Answers must be sentences, and only examples (or better instructions) "
        "tell that.",
        _ASK, "Answer the question from the context.", partial(_qa, style="full", hops=1),
    ),
    "two_hops": _Plan(
        "Answer a question that needs two facts. Reasoning helps.",
        _ASK, "Answer the question from the context.", partial(_qa, style="short", hops=2),
    ),
    "search": _Plan(
        "Given one fact and a question that needs two, write the search for the other one.",
        (("context", "question"), ("search_query",)), "Write a search query.",
        partial(searching, held_out=True, with_context=True),
    ),
    "arithmetic": _Plan(
        "Solve a problem of two steps. Without reasoning it is a leap, with reasoning two small sums.",
        _PROBLEM, "Solve the problem. Answer with the number only.", partial(_solve, steps=2, unit=False),
    ),
    "arithmetic3": _Plan(
        "As arithmetic, in three steps.",
        _PROBLEM, "Solve the problem. Answer with the number only.", partial(_solve, steps=3, unit=False),
    ),
    "units": _Plan(
        "Solve a problem of one step. Answers must name what is counted, and only examples (or better instructions) "
        "tell that.",
        _PROBLEM, "Solve the problem.", partial(_solve, steps=1, unit=True, told=False),
    ),
    "units2": _Plan(
        "As units, in two steps: reasoning and examples both matter.",
        _PROBLEM, "Solve the problem.", partial(_solve, steps=2, unit=True, told=False),
    ),
    "agent_facts": _Plan(
        "Answer a question that needs two facts, with a search over all of them as a tool.",
        _PROBLEM, "Answer the question.", "2 hops",
    ),
    "agent_sums": _Plan(
        "Solve a problem of one to three steps, with a calculator as a tool.",
        _PROBLEM, "Solve the problem. Answer with the number only.", "sums",
    ),
    "names": _Plan(
        "List the people that a text names.",
        (("text",), ("names",)), "List the names.", partial(listing, held_out=True, kind="names"),
    ),
    "record": _Plan(
        "Take three facts out of a text, each of its own type.",
        (("text",), ()), "Extract the fields.",
        partial(record, held_out=True, form="fields", names=("name", "age", "city")),
    ),
    "truth": _Plan(
        "Say whether a statement is true of a few facts.",
        (("context", "statement"), ("is_true",)), "Is the statement true?", partial(truth, held_out=True),
    ),
    "threshold": _Plan(
        "Label a row of numbers by one of them; the instructions tell the rule.",
        ((), ("label",)), "own", partial(threshold, held_out=True, told=True, columns=("size", "weight", "age")),
    ),
    "conversation": _Plan(
        "Answer what earlier turns of a conversation told.",
        (("history", "question"), ("answer",)), "Answer from the conversation.", partial(remembering, held_out=True),
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
    seen: set[str] = set()
    if isinstance(plan.make, str):
        world = AgentWorld(derive(seed, "tiny", task), True, subjects=max(12, n_train + n_val + n_test))
        made, tools, passages = _agent_task(world, plan), (world.search, world.calculator), (*world.facts,)
        if plan.make == "sums":
            tools, passages = tools[1:], ()
    else:
        made, tools, passages = _renamed(plan.make(derive(seed, "tiny", task)), plan), (), ()
    splits = [
        _rows(made, derive(seed, "tiny", task, split), count, seen)
        for split, count in (("train", n_train), ("val", n_val), ("test", n_test))
    ]
    return TinyDataset(
        task, plan.description, made.signature, *splits, metric=_metric(made.signature), tools=tools,
        passages=passages,
    )  # fmt: skip


def _renamed(task: Task, plan: _Plan) -> Task:
    """Return the task with the plan's field names and instructions."""
    given, wanted = plan.fields
    inputs, outputs = task.signature.input_fields, task.signature.output_fields
    # In the plan's order: the question last. Where the plan has no names, the task keeps its own.
    ordered = sorted(inputs, key=lambda name: name in QUESTION_FIELDS or name == "statement")
    names = dict(
        zip([*(ordered if given else ()), *(outputs if wanted else ())], (*given, *wanted), strict=True)
    )
    instructions = task.signature.instructions if plan.instructions == "own" else plan.instructions
    made: dict[str, Any] = {names.get(n, n): (inputs[n].annotation, InputField()) for n in ordered}
    made |= {names.get(n, n): (f.annotation, OutputField()) for n, f in outputs.items()}

    def draw(rng: Random) -> Any:
        row = task.draw(rng)
        return row._replace(
            inputs={names.get(n, n): _with_names(row.inputs[n], names) for n in ordered},
            outputs={names.get(n, n): v for n, v in row.outputs.items()},
        )

    return Task(task.family, make_signature(made, instructions), draw)


def _with_names(value: Any, names: Mapping[str, str]) -> Any:
    """Return a value; the turns of a conversation have the new names of the fields."""
    messages: Any = getattr(value, "messages", None)
    if messages is None:
        return value
    return type(value)(messages=[{names.get(k, k): v for k, v in turn.items()} for turn in messages])


def _agent_task(world: AgentWorld, plan: _Plan) -> Task:
    """Return questions about one world; its tools know the answers."""
    kind = str(plan.make)

    def draw(rng: Random) -> Any:
        world.rng = rng
        question, answer = world.question(kind)
        return Row({"question": question}, {"answer": answer}, gold=world.gold(question))

    return Task(f"agent/{kind}", make_signature("question -> answer", plan.instructions), draw)


def _rows(task: Task, rng: Random, count: int, seen: set[str]) -> list[Example]:
    rows: list[Example] = []
    tries = 0
    while len(rows) < count:
        row = task.draw(rng)
        key = repr(row.inputs)
        tries += 1
        if tries > 50 * (count + len(seen) + 20):
            raise ConfigurationError(
                f"the task {task.family!r} has only {len(seen)} different rows with this seed; ask for fewer"
            )
        if key not in seen:
            seen.add(key)
            gold = {"gold_passages": list(row.gold)} if row.gold else {}
            rows.append(Example({**row.inputs, **row.outputs, **gold}).with_inputs(*row.inputs))
    return rows


def _metric(signature: type[Signature]) -> Callable[..., bool]:
    names = tuple(signature.output_fields)

    def exact(example: Any, prediction: Any, trace: Any = None) -> bool:
        """Return whether every output is exactly right, but for blanks at the ends of texts."""
        return all(_same(getattr(prediction, n, None), getattr(example, n)) for n in names)

    return exact


def _same(given: Any, wanted: Any) -> bool:
    return (
        given.strip() == wanted.strip()
        if isinstance(given, str) and isinstance(wanted, str)
        else given == wanted
    )
