"""The search of `improve`: what is cheap first, each step a race against the best program so far (the champion).

1. The given program, and a bootstrap that collects runs it got right.
2. Demonstrations: labelled rows, bootstrapped runs, both.
3. Instructions: proposed by an LM that is told of data, program, demonstrations and, from the second round on, of what
   was tried and how it scored, or written by reflection on what went wrong; in the champion's place, one predictor at a
   time and all together. Rounds end when two in a row have brought nothing, or at `max_rounds`.
4. Where there is a vectorizer: the demonstrations of the rows nearest to each input.

The champion changes only for a better mean on all rows that choose, so that of equals the cheaper one stays. A perfect
champion ends the search. With a budget, what the check of the winner needs is kept back.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, NamedTuple, final

from telic._seed import derive, derive_seed
from telic._text import plural
from telic.context import get as get_setting
from telic.evaluate import MetricCall, inputs_of, program_key
from telic.modules import NearestDemos, RowDemos
from telic.optimizers._bootstrap import Bootstrap, BootstrapOptions
from telic.optimizers._choice import Scored
from telic.optimizers._demos import usable
from telic.optimizers._frozen import learners
from telic.optimizers._improve_race import Entrant, Race
from telic.optimizers._improve_reflect import Reflected, Reflections
from telic.optimizers._improve_thrift import Thrift
from telic.optimizers._labeled import put_labelled
from telic.optimizers._mipro_propose import ProposeOptions, Proposer
from telic.optimizers._propose import Attempt, with_instructions
from telic.optimizers._propose_asks import Asks, Together

if TYPE_CHECKING:
    from telic.optimizers._compile import Compile
    from telic.optimizers._improve_rows import Parts
    from telic.optimizers._pool import Source

FEW: Final = 4
MANY: Final = 16
"""Demonstrations of a predictor."""
MOST_TRIED: Final = 64
"""Rows that a bootstrap tries at most."""
PATIENCE: Final = 2
"""Rounds without a gain that end the search."""
NEAREST: Final = 4


class SearchOptions(NamedTuple):
    """The settings of one search; see `Improve`."""

    prompt_model: Any
    teacher_settings: dict[str, Any] | None
    vectorizer: Any
    num_instructions: int
    max_rounds: int
    perfect_score: float | None
    max_errors: int
    seed: int


@final
class ImproveSearch:
    """One search.

    Args:
        run: The compile.
        student: The program as it was given.
        parts: Who learns, chooses and checks.
        metric: Scores.
        options: How far to go.
    """

    def __init__(
        self, run: Compile, student: Any, parts: Parts, metric: MetricCall, options: SearchOptions
    ) -> None:
        self.entrants: list[Entrant] = []
        """All that were tried, the given program first."""
        self.found: list[Scored] = []
        """Those that were scored on all rows that choose."""
        self.told: list[str] = []
        """What went wrong, besides rows."""
        self.extra_runs = 0
        self._run = run
        self._student = student
        self._parts = parts
        self._metric = metric
        self._options = options
        self._champion: Entrant | None = None
        self._seen: dict[str, int] = {}
        """The candidates by their content: equal ones run once."""
        self._bootstraps: list[Bootstrap] = []
        self._thrift = Thrift(run, student, len(parts.check), len(parts.choose))

    @property
    def given(self) -> Scored | None:
        """The program as it was given, once it was scored."""
        return next((one for one in self.found if one.candidate.seed == 0), None)

    @property
    def kept_for_check(self) -> bool:
        """Whether it ended early because the rest of the budget is for the check."""
        return self._thrift.has_stopped

    def differences(self) -> list[list[float]]:
        """Return the scores of each candidate less those of the given program; 0 where a row was not scored."""
        given, *others = self.entrants
        base = given.scores(len(given.rows))
        return [
            [0.0 if row is None else row.score - before for row, before in zip(one.rows, base, strict=True)]
            for one in others
            if one.rows
        ]

    @property
    def failures(self) -> list[str]:
        """What went wrong, in the order of the work."""
        rows = [str(row.error) for one in self.entrants for row in one.known if row.error is not None]
        return [*rows, *(text for one in self._bootstraps for text in one.failures), *self.told]

    def look(self) -> str | None:
        """Take the steps; return why it ended early, or None."""
        for step in (self._begin, self._demos, self._instructions, self._nearest):
            stopped = step()
            if stopped is not None:
                return stopped
            if self._is_perfect:
                self._run.note("every row that chooses is right: nothing was left to gain")
                break
        return None

    # 1. The beginning

    def _begin(self) -> str | None:
        given = self._entrant("as given", self._student.deepcopy())
        assert given is not None
        free = learners(self._student, "demos")
        self._bootstraps = [self._bootstrap(number) for number in range(2)] if free else []
        stopped = self._race([given], "scoring the given program", *self._bootstraps)
        self.extra_runs = sum(one.extra_runs for one in self._bootstraps)
        self._thrift.learn(given.known)
        return stopped

    def _bootstrap(self, number: int) -> Bootstrap:
        """Return the bootstrap over the rows that learn: in their order, or drawn and of more demonstrations."""
        rows, options = self._parts.learn, self._options
        if number:
            rows = derive(options.seed, "bootstrap", number).sample(rows, len(rows))
        settings = BootstrapOptions(
            teacher_settings=options.teacher_settings,
            max_bootstrapped_demos=FEW * (number + 1),
            max_labeled_demos=MANY if number else 0,
            max_errors=options.max_errors,
            seed=options.seed,
            likely=0.5,  # the rows of the given program use the threads meanwhile
        )
        return Bootstrap(self._student, None, rows[:MOST_TRIED], self._metric, settings)

    # 2. Demonstrations

    def _demos(self) -> str | None:
        if not self._bootstraps:
            return None
        made = [(f"{count} labelled demos", self._labelled(count)) for count in (FEW, MANY)]
        names = (f"{FEW} bootstrapped demos", f"{2 * FEW} bootstrapped demos, labelled ones up to {MANY}")
        made += [(name, one.program()) for name, one in zip(names, self._bootstraps, strict=True)]
        return self._race(self._entered(made), "racing demonstrations")

    def _labelled(self, count: int) -> Any:
        program = self._student.reset_copy()
        put_labelled(program, self._parts.learn, count, seed=self._options.seed)
        return program

    # 3. Instructions

    def _instructions(self) -> str | None:
        champion, options = self._champion, self._options
        assert champion is not None
        stopped: str | None = None
        paths = list(learners(champion.program, "instructions"))
        if options.max_rounds == 0 or not paths:
            return stopped
        each = max(2, options.num_instructions // len(paths))
        thought = each // 2
        """Of these, so many come from reflection."""
        lm, learn = self._asked_lm(), self._parts.learn
        asks = Asks(self._run, lm, 1.0)
        reflections = Reflections(self._run, self._student, learn, self._metric, lm, options.seed)
        about = ProposeOptions(
            each - thought + 1, True, True, True, True, 10, derive_seed(options.seed, "proposals")
        )
        proposer = Proposer(asks, champion.program, learn, about, lambda: None)
        proposer.take_demos([{path: list(p.demos) for path, p in champion.program.named_predictors()}])
        known, idle, spent = dict.fromkeys(paths, 1), 0, 0
        for number in range(1, options.max_rounds + 1):
            if number > 1:
                proposer.more(self._attempts(paths), each - thought, lambda: None)
            before = self._champion
            assert before is not None
            found: list[Reflected] = []
            thinking = reflections.round(number, before.program, self._perfect(before), thought, found)
            stopped = self._pooled([asks, thinking], f"proposing instructions, round {number}")
            if stopped is None:
                self.told += found[0].failures
                new = {
                    path: [*found[0].texts.get(path, ()), *proposer.instructions[path][known[path] :]]
                    for path in paths
                }
                known = {path: len(proposer.instructions[path]) for path in paths}
                entrants = self._entered(self._changed(new, number))
                stopped = self._race(entrants, f"racing instructions, round {number}")
                idle, spent = (idle + 1, spent + len(entrants)) if self._champion is before else (0, 0)
            if stopped is not None or self._is_perfect or idle == PATIENCE:
                break
        self.told += asks.failures
        if idle:
            last = (
                f"the last {plural(spent, 'candidate')} brought nothing better"
                if spent
                else "nothing new was proposed"
            )
            self._run.note(f"the search ended where it no longer helped: {last}")
        return stopped

    def _changed(self, new: Mapping[str, Sequence[str]], number: int) -> list[tuple[str, Any]]:
        """Return the champion with new instructions: each alone, and the first, the second … of all together."""
        champion = self._champion
        assert champion is not None
        changes: list[tuple[str, dict[str, str]]] = []
        for path, texts in new.items():
            where = f" for {path}" if len(new) > 1 else ""
            changes += [(f"instruction {number}.{k}{where}", {path: text}) for k, text in enumerate(texts, 1)]
        if len(new) > 1:
            together = min(len(texts) for texts in new.values())
            changes += [
                (f"instructions {number}.{k + 1} for all", {path: texts[k] for path, texts in new.items()})
                for k in range(together)
            ]
        return [(label, with_instructions(champion.program, texts)) for label, texts in changes]

    def _attempts(self, paths: Sequence[str]) -> dict[str, list[Attempt]]:
        """Return what was tried for each predictor, with the best score of each text, in percent."""
        tried: dict[str, dict[str, float]] = {path: {} for path in paths}
        for entrant in self.entrants:
            for path, predictor in learners(entrant.program, "instructions").items():
                text, score = str(predictor.signature.instructions), 100 * entrant.mean
                tried[path][text] = max(score, tried[path].get(text, score))
        return {path: [Attempt(*item) for item in texts.items()] for path, texts in tried.items()}

    def _asked_lm(self) -> Any:
        """Return who writes: the prompt model, the configured LM, or that of the first predictor that has one."""
        if self._options.prompt_model is not None or get_setting("lm") is not None:
            return self._options.prompt_model
        return next(p.lm for p in self._student.predictors() if p.lm is not None)

    # 4. The nearest

    def _nearest(self) -> str | None:
        champion = self._champion
        if self._options.vectorizer is None or champion is None or not self._bootstraps:
            return None
        made: dict[int, Mapping[str, Any]] = {
            one.index: one.value for one in self._bootstraps[0].harvest.accepted
        }
        predictors = learners(champion.program, "demos")
        rows: list[RowDemos] = []
        for index, row in enumerate(self._parts.learn):
            labelled = {path: row for path, predictor in predictors.items() if usable(row, predictor)}
            right = {path: demo for path, demo in made.get(index, {}).items() if path in predictors}
            rows.append(RowDemos(inputs_of(row), {**labelled, **right}))
        program = NearestDemos(champion.program.reset_copy(), NEAREST, self._options.vectorizer, rows=rows)
        program.frozen = True  # as a part of another program it keeps its rows
        return self._race(self._entered([("the nearest rows as demos", program)]), "racing the nearest rows")

    # Races

    def _entered(self, made: Sequence[tuple[str, Any]]) -> list[Entrant]:
        entrants = [self._entrant(label, program) for label, program in made]
        return [one for one in entrants if one is not None]

    def _entrant(self, label: str, program: Any) -> Entrant | None:
        """Return a new candidate; None: an equal one was there before."""
        key = program_key(program)
        if key in self._seen:
            return None
        self._seen[key] = number = len(self.entrants)
        self.entrants.append(Entrant(number, label, program))
        return self.entrants[-1]

    def _race(self, entrants: Sequence[Entrant], title: str, *beside: Source) -> str | None:
        race = Race(
            entrants, self._champion, self._parts.choose, self._metric,
            max_errors=self._options.max_errors, scored=self._scored,
        )  # fmt: skip
        stopped = self._pooled([race, *beside], title)
        if stopped is None and entrants:
            best = max(
                [
                    one
                    for one in (self._champion, *entrants)
                    if one is not None and one.is_complete and not one.is_out
                ],
                key=lambda one: one.mean,
            )
            self._champion = best
            self._run.decide(f"champion after {title}", [best.number, best.label, best.result.score])
        return stopped

    def _scored(self, entrant: Entrant) -> None:
        result = entrant.result
        more = {} if self._champion is None else {"parents": [self._champion.number]}
        candidate = self._run.candidate(entrant.program, result, entrant.label, entrant.number, **more)
        self.found.append(Scored(candidate, result))

    def _pooled(self, sources: Sequence[Source], title: str) -> str | None:
        """Do work, as long as enough is left for the check; return why it ended early, or None."""
        together = self._thrift.around(Together(sources))
        self._run.pool(together, title)
        stops = [together.stopped, *(getattr(source, "stopped", None) for source in sources)]
        return next((why for why in stops if why is not None), None)

    @property
    def _is_perfect(self) -> bool:
        if self._champion is None:
            return False
        scores, perfect = [row.score for row in self._champion.known], self._options.perfect_score
        return set(scores) == {1.0} if perfect is None else min(scores) >= perfect

    def _perfect(self, champion: Entrant) -> float:
        """Return what a row scores that cannot be better, as far as that is known."""
        given = self._options.perfect_score
        return max(1.0, *(row.score for row in champion.known)) if given is None else given
