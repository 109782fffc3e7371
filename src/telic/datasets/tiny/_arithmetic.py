"""Arithmetic in one to three steps: with reasoning it is a chain of small sums, without it is a leap."""

# ruff: noqa: E501 - tables of words and phrasings read better in long lines

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from telic.datasets.tiny import _words as words
from telic.datasets.tiny._classify import held
from telic.datasets.tiny._task import Row, Task, distinct, fields, task_of

if TYPE_CHECKING:
    from random import Random

PLUS: Final = (
    "{who} gets {n} more.", "{who} buys {n} more {thing}.", "{who2} gives {who} {n} {thing}.", "Then {n} more {thing} come.",
    "{who} finds {n} {thing}.",
)  # fmt: skip
MINUS: Final = (
    "{who} loses {n}.", "{who} gives {n} {thing} to {who2}.", "{who} sells {n} {thing}.", "Then {n} {thing} are gone.",
    "{who2} takes {n} of them.",
)  # fmt: skip
HEADS: Final = (
    "Solve the problem.", "Work it out.", "Calculate.", "Find the number.", "Answer the question.", "Do the sum.",
    "What is the result?", "Compute the answer.", "Solve it step by step.", "How many are there?",
    "What comes out?", "Add and subtract.", "Give the result.", "Count.", "How much is it?", "Read the problem and solve it.",
)  # fmt: skip
UNIT: Final = (
    "Answer with the number and the unit.", "Give number and unit.", "Write the unit after the number.", "Name the thing after the number.",
    "The answer has a number and a unit.", "Do not forget the unit.", "Say of what.", "Include the unit.",
    "Number and unit.", "Always name the unit.", "Say how many of what.", "Answer like this: 5 apples.", "The unit belongs to the answer.", "With the unit, please.",
)  # fmt: skip
NUMBER: Final = (
    "Answer with the number only.", "Give just the number.", "Write only the number.", "No unit, only the number.", "The answer is a number.",
    "Number only.", "Leave the unit out.", "Only digits.",
    "Answer like this: 5.", "A number, nothing else.", "Without the unit.", "The number alone.", "Do not name the unit.", "Just the number, please.",
)  # fmt: skip


def arithmetic(
    rng: Random, held_out: bool, *, steps: int | None = None, reasoning: bool | None = None, unit: bool | None = None,
    told: bool | None = None, bare: bool | None = None, top: int | None = None,
) -> Task:  # fmt: skip
    """Return an arithmetic task.

    Args:
        rng: Where chance comes from.
        held_out: Draw names and phrasings that training never uses.
        steps: Additions and subtractions in a row; None: 1 to 3.
        reasoning: Whether a `reasoning` field comes first; None: in three tasks of four.
        unit: Whether answers name what is counted; None: in every other story task.
        told: Whether the instructions tell about the unit; None: in half of the tasks.
        bare: Expressions such as `3 + 4`, in place of stories; None: in two tasks of five.
        top: Numbers are at most this; None: 20, in one task of four 60.
    """
    steps = rng.choice((1, 1, 1, 2, 2, 3)) if steps is None else steps
    think = rng.random() < 0.75 if reasoning is None else reasoning
    bare = (rng.random() < 0.4 and not unit) if bare is None else bare
    unit = (rng.random() < 0.5 and not bare) if unit is None else unit
    told = rng.random() < 0.5 if told is None else told
    top = rng.choice((20, 20, 20, 60)) if top is None else top
    question = rng.choice((*words.QUESTION_FIELDS, "expression" if bare else "story"))
    answer = distinct(rng, words.ANSWER_FIELDS, (question,))
    names = ("reasoning", answer) if think else (answer,)
    inputs = fields(rng, (question,), [("what is asked", "a small problem")])
    outputs = fields(
        rng,
        names,
        [()] * (len(names) - 1) + [(("number and unit",) if unit else ("a number",)) if told else ()],
    )
    if not unit and rng.random() < 0.2:
        outputs = (*outputs[:-1], outputs[-1]._replace(annotation=int))
    head = rng.choice(held(HEADS, held_out))
    if told and not bare:
        tail = rng.choice(held(UNIT if unit else NUMBER, held_out))
        instructions = rng.choice((f"{head} {tail}", f"{head} {tail}", tail))
    else:
        instructions = rng.choice((head, None))

    def draw(rng: Random) -> Row:
        numbers, signs, totals = sum_of(rng, steps, top)
        thing = rng.choice(words.OBJECTS)
        if bare:
            asked = str(numbers[0]) + "".join(f" {s} {n}" for s, n in zip(signs, numbers[1:], strict=True))
        else:
            asked = story_of(rng, held_out, numbers, signs, thing)
        line = " ".join(
            f"{a} {s} {n} = {b}." for a, s, n, b in zip(totals, signs, numbers[1:], totals[1:], strict=False)
        )
        values: dict[str, str | int] = {"reasoning": line} if think else {}
        plain = totals[-1] if outputs[-1].annotation is int else str(totals[-1])
        values[answer] = f"{totals[-1]} {thing}" if unit else plain
        return Row({question: asked}, values)

    mode = "reasoned" if think else "direct"
    return task_of(
        f"arithmetic{steps}/{mode}/{'unit' if unit else 'number'}", inputs, outputs, instructions, draw
    )


def sum_of(rng: Random, steps: int, top: int) -> tuple[list[int], list[str], list[int]]:
    """Return the numbers, the signs between them, and the totals after each step; none is below 0."""
    total = rng.randint(1, top)
    numbers, signs, totals = [total], list[str](), [total]
    for _ in range(steps):
        sign = rng.choice("+-") if total >= 2 else "+"
        number = rng.randint(1, top) if sign == "+" else rng.randint(1, min(total, top))
        total = total + number if sign == "+" else total - number
        numbers.append(number)
        signs.append(sign)
        totals.append(total)
    return numbers, signs, totals


def story_of(rng: Random, held_out: bool, numbers: list[int], signs: list[str], thing: str) -> str:
    who = words.person(rng, held_out)
    parts = [f"{who} has {numbers[0]} {thing}."]
    for sign, number in zip(signs, numbers[1:], strict=True):
        template = rng.choice(PLUS if sign == "+" else MINUS)
        parts.append(template.format(who=who, who2=words.person(rng, held_out), n=number, thing=thing))
    parts.append(
        rng.choice(
            (
                f"How many {thing} does {who} have now?",
                f"How many {thing} does {who} have?",
                "How many are there now?",
            )
        )
    )
    return " ".join(parts)
