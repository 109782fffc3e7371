"""Copying and light editing of any text, and questions about facts of any kind: what makes spelled words robust.

Texts are made of invented words, of the world's words, and of English as Python's own documentation has it.
"""

from __future__ import annotations

import pydoc_data.topics
import re
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

from cells import Cell

from telic.datasets.tiny import _words as words
from telic.datasets.tiny._classify import held
from telic.datasets.tiny._qa import FULL, HEADS, SHORT
from telic.datasets.tiny._task import Row, Task, distinct, fields, task_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from random import Random


@lru_cache(1)
def english() -> dict[bool, tuple[str, ...]]:
    """Return the words of Python's documentation, those of training and those of evaluation."""
    text = " ".join(pydoc_data.topics.topics.values())
    found = sorted({w.lower() for w in re.findall("[A-Za-z]{3,12}", text)})
    return {side: tuple(w for w in found if words.kept_for(w, side)) for side in (False, True)}


def any_word(rng: Random, held_out: bool) -> str:
    """Return a word of any kind."""
    kind = rng.random()
    if kind < 0.45:
        return rng.choice(english()[held_out])
    if kind < 0.75:
        return words.invented(rng, held_out)
    if kind < 0.8:
        return str(rng.randint(0, 2999))
    return rng.choice((words.THINGS, words.PLACES, words.PLAIN, words.OBJECTS)[rng.randrange(4)])


def title(rng: Random, held_out: bool, most: int = 3) -> str:
    """Return a capitalised name of one to `most` words."""
    return " ".join(any_word(rng, held_out).capitalize() for _ in range(rng.randint(1, most)))


class Edit(NamedTuple):
    """What is done with a text: how it is told, and the answer from the words (and from further inputs)."""

    name: str
    told: tuple[str, ...]
    least: int
    make: Callable[[Random, list[str], bool], tuple[str, dict[str, str], str]]


def _plain(
    answer: Callable[[list[str]], str],
) -> Callable[[Random, list[str], bool], tuple[str, dict[str, str], str]]:
    return lambda rng, ws, held_out: (" ".join(ws), {}, answer(ws))


def _quoted(rng: Random, ws: list[str], held_out: bool, marks: str = '""') -> tuple[str, dict[str, str], str]:
    at = rng.randrange(len(ws) - 1)
    stop = min(len(ws), at + rng.randint(1, 3))
    inside = " ".join(ws[at:stop])
    return " ".join([*ws[:at], f"{marks[0]}{inside}{marks[1]}", *ws[stop:]]), {}, inside


def _in_brackets(rng: Random, ws: list[str], held_out: bool) -> tuple[str, dict[str, str], str]:
    return _quoted(rng, ws, held_out, rng.choice(("()", "[]")))


def _after(rng: Random, ws: list[str], held_out: bool) -> tuple[str, dict[str, str], str]:
    ws = list(dict.fromkeys(ws))
    at = rng.randrange(len(ws) - 1)
    return " ".join(ws), {"word": ws[at]}, ws[at + 1]


def _before(rng: Random, ws: list[str], held_out: bool) -> tuple[str, dict[str, str], str]:
    ws = list(dict.fromkeys(ws))
    at = rng.randrange(1, len(ws))
    return " ".join(ws), {"word": ws[at]}, ws[at - 1]


def _replaced(rng: Random, ws: list[str], held_out: bool) -> tuple[str, dict[str, str], str]:
    old, new = rng.choice(ws), any_word(rng, held_out)
    return " ".join(ws), {"old": old, "new": new}, " ".join(new if w == old else w for w in ws)


def _number(rng: Random, ws: list[str], held_out: bool) -> tuple[str, dict[str, str], str]:
    ws = [w for w in ws if not w.isdigit()] or ["it"]
    number = str(rng.randint(0, 2999))
    ws.insert(rng.randint(0, len(ws)), number)
    return " ".join(ws), {}, number


