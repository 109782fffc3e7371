"""Bootstrap few-shot: demonstrations for every step of a program, made by running it on examples that it gets right.

The teacher runs the training examples in order; where the metric accepts the outcome, the inputs and outputs of
every predictor call on the way become demonstrations, so that steps nobody labelled get some too. Many examples run
at once; the result is that of a run one after another (see `_harvest`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, final

from telic._text import plural
from telic.data import count_assertions
from telic.errors import BudgetExceeded, EvaluationError, LMOutageError
from telic.evaluate import MetricCall, check_count
from telic.optimizers._base import Optimizer, P
from telic.optimizers._checks import (
    check_common,
    check_settings,
    check_student,
    check_teacher,
    checked_sets,
    error_limit,
    told_failures,
)
from telic.optimizers._compile import Compile, stop_words
from telic.optimizers._demos import labelled_demos
from telic.optimizers._frozen import check_learnable, learners
from telic.optimizers._harvest import Harvest, Try
from telic.optimizers._labeled import put_labelled
from telic.optimizers._measure import measured
from telic.optimizers._plan import Work, teacher_lm
from telic.optimizers._pool import Source, Standing, Task
from telic.optimizers._teacher import Teacher

if TYPE_CHECKING:
    import os

    from telic.budget import Budget
    from telic.data import AssertionCount, Example


class BootstrapOptions(NamedTuple):
    """The settings of one bootstrap."""

    metric_threshold: float | None = None
    teacher_settings: dict[str, Any] | None = None
    max_bootstrapped_demos: int = 4
    max_labeled_demos: int = 16
    max_rounds: int = 1
    max_errors: int = 10
    seed: int = 0
    likely: float = 0.95
    """How far to run ahead; see `Harvest`."""
    counter_examples: bool = False


@final
class Bootstrap(Source):
    """One bootstrap as work for a pool; `program()` makes the compiled program of what was found."""

    def __init__(
        self,
        student: Any,
        teacher: Any,
        rows: Sequence[Example],
        metric: MetricCall,
        options: BootstrapOptions,
    ) -> None:
        self._student = student
        self._rows = rows
        self._options = options
        self.harvest = Harvest(
            len(rows), options.max_bootstrapped_demos, options.max_errors, likely=options.likely
        )
        self.stopped: str | None = None
        shown = (student if teacher is None else teacher).deepcopy()
        if options.max_labeled_demos > 0 and not shown._compiled:
            put_labelled(shown, rows, options.max_labeled_demos, seed=options.seed)
        self._teacher = Teacher(
            shown,
            metric,
            threshold=options.metric_threshold,
            settings=options.teacher_settings,
            max_rounds=options.max_rounds,
            seed=options.seed,
            counter_examples=options.counter_examples,
        )

    def take(self) -> Task | None:
        """Return the next example worth trying."""
        index = self.harvest.take()
        if index is None:
            return None
        attempt, example = self._teacher.attempt, self._rows[index]
        return Task(lambda: attempt(index, example), self._done)

    def _done(self, found: Try | None, error: Exception | None) -> None:
        if isinstance(error, (BudgetExceeded, LMOutageError)):
            self.stopped = stop_words(error)
            self.harvest.stop()
        elif error is not None:
            raise error
        elif found is not None:
            self.harvest.put(found)
            self._check_failures()

    def _check_failures(self) -> None:
        harvest = self.harvest
        if harvest.failed:
            last = harvest.failures[-1][1]
            raise EvaluationError(
                f"bootstrapping stopped after {harvest.used} examples: "
                f"{told_failures(harvest.failures, self._options.max_errors)}",
                results=[found.value for found in harvest.accepted],
            ) from last

    @property
    def finished(self) -> bool:
        """Whether no more examples are worth trying."""
        return self.harvest.closed

    def standing(self) -> Standing:
        """Return how many demonstrations were made."""
        made = len(self.harvest.accepted)
        tried = plural(self.harvest.tried, "example")
        return Standing(
            made, self._options.max_bootstrapped_demos, f"{plural(made, 'demonstration')}, {tried} tried"
        )

    @property
    def extra_runs(self) -> int:
        """Examples tried ahead that turned out not to be needed."""
        return max(0, self.harvest.tried - self.harvest.used)

    @property
    def failures(self) -> list[str]:
        """What went wrong on the examples up to the end of the search."""
        return [str(error) for _, error in self.harvest.failures]

    @property
    def assertions(self) -> dict[str, AssertionCount]:
        """What became of assertions on the examples up to the end of the search, by name."""
        return count_assertions(self.harvest.assertions)

    def program(self) -> Any:
        """Return the student with its demonstrations: bootstrapped ones, then labelled rows that made none."""
        options, accepted = self._options, self.harvest.accepted
        compiled = self._student.reset_copy()
        used = {found.index for found in accepted}
        rest = [row for index, row in enumerate(self._rows) if index not in used]
        for path, predictor in learners(compiled, "demos").items():
            made = [found.value[path] for found in accepted if path in found.value]
            room = max(0, options.max_labeled_demos - len(made))
            predictor.demos = made + labelled_demos(
                rest, predictor, path, room, seed=options.seed, beside=made
            )
        compiled._compiled = True
        return compiled


def check_bootstrap(optimizer: Any) -> None:
    """Refuse settings of an optimizer that bootstraps, where they cannot work.

    Raises:
        ConfigurationError: One cannot.
    """
    check_common(optimizer)
    check_settings("teacher_settings", optimizer.teacher_settings)
    check_count("max_bootstrapped_demos", optimizer.max_bootstrapped_demos, 0)
    check_count("max_labeled_demos", optimizer.max_labeled_demos, 0)
    check_count("max_rounds", optimizer.max_rounds, 1)


def any_run(example: Any, prediction: Any) -> bool:
    """The metric of those who have none."""
    return True


@final
@dataclass(eq=False, repr=False)
class BootstrapFewShot(Optimizer):
    """Makes demonstrations by running a teacher on the training set.

    Args:
        metric: `metric(example, prediction, trace)`; decides which runs become demonstrations. `trace` is the list of
            steps, so that a metric can be stricter here than in evaluation. None: every run that does not fail is
            one, also of examples without labels.
        metric_threshold: The least score that is accepted (0 counts); None: any score but 0.
        teacher_settings: Settings for the teacher's runs, as for `telic.context`: `{"lm": LM(…)}`.
        max_bootstrapped_demos: How many accepted examples are looked for.
        max_labeled_demos: Up to how many demos a predictor gets in all, filled up with labelled rows; the teacher
            works with that many labelled rows unless it was compiled.
        max_rounds: Tries for each example; later ones are fresh samples at temperature 1.
        max_errors: Failures of program or metric that stop the compile; None: the setting `max_errors`.
        num_threads: Examples at once; None: the setting `num_threads`. The result does not depend on it.
        counter_examples: Where an assertion had an answer corrected, its demo also holds what was refused and why; it
            is shown to the LM where an assertion asks again.
        seed: Of all draws.
        display_progress: Show how far it is on standard error, where that is a terminal; "force": wherever it goes.

    Source: Khattab et al. 2023 (arXiv 2310.03714), appendix E.1. Deviations: examples run at once with the result
    of one after another; the draws are seeded by predictor and content; labelled rows that lack a predictor's
    fields are not given to it, and answers (classes) that are not shown yet are drawn first; the teacher's
    instructions may differ from the student's; a compiled student is compiled anew.

    Cost: at most `len(trainset) * max_rounds` runs of the teacher, usually a few more than `max_bootstrapped_demos`
    divided by its success rate; runs made ahead that were not needed are in `report.extra_runs`.
    """

    metric: Any = None
    metric_threshold: float | None = None
    teacher_settings: dict[str, Any] | None = None
    max_bootstrapped_demos: int = 4
    max_labeled_demos: int = 16
    max_rounds: int = 1
    max_errors: int | None = None
    _: KW_ONLY
    num_threads: int | None = None
    counter_examples: bool = False
    seed: int = 0
    display_progress: bool | str = True

    def __post_init__(self) -> None:
        check_bootstrap(self)

    def compile(
        self,
        student: P,
        *,
        teacher: Any = None,
        trainset: Sequence[Example],
        valset: Sequence[Example] | None = None,
        run_dir: str | os.PathLike[str] | None = None,
        budget: Budget | None = None,
    ) -> P:
        """Return a copy of `student` with bootstrapped and labelled demos.

        Args:
            student: The program.
            teacher: A program with the same predictors that makes the demonstrations; None: the student itself.
            trainset: Examples with declared inputs; labels only as far as the metric needs them.
            valset: Rows to score the given and the compiled program on, for the report; None: nothing is scored.
            run_dir: See `Optimizer.compile`.
            budget: Limits of this compile; at a limit the demonstrations made so far are used.

        Raises: see `Optimizer.compile`.

        Cost: see the class; and with `valset`, two runs of the program for each of its rows.
        """
        metric = MetricCall(any_run if self.metric is None and valset is None else self.metric)
        check_student(student)
        check_learnable(student, self, "demos")
        check_teacher(teacher, student)
        rows, held_out = checked_sets(trainset, valset)
        data: dict[str, Any] = {"trainset": rows, "teacher": teacher, "valset": held_out}
        with Compile(self, student, run_dir=run_dir, budget=budget, **data) as run:
            search = Bootstrap(student, teacher, rows, metric, self._options())

            def bootstrap() -> str | None:
                run.pool(search, "bootstrapping")
                return search.stopped

            def best(stopped: str | None) -> Any:
                compiled = self._finished(run, search, stopped=stopped)
                if stopped is not None:
                    return compiled
                if held_out is None:
                    run.candidate(compiled, None, "compiled")
                else:
                    compiled.report = measured(run, student, compiled, held_out, metric=self.metric)
                return compiled

            return run.guarded(bootstrap, best)

    def _work(
        self, program: Any, trainset: Sequence[Example], valset: Sequence[Example] | None
    ) -> list[Work]:
        work = [self._bootstrap_work(len(trainset))]
        if valset is not None:
            shown = max(self.max_labeled_demos, self.max_bootstrapped_demos)
            work += [
                Work("the program as given", (len(valset), len(valset))),
                Work("the compiled program", (len(valset), len(valset)), demos=shown),
            ]
        return work

    def _bootstrap_work(self, rows: int) -> Work:
        least = min(rows, self.max_bootstrapped_demos)
        lm = teacher_lm(self.teacher_settings)
        most = rows * self.max_rounds if self.max_bootstrapped_demos else 0
        return Work(
            "bootstrapping", (least, most), "teacher", demos=self.max_labeled_demos, first=True, lm=lm
        )

    def _finished(self, run: Compile, search: Bootstrap, *, stopped: str | None) -> Any:
        compiled = search.program()
        found = len(search.harvest.accepted)
        if found < self.max_bootstrapped_demos and stopped is None:
            run.note(
                f"{plural(found, 'demonstration')} of {self.max_bootstrapped_demos} wanted: the metric accepted "
                f"{found} of {plural(search.harvest.used, 'example')}"
            )
        compiled.report = run.report(
            stopped=stopped,
            failures=search.failures,
            extra_runs=search.extra_runs,
            assertions=search.assertions,
        )
        return compiled

    def _options(self) -> BootstrapOptions:
        return BootstrapOptions(
            self.metric_threshold,
            self.teacher_settings,
            self.max_bootstrapped_demos,
            self.max_labeled_demos,
            self.max_rounds,
            error_limit(self.max_errors),
            self.seed,
            counter_examples=self.counter_examples,
        )
