"""Labelled few-shot: rows of the training set as demonstrations, as they are. No LM call."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass
from typing import TYPE_CHECKING, Any, final

from telic._text import join_names
from telic.errors import ConfigurationError
from telic.evaluate import check_count, checked_examples
from telic.optimizers._base import Optimizer, P
from telic.optimizers._checks import check_student
from telic.optimizers._compile import Compile
from telic.optimizers._demos import labelled_demos
from telic.optimizers._frozen import check_learnable, learners
from telic.optimizers._plan import Work

if TYPE_CHECKING:
    import os

    from telic.budget import Budget
    from telic.data import Example


@final
@dataclass(eq=False, repr=False)
class LabeledFewShot(Optimizer):
    """Gives each predictor up to `k` rows of the training set as demonstrations.

    Args:
        k: How many.
        seed: Of the draw; each predictor has a draw of its own.

    Source: the baseline of Khattab et al. 2023 (arXiv 2310.03714). Deviations: a row counts for a predictor only if it
    has at least one of its inputs and one of its outputs; predictors draw independently; where rows share their
    answers (classes), each answer is drawn as often as the others.

    Cost: no LM call.
    """

    takes = frozenset()

    k: int = 16
    _: KW_ONLY
    seed: int = 0

    def __post_init__(self) -> None:
        check_count("k", self.k, 0)

    def compile(
        self,
        student: P,
        *,
        trainset: Sequence[Example],
        teacher: Any = None,
        valset: Sequence[Example] | None = None,
        sample: bool = True,
        run_dir: str | os.PathLike[str] | None = None,
        budget: Budget | None = None,
    ) -> P:
        """Return a copy of `student` with labelled demos.

        Args:
            student: The program.
            trainset: Rows with labels.
            teacher: Refused: there is none.
            valset: Refused: nothing is evaluated.
            sample: False: the first `k` rows instead of a draw.
            run_dir: The folder of the run; None: one under the user's data directory.
            budget: Taken, and never needed.

        Raises:
            ConfigurationError: The student has no predictors, or something was given that is not used.
            DatasetError: `trainset` is empty.
        """
        check_student(student)
        check_learnable(student, self, "demos")
        rows = checked_examples("trainset", trainset, inputs=False)  # predictors know their own
        if teacher is not None or valset is not None:
            raise ConfigurationError(
                "LabeledFewShot takes labelled rows as they are: it has no use for teacher= or valset="
            )
        options = {"sample": sample}
        with Compile(self, student, run_dir=run_dir, budget=budget, options=options, trainset=rows) as run:

            def best(stopped: str | None) -> Any:
                compiled = student.reset_copy()
                put_labelled(compiled, rows, self.k, sample=sample, seed=self.seed)
                bare = [path for path, one in learners(compiled, "demos").items() if self.k and not one.demos]
                if bare:
                    run.note(
                        f"no demonstrations of {join_names(bare)}: they need an input and an output, and no row has "
                        f"both (the first has {join_names(rows[0].keys())})",
                        warn=True,
                    )
                compiled.report = run.report(stopped=stopped)
                run.candidate(compiled, None, "labelled demos")
                return compiled

            return run.guarded(lambda: None, best)

    def _work(
        self, program: Any, trainset: Sequence[Example], valset: Sequence[Example] | None
    ) -> list[Work]:
        return []


def put_labelled(
    program: Any, rows: Sequence[Example], k: int, *, sample: bool = True, seed: int = 0
) -> None:
    """Give each predictor of `program` (a copy of the caller's own) its labelled demos, unless its demos are frozen."""
    for path, predictor in learners(program, "demos").items():
        predictor.demos = labelled_demos(rows, predictor, path, k, sample=sample, seed=seed)
