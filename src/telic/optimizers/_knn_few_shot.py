"""kNN few-shot: each call is shown the demonstrations of the training rows that are most like its inputs.

All rows are bootstrapped once, in `compile`; a call only looks for the nearest ones and puts their demonstrations into
the prompt (`telic.modules.NearestDemos`). So a call costs what a call of the program costs, and the program is saved
with its rows.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass
from typing import TYPE_CHECKING, Any, final

from telic.errors import ConfigurationError
from telic.evaluate import MetricCall, check_count, checked_examples, inputs_of
from telic.modules import NearestDemos, RowDemos
from telic.optimizers._base import Optimizer
from telic.optimizers._bootstrap import Bootstrap, BootstrapOptions, any_run, check_bootstrap
from telic.optimizers._checks import check_student, check_teacher, error_limit
from telic.optimizers._compile import Compile
from telic.optimizers._demos import usable
from telic.optimizers._frozen import check_learnable, learners
from telic.optimizers._measure import measured
from telic.optimizers._plan import Work, teacher_lm

if TYPE_CHECKING:
    import os

    from telic.budget import Budget
    from telic.data import Example


@final
@dataclass(eq=False, repr=False)
class KNNFewShot(Optimizer):
    """Shows a program, at each call, what was done on the training rows nearest to the inputs.

    Args:
        k: How many rows are looked at in a call.
        trainset: The rows; `compile` may be given others.
        vectorizer: Takes a list of texts and returns their vectors: an `Embedder`, or a function, sync or async.
        metric: Decides which runs of the teacher become demonstrations; None: all that do not fail.
        metric_threshold: The least score that does (0 counts); None: any score but 0.
        teacher_settings: Settings of the teacher's runs, as for `telic.context`.
        max_bootstrapped_demos: How many demos of right runs a predictor is shown at most. 0: labelled rows alone, and
            nothing is run.
        max_labeled_demos: How many demos it is shown at most; rows without a right run are shown with their labels.
        max_rounds: Tries for each row.
        max_errors: Failures that stop the compile; None: the setting.
        num_threads: Rows at once; None: the setting. The result does not depend on it.
        counter_examples: See `BootstrapFewShot`.
        seed: Of the teacher's draws.
        display_progress: Show how far it is on standard error, where that is a terminal; "force": wherever it goes.

    Source: Liu et al. 2022 (arXiv 2101.06804) for the choice, Khattab et al. 2023 (arXiv 2310.03714) for the
    bootstrap. Deviations from DSPy's class: rows are bootstrapped once, not a few at every call; the result is a
    module that is saved and loaded; the nearest row stands last, next to the question.

    Cost: in `compile` one run of the teacher for each row, up to `max_rounds`; in a call nothing but the vectorizer.

    Example:
        >>> from telic.context import context
        >>> from telic.data import Example
        >>> from telic.modules import Predict
        >>> from telic.testing import DummyVectorizer, FunctionLM
        >>> rows = [
        ...     Example(word=word, kind=kind).with_inputs("word")
        ...     for word, kind in [("cats", "animal"), ("house", "thing"), ("dogs", "animal")]
        ... ]
        >>> optimizer = KNNFewShot(1, rows, DummyVectorizer(), max_bootstrapped_demos=0)
        >>> program = optimizer.compile(Predict("word -> kind"))
        >>> lm = FunctionLM(lambda request: {"kind": "animal"})
        >>> with context(lm=lm):
        ...     answer = program(word="cat")
        >>> "cats" in lm.requests[0].messages[1]["content"]
        True
    """

    k: int
    trainset: Sequence[Example] | None = None
    vectorizer: Callable[[list[str]], Any] | None = None
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
        check_count("k", self.k, 1)
        check_bootstrap(self)
        if not callable(self.vectorizer):
            raise ConfigurationError(
                "KNNFewShot needs vectorizer=, a function from a list of texts to their vectors, such as "
                f"telic.Embedder(…); got {self.vectorizer!r}"
            )
        if self.max_bootstrapped_demos == 0 and self.max_labeled_demos == 0:
            raise ConfigurationError(
                "KNNFewShot with max_bootstrapped_demos=0 and max_labeled_demos=0 has nothing to show"
            )
        self.trainset = None if self.trainset is None else checked_examples("trainset", self.trainset)

    def compile(
        self,
        student: Any,
        *,
        trainset: Sequence[Example] | None = None,
        teacher: Any = None,
        valset: Sequence[Example] | None = None,
        run_dir: str | os.PathLike[str] | None = None,
        budget: Budget | None = None,
    ) -> NearestDemos:
        """Return a module that runs a copy of `student` with the demonstrations of the nearest rows.

        Args:
            student: The program.
            trainset: Rows in the place of the optimizer's.
            teacher: A program with the same predictors that makes the demonstrations; None: the student itself.
            valset: Rows to score the given and the compiled program on, for the report; None: nothing is scored.
            run_dir: See `Optimizer.compile`.
            budget: Limits of this compile; at a limit the rows that were not run are shown with their labels.

        Raises: see `Optimizer.compile`.
        """
        metric = MetricCall(any_run if self.metric is None and valset is None else self.metric)
        check_student(student)
        check_learnable(student, self, "demos")
        check_teacher(teacher, student)
        rows = self._rows(trainset)
        held_out = None if valset is None else checked_examples("valset", valset)
        data: dict[str, Any] = {"trainset": rows, "teacher": teacher, "valset": held_out}
        with Compile(self, student, run_dir=run_dir, budget=budget, **data) as run:
            search = Bootstrap(student, teacher, rows, metric, self._options(len(rows)))

            def bootstrap() -> str | None:
                if self.max_bootstrapped_demos > 0:
                    run.pool(search, "bootstrapping")
                return search.stopped

            def best(stopped: str | None) -> Any:
                compiled = self._finished(student, rows, search)
                compiled.report = run.report(
                    stopped=stopped, failures=search.failures, assertions=search.assertions
                )
                if stopped is None and held_out is not None:
                    given = self._module(student.deepcopy(), ())  # so that both are loaded in the same way
                    compiled.report = measured(run, given, compiled, held_out, metric=self.metric)
                elif stopped is None:
                    run.candidate(compiled, None, "compiled")
                return compiled

            return run.guarded(bootstrap, best)

    def _rows(self, trainset: Sequence[Example] | None) -> Sequence[Example]:
        rows = self.trainset if trainset is None else checked_examples("trainset", trainset)
        if rows is None:
            raise ConfigurationError("KNNFewShot needs rows: pass trainset= to it, or to compile")
        return rows

    def _finished(self, student: Any, rows: Sequence[Example], search: Bootstrap) -> NearestDemos:
        made: dict[int, Mapping[str, Example]] = {one.index: one.value for one in search.harvest.accepted}
        predictors = learners(student, "demos")
        shown: list[RowDemos] = []
        for index, row in enumerate(rows):
            labelled = {path: row for path, predictor in predictors.items() if usable(row, predictor)}
            right = {path: demo for path, demo in made.get(index, {}).items() if path in predictors}
            shown.append(RowDemos(inputs_of(row), {**labelled, **right}))
        compiled = self._module(student.reset_copy(), shown)
        compiled.frozen = True
        return compiled

    def _module(self, program: Any, rows: Sequence[RowDemos]) -> NearestDemos:
        assert self.vectorizer is not None
        return NearestDemos(
            program,
            self.k,
            self.vectorizer,
            rows=rows,
            max_bootstrapped_demos=self.max_bootstrapped_demos,
            max_labeled_demos=self.max_labeled_demos,
        )

    def _options(self, rows: int) -> BootstrapOptions:
        return BootstrapOptions(
            self.metric_threshold,
            self.teacher_settings,
            rows,
            self.max_labeled_demos,
            self.max_rounds,
            error_limit(self.max_errors),
            self.seed,
            counter_examples=self.counter_examples,
        )

    def _work(
        self, program: Any, trainset: Sequence[Example], valset: Sequence[Example] | None
    ) -> list[Work]:
        rows = len(trainset) if self.max_bootstrapped_demos else 0
        lm = teacher_lm(self.teacher_settings)
        shown = self.max_labeled_demos
        runs = (rows, rows * self.max_rounds)
        work = [Work("bootstrapping", runs, "teacher", demos=shown, lm=lm)]
        if valset is not None:
            every = (len(valset), len(valset))
            most = min(self.k, max(self.max_labeled_demos, self.max_bootstrapped_demos))
            work += [Work("the program as given", every), Work("the compiled program", every, demos=most)]
        return work
