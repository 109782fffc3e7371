"""Correcting an answer: it was not accepted, feedback says why, and the next one must be as the feedback says.

Two layouts: `past_<output>` and `feedback` fields after the inputs, as assertions ask again; and the one `hint_` field of
`Refine`, in its own words. Feedback about the form decides over the instructions; feedback that an answer is wrong
keeps its form.
"""

from __future__ import annotations

import re
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from cells import Cell
from skills.problems import fact_problem, sum_problem

from telic.datasets.tiny import _arithmetic, _qa
from telic.datasets.tiny import _words as words
from telic.datasets.tiny._classify import classification, held
from telic.datasets.tiny._task import Field, Row, Task, distinct, task_of
from telic.modules._refine import _NO_HINT, HINT
from telic.modules._value_text import labelled, value_text
from telic.signatures import InputField

if TYPE_CHECKING:
    from collections.abc import Sequence
    from random import Random

PAST_DESC = "an earlier answer; it was not accepted"
PAST_DESCS = (
    PAST_DESC,
    PAST_DESC,
    PAST_DESC,
    "",
    "the answer before; it was wrong",
    "an answer with errors",
    "what was answered before",
)
FEEDBACK_DESCS = (
    "",
    "why it was not accepted",
    "what is wrong with it",
    "messages, one per line",
    "what the answer must be",
    "what to do better",
)
HINT_DESC = "advice for this call, from an earlier attempt"

LABELS = (
    "The {a} must be one of {l}.", "Use one of {l}.", "It is not one of {l}.", "Choose from {l}.", "Answer with {o}.", "Only {o} are allowed.", "{p} is no {a}; take {o}.",
    "The {a} is {o}.", "Must be {o}.", "Allowed: {l}.", "{p} is not allowed. Use {o}.", "Please answer with one of {l}.", "Expected {o}.", "Invalid: must be one of {l}.", "Reply with {o} only.",
)  # fmt: skip
WRONG = (
    "Wrong: look at the {i} again.", "That is wrong.", "{p} is wrong.", "This is not right.", "It is not {p}.", "Wrong.", "Read the {i} again.", "Not {p}.", "The {a} is wrong.",
    "{p} is not the right {a}.", "Look again.", "Try again: {p} is wrong.", "No, it is not {p}.", "This {a} is not correct.", "Check the {i}.",
)  # fmt: skip
SHORT = (
    "Answer in at most {n} words.", "Too long.", "Be brief.", "The {a} has more than {n} words.", "Use at most {n} words.", "No sentence, please.", "It must be shorter.", "Only the name or the word.",
    "The {a} must be short.", "Make it short.", "Do not write a sentence.", "Give a short {a}.", "At most {n} words.", "Shorter.", "Leave out the sentence.",
)  # fmt: skip
SENTENCE = (
    "Use a full sentence.", "Answer in a sentence.", "The {a} must be a sentence.", "Too short.", "Write a complete sentence.", "It must be a full sentence.", "Please use a sentence.", "One word is not enough.",
    "Say it in a sentence.", "The {a} is no sentence.", "A sentence is needed.", "Make a sentence of it.", "Give a whole sentence.", "Longer: a full sentence.", "Not a sentence.",
)  # fmt: skip
MENTION = (
    "The {a} must contain {x}.",
    "Mention {x}.",
    "It must name {x}.",
    "{x} is missing.",
    "Say {x} too.",
    "The {a} does not contain {x}.",
    "Include {x}.",
    "Name {x} in the {a}.",
    "{x} must be in the {a}.",
    "Do not leave out {x}.",
)
AVOID = (
    "Do not mention {x}.",
    "Leave out {x}.",
    "The {a} must not contain {x}.",
    "Without {x}, please.",
    "Do not name {x}.",
    "{x} must not be in the {a}.",
    "No {x}.",
    "The {a} contains {x}, and must not.",
    "Do not say {x}.",
    "Avoid {x}.",
)
UNIT = (
    "The unit is missing.",
    "Name the unit.",
    "Add the unit.",
    "Say of what.",
    "A unit is needed.",
    "Number and unit, please.",
    "There is no unit.",
    "Give the unit too.",
    "The {a} must have a unit.",
    "Of what?",
)
NUMBER = (
    "It must be a number.",
    "Only the number.",
    "No unit, please.",
    "Leave out the unit.",
    "The {a} must be a number.",
    "Just the number.",
    "Not a number.",
    "Digits only.",
    "Without the unit.",
    "Give only the number.",
)
UPPER = (
    "Write it in capitals.",
    "Use capital letters.",
    "It must be upper case.",
    "The {a} must be in capitals.",
    "Capitals only.",
    "All upper case, please.",
    "Only capital letters.",
    "Make it upper case.",
    "In capital letters.",
    "Big letters.",
)
LOWER = (
    "Write it in lower case.",
    "Use small letters.",
    "It must be lower case.",
    "The {a} must be in small letters.",
    "No capitals.",
    "All lower case, please.",
    "Only small letters.",
    "Make it lower case.",
    "In lower case letters.",
    "No capital letters.",
)
SLIPS = ("{w} is wrong.", "It is not true that {w}.", "Wrong: {w}.", "{w}? No.", "The step {w} is wrong.", "Check {w}.", "{w} is not right.", "This is false: {w}.", "Look at {w} again.", "Not {w}.")  # fmt: skip
SUM_SLIPS = (
    "{e} is not {v}.",
    "{w} is wrong.",
    "Wrong: {w}.",
    "{e} does not make {v}.",
    "Check {e}.",
    "{e} gives another number than {v}.",
    "The sum {w} is wrong.",
    "No, {e} is not {v}.",
    "Look at {e} again.",
    "{v} is not {e}.",
)


