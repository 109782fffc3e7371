"""Outputs of other types than text: numbers, truth, lists, records, what may be absent, and several at once."""

# ruff: noqa: E501 - tables of words and phrasings read better in long lines

from __future__ import annotations

from functools import lru_cache
from random import Random
from typing import TYPE_CHECKING, Any, Optional

from telic._optional import load
from telic.datasets.tiny import _words as words
from telic.datasets.tiny._classify import held
from telic.datasets.tiny._task import Field, Row, Task, distinct, fields, task_of

if TYPE_CHECKING:
    from collections.abc import Callable

LIST_WORDS = {
    "names": ("names", "people", "persons", "guests", "members"),
    "things": ("things", "items", "objects", "goods", "products"),
    "numbers": ("numbers", "values", "amounts", "counts"),
}
LIST_TOLD = (
    "List the {o}.", "Extract the {o}.", "Give all {o}.", "Find the {o} in the {t}.", "Which {o} are there?", "Write down the {o}.", "Name the {o}.",
    "Collect the {o} in order.", "Return the {o} of the {t}.", "Read the {t} and list the {o}.", "Get every one of the {o}.", "Take the {o} out of the {t}.",
)  # fmt: skip
RECORD_TOLD = (
    "Extract the fields.", "Read the {t} and fill in the fields.", "Give what the {t} says.", "Extract the data.", "Take the facts out of the {t}.",
    "Turn the {t} into data.", "Fill in the form.", "Find the values in the {t}.", "Extract a record.", "Return the facts as data.",
)  # fmt: skip
TRUTH_TOLD = (
    "Say whether the statement is true.", "Is the statement true?", "Decide if the statement follows.", "True or false?", "Check the statement.",
    "Does the {t} say so?", "Tell if it is right.", "Verify the statement by the {t}.", "Is it so?", "Judge the statement.",
)  # fmt: skip
PROFILE = (
    "{name} is {age} years old and lives in {city}. {name} works as a {job}.",
    "{name}, {age}, is a {job} in {city}.",
    "The {job} {name} from {city} is {age}.",
    "Meet {name}: {age} years old, {job}, home in {city}.",
    "In {city} lives {name}, a {job} of {age} years.",
)
KINDS: dict[str, Any] = {"name": str, "age": int, "city": str, "job": str}


def listing(rng: Random, held_out: bool, *, kind: str | None = None) -> Task:
    """Return a task of listing what a text names."""
    kind = rng.choice(tuple(LIST_WORDS)) if kind is None else kind
    text, output = rng.choice(words.TEXT_FIELDS), rng.choice(LIST_WORDS[kind])
    told = rng.choice(held(LIST_TOLD, held_out)).format(o=output, t=text)
    annotation: Any = list[int] if kind == "numbers" else list[str]
    verb = rng.choice(("met", "saw", "called", "sold", "had", "took"))

    def draw(rng: Random) -> Row:
        count = rng.randint(0 if rng.random() < 0.1 else 1, 4)
        values: list[Any] = []
        while len(values) < count:
            one: Any = {
                "names": lambda: words.person(rng, held_out),
                "things": lambda: words.word(rng, words.OBJECTS, held_out),
                "numbers": lambda: rng.randint(0, 99),
            }[kind]()
            if one not in values:
                values.append(one)
        shown = [f"{v} {rng.choice(words.OBJECTS)}" if kind == "numbers" else str(v) for v in values] or [
            "nobody"
        ]
        joined = ", ".join(shown[:-1]) + (" and " if len(shown) > 1 else "") + shown[-1]
        who = words.person(rng, held_out)
        while who in values:
            who = words.person(rng, held_out)
        start = rng.choice(("We", "They", "I", "You")) if kind == "names" else who
        return Row({text: f"{start} {verb} {joined}."}, {output: values})

    return task_of(f"typed/list {kind}", [Field(text)], [Field(output, "", annotation)], told, draw)


@lru_cache(64)
def model_of(names: tuple[str, ...]) -> Any:
    """Return a pydantic model with these fields."""
    made: dict[str, Any] = {name: (KINDS[name], ...) for name in names}
    return load("pydantic").create_model("Record", **made)


