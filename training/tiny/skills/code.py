"""Code for ProgramOfThought: a program for a sum or a short list, one mended after an error, and the answer it printed.

`prompts` says what is asked: the signatures of the real module's three predictors, and how its code hands over a result.
"""

from __future__ import annotations

import ast
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from cells import Cell

from telic.datasets.tiny import _words as words
from telic.datasets.tiny._arithmetic import HEADS, NUMBER, story_of, sum_of
from telic.datasets.tiny._classify import held
from telic.datasets.tiny._task import Field, Row, Task, distinct, fields, task_of
from telic.modules import ProgramOfThought

if TYPE_CHECKING:
    from random import Random

LIST_HEADS = (
    "Answer the question about the list.", "Work with the numbers.", "Look at the list.", "Use the list.", "Compute it.", "Answer the question.", "Solve the problem.",
    "Read the numbers and answer.", "Find the number.", "Give the number.",
)  # fmt: skip
LISTS = {
    "sum({v})": (
        "What is the sum of the {v}?",
        "What do the {v} add up to?",
        "Add all the {v}.",
        "Sum up the {v}.",
        "How much are the {v} in all?",
    ),
    "max({v})": (
        "What is the largest of the {v}?",
        "Which is the largest?",
        "Find the largest of the {v}.",
        "What is the maximum of the {v}?",
        "Which of the {v} is the greatest?",
    ),
    "min({v})": (
        "What is the smallest of the {v}?",
        "Which is the smallest?",
        "Find the smallest of the {v}.",
        "What is the minimum of the {v}?",
        "Which of the {v} is the least?",
    ),
    "len({v})": (
        "How many {v} are there?",
        "How long is the list?",
        "Count the {v}.",
        "What is the number of {v}?",
        "How many {v} does the list have?",
    ),
    "max({v}) - min({v})": (
        "What is the difference of the largest and the smallest?",
        "How far are the {v} apart?",
        "What is the range of the {v}?",
        "By how much is the largest greater than the smallest?",
        "Largest minus smallest?",
    ),
    "sum({v}) - max({v})": (
        "What is the sum without the largest?",
        "Add all but the largest.",
        "Sum without the maximum?",
        "How much are all but the largest?",
        "What do the {v} add up to without the largest?",
    ),
}
BARE = ("{e}", "What is {e}?", "Compute {e}.", "How much is {e}?", "Work out {e}.")
PLURALS = (
    "numbers",
    "values",
    "points",
    "prices",
    "scores",
    "ages",
    "amounts",
    "counts",
    "weights",
    "numbers",
)


class Prompts(NamedTuple):
    """What the module asks."""

    generate: Any
    mend: Any
    answer: Any


class Sum(NamedTuple):
    """A problem, its code, what the code prints, and why it is so."""

    inputs: dict[str, Any]
    lines: list[str]
    result: int
    reason: str


class _Setting(NamedTuple):
    prompts: Prompts
    answer: str
    annotation: Any
    draw: Any


def prompts(signature: Any) -> Prompts:
    """Return the signatures of the three predictors of a program of thought for `signature`."""
    made = ProgramOfThought(signature)
    return Prompts(
        *(p.predict.signature for p in (made.code_generate, made.code_regenerate, made.generate_output))
    )


def written(lines: list[str]) -> str:
    """Return the code that hands over the value of the last line's variable."""
    return "\n".join([*lines, "print(result)"])


def code_writing(rng: Random, held_out: bool, *, kind: str | None = None, steps: int | None = None) -> Task:
    """Return a task that writes code.

    Args:
        rng: Where chance comes from.
        held_out: Draw names and phrasings that training never uses.
        kind: "story", "bare" (an expression) or "list" (of numbers); None: any.
        steps: Additions and subtractions; None: 1 to 3.
    """
    made = _setting(rng, held_out, kind, steps)

    def draw(rng: Random) -> Row:
        problem: Sum = made.draw(rng)
        return Row(problem.inputs, {"reasoning": problem.reason, "generated_code": written(problem.lines)})

    return Task("code/write", made.prompts.generate, draw)


def code_mending(rng: Random, held_out: bool, *, kind: str | None = None, steps: int | None = None) -> Task:
    """Return a task that mends code after an error; arguments as for `code_writing`."""
    made = _setting(rng, held_out, kind, steps)

    def draw(rng: Random) -> Row:
        problem: Sum = made.draw(rng)
        right = written(problem.lines)
        wrong, error = _broken(rng, right)
        inputs = {**problem.inputs, "previous_code": wrong, "error": error}
        return Row(inputs, {"reasoning": problem.reason, "generated_code": right})

    return Task("code/mend", made.prompts.mend, draw)


def code_answer(rng: Random, held_out: bool, *, kind: str | None = None, steps: int | None = None) -> Task:
    """Return a task that answers from the output of code; arguments as for `code_writing`."""
    made = _setting(rng, held_out, kind, steps)

    def draw(rng: Random) -> Row:
        problem: Sum = made.draw(rng)
        shown = {"final_generated_code": written(problem.lines), "code_output": str(problem.result)}
        value = problem.result if made.annotation is int else str(problem.result)
        reason = f"The code gives {problem.result}."
        return Row({**problem.inputs, **shown}, {"reasoning": reason, made.answer: value})

    return Task("code/answer", made.prompts.answer, draw)