class Redo(NamedTuple):
    """Inputs, the earlier outputs, what was said of them (one message per line), and the outputs that follow."""

    inputs: dict[str, Any]
    past: dict[str, Any]
    feedback: list[str]
    outputs: dict[str, Any]


class Base(NamedTuple):
    signature: Any
    draw: Any  # rng -> Redo
    plain: Any  # rng -> (inputs, outputs): what is answered without any feedback


def correction(rng: Random, held_out: bool, *, kind: str | None = None, hint: bool | None = None) -> Task:
    """Return a task that corrects answers.

    Args:
        rng: Where chance comes from.
        held_out: Draw names, labels and phrasings that training never uses.
        kind: "labels", "facts" or "sums"; None: any.
        hint: Whether the feedback comes as the hint of a `Refine`; None: in one task of four.
    """
    kind = rng.choice(("labels", "facts", "facts", "sums", "sums")) if kind is None else kind
    hint = rng.random() < 0.25 if hint is None else hint
    base: Base = {"labels": _labels, "facts": _facts, "sums": _sums}[kind](rng, held_out)
    signature = base.signature
    names = list(signature.output_fields)
    if hint:
        signature = signature.append(HINT, InputField(desc=HINT_DESC), str)
        advice = rng.random() < 0.35  # the words alone, as an LM advises
    else:
        desc = rng.choice(PAST_DESCS)
        for name in names:
            signature = signature.append(f"past_{name}", InputField(desc=desc), str)
        signature = signature.append("feedback", InputField(desc=rng.choice(FEEDBACK_DESCS)), str)
        advice = False

    def draw(rng: Random) -> Row:
        if hint and rng.random() < 0.08:
            inputs, outputs = base.plain(rng)
            return Row({**inputs, HINT: _NO_HINT}, outputs)
        made: Redo = base.draw(rng)
        said = "\n".join(made.feedback)
        if not hint:
            past = {f"past_{name}": str(made.past[name]) for name in names}
            return Row({**made.inputs, **past, "feedback": said}, made.outputs)
        if advice and made.past[names[-1]] != made.outputs[names[-1]]:
            return Row({**made.inputs, HINT: said}, made.outputs)
        shown = "\n".join(labelled(n, value_text(made.past[n])) for n in names)
        text = f"Earlier you answered:\n{shown}\nThis was not good enough: {said}"
        return Row({**made.inputs, HINT: text}, made.outputs)

    return Task(f"correct/{kind}{'/hint' if hint else ''}", signature, draw)


