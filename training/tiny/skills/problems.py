"""Problems with right and wrong answers, for skills that look at answers: correcting, comparing and judging them."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from telic.datasets.tiny import _words as words
from telic.datasets.tiny._arithmetic import story_of, sum_of
from telic.datasets.tiny._qa import _context, chains_of, entity_of

if TYPE_CHECKING:
    from collections.abc import Sequence
    from random import Random

    from telic.datasets.tiny._qa import Relation


class Attempt(NamedTuple):
    """An answer in all its forms: with its reasoning, short, and in a sentence (with the unit, for sums)."""

    reasoning: str
    short: str
    sentence: str


class Problem(NamedTuple):
    """A question, the right attempt, and a wrong one.

    Attributes:
        context: The facts; "" where none are needed.
        question: What is asked.
        subject: Whom or what it is about; the unit, for sums.
        right: The right attempt.
        wrong: An attempt with one slip.
        slip: The false statement of the wrong one, and its correction: ("7 + 5 = 13", "7 + 5 = 12").
    """

    context: str
    question: str
    subject: str
    right: Attempt
    wrong: Attempt
    slip: tuple[str, str]


def fact_problem(
    rng: Random, held_out: bool, hops: int, count: int, layout: int, wrongs: int = 1
) -> list[Problem]:
    """Return one question with `wrongs` different wrong attempts, one for each problem of the list."""
    chain = rng.choice(chains_of(hops))
    known = [entity_of(rng, chain[0].subject, held_out, ())]
    taken = list(known)
    for relation in chain:
        known.append(entity_of(rng, relation.object, held_out, taken))
        taken.append(known[-1])
    facts = [rng.choice(r.facts).format(s=s, o=o) for r, s, o in zip(chain, known, known[1:], strict=False)]
    others: list[tuple[int, str]] = []  # the hop whose object another subject has, and that object
    while len(others) < max(count, wrongs):
        at = rng.randrange(len(chain))
        subject = entity_of(rng, chain[at].subject, held_out, taken)
        thing = entity_of(rng, chain[at].object, held_out, taken)
        if thing in taken:
            continue
        taken += [subject, thing]
        others.append((at, thing))
        facts.append(rng.choice(chain[at].facts).format(s=subject, o=thing))
    rng.shuffle(facts)
    context = _context(rng, facts, layout)
    subject = known[0] if hops == 1 else f"the {chain[0].noun} of {known[0]}"
    question = rng.choice(chain[-1].questions).format(s=subject)
    right = _fact_attempt(chain, known)
    made: list[Problem] = []
    for at, thing in others[:wrongs]:
        slipped = [*known[: at + 1], thing, *known[at + 2 :]]
        if (
            hops == 2 and at == 0
        ):  # the second hop is then told of the wrong one: its answer is made up of what is known
            slipped[2] = others[-1][1] if others[-1][0] == 1 else known[2]
        wrong = _fact_attempt(chain, slipped)
        if wrong.short == right.short:
            wrong = _fact_attempt(chain, [*known[:-1], thing])
            at = len(chain) - 1
        noun = chain[at].noun
        said = (f"The {noun} of {known[at]} is {thing}", f"The {noun} of {known[at]} is {known[at + 1]}")
        made.append(Problem(context, question, known[0], right, wrong, said))
    return made


def _fact_attempt(chain: Sequence[Relation], known: Sequence[str]) -> Attempt:
    said = [f"The {r.noun} of {s} is {o}." for r, s, o in zip(chain, known, known[1:], strict=False)]
    if len(chain) == 2:
        sentence = f"The {chain[1].noun} of the {chain[0].noun} of {known[0]} is {known[2]}."
    else:
        sentence = chain[0].facts[1].format(s=known[0], o=known[1])
    return Attempt(" ".join(said), known[-1], sentence)


def sum_problem(rng: Random, held_out: bool, steps: int, bare: bool, wrongs: int = 1) -> list[Problem]:
    """Return one sum with `wrongs` different wrong attempts, one for each problem of the list."""
    numbers, signs, totals = sum_of(rng, steps, 20)
    thing = rng.choice(words.OBJECTS)
    if bare:
        question = str(numbers[0]) + "".join(f" {s} {n}" for s, n in zip(signs, numbers[1:], strict=True))
    else:
        question = story_of(rng, held_out, numbers, signs, thing)
    right = _sum_attempt(numbers, signs, totals, thing)
    made: list[Problem] = []
    seen = {totals[-1]}
    while len(made) < wrongs:
        at = rng.randrange(steps)
        off = rng.choice((-10, -3, -2, -1, 1, 1, 2, 3, 4, 10))
        slipped = [t + off if i > at else t for i, t in enumerate(totals)]
        if min(slipped) < 0 or slipped[-1] in seen:
            continue
        seen.add(slipped[-1])
        part = f"{totals[at]} {signs[at]} {numbers[at + 1]}"
        slip = (f"{part} = {slipped[at + 1]}", f"{part} = {totals[at + 1]}")
        made.append(Problem("", question, thing, right, _sum_attempt(numbers, signs, slipped, thing), slip))
    return made


def _sum_attempt(numbers: Sequence[int], signs: Sequence[str], totals: Sequence[int], thing: str) -> Attempt:
    line = " ".join(
        f"{a} {s} {n} = {b}." for a, s, n, b in zip(totals, signs, numbers[1:], totals[1:], strict=False)
    )
    return Attempt(line, str(totals[-1]), f"{totals[-1]} {thing}")
