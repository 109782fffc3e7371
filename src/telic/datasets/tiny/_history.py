"""Conversations: what earlier turns said is needed now."""

# ruff: noqa: E501 - tables of words and phrasings read better in long lines

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from telic.datasets.tiny import _words as words
from telic.datasets.tiny._classify import held
from telic.datasets.tiny._qa import RELATIONS, entity_of
from telic.datasets.tiny._task import Field, Row, Task, distinct, task_of
from telic.types import History

if TYPE_CHECKING:
    from random import Random

TALK = (
    "Talk with the user.", "Answer the user.", "You are a helpful assistant.", "Remember what was said.", "Answer from the conversation.",
    "Reply to the last message.", "Keep in mind what the user told you.", "Continue the conversation.", "Use the history to answer.", "Chat with the user.",
)  # fmt: skip
COUNT = (
    "Keep the total.",
    "Give the total so far.",
    "Add up.",
    "Say the new total.",
    "Work out the running total.",
    "Count on.",
)
DONE = "Noted."


def remembering(rng: Random, held_out: bool) -> Task:
    """Return conversations in which facts are told, and asked for later, by name or by "he" and "there"."""
    question = rng.choice(("question", "message", "request", "input"))
    answer = distinct(rng, ("answer", "reply", "response", "output"), (question,))
    history = rng.choice(("history", "history", "conversation", "chat"))

    def draw(rng: Random) -> Row:
        told: list[tuple[Any, str, str]] = []
        messages: list[dict[str, str]] = []
        for _ in range(rng.choice((1, 1, 2, 3))):
            relation = rng.choice([r for r in RELATIONS if r.subject == "person" and r.object != "person"])
            name, value = words.person(rng, held_out), entity_of(rng, relation.object, held_out, ())
            told.append((relation, name, value))
            messages.append({question: rng.choice(relation.facts).format(s=name, o=value), answer: DONE})
        if rng.random() < 0.15:  # another fact to note
            relation, name, value = told.pop()
            messages.pop()
            return Row(
                {history: History(messages=messages), question: relation.facts[0].format(s=name, o=value)},
                {answer: DONE},
            )
        relation, name, value = rng.choice(told)
        if (relation, name, value) == told[-1] and rng.random() < 0.4:
            name = rng.choice(("he", "she")) if len(told) == 1 else name
        asked = rng.choice(relation.questions).format(s=name)
        return Row({history: History(messages=messages), question: asked}, {answer: value})

    inputs = [Field(history, "", History), Field(question)]
    return task_of("history/facts", inputs, [Field(answer)], rng.choice(held(TALK, held_out)), draw)


def totalling(rng: Random, held_out: bool) -> Task:
    """Return conversations that add to and take from a total."""
    question = rng.choice(("question", "message", "request", "input"))
    answer = distinct(rng, ("answer", "reply", "total", "output"), (question,))

    def draw(rng: Random) -> Row:
        total, turns = rng.randint(1, 20), list[dict[str, str]]()
        asked = f"Start with {total}."
        for _ in range(rng.choice((1, 2, 3))):
            turns.append({question: asked, answer: str(total)})
            number = rng.randint(1, 9)
            if rng.random() < 0.4 and total > number:
                total, asked = total - number, rng.choice((f"Take away {number}.", f"Minus {number}."))
            else:
                total, asked = total + number, rng.choice((f"Add {number}.", f"Plus {number}."))
        return Row({"history": History(messages=turns), question: asked}, {answer: str(total)})

    inputs = [Field("history", "", History), Field(question)]
    return task_of("history/total", inputs, [Field(answer)], rng.choice(held(COUNT, held_out)), draw)


def talking(rng: Random, held_out: bool) -> Task:
    """Return a task of conversations."""
    return remembering(rng, held_out) if rng.random() < 0.75 else totalling(rng, held_out)
