"""A small world of facts with real tools, to run real agents in."""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING, Any

from telic.datasets.tiny import _words as words
from telic.datasets.tiny._arithmetic import story_of, sum_of
from telic.datasets.tiny._qa import chains_of, entity_of

if TYPE_CHECKING:
    from random import Random


class AgentWorld:
    """A small world of facts with real tools, to run a real ReAct in from question to answer.

    Attributes:
        search: A tool: the three facts whose words fit a query best, ties in the order they were told.
        calculator: A tool: the value of sums such as `3 + 4 - 2`.
    """

    def __init__(self, rng: Random, held_out: bool, subjects: int = 12) -> None:
        self.rng, self.held_out = rng, held_out
        self.facts: list[str] = []
        self.about: list[frozenset[str]] = []  # the words under which a fact is found
        self.chains: list[tuple[Any, ...]] = []
        taken: list[str] = []
        objects: dict[tuple[str, str], str] = {}
        for _ in range(subjects):
            chain = rng.choice(chains_of(2))
            names = [entity_of(rng, chain[0].subject, held_out, taken)]
            for relation in chain:
                names.append(entity_of(rng, relation.object, held_out, [*taken, *names]))
            if any((n, r.noun) in objects for n, r in zip(names, chain, strict=False)):
                continue
            taken += names
            for relation, s, o in zip(chain, names, names[1:], strict=False):
                objects[s, relation.noun] = o
                fact = rng.choice(relation.facts).format(s=s, o=o)
                self.facts.append(fact)
                self.about.append(frozenset(_words_of(f"{relation.noun} of {s} {fact}")))
            self.chains.append((chain, names))
        self._frequency = Counter(word for about in self.about for word in about)

    def search(self, query: str) -> list[str]:
        """Search for facts."""
        asked = _words_of(query) - {"of", "the"}
        ranked = sorted(range(len(self.facts)), key=lambda i: (-self._fit(asked, i), i))
        return [self.facts[i] for i in ranked[:3] if self._fit(asked, i) > 0]

    def _fit(self, asked: set[str], i: int) -> float:
        return sum(1 / (1 + self._frequency[w]) for w in asked if w in self.about[i])

    def calculator(self, expression: str) -> int:
        """Compute an expression."""
        parts = re.findall(r"[+-]?\s*\d+", expression)
        if not re.fullmatch(r"\s*\d+(\s*[+-]\s*\d+)*\s*", expression):
            raise ValueError(f"not an expression: {expression}")
        return sum(int(p.replace(" ", "")) for p in parts)

    def question(self, kind: str) -> tuple[str, str]:
        """Return a question and its short answer: "1 hop", "2 hops" or "sums"."""
        if kind == "sums":
            numbers, signs, totals = sum_of(self.rng, self.rng.choice((1, 2, 3)), 20)
            return story_of(self.rng, self.held_out, numbers, signs, self.rng.choice(words.OBJECTS)), str(
                totals[-1]
            )
        chain, names = self.rng.choice(self.chains)
        if kind == "1 hop":
            at = self.rng.randrange(2)
            return self.rng.choice(chain[at].questions).format(s=names[at]), names[at + 1]
        subject = f"the {chain[0].noun} of {names[0]}"
        return self.rng.choice(chain[1].questions).format(s=subject), names[2]

    def gold(self, question: str) -> tuple[str, ...]:
        """Return the two facts that a question of two hops needs, in order; nothing for other questions."""
        for at, (chain, names) in enumerate(self.chains):
            subject = f"the {chain[0].noun} of {names[0]}"
            if any(asked.format(s=subject) == question for asked in chain[1].questions):
                return tuple(self.facts[2 * at : 2 * at + 2])
        return ()


def _words_of(text: str) -> set[str]:
    return set(re.findall(r"\w+", text.lower()))
