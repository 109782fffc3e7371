"""Writing instructions: from examples, from what was tried with which score, and from feedback; and rules from examples.

What optimizers ask of an LM. Proposals have one form a kind, which the model itself understands as an instruction: every
label with its class, or how answers must look. Field names, layouts of examples and further inputs vary widely, so that
an optimizer's own wording is one more of them.
"""

from __future__ import annotations

import json
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from cells import Cell

from telic.datasets.tiny import _words as words
from telic.datasets.tiny._arithmetic import HEADS as SUM_HEADS
from telic.datasets.tiny._arithmetic import NUMBER, UNIT, arithmetic
from telic.datasets.tiny._classify import HEADS as CLASS_HEADS
from telic.datasets.tiny._classify import classification, held
from telic.datasets.tiny._qa import FULL, SHORT, question_answering
from telic.datasets.tiny._qa import HEADS as QA_HEADS
from telic.datasets.tiny._task import Field, Row, Task, task_of
from telic.errors import AdapterParseError, TruncatedReplyError
from telic.modules import Predict
from telic.signatures import make_signature

if TYPE_CHECKING:
    from collections.abc import Sequence
    from random import Random

ASK = (
    "Write an instruction for the task.", "Propose an instruction.", "Propose a better instruction.", "Improve the instruction.",
    "Look at the examples and write the instruction.", "Write an instruction that makes the answers right.",
    "Find the instruction that fits the examples.", "Propose an instruction that leads a language model to do the task well.",
    "Say what must be done to get the outputs from the inputs.", "Write a new instruction for the model.",
    "You help to write instructions for language models.", "The task is shown by examples. Write its instruction.",
    "Explain the task in an instruction.", "Give the model a clear instruction.", "Write what the model must be told.",
    "Think of a new instruction, do not be afraid to be creative.", "Write the instruction that would have given these answers.",
    "Your task is to write an instruction.", "Use the examples to write a good instruction.", "Tell the model how to answer.",
    "Study the examples. Then write an instruction.", "Produce an instruction that solves the task.",
    "Write an instruction so that every answer is right.", "Optimize the instruction.", "What instruction would help?",
)  # fmt: skip
ASK_RULES = (
    "Write rules for the task.", "Find the rules behind the examples.", "Which rules do the examples follow?", "Give rules that explain the answers.",
    "Induce rules from the examples.", "List the rules.", "Write down the rules that lead to the answers.", "Say by which rules the answers are given.",
    "Look at the examples and write rules.", "State the rules of the task.",
)  # fmt: skip
EXAMPLES = (
    "examples",
    "demos",
    "task_demos",
    "training_examples",
    "examples_of_the_task",
    "data",
    "samples",
    "cases",
    "observed_examples",
    "rows",
)
OUTPUTS = (
    "proposed_instruction",
    "proposed_instruction",
    "new_instruction",
    "improved_instruction",
    "instruction",
    "better_instruction",
)
CURRENT = (
    "current_instruction",
    "basic_instruction",
    "old_instruction",
    "instruction_so_far",
    "original_instruction",
    "present_instruction",
)
ATTEMPTS = (
    "attempted_instructions",
    "previous_instructions",
    "instructions_with_scores",
    "attempts",
    "instruction_history",
)
FEEDBACK = ("examples_with_feedback", "failures", "feedback", "traces_with_feedback", "answers_with_feedback")
TIPS = (
    "Be creative.", "Keep it short.", "Be precise.", "Name every label.", "Be clear.", "Do not be afraid to be creative.", "Say exactly what is wanted.",
    "The instruction should tell how to answer.", "Use simple words.", "Make it easy.",
)  # fmt: skip
ABOUT = (
    "The program takes {i} and gives {o}.",
    "It gives {o} from {i}.",
    "A program of one step: {i} to {o}.",
    "The program reads {i} and writes {o}.",
)
RIGHT = (
    "The right answer is {a}.",
    "Expected {a}.",
    "Wrong: it should be {a}.",
    "The answer should be {a}.",
    "Not right, {a} is.",
    "Correct would be {a}.",
)


PLAIN = {"classify": "Classify the text.", "qa": "Answer the question.", "arithmetic": "Solve the problem."}


class Shown(NamedTuple):
    """A task to be told: its rows, the bare instruction, the good one, and rules."""

    task: Task
    rows: list[Row]
    bare: str
    tail: str
    rules: list[str]
    wrong: list[str]

    @property
    def good(self) -> str:
        """The bare instruction with what must be told."""
        return f"{self.bare} {self.tail}"


