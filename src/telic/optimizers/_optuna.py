"""Bootstrap few-shot with a guided choice of demonstrations: one for each predictor, and which one is searched for.

One bootstrap makes demonstrations for every predictor; then each trial gives each predictor one of them, and is scored
on all rows; what to try next is said by a tree-structured Parzen estimator.

Source: the search that Khattab et al. 2023 (arXiv 2310.03714, appendix E.3) do with Optuna, whose name it keeps for
the programs that call it so. Deviations: the estimator is our own (`_tpe`), so that Optuna is not needed, runs can be
resumed and any number of threads finds the same; the demonstrations that a predictor came with (none, most of the
time) are one of the choices; the given program is scored too, and the winner checked on training rows that it does not
show.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass
from typing import TYPE_CHECKING, Any, final

from telic.evaluate import EvaluationResult, MetricCall, check_count
from telic.optimizers._base import Optimizer, P
from telic.optimizers._bootstrap import Bootstrap, BootstrapOptions, check_bootstrap
from telic.optimizers._checks import check_student, check_teacher, checked_sets, error_limit
from telic.optimizers._choice import Tally, best_of
from telic.optimizers._compile import Compile
from telic.optimizers._frozen import check_learnable, learners
from telic.optimizers._plan import Work, teacher_lm
from telic.optimizers._propose_asks import Together
from telic.optimizers._selection import split_rows, split_sizes
from telic.optimizers._trial_events import events_of
from telic.optimizers._trials import Owner, Space, Trials

if TYPE_CHECKING:
    import os

    from telic.budget import Budget
    from telic.data import Example
    from telic.optimizers._report import Candidate
    from telic.optimizers._tpe import Choice


@final
@dataclass(eq=False, repr=False)
class BootstrapFewShotWithOptuna(Optimizer):
    """Bootstraps demonstrations, and searches for the one that serves each predictor best.

    Args:
        metric: `metric(example, prediction, trace=None)`; `trace` is None while scoring.
        teacher_settings: Settings for the teacher's runs, as for `telic.context`.
        max_bootstrapped_demos: How many accepted examples are looked for, unless `compile` gets `max_demos`.
        max_labeled_demos: Up to how many demonstrations there are to choose from, filled up with labelled rows.
        max_rounds: Tries for each example.
        num_candidate_programs: How many trials.
        num_threads: Runs at once; None: the setting. The result does not depend on it.
        max_errors: Failures of the bootstrap, or of one trial, that stop the compile; None: the setting.
        metric_threshold: The least score that makes a demonstration (0 counts); None: any score but 0.
        recheck: Score the winner and the given program on training rows that the winner does not show.
        seed: Of all draws.
        display_progress: Show how far it is on standard error, where that is a terminal; "force": wherever it goes.

    Cost: about (demos / success rate) runs of the teacher; `(num_candidate_programs + 1) * len(valset)` runs, less for
    combinations that come again; and the check of the winner, at most `2 * len(valset)` runs.

    Example:
        >>> from telic.context import context
        >>> from telic.data import Example
        >>> from telic.modules import Predict
        >>> from telic.testing import FunctionLM
        >>> rows = [Example(question=f"{i}?", answer="yes").with_inputs("question") for i in range(8)]
        >>> optimizer = BootstrapFewShotWithOptuna(lambda row, found, trace=None: row.answer == found.answer)
        >>> with context(lm=FunctionLM(lambda text: {"answer": "yes"})):
        ...     program = optimizer.compile(Predict("question -> answer"), max_demos=2, trainset=rows, valset=rows)
        >>> program.report.score
        100.0
    """

    metric: Any
    teacher_settings: dict[str, Any] | None = None
    max_bootstrapped_demos: int = 4
    max_labeled_demos: int = 16
    max_rounds: int = 1
    num_candidate_programs: int = 16
    num_threads: int | None = None
    max_errors: int | None = None
    metric_threshold: float | None = None
    _: KW_ONLY
    recheck: bool = True
    seed: int = 0
    display_progress: bool | str = True

    def __post_init__(self) -> None:
        check_bootstrap(self)
        check_count("max_bootstrapped_demos", self.max_bootstrapped_demos, 1)
        check_count("num_candidate_programs", self.num_candidate_programs, 1)

    def compile(
        self,
        student: P,
        *,
        trainset: Sequence[Example],
        teacher: Any = None,
        max_demos: int | None = None,
        valset: Sequence[Example] | None = None,
        run_dir: str | os.PathLike[str] | None = None,
        budget: Budget | None = None,
    ) -> P:
        """Return the program with the best demonstration for each predictor, with `.report`.

        Args:
            student: The program.
            trainset: Examples to make demonstrations of.
            teacher: A program with the same predictors that makes the demonstrations; None: the student itself.
            max_demos: How many accepted examples are looked for; None: `max_bootstrapped_demos`.
            valset: Examples to choose by; None: half of `trainset` where that has at least 20 rows, else all of it.
            run_dir: See `Optimizer.compile`.
            budget: Limits of this compile; at a limit the best finished trial is returned.

        Raises: see `Optimizer.compile`.
        """
        metric = MetricCall(self.metric)
        check_student(student)
        check_learnable(student, self, "demos")
        check_teacher(teacher, student)
        check_count("max_demos", max_demos, 1, optional=True)
        rows, held_out = checked_sets(trainset, valset)
        arranged = copy.copy(self)
        if max_demos is not None:
            arranged.max_bootstrapped_demos = max_demos
        data: dict[str, Any] = {"trainset": rows, "teacher": teacher, "valset": held_out}
        with Compile(arranged, student, run_dir=run_dir, budget=budget, **data) as run:
            made, scored = split_rows(run, rows, held_out, self.seed)
            fresh = made if made is not scored and self.recheck else []
            most = error_limit(self.max_errors)
            bootstrap = Bootstrap(student, teacher, made, metric, arranged._options(most))
            search = _DemoSearch(run, student, bootstrap, scored, metric, arranged, most)

            def best(stopped: str | None) -> Any:
                tally = Tally(stopped, [*bootstrap.failures, *search.trials.failures], bootstrap.extra_runs)
                return best_of(run, search.trials.found, search.given, fresh, tally=tally, seed=self.seed)

            return run.guarded(search.run, best)

    def _options(self, max_errors: int) -> BootstrapOptions:
        return BootstrapOptions(
            self.metric_threshold,
            self.teacher_settings,
            self.max_bootstrapped_demos,
            self.max_labeled_demos,
            self.max_rounds,
            max_errors,
            self.seed,
            likely=0.5,  # the evaluation of the given program uses the threads meanwhile
        )

    def _work(
        self, program: Any, trainset: Sequence[Example], valset: Sequence[Example] | None
    ) -> list[Work]:
        made, scored = split_sizes(len(trainset), None if valset is None else len(valset))
        lm = teacher_lm(self.teacher_settings)
        checked = (valset is not None or made != len(trainset)) and self.recheck
        return [
            Work("the program as given", (scored, scored), first=True),
            Work("bootstrapping", (1, made * self.max_rounds), "teacher", self.max_labeled_demos, lm=lm),
            Work("trials", (0, self.num_candidate_programs * scored), demos=1),
            Work("checking the winner", (0, 2 * min(made, scored) if checked else 0), demos=1),
        ]


@final
class _DemoSearch:
    """The choice of one demonstration for each predictor."""

    def __init__(
        self,
        run: Compile,
        student: Any,
        bootstrap: Bootstrap,
        rows: Sequence[Example],
        metric: MetricCall,
        settings: BootstrapFewShotWithOptuna,
        max_errors: int,
    ) -> None:
        self._run = run
        self._student = student
        self._bootstrap = bootstrap
        self._paths = [path for path, _ in student.named_predictors()]
        self._demos: dict[str, list[Any]] = {}
        self._given: Choice = (0,) * len(self._paths)
        self.trials = Trials(
            rows,
            metric,
            events_of(settings.num_candidate_programs, len(rows), full_every=None),
            Owner(self._program, self._candidate, run.decide),
            given=self._given,
            batch=len(rows),
            seed=settings.seed,
            max_errors=max_errors,
        )

    @property
    def given(self) -> Any:
        """The program as it was given, if it was scored."""
        return self.trials.scored_of(self._given)

    def run(self) -> str | None:
        """Bootstrap, and score the given program meanwhile; then try."""
        self._run.pool(Together([self._bootstrap, self.trials]), "bootstrapping")
        if self._bootstrap.stopped is not None:
            return self._bootstrap.stopped
        if self.trials.stopped is None:
            made = self._bootstrap.program()
            free = learners(made, "demos")
            self._demos = {path: list(free[path].demos) if path in free else [] for path in self._paths}
            self.trials.open(Space([1 + len(self._demos[path]) for path in self._paths]))
            self._run.pool(self.trials, "searching")
        return self.trials.stopped

    def _program(self, choice: Choice) -> Any:
        program = self._student.deepcopy()
        for (path, predictor), index in zip(program.named_predictors(), choice, strict=True):
            if index:
                predictor.demos = [self._demos[path][index - 1]]
        return program

    def _candidate(self, choice: Choice, program: Any, result: EvaluationResult) -> Candidate:
        shown = ", ".join(f"{path}: {index}" for path, index in zip(self._paths, choice, strict=True))
        label = "as given" if choice == self._given else f"demonstrations {shown}"
        return self._run.candidate(program, result, label)
