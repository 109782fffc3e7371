"""Classification: what the label of a class is called is told by the demos, by the instructions, or by custom."""

# ruff: noqa: E501 - tables of words and phrasings read better in long lines

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal

from telic.datasets.tiny import _words as words
from telic.datasets.tiny._task import Row, Task, distinct, fields, task_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from random import Random

TOPIC_TEXTS: Final = (
    "The {a} was near the {b}.",
    "We talked about the {a} and the {b}.",
    "{who} bought a new {a} for the {b}.",
    "Where is the {a}? It was with the {b}.",
    "{who} wrote to me about a {a}.",
    "My {plain} {a} and my {b} are in the {place}.",
    "I saw a {a}, a {b} and a {c}.",
    "The {plain} {a} is not the {b}.",
    "Can you show {who} the {a}?",
    "There was a problem with the {a} in {city}.",
    "{who} and {who2} need the {a} today.",
    "No {a}, no {b}.",
    "It is about a {a} and some {b}.",
    "{who} asked for the {a} and the {plain} {b}.",
    "The {place} in {city} has a {a} and a {b}.",
    "Please bring the {a} to the {place}.",
)
MOOD_TEXTS: Final = (
    "The {thing} was {x}.",
    "{who} thinks that the {thing} is {x}.",
    "What a {x} {thing}!",
    "The {thing} in {city} was {x} and {y}.",
    "I found the {plain} {thing} {x}.",
    "It was a {x} day at the {place}, said {who}.",
    "This {thing} is really {x}.",
    "{who} has a {x} {thing} and a {y} {thing2}.",
    "Our {thing} was {x}, and so was the {thing2}.",
    "{x} {thing}, {y} {thing2}.",
    "We had a {x} time with the {thing}.",
    "My {thing} came from {city} and it is {x}.",
)
FEELING_TEXTS: Final = (
    "{who} was {x} in {city}.",
    "I am {x} about the {thing}.",
    "When the {thing} came, {who} felt {x}.",
    "{who} looked {x} and {y} at the {place}.",
    "They were all {x} because of the {thing}.",
    "Why are you so {x}, {who}?",
    "After the {thing}, {who} and {who2} were {x}.",
    "The {plain} {thing} made {who} {x}.",
)
URGENCY_TEXTS: Final = (
    "{who} needs the {thing} {x}.",
    "Send the {thing} to {city} {x}.",
    "Please look at the {thing} {x}.",
    "The {thing} can be repaired {x}, said {who}.",
    "Call {who} {x}.",
    "Come to the {place} {x}.",
    "Bring the {plain} {thing} {x}, {who}.",
    "We want the {thing} {x}.",
)

AXES: Final[Mapping[str, tuple[tuple[str, ...], Mapping[str, tuple[str, ...]]]]] = {
    "topic": (TOPIC_TEXTS, words.TOPICS),
    "sentiment": (MOOD_TEXTS, {"positive": words.GOOD, "negative": words.BAD}),
    "emotion": (FEELING_TEXTS, words.FEELINGS),
    "urgency": (URGENCY_TEXTS, {"urgent": words.URGENT, "calm": words.CALM}),
}
ALIASES: Final[Mapping[str, tuple[str, ...]]] = {
    "cooking": ("food", "the kitchen"), "sports": ("games", "sport"), "music": ("songs", "musicians"), "weather": ("the sky", "rain and wind"),
    "travel": ("trips", "journeys"), "health": ("medicine", "doctors"), "money": ("finance", "banks"), "science": ("research", "scientists"),
    "gardening": ("plants", "the garden"), "cars": ("driving", "a car"), "school": ("education", "teaching"), "animals": ("pets", "an animal"),
    "movies": ("films", "the cinema"), "computers": ("software", "a computer"), "law": ("courts", "crime"), "fashion": ("clothes", "clothing"),
    "positive": ("good", "satisfied", "happy customers", "praise"), "negative": ("bad", "unsatisfied", "unhappy customers", "complaints"),
    "joy": ("happiness", "joyful people"), "anger": ("rage", "angry people"), "fear": ("panic", "frightened people"), "sadness": ("grief", "sad people"),
    "urgent": ("in a hurry", "quick"), "calm": ("not urgent", "slow"),
}  # fmt: skip
ASPECT_FIELDS: Final[Mapping[str, tuple[str, ...]]] = {
    "topic": ("topic", "subject", "theme"),
    "sentiment": ("sentiment", "mood", "opinion"),
    "emotion": ("emotion", "feeling"),
    "urgency": ("urgency", "priority"),
}