def _say(rng: Random, held_out: bool, table: Sequence[str], **values: Any) -> str:
    text = rng.choice(held(table, held_out)).format(**values)
    return (
        text[0].upper() + text[1:]
        if rng.random() < 0.5 and not text.startswith(str(values.get("p", "\0")))
        else text
    )


def _labels(rng: Random, held_out: bool) -> Base:
    task = classification(
        rng, held_out, told_by=rng.choice(("instructions", "instructions", "custom")), reasoning=False
    )
    (asked,), (name,) = task.signature.input_fields, task.signature.output_fields
    labels = sorted({task.draw(rng).outputs[name] for _ in range(24)})
    orders = list(labels)
    rng.shuffle(orders)
    listed = {"l": ", ".join(orders), "o": _either(orders)}

    def draw(rng: Random) -> Redo:
        row = task.draw(rng)
        right = row.outputs[name]
        kind = rng.random()
        others = [label for label in labels if label != right]
        if kind < 0.45 or not others:
            past = rng.choice(
                (
                    words.invented(rng, held_out),
                    rng.choice(words.PLAIN),
                    f"It is {right}.",
                    right + " " + rng.choice(words.THINGS),
                )
            )
            table = LABELS
        else:
            past, table = rng.choice(others), WRONG
        return Redo(
            row.inputs,
            {name: past},
            [_say(rng, held_out, table, a=name, i=asked, p=past, **listed)],
            row.outputs,
        )

    def plain(rng: Random) -> Any:
        row = task.draw(rng)
        return row.inputs, row.outputs

    return Base(task.signature, draw, plain)


def _either(items: Sequence[str]) -> str:
    return f"{', '.join(items[:-1])} or {items[-1]}" if len(items) > 1 else items[0]


def _facts(rng: Random, held_out: bool) -> Base:
    context = rng.choice(words.CONTEXT_FIELDS)
    question = distinct(rng, words.QUESTION_FIELDS, (context,))
    answer = distinct(rng, words.ANSWER_FIELDS, (context, question))
    hops, size, layout = rng.choice((1, 1, 1, 2)), rng.choice((1, 2, 3)), rng.randrange(3)
    think = rng.random() < 0.25
    head = rng.choice((rng.choice(held(_qa.HEADS, held_out)), None))
    told = rng.random() < 0.25
    if told and head:
        head = f"{head} {rng.choice(held(_qa.SHORT, held_out))}"
    names = ["reasoning", answer] if think else [answer]
    signature = task_of(
        "", [Field(context), Field(question)], [Field(n) for n in names], head, lambda rng: Row({}, {})
    ).signature

    def redo(rng: Random) -> Redo:
        problem = fact_problem(rng, held_out, hops, size, layout)[0]
        right, wrong = problem.right, problem.wrong
        kind = rng.choices(
            ("short", "sentence", "mention", "avoid", "wrong", "upper", "lower"), (4, 4, 2, 2, 5, 0.7, 1)
        )[0]
        values: dict[str, Any] = {"a": answer, "i": context, "n": rng.choice((2, 2, 3)), "x": problem.subject}
        reason = right.reasoning
        if kind in ("short", "avoid"):
            past, new, said = right.sentence, right.short, [SHORT if kind == "short" else AVOID]
        elif kind in ("sentence", "mention"):
            past, new, said = right.short, right.sentence, [SENTENCE if kind == "sentence" else MENTION]
        elif kind == "wrong":
            full = rng.random() < 0.3
            past, new = (wrong.sentence, right.sentence) if full else (wrong.short, right.short)
            said, reason = [WRONG], wrong.reasoning
            values["p"] = wrong.short
            if think and rng.random() < 0.5:
                said, values["w"] = [SLIPS], problem.slip[0]
            if rng.random() < 0.15:  # two messages: wrong, and of the wrong form
                past, new = (wrong.sentence, right.short) if full else (wrong.short, right.sentence)
                said.append(SHORT if full else SENTENCE)
        else:
            past, new, said = (
                right.short,
                right.short.upper() if kind == "upper" else right.short.lower(),
                [UPPER if kind == "upper" else LOWER],
            )
            if past == new:
                past = right.short.capitalize()
        rng.shuffle(said)
        inputs = {context: problem.context, question: problem.question}
        before, after = ({"reasoning": reason}, {"reasoning": right.reasoning}) if think else ({}, {})
        feedback = [_say(rng, held_out, table, **values) for table in said]
        return Redo(inputs, {**before, answer: past}, feedback, {**after, answer: new})

    def plain(rng: Random) -> Any:
        problem = fact_problem(rng, held_out, hops, size, layout)[0]
        thought = {"reasoning": problem.right.reasoning} if think else {}
        return {context: problem.context, question: problem.question}, {
            **thought,
            answer: problem.right.short,
        }

    return Base(signature, redo, plain)


