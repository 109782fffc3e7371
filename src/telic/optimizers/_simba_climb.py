"""The climb of SIMBA: a pool of programs that grows by a few at each minibatch, and the winners of the steps."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Container, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, final

from telic._seed import derive, derive_seed
from telic.evaluate import EvaluationResult, MetricCall
from telic.optimizers._choice import Scored
from telic.optimizers._frozen import learners
from telic.optimizers._propose import instructions_of, with_instructions
from telic.optimizers._propose_asks import Asks, Together
from telic.optimizers._report import Candidate
from telic.optimizers._search import Entry, Search
from telic.optimizers._simba_edits import (
    Bounds,
    Bucket,
    add_demo,
    bounds_of,
    bucket_of,
    can_show,
    can_teach,
    drop_demos,
    question,
    rules_of,
)
from telic.optimizers._simba_runs import Runs, Traced, Trajectory

if TYPE_CHECKING:
    from telic.data import Example
    from telic.optimizers._compile import Compile
    from telic.optimizers._pool import Source


class ClimbOptions(NamedTuple):
    """The settings of one climb; see `SIMBA`."""

    bsize: int
    num_candidates: int
    max_steps: int
    max_demos: int
    prompt_model: Any
    teacher_settings: Mapping[str, Any] | None
    demo_input_field_maxlen: int
    temperature_for_sampling: float
    temperature_for_candidates: float
    max_errors: int
    seed: int


class Member(NamedTuple):
    """A program of the pool."""

    number: int
    label: str
    program: Any
    mean: float
    """Of its scores: of the given program on the rows that choose, of others on the minibatch that made them."""


class _Change(NamedTuple):
    """A program made from one of the pool."""

    label: str
    program: Any
    source: int


@final
class Climb:
    """One climb.

    Args:
        settings: How far to go.
        run: The compile.
        student: The program as it was given.
        made: Rows that candidates are made from, in minibatches.
        rows: Rows that choose among the winners of the steps.
        metric: Scores.
    """

    def __init__(
        self,
        settings: ClimbOptions,
        run: Compile,
        student: Any,
        made: Sequence[Example],
        rows: Sequence[Example],
        metric: MetricCall,
    ) -> None:
        self.asks = Asks(run, settings.prompt_model, None)
        self.failures: list[str] = []
        self.winners: list[Member] = []
        """Of the steps, in their order."""
        self.logs: dict[int, dict[str, Any]] = {}
        self.seen: set[int] = set()
        """Which rows were in a minibatch."""
        self._settings = settings
        self._run = run
        self._student = student
        self._made = made
        self._rows = rows
        self._metric = metric
        self._found: list[Scored] = []
        self._traced = Traced(run, metric, settings.teacher_settings)
        self._shows = settings.max_demos > 0 and bool(learners(student, "demos"))
        self._teaches = bool(learners(student, "instructions"))
        self._pool: list[Member] = []
        self._sources: dict[int, int] = {}
        """From which member each was made, by number."""
        self._batches = _Batches(len(made), settings.bsize, settings.seed)

    def climb(self) -> str | None:
        """Go all steps, and score their winners; return why it ended early, or None."""
        given = Entry(0, "as given", make=self._student.deepcopy)
        first = self._search([given], self._rows, kept=True)
        for step in range(self._settings.max_steps):
            stopped = self._step(step, first if step == 0 else None)
            if stopped is not None:
                return stopped
        return self._score_winners()

    @property
    def found(self) -> list[Scored]:
        """What was scored on the rows that choose, by number, the given program first; the order decides ties."""
        return sorted(self._found, key=lambda one: one.candidate.seed or 0)

    @property
    def given(self) -> Scored | None:
        """The program as it was given, if it was scored."""
        return next((one for one in self.found if one.candidate.seed == 0), None)

    # 1. Runs

    def _step(self, step: int, first: Search | None) -> str | None:
        batch = self._batches.take()
        self.seen |= set(batch)
        if first is not None:
            self._pool = [Member(0, "as given", self._student, 0.0)]
        options = self._settings
        works: list[Callable[[], Trajectory]] = []
        for number in range(options.num_candidates):
            for index in batch:
                rng = derive(options.seed, "source", step, number, index)
                source = self._pool[drawn(self._top(), options.temperature_for_sampling, rng)]
                works.append(self._traced.work(
                    source.program, self._made[index], index, first=number == 0,
                    sample=derive_seed(options.seed, "run", step, number) % 2**31 + 1,
                ))  # fmt: skip
        runs = Runs(works, options.max_errors)
        stopped = self._work(
            [runs] if first is None else [first, runs], f"running, step {step + 1} of {options.max_steps}"
        )
        self.failures += runs.failures
        if stopped is not None:
            return stopped
        if first is not None:
            given = self.given
            assert given is not None
            self._pool = [Member(0, "as given", self._student, given.result.mean)]
        found = [run for run in runs.found if run is not None]
        size = len(batch)
        buckets = [
            bucket_of(index, self._made[index], found[place::size]) for place, index in enumerate(batch)
        ]
        ranked = sorted(buckets, key=lambda bucket: bucket.spread, reverse=True)
        return self._change(step, batch, ranked, bounds_of([run.score for run in found]))

    def _top(self) -> list[tuple[int, float]]:
        """Return the best programs of the pool and their means; the given one is always among them."""
        ranked = sorted(self._pool, key=lambda member: -member.mean)[: self._settings.num_candidates]
        chosen = [(member.number, member.mean) for member in ranked]
        if all(number != 0 for number, _ in chosen):
            chosen[-1] = (0, self._pool[0].mean)
        return chosen

    # 2. Candidates

    def _change(
        self, step: int, batch: Sequence[int], buckets: Sequence[Bucket], bounds: Bounds
    ) -> str | None:
        options = self._settings
        shown: list[_Change] = []
        taught: list[_Change] = []
        wanted = options.num_candidates + 1
        for bucket in buckets[:wanted]:
            rng = derive(options.seed, "candidate", step, bucket.number)
            source = self._pool[drawn(self._top(), options.temperature_for_candidates, rng)]
            program = source.program.deepcopy()
            drop_demos(program, options.max_demos, rng)
            change = _Change(
                f"step {step + 1}, row {bucket.number}, from {source.number}", program, source.number
            )
            if self._shows and (not self._teaches or rng.random() < 0.5):
                if can_show(bucket, bounds):
                    add_demo(program, bucket, options.demo_input_field_maxlen)
                    shown.append(change._replace(label=f"a demo; {change.label}"))
            elif self._teaches and can_teach(bucket, bounds):
                self._ask(bucket, change, taught)
        # What asks goes first; programs with a new demo are scored meanwhile.
        rows = [self._made[index] for index in batch]
        search = self._search(self._entries(shown, len(self._pool)), rows)
        title = f"changing, step {step + 1} of {options.max_steps}"
        stopped = self._work([self.asks, search], title)
        if stopped is None:
            taught.sort(key=lambda change: change.label)
            second = self._search(self._entries(taught, len(self._pool) + len(shown)), rows)
            stopped = self._work([second], title)
            if stopped is None:
                self._register(step, [*search.entries, *second.entries])
        return stopped

    def _entries(self, changes: Sequence[_Change], first: int) -> list[Entry]:
        self._sources |= {first + place: change.source for place, change in enumerate(changes)}
        return [
            Entry(first + place, change.label, make=lambda change=change: change.program)
            for place, change in enumerate(changes)
        ]

    def _ask(self, bucket: Bucket, change: _Change, taught: list[_Change]) -> None:
        label, program, _ = change
        signature, inputs = question(program, bucket)

        def answered(fields: Mapping[str, Any] | None) -> None:
            texts = {} if fields is None else rules_of(program, fields)
            if texts:
                made = with_instructions(program, {**instructions_of(program), **texts})
                taught.append(_Change(f"rules; {label}", made, change.source))

        sample = derive_seed(self._settings.seed, "rules", label) % 2**31 + 1
        self.asks.ask(f"rules for {label}", signature, inputs, answered, sample=sample)

    def _register(self, step: int, entries: Sequence[Entry]) -> None:
        members = [Member(e.seed, e.label, e.program, e.result.mean) for e in entries]
        self._pool += members
        log: dict[str, Any] = {"batch_scores": [100 * member.mean for member in members]}
        if members:
            best = max(members, key=lambda member: member.mean)  # the first of equals
            self.winners.append(best)
            self._run.decide(f"winner of step {step + 1}", [best.label, best.mean])
            log |= {"best": best.label, "best_score": 100 * best.mean}
        self.logs[step] = log

    # 3. The choice

    def _score_winners(self) -> str | None:
        """Score winners evenly spread over the steps on the rows that choose."""
        line = [None, *self.winners]
        count = min(self._settings.num_candidates + 1, len(line))
        places = [round(n * (len(line) - 1) / max(1, count - 1)) for n in range(count)]
        finalists = [line[place] for place in dict.fromkeys(places)]
        entries = [
            Entry(one.number, one.label, make=lambda one=one: one.program)
            for one in finalists
            if one is not None
        ]
        search = self._search(entries, self._rows, kept=True)
        return self._work([search], "scoring the winners of the steps")

    def _search(self, entries: Sequence[Entry], rows: Sequence[Example], *, kept: bool = False) -> Search:
        """Return the scoring of some programs; `kept` ones are candidates of the run."""

        def scored(entry: Entry, result: EvaluationResult) -> Candidate:
            if not kept:
                return Candidate.of(entry.program, result, entry.seed, entry.label)
            more = {"parents": self._ancestors(entry.seed, {0, *(one.seed for one in entries)})}
            candidate = self._run.candidate(entry.program, result, entry.label, entry.seed, **more)
            self._found.append(Scored(candidate, result))
            return candidate

        return Search(
            entries, rows, self._metric, max_errors=self._settings.max_errors, stop_at_score=None, scored=scored
        )  # fmt: skip

    def _ancestors(self, number: int, known: Container[int]) -> list[int]:
        """Return, as a list of at most one, the nearest of the `known` members that a member comes from."""
        while (source := self._sources.get(number)) is not None:
            if source in known:
                return [source]
            number = source
        return []

    def _work(self, sources: Sequence[Source], title: str) -> str | None:
        searches = [source for source in sources if isinstance(source, Search)]
        try:
            self._run.pool(Together(sources), title)
        finally:
            for search in searches:
                self.failures += search.failures
        stops = [source.stopped for source in sources if isinstance(source, (Search, Runs))]
        return next((why for why in stops if why is not None), None)


@final
class _Batches:
    """Rows in a drawn order, so many at a time; drawn anew when too few are left."""

    def __init__(self, count: int, size: int, seed: int) -> None:
        self._count = count
        self._size = min(size, count)
        self._seed = seed
        self._epoch = 0
        self._left: list[int] = []

    def take(self) -> list[int]:
        if len(self._left) < self._size:
            self._left = derive(self._seed, "epoch", self._epoch).sample(range(self._count), self._count)
            self._epoch += 1
        taken, self._left = self._left[: self._size], self._left[self._size :]
        return taken


def drawn(means: Sequence[tuple[int, float]], temperature: float, rng: random.Random) -> int:
    """Return one of some numbers, with chances that are the softmax of their means; at 0, the best.

    Example:
        >>> drawn([(0, 0.2), (7, 0.9)], 0.0, random.Random(0))
        7
    """
    top = max(mean for _, mean in means)
    if temperature == 0:
        return next(number for number, mean in means if mean == top)
    weights = [math.exp((mean - top) / temperature) for _, mean in means]
    return rng.choices([number for number, _ in means], weights)[0]
