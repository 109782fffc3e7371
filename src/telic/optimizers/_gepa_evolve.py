"""The loop of GEPA: Algorithm 1 of the paper (arXiv 2507.19457), one round of it as one generator.

A round mutates a candidate by reflection, or merges two; it yields the work that it needs next (`_lanes`), and its
outcome is a new candidate, or why there is none. Some rounds are under way at once; each sees the pool as the rounds
that were due before it had left it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Final, NamedTuple, final

from telic._seed import derive
from telic._text import plural
from telic.errors import ConfigurationError
from telic.evaluate import MetricCall, Row
from telic.optimizers._choice import Scored
from telic.optimizers._components import free_components, texts_of, with_texts
from telic.optimizers._gepa_pool import Member, Pair, Pool, balanced_rows
from telic.optimizers._gepa_reflect import Reflection
from telic.optimizers._gepa_rollout import Case, Rollout, Rollouts
from telic.optimizers._gepa_settings import EvolveOptions
from telic.optimizers._gepa_validate import Validation, faults_of
from telic.optimizers._lanes import TURN, Job, Lanes, Round
from telic.optimizers._pool import Standing, told_best
from telic.optimizers._propose import Instructions

if TYPE_CHECKING:
    from collections.abc import Generator

    from telic.data import Example
    from telic.optimizers._compile import Compile
    from telic.optimizers._report import Candidate

MERGE_ROWS: Final = 5
"""Rows on which a merge is tried first."""
_TOO_FEW: Final = "; not validated: too few metric calls"


class Outcome(NamedTuple):
    """What became of a round."""

    number: int
    """-1: the program as it was given."""
    words: str
    parent: int = -1
    rows: Sequence[int] = ()
    """The training rows that were reflected on."""
    tried: Member | None = None
    accepted: bool = False
    is_merge: bool = False
    cases: Sequence[Case] = ()
    failures: Sequence[str] = ()


@final
class Evolution:
    """One run of the algorithm.

    Args:
        options: How to go about it.
        run: The compile.
        student: The program as it was given.
        trainset: Rows to reflect on (the paper's D_feedback).
        valset: Rows that choose (D_pareto).
        metric: Scores.
        reflection: Writes instructions.
    """

    def __init__(
        self,
        options: EvolveOptions,
        run: Compile,
        student: Any,
        trainset: Sequence[Example],
        valset: Sequence[Example],
        metric: MetricCall,
        reflection: Reflection,
    ) -> None:
        self.pool = Pool(options.frontier, options.length_weight > 0, self.value)
        self.metric_calls = 0
        self.failures: list[str] = []
        self.used: set[int] = set()
        """The training rows that were reflected on."""
        self.outcomes: list[Outcome] = []
        self._options = options
        self._run = run
        self._student = student
        self._trainset = trainset
        self._valset = valset
        self._paths = free_components(student, options.learn)
        self._reflection = reflection
        self._validation = Validation(
            valset,
            metric,
            objectives=options.frontier != "instance",
            race=options.race,
            failure_score=options.failure_score,
            max_errors=options.max_errors,
            seed=options.seed,
        )
        scores = {"failure_score": options.failure_score, "perfect_score": options.perfect_score}
        self._rollouts = Rollouts(run, trainset, metric, seed=options.seed, **scores)
        self._batch = min(options.minibatch, len(trainset))
        self._begun = 0
        self._reserved: list[int] = []
        """Metric calls set aside for the open rounds, in their order."""
        self._charged: set[tuple[Any, ...]] = set()
        self._merges_due = 0
        self._merges = 0
        self._told_bare = False

    def value(self, member: Member) -> float:
        """Return what candidates are chosen by: the mean, less what its length costs."""
        return member.mean - self._options.length_weight * member.characters / 1000

    # Algorithm 1

    def evolve(self) -> str | None:
        """Run rounds until the metric calls are used up; return why it ended early, or None.

        Algorithm 1: P <- [Φ], S[Φ] <- scores on D_pareto; while the budget lasts, select a parent (Algorithm 2),
        choose a predictor, run a minibatch, reflect, try the child on the same minibatch, and, if it is better there,
        add it to P with its scores on D_pareto.
        """
        lanes: Lanes[Outcome] = Lanes(self._options.width, self._next, self._fold, self._standing)
        self._run.pool(lanes, "evolving")
        return lanes.stopped

    def _next(self, open_rounds: int) -> Round[Outcome] | None:
        """Return the next round, for which metric calls are set aside; None: there are too few, or none is of use."""
        if not self.pool.members:
            if open_rounds:
                return None
            self._reserved.append(len(self._valset))
            return self._given()
        if self._is_done:
            return None
        left = self._options.limit - self.metric_calls - sum(self._reserved)
        worst = 2 * self._batch + len(self._valset)
        if left < worst:
            return None
        number = self._begun
        self._begun += 1
        # With so little left that not all of these can be validated, each asks when it is its turn.
        free = left >= self._options.width * worst
        merge = self._merge_due(number, free)
        trial = 2 * self._batch if merge is None else min(MERGE_ROWS, len(self._valset))
        self._reserved.append(worst if free else trial)
        return self._mutate(number, free) if merge is None else merge

    def _may_validate(self, free: bool) -> Generator[tuple[Job, ...], Any, bool]:
        """Whether there are metric calls left to validate what a round found; they are kept for it."""
        if not free:
            yield TURN
            if self._options.limit - self.metric_calls - sum(self._reserved) < len(self._valset):
                return False
            self._reserved[0] += len(self._valset)
        return True

    @property
    def _is_done(self) -> bool:
        """Whether nothing can be better than the best: all its rows are perfect, and nothing else counts."""
        options = self._options
        alone = options.frontier == "instance" and not options.length_weight
        return alone and self.pool.best.mean >= options.perfect_score

    def _given(self) -> Round[Outcome]:
        member = self._member("as given", texts_of(self._student, self._options.learn), (), 0)
        yield from self._validation.scored(member, None)
        return Outcome(-1, "the program as it was given", tried=member, accepted=True)

    def _merge_due(self, number: int, free: bool) -> Round[Outcome] | None:
        if self._merges_due and self._merges < self._options.max_merges:
            rng = derive(self._options.seed, "merge", number)
            pair = self.pool.pair(rng, min(MERGE_ROWS, len(self._valset)))
            texts = None if pair is None else self.pool.merged(pair, rng)
            if pair is not None and texts is not None and not self.pool.knows(texts):
                self._merges_due -= 1
                self._merges += 1
                return self._merge(number, pair, texts, free)
        return None

    def _mutate(self, number: int, free: bool) -> Round[Outcome]:
        """Algorithm 1, lines 7 to 21: reflective mutation; `free` to validate what it finds."""
        options, view = self._options, self.pool.view()  # what is folded later is not for this round to see
        parent = view.select(options.selection, derive(options.seed, "parent", number))
        turn = parent.turn
        parent.turn += 1
        batch = self._minibatch(number)
        seen = yield self._traced(parent, batch)
        ended = partial(Outcome, number, parent=parent.index, rows=batch)
        if options.skip_perfect and all(one.row.score >= options.perfect_score for one in seen):
            return ended("nothing to improve on these rows", failures=_failures(seen))
        chosen = self._components(view, parent, seen, turn)
        cases = yield from self._judged(parent, seen, chosen)
        if not cases:
            return ended("no predictor had anything to reflect on", failures=_failures(seen))
        texts, trouble = yield from self._reflect(number, parent, cases)
        told = [case for judged in cases.values() for case in judged]
        trouble += [*_failures(seen), *(case.failure for case in told if case.failure is not None)]
        if view.knows(texts):
            return ended("no new instructions", cases=told, failures=trouble)
        child = self._member(f"mutation {number}", texts, (parent.index,), turn + 1)
        tried = yield self._traced(child, batch)
        ended = partial(ended, cases=told, failures=[*trouble, *_failures(tried)], tried=child)
        before, after = (math.fsum(one.row.score for one in runs) for runs in (seen, tried))
        if after <= before:
            return ended(f"no better on these rows: {after:g}, before {before:g}")
        words = f"better on these rows: {after:g}, before {before:g}"
        if not (yield from self._may_validate(free)):
            return ended(f"{words}{_TOO_FEW}")
        yield from self._validation.scored(child, view.best)
        return ended(words, accepted=True)

    def _merge(self, number: int, pair: Pair, texts: Instructions, free: bool) -> Round[Outcome]:
        """Appendix, Algorithm 4: what two lineages found, joined; tried on a few rows first."""
        first, second, best = self.pool.members[pair.first], self.pool.members[pair.second], self.pool.best
        child = self._member(f"merge {number}", texts, pair[:2], max(first.turn, second.turn))
        known = self.pool.common_rows(pair.first, pair.second)
        mine, theirs = ([_score(one.rows[i]) for i in known] for one in (first, second))
        places = balanced_rows(mine, theirs, MERGE_ROWS, derive(self._options.seed, "merge rows", number))
        yield from self._validation.score(child, [known[place] for place in places])
        after = math.fsum(row.score for row in child.known)
        before = max(math.fsum(scores[place] for place in places) for scores in (mine, theirs))
        words = f"of {pair.first} and {pair.second}: {after:g} on {len(places)} rows, before {before:g}"
        ended = partial(Outcome, number, parent=pair.first, tried=child, is_merge=True)
        if after < before:
            return ended(f"no better merge {words}", failures=faults_of(child.known))
        if not (yield from self._may_validate(free)):
            return ended(f"merge {words}{_TOO_FEW}", failures=faults_of(child.known))
        yield from self._validation.scored(child, best)
        return ended(f"merge {words}", accepted=True)

    # Its steps

    def _minibatch(self, number: int) -> list[int]:
        """Return the training rows of a round: each epoch shows all rows once, in an order of its own.

        An epoch whose last minibatch is not full takes rows from its beginning again.
        """
        count, size = len(self._trainset), self._batch
        epoch, place = divmod(number, math.ceil(count / size))
        order = derive(self._options.seed, "epoch", epoch).sample(range(count), count)
        return [order[(place * size + i) % count] for i in range(size)]

    def _traced(self, member: Member, batch: Sequence[int]) -> list[Job]:
        return [
            Job(("rollout", member.key, i), partial(self._rollouts.run, member.program, i)) for i in batch
        ]

    def _components(self, view: Pool, parent: Member, seen: Sequence[Rollout], turn: int) -> list[str]:
        """Return the predictors to reflect on: of those that these runs have called, the next in turn, or all."""
        unread = self._options.show_unread
        paths = [path for path in self._paths if any(one.touched(path, unread=unread) for one in seen)]
        selector = self._options.selector
        if selector == "all" or not paths:
            return paths
        if selector == "round_robin":
            start = turn % len(self._paths)
            ordered = [*self._paths[start:], *self._paths[:start]]
            return [next(path for path in ordered if path in paths)]
        scores = [one.row.score for one in seen]
        chosen: Any = selector(view, seen, scores, parent.index, dict(parent.texts))
        unknown = [path for path in chosen if path not in self._paths]
        if unknown or isinstance(chosen, str):
            raise ConfigurationError(
                f"component_selector must return a list of predictors of {', '.join(self._paths)}; it returned "
                f"{chosen!r}"
            )
        return [path for path in chosen if path in paths]

    def _judged(
        self, parent: Member, seen: Sequence[Rollout], paths: Sequence[str]
    ) -> Generator[list[Job], list[Any], dict[str, list[Case]]]:
        """Return, for each predictor, its calls in these runs with what is said to them."""
        unread = self._options.show_unread
        wanted = [(path, one) for path in paths for one in seen if one.touched(path, unread=unread)]
        made = yield [
            Job(
                ("case", parent.key, one.row.index, path),
                partial(self._rollouts.case, one, path, unread=unread),
            )
            for path, one in wanted
        ]
        cases: dict[str, list[Case]] = {}
        for (path, _), case in zip(wanted, made, strict=True):
            cases.setdefault(path, []).append(case)
        return cases

    def _reflect(
        self, number: int, parent: Member, cases: Mapping[str, Sequence[Case]]
    ) -> Generator[list[Job], list[Any], tuple[dict[str, str], list[str]]]:
        """Return the instructions of a child, and what went wrong when they were asked for."""
        judged = {path: [case.judged for case in one] for path, one in cases.items()}
        parts = [{path: one} for path, one in judged.items()] if self._reflection.separate else [judged]
        answers = yield [
            Job(
                ("reflect", number, *part),
                partial(self._reflection.propose, number, dict(parent.texts), part),
            )
            for part in parts
        ]
        texts, trouble = dict(parent.texts), list[str]()
        for part, answer in zip(parts, answers, strict=True):
            if isinstance(answer, str):
                trouble.append(f"reflection on {', '.join(part)}, round {number}: {answer}")
            else:
                texts.update(answer)
        return texts, trouble

    def _member(self, label: str, texts: Instructions, parents: tuple[int, ...], turn: int) -> Member:
        program = with_texts(self._student, texts)
        return Member(label, texts, parents, program, self._validation.job(program), len(self._valset), turn)

    # What is written down

    def _fold(self, outcome: Outcome) -> None:
        """Take the outcome of a round; rounds come in their order."""
        self._reserved.pop(0)
        self.metric_calls += self._charge(outcome)
        self.failures += outcome.failures
        self.outcomes.append(outcome)
        self.used.update(outcome.rows)
        self._tell_bare(outcome)
        child = outcome.tried if outcome.accepted else None
        if child is not None and not self.pool.knows(child.texts):
            self.failures += [str(row.error) for row in child.known if row.error is not None]
            self.pool.add(child)
            child.found_after = self.metric_calls
            candidate = self._candidate(outcome, child)
            if child.complete:
                child.scored = Scored(candidate, child.result)
            self._merges_due += outcome.number >= 0 and not outcome.is_merge
        if outcome.number >= 0:
            accepted = None if child is None else child.index
            self._run.decide(f"round {outcome.number}", [outcome.parent, list(outcome.rows), accepted])

    def _charge(self, outcome: Outcome) -> int:
        """Return the metric calls of a round: its minibatch, and what was scored for the first time.

        Rounds that came to the same instructions share the scores of these.
        """
        tried = outcome.tried
        if tried is None:
            return len(outcome.rows)
        found = {("row", tried.key, i) for i, row in enumerate(tried.rows) if row is not None}
        found |= {("rollout", tried.key, i) for i in outcome.rows}
        new = found - self._charged
        self._charged |= new
        return len(outcome.rows) + len(new)

    def _candidate(self, outcome: Outcome, child: Member) -> Candidate:
        more = {"parents": list(child.parents), "round": outcome.number, "why": outcome.words}
        label = child.label
        if not child.complete:
            label += f", given up after {len(child.known)} of {plural(len(child.rows), 'row')}"
        return self._run.candidate(child.program, child.result, label, child.index, **more)

    def _tell_bare(self, outcome: Outcome) -> None:
        if outcome.cases and not self._told_bare and not any(case.told for case in outcome.cases):
            self._told_bare = True
            self._run.note(
                "the metric says nothing beside a number: reflection has only scores, and the answers that rows "
                "hold; return Prediction(score=…, feedback='why')",
                warn=True,
            )

    def _standing(self) -> Standing:
        words = f"{plural(len(self.pool.members), 'candidate')}, {self._begun} rounds"
        if self.pool.members:
            words += f", {told_best(self.pool.best.result)}"
        return Standing(self.metric_calls, self._options.limit, words)


def _score(row: Row | None) -> float:
    assert row is not None
    return row.score


def _failures(seen: Sequence[Rollout]) -> list[str]:
    return [str(one.row.error) for one in seen if one.row.error is not None]
