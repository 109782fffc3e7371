"""GEPA's pool: candidates with their lineage, the Pareto front over rows and objectives, and who may become a parent.

Section 3 of the paper (arXiv 2507.19457): `select` is Algorithm 2, `pair` and `merged` are Algorithms 3 and 4 of its
appendix.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from itertools import combinations
from random import Random
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple, final

from telic.evaluate import EvaluationResult, Row

if TYPE_CHECKING:
    from telic.evaluate import RowJob
    from telic.optimizers._choice import Scored

Frontier = Literal["instance", "objective", "hybrid", "cartesian"]
FRONTIERS: Final = ("instance", "objective", "hybrid", "cartesian")
BREVITY: Final = ("objective", "brevity")
"""The cell of the front that the shortest instructions lead."""

Cell = tuple[Any, ...]
Texts = Mapping[str, str]
"""The instructions of predictors, by path."""


@final
class Member:
    """A candidate: the given program, a mutation, or a merge.

    Args:
        label: What it is, in words.
        texts: Its instructions.
        parents: The indices of what it was made from.
        program: The program with these instructions.
        job: Scores it on rows that choose.
        count: How many of these there are.
        turn: Whose turn it is to be reflected on: a number that goes round the predictors.
    """

    def __init__(
        self,
        label: str,
        texts: Texts,
        parents: tuple[int, ...],
        program: Any,
        job: RowJob,
        count: int,
        turn: int = 0,
    ) -> None:
        self.index = -1
        """Its place in the pool; -1: not in it (yet)."""
        self.label = label
        self.texts = texts
        self.parents = parents
        self.program = program
        self.job = job
        self.rows: list[Row | None] = [None] * count
        self.objectives: list[Mapping[str, float]] = [{} for _ in range(count)]
        self.turn = turn
        self.found_after = 0
        """Metric calls up to when it was found."""
        self.scored: Scored | None = None
        """With its scores, once they all are known."""

    @property
    def key(self) -> tuple[str, ...]:
        """Equal for equal instructions."""
        return tuple(self.texts.values())

    @property
    def known(self) -> list[Row]:
        """The rows that were scored."""
        return [row for row in self.rows if row is not None]

    @property
    def complete(self) -> bool:
        """Whether all were."""
        return all(row is not None for row in self.rows)

    @property
    def mean(self) -> float:
        """The mean of the scores that are known."""
        known = self.known
        return math.fsum([row.score for row in known]) / len(known)

    @property
    def characters(self) -> int:
        """How long its instructions are."""
        return sum(map(len, self.texts.values()))

    @property
    def result(self) -> EvaluationResult:
        """The rows that were scored, as a result."""
        return EvaluationResult(self.known)

    def means(self) -> dict[str, float]:
        """Return the mean of each objective over the rows that are known."""
        known = [told for told, row in zip(self.objectives, self.rows, strict=True) if row is not None]
        names = list(dict.fromkeys(name for told in known for name in told))
        found = {name: [told[name] for told in known if name in told] for name in names}
        return {name: math.fsum(values) / len(values) for name, values in found.items()}


class Pair(NamedTuple):
    """Two candidates to merge, and the ancestor that they share; by index, the first one the smaller."""

    first: int
    second: int
    ancestor: int


@final
class Pool:
    """All candidates in the order in which they were accepted.

    Args:
        frontier: What the front is over: the rows; the objectives that the metric names; both; or each row and
            objective.
        brevity: The length of the instructions is an objective, too.
        value: What makes a candidate the best; the mean, unless length counts.
    """

    def __init__(self, frontier: Frontier, brevity: bool, value: Callable[[Member], float]) -> None:
        self.members: list[Member] = []
        self._frontier: Frontier = frontier
        self._brevity = brevity
        self._value = value
        self._merged: set[Pair] = set()

    def add(self, member: Member) -> None:
        """Accept a candidate."""
        member.index = len(self.members)
        self.members.append(member)

    def view(self) -> Pool:
        """Return the pool as it is now; what is added later is not in it."""
        made = Pool(self._frontier, self._brevity, self._value)
        made.members, made._merged = list(self.members), self._merged
        return made

    def knows(self, texts: Texts) -> bool:
        """Whether a candidate has these instructions."""
        key = tuple(texts.values())
        return any(member.key == key for member in self.members)

    @property
    def best(self) -> Member:
        """The best of those whose rows are all known; the first of equals."""
        return max((member for member in self.members if member.complete), key=self._value)

    def fronts(self) -> dict[Cell, list[int]]:
        """Return who leads in each cell: a row, an objective, or an objective of a row.

        Means of objectives are compared among candidates whose rows are all known.
        """
        values: dict[Cell, dict[int, float]] = {}
        for member in self.members:
            for cell, value in self._cells(member):
                values.setdefault(cell, {})[member.index] = value
        return {
            cell: [index for index, value in found.items() if value == max(found.values())]
            for cell, found in values.items()
        }

    def _cells(self, member: Member) -> list[tuple[Cell, float]]:
        cells: list[tuple[Cell, float]] = []
        rows = [(i, row) for i, row in enumerate(member.rows) if row is not None]
        if self._frontier in ("instance", "hybrid"):
            cells += [(("row", i), row.score) for i, row in rows]
        if self._frontier == "cartesian":
            cells += [
                (("row", i, name), value) for i, _ in rows for name, value in member.objectives[i].items()
            ]
        if self._frontier in ("objective", "hybrid") and member.complete:
            cells += [(("objective", name), value) for name, value in member.means().items()]
        if self._brevity and member.complete:
            cells.append((BREVITY, -float(member.characters)))
        return cells

    # Algorithm 2: Pareto-based candidate selection

    def select(self, strategy: str, rng: Random) -> Member:
        """Return a parent: the best ("current_best"), or one of the front, the likelier the more cells it leads."""
        if strategy == "current_best":
            return self.best
        leads = self.front()
        (chosen,) = rng.choices(list(leads), weights=list(leads.values()))
        return self.members[chosen]

    def front(self) -> dict[int, int]:
        """Return the candidates that no others dominate, with the number of cells that each leads.

        One is dominated if in every cell that it leads another one that is kept leads, too; the weakest go first.
        """
        fronts = list(self.fronts().values())
        kept = {index for leaders in fronts for index in leaders}
        for index in sorted(kept, key=lambda i: (self.members[i].mean, -i)):
            if all(len(kept.intersection(leaders)) > 1 for leaders in fronts if index in leaders):
                kept.discard(index)
        return {index: sum(index in leaders for leaders in fronts) for index in sorted(kept)}

    # Algorithms 3 and 4: system-aware merge

    def pair(self, rng: Random, overlap: int) -> Pair | None:
        """Return two candidates of the front that a merge may bring on, or None; each pair once.

        Neither descends from the other, they share an ancestor that is better than neither, at least one predictor was
        changed since by one of the two alone, and `overlap` rows are known of both.
        """
        pairs = list(combinations(self.front(), 2))
        rng.shuffle(pairs)
        for first, second in pairs:
            mine, theirs = self._ancestors(first), self._ancestors(second)
            if first in theirs or second in mine or len(self.common_rows(first, second)) < overlap:
                continue
            shared = [Pair(first, second, a) for a in sorted(mine & theirs)]
            able = [pair for pair in shared if pair not in self._merged and self._desirable(pair)]
            if able:
                chosen = max(able, key=lambda pair: self.members[pair.ancestor].mean)
                self._merged.add(chosen)
                return chosen
        return None

    def common_rows(self, first: int, second: int) -> list[int]:
        """Return the rows that are known of both."""
        both = zip(self.members[first].rows, self.members[second].rows, strict=True)
        return [i for i, (one, other) in enumerate(both) if one is not None and other is not None]

    def _ancestors(self, index: int) -> set[int]:
        found: set[int] = set()
        left = list(self.members[index].parents)
        while left:
            parent = left.pop()
            if parent not in found:
                found.add(parent)
                left += self.members[parent].parents
        return found

    def _desirable(self, pair: Pair) -> bool:
        first, second, ancestor = (self.members[i] for i in pair)
        if ancestor.mean > min(first.mean, second.mean):
            return False
        return any(
            first.texts[path] != second.texts[path] and text in (first.texts[path], second.texts[path])
            for path, text in ancestor.texts.items()
        )

    def merged(self, pair: Pair, rng: Random) -> dict[str, str]:
        """Return, for each predictor, the instructions that were changed since the ancestor.

        Where both changed them, those of the better candidate; of equal ones, either's.
        """
        first, second, ancestor = (self.members[i] for i in pair)
        made: dict[str, str] = {}
        for path, text in ancestor.texts.items():
            mine, theirs = first.texts[path], second.texts[path]
            if mine == text or theirs == text:
                made[path] = theirs if mine == text else mine
            elif first.mean == second.mean:
                made[path] = rng.choice((mine, theirs))
            else:
                made[path] = mine if first.mean > second.mean else theirs
        return made


def balanced_rows(first: Sequence[float], second: Sequence[float], count: int, rng: Random) -> list[int]:
    """Return up to `count` places, as evenly as can be of those where one is ahead, the other, and neither."""
    kinds: tuple[list[int], list[int], list[int]] = ([], [], [])
    for place, (mine, theirs) in enumerate(zip(first, second, strict=True)):
        kinds[0 if mine > theirs else 1 if theirs > mine else 2].append(place)
    for kind in kinds:
        rng.shuffle(kind)
    chosen: list[int] = []
    while len(chosen) < count and any(kinds):
        for kind in kinds:
            if kind and len(chosen) < count:
                chosen.append(kind.pop())
    return sorted(chosen)
