"""Bootstrap few-shot with random search: many sets of demonstrations, and the one that scores best on a validation set.

Candidates, in DSPy's numbers: -3 the student without demos, -2 labelled demos alone, -1 a bootstrap over the training
set in its order, 0 … N-1 bootstraps over shuffled training sets, each looking for a random number of demonstrations.
"""

from __future__ import annotations

import random
from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Any, final

from telic._seed import derive
from telic._text import plural
from telic.context import get as get_setting
from telic.errors import ConfigurationError, EvaluationError
from telic.evaluate import MetricCall, check_count, checked_examples
from telic.optimizers._base import (
    Compile,
    CompileInterrupted,
    CompileStopped,
    Optimizer,
    check_settings,
    check_student,
    check_teacher,
)
from telic.optimizers._bootstrap import Bootstrap, BootstrapOptions, check_bootstrap
from telic.optimizers._labeled import put_labelled
from telic.optimizers._measure import candidate
from telic.optimizers._pool import run_pool
from telic.optimizers._progress import check_display, shown_progress
from telic.optimizers._report import CandidatePrograms
from telic.optimizers._search import Entry, Search

if TYPE_CHECKING:
    from telic.data import Example

_SPLIT_FROM = 20
"""A training set of at least this many rows is split where no validation set is given; smaller ones are shared."""