def shown(rng: Random, held_out: bool, kind: str | None = None, count: int | None = None) -> Shown:
    """Return a task with rows from which its instruction follows."""
    kind = rng.choice(("labels", "labels", "labels", "style", "unit")) if kind is None else kind
    if kind == "labels":
        axis = rng.choice(("topic", "topic", "sentiment", "emotion", "urgency"))
        task = classification(
            rng, held_out, told_by="demos", axis=axis, count=rng.choice((2, 2, 3)), reasoning=False
        )
        return _labels(rng, held_out, task, axis, count)
    if kind == "style":
        style = rng.choice(("short", "full"))
        task = question_answering(
            rng, held_out, style=style, told=False, hops=1, count=rng.choice((1, 2)), reasoning=False
        )
        bare = rng.choice(held(QA_HEADS, held_out))
        tail, other = (FULL[0], SHORT[2]) if style == "full" else (SHORT[2], FULL[0])
    else:
        unit = rng.random() < 0.5
        task = arithmetic(rng, held_out, steps=1, reasoning=False, unit=unit, told=False, bare=False, top=20)
        bare = rng.choice(held(SUM_HEADS, held_out))
        tail, other = (UNIT[0], NUMBER[0]) if unit else (NUMBER[0], UNIT[0])
    rows = [task.draw(rng) for _ in range(count or rng.randint(2, 4))]
    return Shown(task, rows, bare, tail, [tail], [f"{bare} {other}"])


def _labels(rng: Random, held_out: bool, task: Task, axis: str, count: int | None) -> Shown:
    rows = [task.draw(rng) for _ in range(count or rng.randint(4, 8))]
    label = list(task.signature.output_fields)[-1]
    named = {row.hidden: row.outputs[label] for row in rows}
    text = next(iter(task.signature.input_fields))
    bare = rng.choice(held(CLASS_HEADS, held_out)).format(text=text, label=label)
    clauses = [f"answer {name} for {c}" for c, name in named.items()]
    body = ", ".join(clauses)
    tail = f"A{body[1:]}."
    about = "about " if axis == "topic" else ""
    rules = [f"If it is {about}{c}, answer {name}." for c, name in named.items()]
    partly = clauses[:-1]
    wrong = [bare] + ([f"{bare} A{', '.join(partly)[1:]}."] if partly else [])
    return Shown(task, rows, bare, tail, rules, wrong)


def layout(rng: Random, rows: Sequence[Row]) -> str:
    """Return examples as text, in one of many ways."""
    kind = rng.randrange(6)
    made: list[str] = []
    for number, row in enumerate(rows, 1):
        pairs = {k: str(v).replace("\n", " ") for k, v in {**row.inputs, **row.outputs}.items()}
        *given, answer = pairs.items()
        if kind == 0:
            made.append("\n".join(f"{k}: {v}" for k, v in pairs.items()) + "\n")
        elif kind == 1:
            made.append(f"{number}. " + " ".join(f"{k}: {v}" for k, v in pairs.items()))
        elif kind == 2:
            made.append(json.dumps(pairs, ensure_ascii=False))
        elif kind == 3:
            made.append(f"Input: {' '.join(v for _, v in given)}\nOutput: {answer[1]}")
        elif kind == 4:
            made.append(f"{' '.join(v for _, v in given)} -> {answer[1]}")
        else:
            made.append(f"[{number}] " + " | ".join(f"{k}: {v}" for k, v in pairs.items()))
    return "\n".join(made).strip()


def _criticised(rng: Random, rows: Sequence[Row], held_out: bool) -> str:
    """Return rows with what a program answered and what was said to it."""
    lines: list[str] = []
    answers = [str(list(row.outputs.values())[-1]) for row in rows]
    for row, answer in zip(rows, answers, strict=True):
        given = " ".join(f"{k}: {v}" for k, v in row.inputs.items()).replace("\n", " ")
        said = rng.choice(answers) if rng.random() < 0.5 else words.invented(rng, held_out)
        told = "Right." if said == answer else rng.choice(held(RIGHT, held_out)).format(a=answer)
        lines.append(f"{given}\nanswer: {said}\nfeedback: {told}")
    return "\n\n".join(lines)


def _scored(rng: Random, tried: Sequence[str], best: str | None) -> str:
    """Return attempts with their scores, from the worst to the best."""
    scores = sorted(rng.randint(0, 55) for _ in tried)
    lines = [f"{text} (score {score})" for text, score in zip(tried, scores, strict=True)]
    if best is not None:
        lines.append(f"{best} (score {rng.randint(60, 100)})")
    if rng.random() < 0.5:
        lines = [line.replace(" (score ", "\nscore: ").removesuffix(")") for line in lines]
    return "\n".join(lines)