EDITS = (
    Edit("repeat", ("Repeat the text.", "Copy the text.", "Write the text again.", "Give back the same text.", "Say it again.", "Echo the text.", "Copy it word by word.", "Return the text unchanged.", "Write down what you read.", "The answer is the text itself."), 1, _plain(" ".join)),
    Edit("first", ("Give the first word.", "What is the first word?", "Write the word at the start.", "The first word only.", "Say which word comes first."), 2, _plain(lambda ws: ws[0])),
    Edit("last", ("Give the last word.", "What is the last word?", "Write the word at the end.", "The last word only.", "Say which word comes last."), 2, _plain(lambda ws: ws[-1])),
    Edit("second", ("Give the second word.", "What is the second word?", "The second word only.", "Write the word that comes second.", "Word number 2."), 3, _plain(lambda ws: ws[1])),
    Edit("quoted", ("Give what is quoted.", "Write the words in quotes.", "What stands in quotes?", "Copy the quoted words.", "The quoted part only."), 3, _quoted),
    Edit("brackets", ("Give what is in brackets.", "Write the words in brackets.", "What stands in brackets?", "Copy what the brackets hold.", "The part in brackets only."), 3, _in_brackets),
    Edit("after", ("Give the word after the given one.", "Which word follows?", "What comes after the word?", "Write the next word.", "The word that follows the given word."), 3, _after),
    Edit("before", ("Give the word before the given one.", "Which word stands before it?", "What comes before the word?", "Write the word in front of it.", "The word before the given word."), 3, _before),
    Edit("replace", ("Replace the old word by the new one.", "Change old to new.", "Write the text with the new word.", "Put the new word for the old one.", "Use new in place of old."), 2, _replaced),
    Edit("reverse", ("Reverse the words.", "Write the words from the last to the first.", "Turn the order of the words around.", "The words backwards.", "Say the words in reverse order."), 2, _plain(lambda ws: " ".join(ws[:4][::-1]) if len(ws) <= 4 else " ".join(ws[::-1]))),
    Edit("commas", ("Put commas between the words.", "Join the words with commas.", "List the words with commas.", "A comma after each word but the last.", "Separate the words by commas."), 2, _plain(", ".join)),
    Edit("count", ("Count the words.", "How many words are there?", "Give the number of words.", "The number of words only.", "Say how many words it has."), 1, _plain(lambda ws: str(len(ws)))),
    Edit("number", ("Give the number in the text.", "Which number is there?", "Write the number.", "Find the number.", "The number only."), 2, _number),
)  # fmt: skip


def editing(rng: Random, held_out: bool, *, edit: str | None = None) -> Task:
    """Return a task of copying or editing; in three of four the instructions tell it, else the demos do."""
    chosen = (
        rng.choice((*EDITS, *EDITS[:1] * 6)) if edit is None else next(e for e in EDITS if e.name == edit)
    )
    told = rng.random() < 0.75 or edit is not None
    text = rng.choice(words.TEXT_FIELDS)
    further = list(chosen.make(rng, ["a", "b", "c"], held_out)[1])
    answer = distinct(rng, words.ANSWER_FIELDS, (text, *further))
    inputs = fields(rng, (text, *further), [()] * (1 + len(further)))
    outputs = fields(rng, (answer,), [()])
    most = 4 if chosen.name == "reverse" else rng.choice((3, 6, 9))

    def draw(rng: Random) -> Row:
        count = rng.randint(chosen.least, max(most, chosen.least))
        ws = [any_word(rng, held_out) for _ in range(count)]
        if rng.random() < 0.2:
            ws[0] = ws[0].capitalize()
        if chosen.name == "repeat" and rng.random() < 0.5:
            ws[-1] += rng.choice(".?!")
        given, more, wanted = chosen.make(rng, ws, held_out)
        return Row({text: given, **more}, {answer: wanted}, None if told else chosen.name)

    instructions = rng.choice(held(chosen.told, held_out)) if told else None
    return task_of(f"echo/{chosen.name}", inputs, outputs, instructions, draw)


