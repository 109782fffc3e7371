"""Bootstrap few-shot with random search: many sets of demonstrations, and the one that scores best on a validation set.

Candidates, in DSPy's numbers: -3 the student without demos, -2 labelled demos alone, -1 a bootstrap over the training
set in its order, 0 … N-1 bootstraps over shuffled training sets, each looking for a random number of demonstrations.
"""

from __future__ import annotations

import random
from collections.abc import Collection, Sequence
from dataclasses import KW_ONLY, dataclass
from typing import TYPE_CHECKING, Any, final

from telic._seed import derive
from telic.errors import ConfigurationError
from telic.evaluate import MetricCall, check_count
from telic.optimizers._base import Optimizer, P
from telic.optimizers._bootstrap import Bootstrap, BootstrapOptions, check_bootstrap
from telic.optimizers._checks import check_student, check_teacher, checked_sets, error_limit
from telic.optimizers._choice import Scored, Tally, best_of
from telic.optimizers._compile import Compile
from telic.optimizers._demos import spread
from telic.optimizers._frozen import check_learnable
from telic.optimizers._labeled import put_labelled
from telic.optimizers._plan import Work, teacher_lm
from telic.optimizers._search import Entry, Search
from telic.optimizers._selection import split_rows, split_sizes

if TYPE_CHECKING:
    import os

    from telic.budget import Budget
    from telic.data import Example