def proposing(
    rng: Random, held_out: bool, *, kind: str | None = None, by: str | None = None, rules: bool | None = None
) -> Task:
    """Return a task of writing an instruction (or rules).

    Args:
        rng: Where chance comes from.
        held_out: Draw names and phrasings that training never uses.
        kind: What must be told: "labels", "style" or "unit".
        by: "examples", "feedback", or "scores" (instructions tried so far).
        rules: Rules are wanted in place of an instruction.
    """
    rules = rng.random() < 0.15 if rules is None else rules
    by = rng.choice(("examples", "examples", "examples", "feedback", "scores")) if by is None else by
    if rules or (by == "scores" and kind is None):
        by = "examples" if rules else by
        kind = kind or (rng.choice(("style", "unit")) if by == "scores" else None)
    examples, feedback, current = rng.choice(EXAMPLES), rng.choice(FEEDBACK), rng.choice(CURRENT)
    attempts = rng.choice(ATTEMPTS)
    extra = [n for n in (current, "tip", "program_description", attempts) if rng.random() < 0.25]
    if by == "feedback" and current not in extra:
        extra.insert(0, current)
    main = {"examples": examples, "feedback": feedback, "scores": attempts}[by]
    names = [n for n in extra if n != main]
    names.insert(rng.randint(0, len(names)), main)
    output = "rules" if rules else rng.choice(OUTPUTS)
    before = [rng.choice(("reasoning", "observations"))] if rng.random() < 0.2 and not rules else []
    after = ["proposed_prefix_for_output_field"] if rng.random() < 0.1 and not rules else []
    listed = rules and rng.random() < 0.5
    inputs = [Field(n) for n in names]
    outputs = (
        [Field(n) for n in before]
        + [Field(output, "", list[str] if listed else str)]
        + [Field(n) for n in after]
    )
    table = ASK_RULES if rules else ASK
    told = [rng.choice(held(table, held_out)) for _ in range(rng.choice((1, 1, 2)))]

    def draw(rng: Random) -> Row:
        what = shown(rng, held_out, kind)
        if current not in names and by != "scores":  # nothing shows how the instruction was worded
            what = what._replace(bare=PLAIN[what.task.family.partition("/")[0].rstrip("123")])
        ins, outs = what.task.signature.input_fields, what.task.signature.output_fields
        values = {
            examples: layout(rng, what.rows), current: what.bare, "tip": rng.choice(TIPS),
            feedback: _criticised(rng, what.rows, held_out),
            attempts: _scored(rng, what.wrong, what.good if by == "scores" else None),
            "program_description": rng.choice(ABOUT).format(i=", ".join(ins), o=", ".join(outs)),
        }  # fmt: skip
        made: dict[str, Any] = {}
        for name in before:
            made[name] = " ".join(what.rules)
        made[output] = (
            (what.rules if listed else "\n".join(f"- {r}" for r in what.rules)) if rules else what.good
        )
        for name in after:
            made[name] = f"{list(outs)[-1].capitalize()}:"
        return Row({n: values[n] for n in names}, made)

    return task_of(
        f"propose/{'rules' if rules else by}", inputs, outputs, " ".join(dict.fromkeys(told)), draw
    )


def inventing(rng: Random, held_out: bool) -> Task:
    """Return a task of writing an instruction with no examples: any that might do, so that samples differ."""
    current, output = rng.choice(CURRENT), rng.choice(OUTPUTS)
    after = ["proposed_prefix_for_output_field"] if rng.random() < 0.3 else []

    def draw(rng: Random) -> Row:
        heads, tails = rng.choice(
            ((QA_HEADS, (FULL[0], SHORT[2], "")), (SUM_HEADS, (UNIT[0], NUMBER[0], "")))
        )
        bare = rng.choice(held(heads, held_out))
        made = {output: f"{rng.choice((bare, rng.choice(heads)))} {rng.choice(tails)}".strip()}
        return Row({current: bare}, made | dict.fromkeys(after, "Answer:"))

    told = rng.choice(held(ASK, held_out))
    return task_of("propose/nothing", [Field(current)], [Field(n) for n in (output, *after)], told, draw)


def trial(lm: Any, rng: Random, held_out: bool, *, kind: str, by: str = "examples") -> bool:
    """Return whether a proposal reaches four fifths of the hand-written instruction's score, without demos."""
    what = shown(rng, held_out, kind, count=7 if kind == "labels" else 3)
    if by == "examples":
        asked = make_signature("examples -> proposed_instruction", "Write an instruction for the task.")
        given = {"examples": layout(rng, what.rows)}
    else:
        asked = make_signature(
            "current_instruction, examples_with_feedback -> new_instruction", "Improve the instruction."
        )
        given = {
            "current_instruction": what.bare,
            "examples_with_feedback": _criticised(rng, what.rows, held_out),
        }
    try:
        proposal = str(next(reversed(dict(Predict(asked)(lm=lm, **given).items()).values())))
    except (AdapterParseError, TruncatedReplyError):
        return False
    tests = [what.task.draw(rng) for _ in range(12)]
    name = list(what.task.signature.output_fields)[-1]

    def score(instructions: str) -> int:
        program = Predict(what.task.signature.with_instructions(instructions))
        return sum(program(lm=lm, **row.inputs)[name] == row.outputs[name] for row in tests)

    reached, wanted = score(proposal), score(what.good)
    return wanted > 0 and reached >= 0.8 * wanted


CELLS = {
    "propose labels from examples": Cell(None, run=partial(trial, kind="labels"), demos=(0,)),
    "propose labels from feedback": Cell(None, run=partial(trial, kind="labels", by="feedback"), demos=(0,)),
    "propose a style from examples": Cell(None, run=partial(trial, kind="style"), demos=(0,)),
    "propose the unit from examples": Cell(None, run=partial(trial, kind="unit"), demos=(0,)),
    "rules from examples": Cell(partial(proposing, kind="labels", rules=True), demos=(0, 1)),
}