def _setting(rng: Random, held_out: bool, kind: str | None, steps: int | None) -> _Setting:
    kind = rng.choice(("story", "story", "bare", "list")) if kind is None else kind
    steps = rng.choice((1, 2, 2, 3)) if steps is None else steps
    question = rng.choice(words.QUESTION_FIELDS)
    annotation = int if rng.random() < 0.3 else str
    answer = distinct(rng, words.ANSWER_FIELDS, (question,))
    head = rng.choice(held(LIST_HEADS if kind == "list" else HEADS, held_out))
    if rng.random() < 0.2:
        head = f"{head} {rng.choice(held(NUMBER, held_out))}"
    instructions = rng.choice((head, None, None))
    numbers = rng.choice(PLURALS)
    inputs = list(fields(rng, (question,), [("what is asked",)]))
    if kind == "list":
        inline = rng.random() < 0.3
        draw = partial(_list, held_out, question, None if inline else numbers)
        if not inline:
            inputs.insert(rng.randrange(2), Field(numbers, "", list[int]))
    else:
        draw = partial(_steps, held_out, question, steps, kind == "bare")
    signature = task_of(
        "", inputs, [Field(answer, "", annotation)], instructions, lambda rng: Row({}, {})
    ).signature
    return _Setting(prompts(signature), answer, annotation, draw)


def _steps(held_out: bool, question: str, steps: int, bare: bool, rng: Random) -> Sum:
    numbers, signs, totals = sum_of(rng, steps, rng.choice((20, 20, 60, 500)))
    whole = str(numbers[0]) + "".join(f" {s} {n}" for s, n in zip(signs, numbers[1:], strict=True))
    if bare:
        asked = rng.choice(held(BARE, held_out)).format(e=whole)
    else:
        asked = story_of(rng, held_out, numbers, signs, rng.choice(words.OBJECTS))
    return Sum({question: asked}, [f"result = {whole}"], totals[-1], f"It is {whole}.")


def _list(held_out: bool, question: str, name: str | None, rng: Random) -> Sum:
    values = [rng.randint(1, 60) for _ in range(rng.randint(2, 6))]
    rule = rng.choice(list(LISTS))
    shown = name or rng.choice(PLURALS)
    asked = rng.choice(held(LISTS[rule], held_out)).format(v=shown)
    if name is None:
        asked = f"The {shown} are {', '.join(map(str, values))}. {asked}"
    expression = rule.format(v=shown)
    given = {question: asked} if name is None else {name: values, question: asked}
    result = {
        "sum": sum(values), "max": max(values), "min": min(values), "len": len(values),
    }[rule[:3]] if " - " not in rule else max(values) - min(values) if rule[0] == "m" else sum(values) - max(values)  # fmt: skip
    return Sum(given, [f"{shown} = {values}", f"result = {expression}"], result, f"It is {expression}.")


def _broken(rng: Random, right: str) -> tuple[str, str]:
    """Return code with one fault, and the error it ends with in Python's own words."""
    while True:
        kind = rng.choice(("name", "name", "cut", "bracket", "text", "fence", "prose", "unset"))
        if kind == "name":
            wrong = right.replace(
                "print(result)",
                f"print({rng.choice(('answer', 'total', 'res', 'resul', 'value', 'output'))})",
            )
        elif kind == "cut":
            wrong = right.replace("\nprint", f" {rng.choice('+-')}\nprint", 1)
        elif kind == "bracket":
            wrong = right.removesuffix(")")
        elif kind == "text":
            first, _, rest = right.partition("\n")
            wrong = f"{first} + '{rng.choice(words.OBJECTS)}'\n{rest}"
        elif kind == "fence":
            wrong = f"{right}\n{rng.choice(('Done.', 'That is it.', 'The end.'))}"
        elif kind == "unset":
            wrong = right.split("\n")[-1] if right.count("\n") == 1 else "\n".join(right.split("\n")[1:])
        else:
            wrong = f"{rng.choice(('Here is the code:', 'The code is:', 'Add the numbers.'))}\n{right}"
        error = error_of(wrong)
        if error:
            return wrong, error


def error_of(code: str) -> str | None:
    """Return the error that code ends with; None where it runs. It is code of this file's own making."""
    try:
        tree = ast.parse(code)
    except SyntaxError as error:
        return f"SyntaxError: {error.msg}"
    try:
        exec(compile(tree, "code", "exec"), {"print": lambda *values: None})
    except Exception as error:  # noqa: BLE001
        return f"{type(error).__name__}: {error}"
    return None


def right_code(row: Row, given: dict[str, Any]) -> bool:
    """Return whether code prints what the right code prints."""
    return _printed(given.get("generated_code")) == _printed(row.outputs["generated_code"])


def _printed(code: Any) -> list[str] | None:
    """Return what sums print; None where code has more than assignments, sums and the four functions of lists."""
    shown: list[str] = []
    names = {"sum": sum, "max": max, "min": min, "len": len, "print": lambda value: shown.append(str(value))}
    allowed = (
        ast.Module,
        ast.Assign,
        ast.Expr,
        ast.Call,
        ast.Name,
        ast.Load,
        ast.Store,
        ast.Constant,
        ast.BinOp,
        ast.Add,
        ast.Sub,
        ast.List,
    )
    try:
        tree = ast.parse(code)
        if not all(isinstance(node, allowed) for node in ast.walk(tree)):
            return None
        exec(compile(tree, "code", "exec"), {"__builtins__": names})
    except Exception:  # noqa: BLE001  an LM's code: whatever is wrong with it, it is wrong
        return None
    return shown


CELLS = {
    "code for a story": Cell(partial(code_writing, kind="story"), judge=right_code, demos=(0, 1, 2)),
    "code for a list": Cell(partial(code_writing, kind="list"), judge=right_code, demos=(0, 1, 2)),
    "code mended after an error": Cell(code_mending, judge=right_code, demos=(0, 1)),
    "answer from the output of code": Cell(code_answer, demos=(0, 1)),
}