PATTERNS = (
    ("{x} was born in {y}.", (("Where was {x} born?", "y"), ("Who was born in {y}?", "x"))),
    ("{x} wrote {y}.", (("Who wrote {y}?", "x"), ("What did {x} write?", "y"))),
    ("{x} is the capital of {y}.", (("What is the capital of {y}?", "x"), ("Of which country is {x} the capital?", "y"))),
    ("The {n} of {x} is {y}.", (("What is the {n} of {x}?", "y"), ("What is the {n} of {x} called?", "y"))),
    ("The {n} of {x} is {y}.", (("Tell me the {n} of {x}.", "y"), ("Which {n} does {x} have?", "y"))),
    ("{x} died in {d}.", (("When did {x} die?", "d"), ("Who died in {d}?", "x"))),
    ("{x} was founded by {y} in {d}.", (("Who founded {x}?", "y"), ("When was {x} founded?", "d"), ("What did {y} found?", "x"))),
    ("{x} met {y} in {z}.", (("Where did {x} meet {y}?", "z"), ("Who met {y}?", "x"), ("Whom did {x} meet?", "y"))),
    ("{x} plays for {y}.", (("For whom does {x} play?", "y"), ("Who plays for {y}?", "x"))),
    ("{x} directed the film {y} in {d}.", (("Which film did {x} direct?", "y"), ("Who directed {y}?", "x"), ("When was {y} directed?", "d"))),
    ("{x}, also known as {y}, is a {n}.", (("What is {x} also known as?", "y"), ("What is {x}?", "n"), ("Who is known as {y}?", "x"))),
    ("{x} sold the {n} to {y}.", (("What did {x} sell to {y}?", "n"), ("To whom did {x} sell the {n}?", "y"), ("Who sold the {n}?", "x"))),
    ("In {d}, {x} moved to {y}.", (("When did {x} move to {y}?", "d"), ("Where did {x} move in {d}?", "y"), ("Who moved to {y}?", "x"))),
    ("{x} has a {n} and {y} has a {m}.", (("What does {x} have?", "n"), ("What does {y} have?", "m"), ("Who has a {n}?", "x"))),
    ("The {n} costs {d} and the {m} costs {e}.", (("What does the {n} cost?", "d"), ("What does the {m} cost?", "e"), ("What costs {e}?", "m"))),
)  # fmt: skip


def any_facts(rng: Random, held_out: bool, *, style: str | None = None) -> Task:
    """Return questions about facts of any kind, told in any words."""
    style = rng.choice(("short", "short", "full")) if style is None else style
    context, question = rng.choice(words.CONTEXT_FIELDS), rng.choice(words.QUESTION_FIELDS)
    answer = distinct(rng, words.ANSWER_FIELDS, (context, question))
    head = rng.choice(held(HEADS, held_out))
    tail = rng.choice(held(SHORT if style == "short" else FULL, held_out))
    silent = style == "short" and rng.random() < 0.5
    inputs, outputs = fields(rng, (context, question), [(), ()]), fields(rng, (answer,), [()])
    count = rng.choice((1, 2, 3))

    def draw(rng: Random) -> Row:
        facts: list[str] = []
        asked = wanted = ""
        for i in range(count):
            fact, questions = rng.choice(PATTERNS)
            x, y, z = (title(rng, held_out) for _ in range(3))
            n = rng.choice(english()[held_out])
            m = distinct(rng, english()[held_out], (n,))
            d = rng.randint(2, 2100)
            values = {"x": x, "y": y, "z": z, "n": n, "m": m, "d": str(d), "e": str(d + rng.randint(1, 50))}
            facts.append(fact.format(**values))
            if i == 0:
                template, key = rng.choice(questions)
                asked, wanted = template.format(**values), values[key]
                sentence = facts[0]
        rng.shuffle(facts)
        return Row(
            {context: " ".join(facts), question: asked}, {answer: sentence if style == "full" else wanted}
        )

    return task_of(f"any facts/{style}", inputs, outputs, head if silent else f"{head} {tail}", draw)


CELLS = {
    **{f"echo, {e.name}": Cell(lambda rng, held_out, e=e: editing(rng, held_out, edit=e.name), demos=(0, 2)) for e in EDITS},
    "any facts, short": Cell(lambda rng, held_out: any_facts(rng, held_out, style="short"), demos=(0, 1, 4)),
    "any facts, sentence": Cell(lambda rng, held_out: any_facts(rng, held_out, style="full"), demos=(0, 1, 4)),
}  # fmt: skip