def _sums(rng: Random, held_out: bool) -> Base:
    question = rng.choice(words.QUESTION_FIELDS)
    answer = distinct(rng, words.ANSWER_FIELDS, (question,))
    think = rng.random() < 0.75
    steps = rng.choice((1, 2, 2, 3)) if think else 1
    bare = rng.random() < 0.3 and think
    names = ["reasoning", answer] if think else [answer]
    head = rng.choice((rng.choice(held(_arithmetic.HEADS, held_out)), None))
    signature = task_of(
        "", [Field(question)], [Field(n) for n in names], head, lambda rng: Row({}, {})
    ).signature

    def redo(rng: Random) -> Redo:
        problem = sum_problem(rng, held_out, steps, bare)[0]
        right, wrong = problem.right, problem.wrong
        kinds = (["wrong"] if bare else ["wrong", "unit", "number"]) if think else ["unit", "number"]
        kind = rng.choice(kinds)
        reason = right.reasoning
        values: dict[str, Any] = {"a": answer, "i": question, "p": wrong.short, "w": problem.slip[0]}
        values["e"], values["v"] = re.split(" = ", problem.slip[0])
        if kind == "unit":
            past, new, table = right.short, right.sentence, UNIT
        elif kind == "number":
            past, new, table = right.sentence, right.short, NUMBER
        else:
            full = rng.random() < 0.3 and not bare
            past, new = (wrong.sentence, right.sentence) if full else (wrong.short, right.short)
            table, reason = (SUM_SLIPS if rng.random() < 0.6 else WRONG), wrong.reasoning
        before, after = ({"reasoning": reason}, {"reasoning": right.reasoning}) if think else ({}, {})
        feedback = [_say(rng, held_out, table, **values)]
        return Redo({question: problem.question}, {**before, answer: past}, feedback, {**after, answer: new})

    def plain(rng: Random) -> Any:
        problem = sum_problem(rng, held_out, steps, bare)[0]
        thought = {"reasoning": problem.right.reasoning} if think else {}
        return {question: problem.question}, {**thought, answer: problem.right.short}

    return Base(signature, redo, plain)


CELLS = {
    "correct a label": Cell(partial(correction, kind="labels", hint=False), demos=(0, 1, 4)),
    "correct an answer from facts": Cell(partial(correction, kind="facts", hint=False), demos=(0, 1, 4)),
    "correct a sum or its unit": Cell(partial(correction, kind="sums", hint=False), demos=(0, 1, 4)),
    "follow a hint of Refine": Cell(partial(correction, hint=True), demos=(0, 1, 4)),
}
