"""Judging: is an answer right, does it say the same as another one, does it obey a rule; with a short reason first."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from cells import Cell
from skills.problems import Problem, fact_problem, sum_problem

from telic.datasets.tiny import _words as words
from telic.datasets.tiny._classify import held, new_labels
from telic.datasets.tiny._task import Field, Row, Task, distinct, task_of

if TYPE_CHECKING:
    from random import Random

ANSWERS = (
    "answer",
    "predicted",
    "prediction",
    "response",
    "predicted_answer",
    "given_answer",
    "reply",
    "output",
    "candidate",
    "assessed_text",
    "text",
)
GOLDS = (
    "gold",
    "expected",
    "reference",
    "gold_answer",
    "correct_answer",
    "right_answer",
    "target",
    "ground_truth",
    "true_answer",
    "label",
)
RULES = (
    "rule",
    "criterion",
    "assessment_question",
    "requirement",
    "question",
    "check",
    "condition",
    "rubric",
    "constraint",
)
VERDICTS = (
    "correct",
    "verdict",
    "is_correct",
    "valid",
    "judgement",
    "assessment_answer",
    "assessment",
    "right",
    "ok",
    "accepted",
    "same",
    "passed",
    "score",
    "decision",
    "grade",
)
REASONS = ("reasoning", "reasoning", "reasoning", "reason", "rationale", "explanation", "why")
ANSWER_HEADS = (
    "Is the {a} right?", "Judge the {a}.", "Decide whether the {a} is correct.", "Check the {a}.", "Does the {a} fit?", "Say if the {a} is right.",
    "Tell whether the {a} is right or wrong.", "Grade the {a}.", "Was the question answered correctly?", "Assess the {a}.", "Verify the {a}.", "Is this correct?",
    "Look at the {a} and judge it.", "You judge answers.", "Test if the {a} is true.", "Rate the {a}.", "Evaluate the {a}.", "Mark the {a}.",
    "Is it the right answer?", "Find out whether the {a} is wrong.",
)  # fmt: skip
SAME_HEADS = (
    "Do {a} and {g} say the same?", "Compare the {a} with the {g}.", "Is the {a} the same as the {g}?", "Decide whether {a} and {g} agree.", "Does the {a} match the {g}?",
    "Say if the {a} means the same as the {g}.", "Check the {a} against the {g}.", "Are {a} and {g} equal in meaning?", "Judge if the {a} agrees with the {g}.", "Is the {g} in the {a}?",
    "Tell whether the {a} has the same answer as the {g}.", "Match {a} and {g}.", "Grade the {a} with the {g}.", "Do both give the same answer?", "The {g} is right. Is the {a} too?",
)  # fmt: skip
RULE_HEADS = (
    "Does the {a} obey the {r}?", "Check the {r}.", "Judge whether the {a} keeps to the {r}.", "Decide if the {r} holds for the {a}.", "Assess the {a}.", "Is the {r} met?",
    "Say if the {a} does what the {r} asks.", "Test the {a} by the {r}.", "Look at the {a} and check the {r}.", "Does it hold?", "Verify the {r}.", "Assess the quality of the {a} along the {r}.",
    "Tell whether the {a} is as the {r} wants it.", "Apply the {r} to the {a}.", "Is it as it should be?",
)  # fmt: skip
YES_NO = (
    "Answer yes or no.",
    "Say yes or no.",
    "Reply with yes or no.",
    "The {v} is yes or no.",
    "Write yes or no.",
    "Only yes or no.",
)
ONE_ZERO = (
    "1 for yes, 0 for no.",
    "Give 1 if it is so, else 0.",
    "Answer 1 or 0.",
    "The {v} is 1 for right and 0 for wrong.",
    "Use 1 and 0.",
)
FIVE = (
    "5 is right, 1 is wrong.",
    "Give 5 if it is right and 1 if not.",
    "From 1 (wrong) to 5 (right).",
    "Score it from 1 to 5.",
    "The {v} goes from 1 to 5.",
)
PAIRS = (
    ("yes", "no"),
    ("correct", "wrong"),
    ("right", "wrong"),
    ("true", "false"),
    ("accept", "reject"),
    ("good", "bad"),
    ("pass", "fail"),
    ("correct", "incorrect"),
)
SHORT_RULES = (
    "It is at most {n} words long.",
    "The answer must be short.",
    "At most {n} words.",
    "No full sentence.",
    "Is it short?",
    "Is it a word or a name, no sentence?",
    "It should be brief.",
    "Does it have at most {n} words?",
)
SENTENCE_RULES = (
    "It is a full sentence.",
    "The answer must be a sentence.",
    "Is it a sentence?",
    "Use full sentences.",
    "Is it a complete sentence?",
    "It should be a complete sentence.",
    "Written as a sentence.",
    "Does it say it in a sentence?",
)
UNIT_RULES = (
    "The answer has a unit.",
    "It must name the unit.",
    "Is there a unit?",
    "Number and unit.",
    "Does it have a unit?",
    "The unit is given.",
    "A unit stands after the number.",
    "It says of what.",
)
NUMBER_RULES = (
    "It is a number, nothing else.",
    "Only a number.",
    "Is it just a number?",
    "The answer must be a number only.",
    "No unit.",
    "Only digits.",
    "Is it without a unit?",
    "The number alone.",
)
LABEL_RULES = (
    "The label is one of {l}.",
    "It must be one of {l}.",
    "Is it {o}?",
    "One of {l}.",
    "Choose from {l}.",
    "Is it one of {l}?",
    "Allowed: {l}.",
    "The answer is {o}.",
)
MENTION_RULES = (
    "It mentions {x}.",
    "Does it mention {x}?",
    "It must contain {x}.",
    "Is {x} in it?",
    "The answer names {x}.",
    "Does the text contain {x}?",
    "{x} must be named.",
    "Does it speak of {x}?",
)


class Judged(NamedTuple):
    """Inputs, the reason, and whether it holds."""

    inputs: dict[str, Any]
    reason: str
    holds: bool


def judging(rng: Random, held_out: bool, *, kind: str | None = None, typed: str | None = None) -> Task:
    """Return a task that judges answers.

    Args:
        rng: Where chance comes from.
        held_out: Draw names and phrasings that training never uses.
        kind: "facts" (question and context are given), "sums", "gold" (against the right answer) or "rule"; None: any.
        typed: What a verdict is: "bool", "literal", "words" (yes or no), "int" (1 or 0), "five" (5 or 1); None: any.
    """
    kind = rng.choice(("facts", "facts", "sums", "gold", "gold", "rule", "rule")) if kind is None else kind
    typed = (
        rng.choices(("bool", "literal", "words", "int", "five"), (5, 2, 2, 1, 0.5))[0]
        if typed is None
        else typed
    )
    answer = rng.choice(ANSWERS)
    verdict = distinct(rng, VERDICTS, (answer,))
    yes, no, annotation, tail = _values(rng, held_out, typed)
    inputs, head, draw = _KINDS[kind](rng, held_out, answer)
    names = [rng.choice(REASONS)] if kind == "sums" or rng.random() < 0.9 else []
    names = [n for n in names if n not in inputs]
    said = f"{head} {tail.format(v=verdict)}".strip()
    instructions = said if tail or rng.random() < 0.8 else None
    if rng.random() < 0.3:
        rng.shuffle(inputs)

    def row(rng: Random) -> Row:
        made = draw(rng)
        outputs: dict[str, Any] = dict.fromkeys(names, made.reason)
        return Row({n: made.inputs[n] for n in inputs}, outputs | {verdict: yes if made.holds else no})

    outputs = [*(Field(n) for n in names), Field(verdict, "", annotation)]
    return task_of(f"judge/{kind}", [Field(n) for n in inputs], outputs, instructions, row)


def _values(rng: Random, held_out: bool, typed: str) -> tuple[Any, Any, Any, str]:
    if typed == "bool":
        return True, False, bool, ""
    if typed == "literal":
        yes, no = rng.choice(PAIRS)
        return yes, no, Literal[tuple(rng.sample((yes, no), 2))], ""
    if typed == "words":
        return "yes", "no", str, rng.choice(held(YES_NO, held_out))
    if typed == "int":
        return 1, 0, int, rng.choice(held(ONE_ZERO, held_out))
    return 5, 1, int, rng.choice(held(FIVE, held_out))


def _form(rng: Random, attempt: Any, full: float = 0.3) -> str:
    return attempt.sentence if rng.random() < full else attempt.short


def _facts(rng: Random, held_out: bool, answer: str) -> tuple[list[str], str, Any]:
    context = distinct(rng, words.CONTEXT_FIELDS, (answer,))
    question = distinct(rng, words.QUESTION_FIELDS, (answer, context))
    hops, size, layout = rng.choice((1, 1, 2)), rng.choice((1, 2, 3)), rng.randrange(3)

    def draw(rng: Random) -> Judged:
        problem = fact_problem(rng, held_out, hops, size, layout)[0]
        return _answered(rng, {context: problem.context, question: problem.question}, answer, problem)

    return [context, question, answer], rng.choice(held(ANSWER_HEADS, held_out)).format(a=answer), draw


def _sums(rng: Random, held_out: bool, answer: str) -> tuple[list[str], str, Any]:
    question = distinct(rng, words.QUESTION_FIELDS, (answer,))
    steps, bare = rng.choice((1, 1, 2)), rng.random() < 0.5

    def draw(rng: Random) -> Judged:
        problem = sum_problem(rng, held_out, steps, bare)[0]
        if bare:
            problem = problem._replace(
                right=problem.right._replace(sentence=problem.right.short),
                wrong=problem.wrong._replace(sentence=problem.wrong.short),
            )
        return _answered(rng, {question: problem.question}, answer, problem)

    return [question, answer], rng.choice(held(ANSWER_HEADS, held_out)).format(a=answer), draw


def _answered(rng: Random, inputs: dict[str, str], answer: str, problem: Problem) -> Judged:
    good = rng.random() < 0.5
    chosen = problem.right if good else problem.wrong
    end = "." if good else f", not {chosen.short}."
    return Judged(
        inputs | {answer: _form(rng, chosen)}, problem.right.reasoning.removesuffix(".") + end, good
    )


def _gold(rng: Random, held_out: bool, answer: str) -> tuple[list[str], str, Any]:
    gold = distinct(rng, GOLDS, (answer,))
    question = distinct(rng, words.QUESTION_FIELDS, (answer, gold)) if rng.random() < 0.5 else None
    sums = rng.random() < 0.3
    hops = rng.choice((1, 1, 2))

    def draw(rng: Random) -> Judged:
        problem = (
            sum_problem(rng, held_out, hops, bare=False)[0]
            if sums
            else fact_problem(rng, held_out, hops, 2, 0)[0]
        )
        good = rng.random() < 0.5
        right, chosen = problem.right, problem.right if good else problem.wrong
        said = chosen.sentence if rng.random() < 0.4 else chosen.short
        if rng.random() < 0.15:
            said = said.lower() if rng.random() < 0.7 else said + "."
        inputs = {gold: right.sentence if rng.random() < 0.25 else right.short, answer: said}
        if question:
            inputs[question] = problem.question
        reason = f"Both say {right.short}." if good else f"One says {right.short}, the other {chosen.short}."
        return Judged(inputs, reason, good)

    head = rng.choice(held(SAME_HEADS, held_out)).format(a=answer, g=gold)
    return [*([question] if question else []), gold, answer], head, draw


def _rule(rng: Random, held_out: bool, answer: str) -> tuple[list[str], str, Any]:
    rule = distinct(rng, RULES, (answer,))

    def draw(rng: Random) -> Judged:
        text, said, reason, holds = _ruled(rng, held_out)
        return Judged({rule: text, answer: said}, reason, holds)

    names = [answer, rule] if rng.random() < 0.5 else [rule, answer]
    return names, rng.choice(held(RULE_HEADS, held_out)).format(a=answer, r=rule), draw


def _ruled(rng: Random, held_out: bool) -> tuple[str, str, str, bool]:
    """Return a rule, a text, the reason, and whether it holds."""
    kind = rng.choice(("short", "sentence", "unit", "number", "labels", "mention"))
    good = rng.random() < 0.5
    if kind in ("short", "sentence"):
        right = fact_problem(rng, held_out, rng.choice((1, 2)), 1, 0)[0].right
        is_sentence = good == (kind == "sentence")
        rules = SENTENCE_RULES if kind == "sentence" else SHORT_RULES
        rule = rng.choice(held(rules, held_out)).format(n=rng.choice((2, 2, 3)))
        return (
            rule,
            right.sentence if is_sentence else right.short,
            "It is a sentence." if is_sentence else "It is short.",
            good,
        )
    if kind in ("unit", "number"):
        number, thing = rng.randint(0, 60), rng.choice(words.OBJECTS)
        has = good == (kind == "unit")
        rule = rng.choice(held(UNIT_RULES if kind == "unit" else NUMBER_RULES, held_out))
        return (
            rule,
            f"{number} {thing}" if has else str(number),
            f"The unit is {thing}." if has else "There is no unit.",
            good,
        )
    if kind == "labels":
        *labels, other = new_labels(rng, rng.choice((3, 4, 5)), held_out)
        said = rng.choice(labels) if good else other
        rule = rng.choice(held(LABEL_RULES, held_out))
        rule = rule.format(l=", ".join(labels), o=f"{', '.join(labels[:-1])} or {labels[-1]}")
        return rule, said, f"{said} is {'one' if good else 'none'} of them.", good
    problem = fact_problem(rng, held_out, 1, 1, 0)[0]
    named = (
        rng.choice((problem.right.short, problem.subject))
        if good
        else rng.choice((problem.wrong.short, words.person(rng, held_out)))
    )
    holds = named in problem.right.sentence
    rule = rng.choice(held(MENTION_RULES, held_out)).format(x=named)
    return rule, problem.right.sentence, f"It {'names' if holds else 'does not name'} {named}.", holds


_KINDS: dict[str, Any] = {"facts": _facts, "sums": _sums, "gold": _gold, "rule": _rule}

CELLS = {
    "judge an answer by facts": Cell(partial(judging, kind="facts", typed="bool"), demos=(0, 1, 4)),
    "judge a sum": Cell(partial(judging, kind="sums", typed="bool"), demos=(0, 1, 4)),
    "judge against the gold answer": Cell(partial(judging, kind="gold", typed="bool"), demos=(0, 1, 4)),
    "judge by a rule": Cell(partial(judging, kind="rule", typed="bool"), demos=(0, 1, 4)),
    "judge, any type": Cell(judging, demos=(0, 1, 4)),
}