HEADS: Final = (
    "Classify the {text}.", "Choose the right {label}.", "Decide which {label} fits the {text}.", "Read the {text} and label it.",
    "Sort the {text}s.", "Give the {label} of the {text}.", "You will see a {text}.", "Find the {label}.", "Label the {text}.",
    "What is the {label} of this {text}?", "Assign a {label} to each {text}.", "Look at the {text} and pick a {label}.",
    "Tell the kind of the {text}.", "Work out the {label}.", "Put the {text} into the right {label}.", "Mark each {text}.",
    "Which {label} is right for the {text}?", "Choose a {label}.", "Say which {label} it is.", "You get a {text} and give a {label}.",
    "For each {text}, write the {label}.", "Decide.", "Read it and decide.", "The {text} has a {label}.", "Answer with the {label} of the {text}.",
    "Your job is to label the {text}.", "Here is a {text}: give its {label}.", "Determine the {label} of the {text}.", "Predict the {label}.",
    "Tag the {text}.", "Each {text} belongs to one {label}.", "Name the {label} of the {text}.", "Identify the {label}.",
    "Think about the {text} and choose the {label}.", "Help us to sort each {text}.", "Pick the best {label}.", "The task is to classify the {text}.",
    "Given a {text}, produce a {label}.", "Say what the {label} is.", "Categorize the {text}.",
)  # fmt: skip
_VERBS: Final = (
    "answer {l}", "write {l}", "say {l}", "use {l}", "choose {l}", "give {l}", "reply {l}", "respond with {l}", "return {l}", "pick {l}",
    "output {l}", "put {l}", "label it {l}", "mark it {l}", "call it {l}", "tag it {l}", "it is {l}", "the answer is {l}", "the label is {l}", "{l}",
)  # fmt: skip
_CASES: Final = (
    "for {c}", "if it is about {c}", "when the text is about {c}", "if it is {c}", "when it is {c}", "for {c} texts", "for anything about {c}",
    "whenever it is about {c}", "in the case of {c}", "if the text is {c}", "if you read about {c}", "for a text about {c}", "where the text is {c}",
    "if the topic is {c}", "for messages about {c}", "as soon as it is about {c}",
)  # fmt: skip
CLAUSES: Final = (
    "{c} means {l}", "{c} -> {l}", "{c}: {l}", "{c} is called {l}", "label {c} as {l}", "{l} stands for {c}", "{c} texts are {l}", "{l} = {c}",
    "mark {c} as {l}", "{c} gets {l}", "the label of {c} is {l}", "{l} is for {c}", "{c} = {l}", "give {l} to {c}", "{l} ({c})", "{c} ({l})",
    "put {c} under {l}", "{c} should be {l}", "{l} goes with {c}", "reply {l} to {c}", "{l}: {c}", "{l} means {c}", "texts about {c} are {l}",
    "{c} counts as {l}", "{c} belongs to {l}", "all {c} is {l}", "{l} covers {c}", "{c} => {l}", "{c} is {l}", "we call {c} {l}",
    *(f"{verb} {case}" for verb in _VERBS for case in _CASES),
    *(f"{case}, {verb}" for verb in _VERBS for case in _CASES),
)  # fmt: skip
JOINERS: Final = (", ", "; ", "\n", ", and ", ". ", " | ", " and ", " / ", ".\n", "\n- ")


def _text(rng: Random, templates: Sequence[str], pool: Sequence[str], held_out: bool) -> tuple[str, str]:
    """Return a text whose telling words come from `pool`, and one of these words."""
    key = rng.choice(pool)
    second = distinct(rng, pool, (key,))
    text = rng.choice(templates).format(
        a=key, b=second, c=rng.choice(pool), x=key, y=second, who=words.person(rng, held_out), who2=words.person(rng, held_out),
        city=words.city(rng, held_out), thing=words.word(rng, words.THINGS, held_out),
        thing2=words.word(rng, words.THINGS, held_out), place=words.word(rng, words.PLACES, held_out), plain=rng.choice(words.PLAIN),
    )  # fmt: skip
    return text[0].upper() + text[1:] if rng.random() < 0.8 else text.lower(), key


def new_labels(rng: Random, count: int, held_out: bool) -> list[str]:
    """Return `count` different label words, all of one kind; those of evaluation are invented words."""
    kind = rng.random()
    labels: list[str] = []
    while len(labels) < count:
        if kind < 0.4 or held_out:
            label = words.invented(rng, held_out)
            if kind < 0.04:
                label += " " + words.invented(rng, held_out)
        elif kind < 0.45:
            label = rng.choice("ABCDEFGH" if kind < 0.425 else "123456789")
        else:
            label = rng.choice(words.split(words.LABELS, False))
            if kind > 0.95:
                label += " " + rng.choice(words.split(words.LABELS, False))
        if kind > 0.92 or kind < 0.06:
            label = label.capitalize()
        if label not in labels:
            labels.append(label)
    return labels


