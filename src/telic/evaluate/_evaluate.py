"""`Evaluate`: score a program on examples, many at once, and keep everything that was paid for.

The constructor stores what was asked for and refuses what cannot work; a call may override any of it. A plain program
runs in threads, an async one as tasks on one event loop; `await evaluate.acall(program)` uses the caller's loop. Rows
stand in the order of the devset whatever finished first. At `max_errors`, on Ctrl-C and at a budget's limit the
finished rows come out with the error.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, final

from telic.errors import ConfigurationError
from telic.evaluate._checks import check_count, refuse_unknown
from telic.evaluate._kept import kept
from telic.evaluate._row import RowJob
from telic.evaluate._run import Run, plan_of
from telic.evaluate._score import MetricCall
from telic.tracing import begin, finish

if TYPE_CHECKING:
    import os

    from telic.budget import Budget
    from telic.data import Example
    from telic.evaluate._result import EvaluationResult

_OPTIONS: Final = (
    "devset",
    "metric",
    "num_threads",
    "display_progress",
    "display_table",
    "max_errors",
    "provide_traceback",
    "failure_score",
    "save_as_csv",
    "save_as_json",
)
_CALL_OPTIONS: Final = (*_OPTIONS, "callback_metadata")
"""`callback_metadata` is for callbacks alone: `on_evaluate_start` finds it in `inputs`."""


def _told(run: Run, metric: Any, overrides: dict[str, Any]) -> dict[str, Any]:
    """Return what callbacks hear of an evaluation."""
    told = {"program": run.job.program, "metric": metric, "devset": run.plan.devset}
    return {**told, "callback_metadata": overrides.get("callback_metadata")}


@final
class Evaluate:
    """Scores programs on one list of examples.

    Args:
        devset: Examples with declared inputs (`with_inputs`).
        metric: `metric(example, prediction, trace=None)`, sync or async, giving a bool, a number, a `Score`, or a
            `Prediction` with `score` and `feedback`. A `Module` will do.
        num_threads: How many rows at once, 1 to 1,000 and more; None: the setting `num_threads`.
        display_progress: Show a bar on standard error where that is a terminal; "force": wherever it goes.
        display_table: Show the rows as a table at the end: True, or how many.
        max_errors: Stop when this many rows have failed; None: the setting `max_errors` (10). It is there to end a run
            that cannot succeed: a row whose reply could not be read is a wrong answer, which scores `failure_score`,
            stands in the result's `failures`, and stops nothing.
        provide_traceback: Log each failure with its traceback; None: the setting `provide_traceback`.
        failure_score: What a failed row scores.
        save_as_csv: Write the rows there, also when the evaluation is stopped.
        save_as_json: The same as JSON.
        options: Nothing else is accepted; misspelt options are named.

    Raises:
        ConfigurationError: An option is unknown or cannot work.

    Example:
        >>> from telic.data import Example, Prediction
        >>> rows = [Example(x=x, y=x * 2).with_inputs("x") for x in range(3)]
        >>> evaluate = Evaluate(devset=rows, metric=lambda example, prediction: example.y == prediction.y)
        >>> evaluate(lambda x: Prediction(y=x + x)).score
        100.0

    Cost: one run of the program and one of the metric for each example.

    Deviations from DSPy: unknown options, an empty devset and a missing metric are refused; failed rows are counted;
    replies that cannot be read do not count toward `max_errors`; stopping keeps the finished rows (`.results` of the
    error).
    """

    def __init__(
        self,
        *,
        devset: Sequence[Example],
        metric: Any = None,
        num_threads: int | None = None,
        display_progress: bool | str = False,
        display_table: bool | int = False,
        max_errors: int | None = None,
        provide_traceback: bool | None = None,
        failure_score: float = 0.0,
        save_as_csv: str | Path | None = None,
        save_as_json: str | Path | None = None,
        **options: Any,
    ) -> None:
        refuse_unknown("Evaluate", options, _OPTIONS)
        self.devset = devset
        self.metric = metric
        self.num_threads = num_threads
        self.display_progress = display_progress
        self.display_table = display_table
        self.max_errors = max_errors
        self.provide_traceback = provide_traceback
        self.failure_score = failure_score
        self.save_as_csv = save_as_csv
        self.save_as_json = save_as_json
        check_count("num_threads", num_threads, 1, optional=True)
        check_count("max_errors", max_errors, 1, optional=True)

    def __call__(
        self,
        program: Any,
        metric: Any = None,
        devset: Sequence[Example] | None = None,
        *,
        run_dir: str | os.PathLike[str] | None = None,
        budget: Budget | None = None,
        **overrides: Any,
    ) -> EvaluationResult:
        """Score `program` on the devset.

        Args:
            program: A `Module`, or any callable that takes the inputs by name; sync or async.
            metric: In place of the constructor's.
            devset: In place of the constructor's.
            run_dir: A folder to keep rows and replies in: the same call again goes on where it ended, and pays for
                nothing twice. None: nothing is kept.
            budget: Limits of this evaluation.
            overrides: Any other option of the constructor, for this call; None leaves it as it is.

        Raises:
            JournalError: The folder cannot be used, or holds another run.
            ConfigurationError: An option cannot work; nothing was paid for.
            EvaluationError: `max_errors` rows failed; `.results` holds the finished rows.
            EvaluationInterrupted: Ctrl-C (a `KeyboardInterrupt`); `.results` too.
            BudgetExceeded: A limit of the budget; `.results` too.
        """
        run = self._prepare(program, metric, devset, overrides)
        call = begin("evaluate", self, _told(run, self.metric if metric is None else metric, overrides))
        try:
            with kept(run_dir, budget, run.job, run.plan.devset) as keeper:
                run.work()
                result = run.finish()
                keeper.finished(result)
        except BaseException as error:
            finish(call, None, error)
            raise
        finish(call, result)
        return result

    async def acall(
        self,
        program: Any,
        metric: Any = None,
        devset: Sequence[Example] | None = None,
        *,
        run_dir: str | os.PathLike[str] | None = None,
        budget: Budget | None = None,
        **overrides: Any,
    ) -> EvaluationResult:
        """`__call__` on the caller's event loop. Sync programs run in threads beside it, sync metrics on it."""
        run = self._prepare(program, metric, devset, overrides)
        call = begin("evaluate", self, _told(run, self.metric if metric is None else metric, overrides))
        try:
            with kept(run_dir, budget, run.job, run.plan.devset) as keeper:
                await run.awork()
                result = run.finish()
                keeper.finished(result)
        except BaseException as error:
            finish(call, None, error)
            raise
        finish(call, result)
        return result

    def _prepare(self, program: Any, metric: Any, devset: Any, overrides: dict[str, Any]) -> Run:
        refuse_unknown("Evaluate", overrides, _CALL_OPTIONS)
        overrides = {"metric": metric, "devset": devset, **overrides}
        given = {name: getattr(self, name) for name in _OPTIONS}
        given.update((name, value) for name, value in overrides.items() if value is not None)
        if not callable(program):
            raise ConfigurationError(f"the program {program!r} cannot be called; pass a Module or a function")
        return Run(RowJob(program, MetricCall(given["metric"]), given["failure_score"]), plan_of(given))
