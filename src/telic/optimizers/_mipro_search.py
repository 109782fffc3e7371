"""One search of MIPROv2: demonstrations and proposals first, then trials, all from one pool."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, final

from telic._hash import content_key
from telic.evaluate import EvaluationResult, MetricCall, stable
from telic.optimizers._bootstrap import BootstrapOptions
from telic.optimizers._choice import Scored
from telic.optimizers._mipro_demos import DemoSets
from telic.optimizers._mipro_propose import ProposeOptions, Proposer
from telic.optimizers._mipro_settings import Asked, Settings
from telic.optimizers._propose import Attempt, with_instructions
from telic.optimizers._propose_asks import Asks, Together
from telic.optimizers._report import Candidate, CandidatePrograms
from telic.optimizers._trial_events import events_of
from telic.optimizers._trials import Owner, Space, Trials

if TYPE_CHECKING:
    from telic.data import Example
    from telic.optimizers._compile import Compile
    from telic.optimizers._tpe import Choice


class SearchOptions(NamedTuple):
    """The settings of one search."""

    settings: Settings
    asked: Asked
    bootstrap: BootstrapOptions
    prompt_model: Any
    temperature: float
    max_errors: int
    seed: int


@final
class MiproSearch:
    """The parts of one search, wired together.

    Args:
        run: The compile.
        student: The program.
        teacher: Makes demonstrations; None: the student.
        made: Rows to learn from.
        scored: Rows to choose by.
        metric: Accepts and scores.
        options: The settings.
    """

    def __init__(
        self,
        run: Compile,
        student: Any,
        teacher: Any,
        made: Sequence[Example],
        scored: Sequence[Example],
        metric: MetricCall,
        options: SearchOptions,
    ) -> None:
        settings, asked = options.settings, options.asked
        events = events_of(
            settings.trials,
            settings.batch,
            full_every=settings.full_every,
            revised=settings.late(asked) * len(student.predictors()),
        )
        self._late = settings.late(asked) if any(event.kind == "revise" for event in events) else 0
        self._given = (0,) * ((1 if settings.zero_shot else 2) * len(student.predictors()))
        self._rows = len(scored)
        self._run = run
        self._student = student
        self._paths = [path for path, _ in student.named_predictors()]
        self._width = 1 if settings.zero_shot else 2
        """Variables of each predictor: its instructions, and its demonstrations where it gets any."""
        self._demos: dict[str, list[list[Any]]] = {}
        self.asks = Asks(run, options.prompt_model, options.temperature)
        self.proposer = Proposer(
            self.asks,
            student,
            made,
            ProposeOptions(
                settings.instructions - self._late,
                asked.program_aware_proposer,
                asked.data_aware_proposer,
                asked.tip_aware_proposer,
                asked.fewshot_aware_proposer,
                asked.view_data_batch_size,
                options.seed,
            ),
            self._open,
        )
        self.demo_sets = DemoSets(
            student,
            teacher,
            made,
            metric,
            count=settings.sets(asked),
            options=options.bootstrap,
            ready=self._take_demos,
        )
        self.trials = Trials(
            scored,
            metric,
            events,
            Owner(self.program, self._candidate, run.decide, self._revise),
            given=self._given,
            batch=settings.batch,
            seed=options.seed,
            max_errors=options.max_errors,
        )

    def run(self) -> str | None:
        """Do all of it; return why it ended early, or None."""
        self._run.pool(Together([self.asks, self.demo_sets, self.trials]), "searching")
        return self.demo_sets.stopped if self.demo_sets.stopped is not None else self.trials.stopped

    # From demonstrations and proposals to a space

    def _take_demos(self) -> None:
        sets = self.demo_sets.sets
        for path in self._paths:
            unique: dict[str, list[Any]] = {}
            for one in sets:
                unique.setdefault(content_key([stable(demo) for demo in one[path]]), one[path])
            self._demos[path] = list(unique.values())
        self.proposer.take_demos(sets)

    def _open(self) -> None:
        self._run.decide("instructions", self.proposer.instructions)
        self.trials.open(Space(self._sizes()))

    def _sizes(self) -> list[int]:
        sizes: list[int] = []
        for path in self._paths:
            sizes.append(len(self.proposer.instructions[path]))
            sizes += [len(self._demos[path])] * (self._width - 1)
        return sizes

    def _revise(self, means: Mapping[Choice, float], ready: Callable[[Space], None]) -> None:
        """Ask for more instructions, showing what those so far have scored on average."""
        attempts: dict[str, list[Attempt]] = {}
        before = self._sizes()
        for number, path in enumerate(self._paths):
            scores: dict[int, list[float]] = {}
            for choice, mean in means.items():
                scores.setdefault(choice[number * self._width], []).append(100 * mean)
            texts = self.proposer.instructions[path]
            attempts[path] = [Attempt(texts[k], math.fsum(all_) / len(all_)) for k, all_ in scores.items()]

        def proposed() -> None:
            sizes = self._sizes()
            added = [(v, k) for v, size in enumerate(sizes) for k in range(before[v], size)]
            ready(Space(sizes, added))

        self.proposer.more(attempts, self._late, proposed)

    # From choices to programs

    def program(self, choice: Choice) -> Any:
        """Return the program of a combination."""
        numbers = dict(zip(self._paths, self._by_predictor(choice), strict=True))
        texts = {path: self.proposer.instructions[path][one[0]] for path, one in numbers.items()}
        program = with_instructions(self._student, texts)
        if any(choice):
            for path, predictor in program.named_predictors():
                if self._width == 2:
                    predictor.demos = list(self._demos[path][numbers[path][1]])
        return program

    def label(self, choice: Choice) -> str:
        """Return a combination in words."""
        if not any(choice):
            return "as given"
        told: list[str] = []
        for path, one in zip(self._paths, self._by_predictor(choice), strict=True):
            parts = [f"{word} {k}" for word, k in zip(("instruction", "demo set"), one, strict=False)]
            told.append(f"{path}: {', '.join(parts)}" if len(self._paths) > 1 else ", ".join(parts))
        return "; ".join(told)

    def _by_predictor(self, choice: Choice) -> list[Choice]:
        return [choice[k : k + self._width] for k in range(0, len(choice), self._width)]

    def _candidate(self, choice: Choice, program: Any, result: EvaluationResult) -> Candidate:
        return self._run.candidate(program, result, self.label(choice))

    # What it found, for people

    @property
    def given(self) -> Scored | None:
        """The program as it was given, if it was scored on all rows."""
        return self.trials.scored_of(self._given)

    @property
    def failures(self) -> list[str]:
        """What went wrong in all parts."""
        return [*self.asks.failures, *self.demo_sets.failures, *self.trials.failures]

    def minibatch_candidates(self) -> CandidatePrograms:
        """Return the combinations that were scored on some rows only, best first."""
        return CandidatePrograms(
            [
                Candidate.of(self.program(choice), result, None, self.label(choice))
                for choice, result in self.trials.partly
            ]
        )

    def logs(self) -> dict[int, dict[str, Any]]:
        """Return what was tried, by number from 1: kind, combination, rows, and the score in percent.

        The score stands under `full_eval_score` or `mb_score` too, as it was on all rows or on a minibatch.
        """
        told: dict[int, dict[str, Any]] = {}
        for number, one in enumerate(self.trials.outcomes(), 1):
            name = "full_eval_score" if one.rows == self._rows else "mb_score"
            about = {"kind": one.kind, "candidate": self.label(one.choice), "rows": one.rows}
            told[number] = {**about, "score": one.score, name: one.score}
        return told