def record(
    rng: Random, held_out: bool, *, form: str | None = None, names: tuple[str, ...] | None = None
) -> Task:
    """Return a task of taking several facts out of a text: as fields, as a dict, or as a model."""
    form = rng.choice(("fields", "fields", "dict", "model", "optional")) if form is None else form
    text = rng.choice(words.TEXT_FIELDS)
    if names is None:
        names = tuple(rng.sample(tuple(KINDS), rng.choice((2, 3)) if form != "optional" else 2))
    told = rng.choice(held(RECORD_TOLD, held_out)).format(t=text)
    one = distinct(rng, ("record", "person", "data", "result"), (text,))
    if form == "fields":
        outputs = [Field(n, "", KINDS[n]) for n in names]
    elif form == "optional":
        outputs = [Field(n, "", Optional[KINDS[n]]) for n in names]  # noqa: UP045
    elif form == "dict":
        outputs = [Field(one, f"with the keys {' and '.join(names)}", dict[str, str])]
    else:
        outputs = [Field(one, "", model_of(names))]

    def draw(rng: Random) -> Row:
        values: dict[str, Any] = {
            "name": words.person(rng, held_out), "age": rng.randint(1, 99), "city": words.city(rng, held_out), "job": rng.choice(words.JOBS),
        }  # fmt: skip
        told = rng.choice(PROFILE).format(**values)
        if form == "optional":
            known = [n for n in names if rng.random() < 0.6]
            parts = {
                "name": "It is {name}.",
                "age": "The age is {age}.",
                "city": "The city is {city}.",
                "job": "The job is {job}.",
            }
            told = " ".join(parts[n].format(**values) for n in known) or "Nothing is known."
            return Row({text: told}, {n: values[n] if n in known else None for n in names})
        if form == "fields":
            return Row({text: told}, {n: values[n] for n in names})
        if form == "dict":
            return Row({text: told}, {one: {n: str(values[n]) for n in names}})
        return Row({text: told}, {one: model_of(names)(**{n: values[n] for n in names})})

    return task_of(f"typed/{form}", [Field(text)], outputs, told, draw)


def truth(rng: Random, held_out: bool) -> Task:
    """Return a task of saying whether a statement is true of a text."""
    text, output = (
        rng.choice(words.CONTEXT_FIELDS),
        rng.choice(("true", "is_true", "right", "holds", "correct", "answer")),
    )
    told = rng.choice(held(TRUTH_TOLD, held_out)).format(t=text)
    patterns = (
        "{a} lives in {b}.",
        "{a} works for {b}.",
        "{a} was founded by {b}.",
        "{a} is married to {b}.",
        "{a} sells {b}.",
    )

    def draw(rng: Random) -> Row:
        pattern, (a, b, c, d) = rng.choice(patterns), (words.person(rng, held_out) for _ in range(4))
        facts = [pattern.format(a=a, b=b), rng.choice(patterns).format(a=c, b=d)]
        rng.shuffle(facts)
        so = rng.random() < 0.5
        return Row({text: " ".join(facts), "statement": pattern.format(a=a, b=b if so else d)}, {output: so})

    return task_of(
        "typed/bool", fields(rng, (text, "statement"), [(), ()]), [Field(output, "", bool)], told, draw
    )


def price(rng: Random, held_out: bool) -> Task:
    """Return a task whose answer is a float that stands in the text."""
    text, output = rng.choice(words.TEXT_FIELDS), rng.choice(("price", "cost", "value", "amount"))
    told = rng.choice(
        (
            f"Give the {output}.",
            f"What is the {output}?",
            f"Extract the {output}.",
            f"Find the {output} in the {text}.",
        )
    )

    def draw(rng: Random) -> Row:
        thing, cost = (
            words.word(rng, words.THINGS, held_out),
            rng.randint(1, 99) + rng.choice((0.5, 0.25, 0.75, 0.1, 0.9)),
        )
        shown = rng.choice(
            (
                "The {t} costs {c}.",
                "{w} paid {c} for the {t}.",
                "You get the {t} for {c} at {w}.",
                "{c} is the price of the {t}.",
            )
        )
        return Row({text: shown.format(t=thing, c=cost, w=words.person(rng, held_out))}, {output: cost})

    return task_of("typed/float", [Field(text)], [Field(output, "", float)], told, draw)


def typed(rng: Random, held_out: bool) -> Task:
    """Return a task with a typed output."""
    make: Callable[[Random, bool], Task] = rng.choices((listing, record, truth, price), (4, 5, 2, 1))[0]
    return make(rng, held_out)