def held(templates: Sequence[str], held_out: bool) -> tuple[str, ...]:
    """Return the phrasings of evaluation (every fifth), or those of training."""
    return tuple(t for i, t in enumerate(templates) if (i % 5 == 3) == held_out)


def classification(
    rng: Random, held_out: bool, *, told_by: str, axis: str | None = None, count: int | None = None,
    reasoning: bool | None = None,
) -> Task:  # fmt: skip
    """Return a classification task.

    Args:
        rng: Where chance comes from.
        held_out: Draw names, labels and phrasings that training never uses.
        told_by: "demos" (the instructions say nothing about labels), "instructions", or "custom" (a class is its own
            label).
        axis: What is classified: a key of `AXES`; None: any.
        count: Number of classes; None: 2 to 4.
        reasoning: Whether a `reasoning` field comes first; None: in one task of five.
    """
    axis = (
        rng.choice(("topic", "topic", "topic", "sentiment", "sentiment", "emotion", "urgency"))
        if axis is None
        else axis
    )
    templates, pools = AXES[axis]
    classes = rng.sample(
        sorted(pools), min(len(pools), rng.choice((2, 2, 3, 3, 4)) if count is None else count)
    )
    labels = list(classes) if told_by == "custom" else new_labels(rng, len(classes), held_out)
    text_name = rng.choice(words.TEXT_FIELDS)
    generic = rng.random() < 0.7 if told_by != "custom" else rng.random() < 0.3
    label_name = distinct(rng, words.LABEL_FIELDS if generic else ASPECT_FIELDS[axis], (text_name,))
    think = rng.random() < 0.2 if reasoning is None else reasoning
    names = ("reasoning", label_name) if think else (label_name,)
    inputs = fields(rng, (text_name,), (("what to classify", "a short text", "written by a customer"),))
    outputs = fields(
        rng, names, [()] * (len(names) - 1) + [("one word", "the class of the text", "as in the examples")]
    )
    known = list(classes)
    instructions = _instructions(
        rng, held_out, told_by, text_name, label_name, dict(zip(known, labels, strict=True)), axis
    )
    naming = dict(zip(classes, labels, strict=True))
    if rng.random() < (0.3 if told_by == "custom" else 0.1):
        choices = list(labels)
        rng.shuffle(choices)
        outputs = (*outputs[:-1], outputs[-1]._replace(annotation=Literal[tuple(choices)]))

    def draw(rng: Random) -> Row:
        cls = rng.choice(classes)
        text, key = _text(rng, templates, pools[cls], held_out)
        values = {"reasoning": f"It says {key}, which is about {cls}."} if think else {}
        return Row({text_name: text}, values | {label_name: naming[cls]}, cls if told_by == "demos" else None)

    return task_of(f"classify/{told_by}", inputs, outputs, instructions, draw)


def _instructions(
    rng: Random, held_out: bool, told_by: str, text: str, label: str, naming: Mapping[str, str], axis: str
) -> str | None:
    head = rng.choice(held(HEADS, held_out)).format(text=text, label=label)
    if told_by == "demos":
        return rng.choice(
            (None, None, head, head, head + " Follow the examples.", head + " Answer with one word.")
        )
    if told_by == "custom":
        names = list(naming)
        listed = ", ".join(names[:-1]) + " or " + names[-1]
        aspect = rng.choice(ASPECT_FIELDS[axis])
        return rng.choice(
            (None, f"{head} It is {listed}.", f"{head} The choices are {listed}.", f"Is it {listed}?", f"Name the {aspect}.",
             f"Name the {aspect}: {listed}.", f"Answer with {listed}.", f"{head} Answer with the {aspect}.")
        )  # fmt: skip
    # Half of the tasks use the 30 special forms, half the many combinations.
    table = held(CLAUSES, held_out)
    special = len(held(CLAUSES[:30], held_out))
    clause = table[rng.randrange(special)] if rng.random() < 0.5 else rng.choice(table)
    pairs = [(rng.choice(ALIASES[c]) if rng.random() < 0.25 else c, name) for c, name in naming.items()]
    rng.shuffle(pairs)
    mixed = rng.random() < 0.15
    clauses = [(rng.choice(table) if mixed else clause).format(c=c, l=name) for c, name in pairs]
    body = rng.choice(JOINERS).join(clauses)
    style = rng.random()
    if not body.startswith(
        tuple(naming.values())
    ):  # a label keeps its own letters: they are part of the answer
        body = body[0].upper() + body[1:]
    if style < 0.6:
        return f"{head} {body}."
    if style < 0.8:
        return f"{body}."
    return f"{head}\n{body}"
