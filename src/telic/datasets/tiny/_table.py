"""Small tables of numbers: a label by a threshold on one column, told or shown; and comparisons."""

# ruff: noqa: E501 - tables of words and phrasings read better in long lines

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from telic.datasets.tiny import _words as words
from telic.datasets.tiny._classify import held, new_labels
from telic.datasets.tiny._task import Field, Row, Task, task_of

if TYPE_CHECKING:
    from collections.abc import Sequence
    from random import Random

COLUMNS = (
    "size",
    "weight",
    "age",
    "price",
    "height",
    "length",
    "width",
    "speed",
    "score",
    "count",
    "points",
    "heat",
)
TOLD = (
    "If {c} is over {n}, answer {a}, else {b}.", "Answer {a} if {c} is more than {n}, else {b}.", "{a} when {c} is over {n}, else {b}.",
    "{c} over {n} means {a}, else {b}.", "Write {a} for {c} over {n}, and {b} for less.", "Look at {c}: over {n} it is {a}, else {b}.",
    "When {c} is larger than {n} say {a}, else say {b}.", "Use {a} if {c} > {n} and {b} if not.", "{c} > {n}: {a}, else: {b}.", "It is {a} if {c} is above {n}, else {b}.",
)  # fmt: skip
ASKED = {
    "larger": (
        "Give the larger number.",
        "Which number is larger?",
        "The larger one.",
        "Write the bigger number.",
        "Choose the larger number.",
    ),
    "smaller": (
        "Give the smaller number.",
        "Which number is smaller?",
        "The smaller one.",
        "Write the smaller number.",
        "Choose the smaller number.",
    ),
}


def threshold(
    rng: Random, held_out: bool, *, told: bool | None = None, columns: Sequence[str] | None = None
) -> Task:
    """Return a task whose label depends on one column; told by the instructions in two of three."""
    told = rng.random() < 0.67 if told is None else told
    if columns is None:
        columns = rng.sample(COLUMNS, rng.choice((1, 2, 3, 4) if told else (1, 1, 2)))
    column, limit = rng.choice(columns), rng.choice((10, 20, 30, 40, 50, 60, 70, 80))
    over, under = new_labels(rng, 2, held_out)
    output = rng.choice([n for n in words.LABEL_FIELDS if n not in columns])
    rule = rng.choice(held(TOLD, held_out)).format(c=column, n=limit, a=over, b=under)
    rule = rule if rule.startswith((over, under, column)) else rule[0].upper() + rule[1:]

    def draw(rng: Random) -> Row:
        values: dict[str, Any] = {c: rng.randint(0, 99) for c in columns}
        if values[column] == limit:
            values[column] += 1
        high = values[column] > limit
        return Row(values, {output: over if high else under}, None if told else str(high))

    inputs = [Field(c, "", int) for c in columns]
    return task_of(
        f"table/{'told' if told else 'shown'}", inputs, [Field(output)], rule if told else None, draw
    )


def comparing(rng: Random, held_out: bool) -> Task:
    """Return a task of choosing the larger or the smaller of two numbers."""
    which = rng.choice(tuple(ASKED))
    a, b = rng.sample(("a", "b", "first", "second", "x", "y", "left", "right"), 2)
    output = rng.choice(("answer", "result", "number", which))

    def draw(rng: Random) -> Row:
        one, two = rng.sample(range(100), 2)
        return Row({a: one, b: two}, {output: (max if which == "larger" else min)(one, two)})

    told = rng.choice(held(ASKED[which], held_out))
    return task_of(
        f"table/{which}", [Field(a, "", int), Field(b, "", int)], [Field(output, "", int)], told, draw
    )


def table(rng: Random, held_out: bool) -> Task:
    """Return a task over numbers."""
    return threshold(rng, held_out) if rng.random() < 0.7 else comparing(rng, held_out)