@final
@dataclass(eq=False, repr=False)
class BootstrapFewShotWithRandomSearch(Optimizer):
    """Searches for the best demonstrations: bootstraps many sets, scores each, returns the best program.

    Args:
        metric: `metric(example, prediction, trace=None)`; `trace` is None while scoring.
        teacher_settings: Settings for the teachers' runs, as for `telic.context`.
        max_bootstrapped_demos: The most accepted examples a candidate looks for.
        max_labeled_demos: Up to how many demos a predictor gets in all.
        max_rounds: Tries for each example of a bootstrap.
        num_candidate_programs: How many shuffled bootstraps; there are three candidates more.
        num_threads: Runs at once, over all candidates; None: the setting. The result does not depend on it.
        max_errors: Failures of one candidate, while bootstrapping or while scoring, that stop the compile.
        stop_at_score: A mean in percent that is good enough; later candidates are dropped.
        metric_threshold: The least score that makes a demonstration (0 counts); None: any score but 0.
        counter_examples: See `BootstrapFewShot`.
        recheck: Score the winner and the given program on training rows that the winner does not show, which had no
            part in choosing it.
        seed: Of the split and of the labelled draws; candidates have their own numbers.
        display_progress: Show how far it is on standard error, where that is a terminal; "force": wherever it goes.

    Source: Khattab et al. 2023 (arXiv 2310.03714), appendix E.2. Deviations: candidates run at once; equal ones are
    evaluated once; without a validation set a training set of 20 rows or more is split in halves (the report says so);
    a student that comes with demos is a candidate itself (-4), so that the result is never worse than what was given on
    these rows; shuffled rows are spread, so that demos show each class as often as the others; the report compares
    the winner with the given program by a paired test.

    Cost: for each candidate about (demos / success rate) runs of the teacher and one run for each validation row:
    (num_candidate_programs + 3) * len(valset) and some; the check of the winner, at most 2 * len(valset) runs.
    """

    metric: Any
    teacher_settings: dict[str, Any] | None = None
    max_bootstrapped_demos: int = 4
    max_labeled_demos: int = 16
    max_rounds: int = 1
    num_candidate_programs: int = 16
    num_threads: int | None = None
    max_errors: int | None = None
    stop_at_score: float | None = None
    metric_threshold: float | None = None
    _: KW_ONLY
    recheck: bool = True
    counter_examples: bool = False
    seed: int = 0
    display_progress: bool | str = True

    def __post_init__(self) -> None:
        check_bootstrap(self)
        check_count("max_bootstrapped_demos", self.max_bootstrapped_demos, 1)
        check_count("num_candidate_programs", self.num_candidate_programs, 0)

    def compile(
        self,
        student: P,
        *,
        teacher: Any = None,
        trainset: Sequence[Example],
        valset: Sequence[Example] | None = None,
        run_dir: str | os.PathLike[str] | None = None,
        budget: Budget | None = None,
        restrict: Collection[int] | None = None,
        labeled_sample: bool = True,
    ) -> P:
        """Return the best candidate, with `.report` and `.candidate_programs`.

        Args:
            student: The program.
            teacher: A program with the same predictors that makes the demonstrations; None: the student itself.
            trainset: Examples to make demonstrations of.
            valset: Examples to choose by; None: half of `trainset` where that has at least 20 rows, else all of it.
            run_dir: See `Optimizer.compile`.
            budget: Limits of this compile; at a limit the best finished candidate is returned.
            restrict: Only the candidates of these numbers (-3 …).
            labeled_sample: Whether candidate -2 draws its labelled rows or takes the first ones.

        Raises: see `Optimizer.compile`.
        """
        metric = MetricCall(self.metric)
        check_student(student)
        check_learnable(student, self, "demos")
        check_teacher(teacher, student)
        rows, held_out = checked_sets(trainset, valset)
        seeds = self._seeds(student, restrict)
        options = {"restrict": seeds, "labeled_sample": labeled_sample}
        data: dict[str, Any] = {"trainset": rows, "teacher": teacher, "valset": held_out}
        with Compile(self, student, run_dir=run_dir, budget=budget, options=options, **data) as run:
            made, scored = split_rows(run, rows, held_out, self.seed)
            search = Search(
                [self._entry(seed, student, teacher, made, metric, labeled_sample) for seed in seeds],
                scored,
                metric,
                max_errors=error_limit(self.max_errors),
                stop_at_score=self.stop_at_score,
                scored=lambda entry, result: run.candidate(entry.program, result, entry.label, entry.seed),
            )

            def look() -> str | None:
                run.pool(search, "searching")
                return search.stopped

            def best(stopped: str | None) -> Any:
                fresh = made if made is not scored and self.recheck else []
                complete = [entry for entry in search.entries if entry.complete]
                found = [Scored(search.candidate_of(entry), entry.result) for entry in complete]
                given = next((one for one in found if one.candidate.seed in (-4, -3)), None)
                tally = Tally(stopped, search.failures, search.extra_runs)
                return best_of(run, found, given, fresh, tally=tally, seed=self.seed)

            return run.guarded(look, best)

    def _work(
        self, program: Any, trainset: Sequence[Example], valset: Sequence[Example] | None
    ) -> list[Work]:
        made, scored = split_sizes(len(trainset), None if valset is None else len(valset))
        programs = self.num_candidate_programs + 3 + any(p.demos for p in program.predictors())
        shown = max(self.max_labeled_demos, self.max_bootstrapped_demos)
        lm = teacher_lm(self.teacher_settings)
        bootstraps = self.num_candidate_programs + 1
        least = 1 if self.stop_at_score is not None else programs - bootstraps
        checked = (valset is not None or made != len(trainset)) and self.recheck
        work = [
            Work("the program as given", (scored, scored), first=True),
            Work("bootstrapping", (bootstraps, bootstraps * made * self.max_rounds), "teacher", shown, lm=lm),
            # Candidates that turn out equal are scored once.
            Work("scoring candidates", (0 if least == 1 else scored, (programs - 1) * scored), demos=shown),
        ]
        if checked:
            work.append(Work("checking the winner", (0, 2 * min(made, scored)), demos=shown))
        return work

    def _seeds(self, student: Any, restrict: Collection[int] | None) -> list[int]:
        known = list(range(-3, self.num_candidate_programs))
        if restrict is not None:
            unknown = [seed for seed in restrict if seed not in known]
            if unknown or not restrict:
                raise ConfigurationError(
                    f"restrict={list(restrict)!r} must name candidates of {known[0]} to {known[-1]}, at least one"
                )
            return [seed for seed in known if seed in restrict]
        has_demos = any(predictor.demos for predictor in student.predictors())
        return [-4, *known] if has_demos else known

    def _entry(
        self, seed: int, student: Any, teacher: Any, rows: list[Example], metric: MetricCall, sample: bool
    ) -> Entry:
        if seed == -4:
            return Entry(seed, "as given", make=student.deepcopy)
        if seed == -3:
            return Entry(seed, "without demos", make=student.reset_copy)
        if seed == -2:
            return Entry(seed, "labelled demos", make=lambda: self._labelled(student, rows, sample))
        size = self.max_bootstrapped_demos
        label = f"bootstrap of {size}"
        if seed >= 0:
            rng = random.Random(seed)
            rows = spread(rng.sample(rows, len(rows)))
            size = rng.randint(1, size)
            label = f"shuffled bootstrap of {size}"
        options = BootstrapOptions(
            self.metric_threshold,
            self.teacher_settings,
            size,
            self.max_labeled_demos,
            self.max_rounds,
            error_limit(self.max_errors),
            derive(self.seed, "candidate", seed).randrange(2**32),
            counter_examples=self.counter_examples,
            likely=0.5,  # evaluations of other candidates use the threads meanwhile
        )
        return Entry(seed, label, bootstrap=Bootstrap(student, teacher, rows, metric, options))

    def _labelled(self, student: Any, rows: list[Example], sample: bool) -> Any:
        program = student.reset_copy()
        put_labelled(program, rows, self.max_labeled_demos, sample=sample, seed=self.seed)
        return program


BootstrapRS = BootstrapFewShotWithRandomSearch