@final
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
        seed: Of the split and of the labelled draws; candidates have their own numbers.
        display_progress: Show how far it is on standard error, where that is a terminal; "force": wherever it goes.

    Source: Khattab et al. 2023 (arXiv 2310.03714), appendix E.2. Deviations: candidates run at once; equal ones are
    evaluated once; without a validation set a training set of 20 rows or more is split in halves (the report says so);
    a student that comes with demos is a candidate itself (-4), so that the result is never worse than what was given on
    these rows; the report compares the winner with the given program by a paired test.

    Cost: for each candidate about (demos / success rate) runs of the teacher and one run for each validation row:
    (num_candidate_programs + 3) * len(valset) and some.
    """

    def __init__(
        self,
        metric: Any,
        teacher_settings: dict[str, Any] | None = None,
        max_bootstrapped_demos: int = 4,
        max_labeled_demos: int = 16,
        max_rounds: int = 1,
        num_candidate_programs: int = 16,
        num_threads: int | None = None,
        max_errors: int | None = None,
        stop_at_score: float | None = None,
        metric_threshold: float | None = None,
        *,
        seed: int = 0,
        display_progress: bool | str = True,
    ) -> None:
        check_display(display_progress)
        check_bootstrap(max_bootstrapped_demos, max_labeled_demos, max_rounds, max_errors, num_threads)
        check_count("max_bootstrapped_demos", max_bootstrapped_demos, 1)
        check_count("num_candidate_programs", num_candidate_programs, 0)
        check_settings("teacher_settings", teacher_settings)
        self.metric = metric
        self.teacher_settings = teacher_settings
        self.max_bootstrapped_demos = max_bootstrapped_demos
        self.max_labeled_demos = max_labeled_demos
        self.max_rounds = max_rounds
        self.num_candidate_programs = num_candidate_programs
        self.num_threads = num_threads
        self.max_errors = max_errors
        self.stop_at_score = stop_at_score
        self.metric_threshold = metric_threshold
        self.seed = seed
        self.display_progress = display_progress

    def compile(
        self,
        student: Any,
        *,
        teacher: Any = None,
        trainset: Sequence[Example],
        valset: Sequence[Example] | None = None,
        restrict: Collection[int] | None = None,
        labeled_sample: bool = True,
    ) -> Any:
        """Return the best candidate, with `.report` and `.candidate_programs`.

        Args:
            student: The program.
            teacher: A program with the same predictors that makes the demonstrations; None: the student itself.
            trainset: Examples to make demonstrations of.
            valset: Examples to choose by; None: half of `trainset` where that has at least 20 rows, else all of it.
            restrict: Only the candidates of these numbers (-3 …).
            labeled_sample: Whether candidate -2 draws its labelled rows or takes the first ones.

        Raises:
            ConfigurationError: Something cannot work; nothing was paid for.
            DatasetError: A list is empty or its rows do not declare their inputs.
            CompileStopped: `max_errors` failures of one candidate; `.program` is the best finished one, or None.
            CompileInterrupted: Ctrl-C (a `KeyboardInterrupt`); `.program` is the best finished candidate, or None.
        """
        metric = MetricCall(self.metric)
        check_student(student)
        if teacher is not None:
            check_teacher(teacher, student)
        rows = checked_examples("trainset", trainset)
        held_out = None if valset is None else checked_examples("valset", valset)
        seeds = self._seeds(student, restrict)
        threads: int = get_setting("num_threads") if self.num_threads is None else self.num_threads
        with Compile(self, student, trainset=rows, teacher=teacher, valset=valset) as run:
            if held_out is None:
                rows, held_out = self._split(run, rows)
            search = Search(
                [self._entry(seed, student, teacher, rows, metric, labeled_sample) for seed in seeds],
                held_out,
                metric,
                max_errors=get_setting("max_errors") if self.max_errors is None else self.max_errors,
                stop_at_score=self.stop_at_score,
            )
            try:
                with shown_progress("searching", self.display_progress) as watch:
                    run_pool(search, threads, watch)
            except KeyboardInterrupt as interrupt:
                done = sum(entry.complete for entry in search.entries)
                raise CompileInterrupted(
                    f"interrupted with {plural(done, 'candidate')} of {len(search.entries)} evaluated; "
                    + ("the best is in `.program`" if done else "`.program` is None"),
                    program=_winner(run, search, stopped="interrupted"),
                ) from interrupt
            except EvaluationError as error:
                best = _winner(run, search, stopped=str(error))
                raise CompileStopped(str(error), results=error.results, program=best) from error.__cause__
            best = _winner(run, search, stopped=search.stopped)
            return _unchanged(run, student, search) if best is None else best

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

    def _split(self, run: Compile, rows: list[Example]) -> tuple[list[Example], list[Example]]:
        if len(rows) < _SPLIT_FROM:
            note = (
                f"no valset was given and trainset has only {plural(len(rows), 'row')}: candidates were made from and "
                "scored on the same rows, and the scores are too high for new data; pass valset="
            )
            made, scored = rows, rows
        else:
            order = derive(self.seed, "split").sample(range(len(rows)), len(rows))
            half = len(rows) // 2
            made, scored = [rows[i] for i in sorted(order[:half])], [rows[i] for i in sorted(order[half:])]
            note = (
                f"no valset was given: trainset was split, {len(made)} rows to make demonstrations and "
                f"{len(scored)} to score on"
            )
        run.note(note, warn=True)
        return made, scored

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
            rows = rng.sample(rows, len(rows))
            size = rng.randint(1, size)
            label = f"shuffled bootstrap of {size}"
        options = BootstrapOptions(
            self.metric_threshold,
            self.teacher_settings,
            size,
            self.max_labeled_demos,
            self.max_rounds,
            get_setting("max_errors") if self.max_errors is None else self.max_errors,
            derive(self.seed, "candidate", seed).randrange(2**32),
            likely=0.5,  # evaluations of other candidates use the threads meanwhile
        )
        return Entry(seed, label, bootstrap=Bootstrap(student, teacher, rows, metric, options))

    def _labelled(self, student: Any, rows: list[Example], sample: bool) -> Any:
        program = student.reset_copy()
        put_labelled(program, rows, self.max_labeled_demos, sample=sample, seed=self.seed)
        return program


BootstrapRS = BootstrapFewShotWithRandomSearch


def _winner(run: Compile, search: Search, *, stopped: str | None) -> Any:
    """Return the best complete candidate (the first of equals) with the report of the search, or None."""
    complete = [entry for entry in search.entries if entry.complete]
    if not complete:
        return None
    results = {id(entry): entry.result for entry in complete}
    ranked = sorted(
        complete, key=lambda entry: -results[id(entry)].mean
    )  # stable: the first of equals stays first
    best = ranked[0]
    given = next((entry for entry in complete if entry.seed in (-4, -3)), None)
    found: dict[str, Any] = {}
    if given is not None:
        found["baseline"] = results[id(given)].score
        found["comparison"] = results[id(best)].compare(results[id(given)])
    if len(ranked) > 1:
        run.note(
            f"the best of {len(ranked)} candidates was chosen on these {len(results[id(best)].rows)} rows: its score "
            "and the comparison are a little too favourable; evaluate it on rows that chose nothing"
        )
    candidates = [candidate(entry.program, results[id(entry)], entry.seed, entry.label) for entry in ranked]
    program = best.program.deepcopy()
    program._compiled = True
    program.candidate_programs = CandidatePrograms(candidates)
    program.report = run.report(
        stopped=stopped,
        score=results[id(best)].score,
        candidates=candidates,
        failures=search.failures,
        extra_runs=search.extra_runs,
        **found,
    )
    return program


def _unchanged(run: Compile, student: Any, search: Search) -> Any:
    """The budget ended before any candidate was evaluated: the program as it was, and a report that says so."""
    program = student.deepcopy()
    run.note("no candidate was fully evaluated: the program is as it was given")
    program.report = run.report(
        stopped=search.stopped, failures=search.failures, extra_runs=search.extra_runs
    )
    return program
