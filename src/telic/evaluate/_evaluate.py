"""`Evaluate`: score a program on examples, many at once, and keep everything that was paid for.

The constructor stores what was asked for and refuses what cannot work; a call may override any of it. A plain program
runs in threads, an async one as tasks on one event loop; `await evaluate.acall(program)` uses the caller's loop. Rows
stand in the order of the devset whatever finished first. At `max_errors`, on Ctrl-C and at a budget's limit the
finished rows come out with the error.
"""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any, Final, NamedTuple, NoReturn, final

from telic._optional import load
from telic._text import did_you_mean, plural
from telic.context import get as get_setting
from telic.context import pop as pop_setting
from telic.context import push as push_setting
from telic.data import Example
from telic.errors import BudgetExceeded, ConfigurationError, DatasetError, EvaluationError, NotConfiguredError
from telic.evaluate import _records
from telic.evaluate._result import EvaluationResult
from telic.evaluate._row import FATAL, Row, RowFailed, RowJob, ascore_row, score_row
from telic.evaluate._score import MetricCall
from telic.execution import Outcome, RunStopped, arun_all, is_async, run_all
from telic.tracing import UsageTracker, begin, finish

logger = logging.getLogger("telic.evaluate")

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
"""`callback_metadata` is taken and left alone: callbacks see the evaluation itself."""


class EvaluationInterrupted(KeyboardInterrupt):
    """Ctrl-C during an evaluation.

    Attributes:
        results: The finished rows, in order.
    """

    def __init__(self, message: str, *, results: Sequence[Row] = ()) -> None:
        super().__init__(message)
        self.results = results


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
        max_errors: Stop when this many rows have failed; None: the setting `max_errors`.
        provide_traceback: Log each failure with its traceback; None: the setting `provide_traceback`.
        failure_score: What a failed row scores.
        save_as_csv: Write the rows there, also when the evaluation is stopped.
        save_as_json: The same as JSON.
        options: Nothing else is accepted; misspelt options are named.

    Raises:
        ConfigurationError: An option is unknown or cannot work.

    Example:
        >>> from telic.data import Prediction
        >>> rows = [Example(x=x, y=x * 2).with_inputs("x") for x in range(3)]
        >>> evaluate = Evaluate(devset=rows, metric=lambda example, prediction: example.y == prediction.y)
        >>> evaluate(lambda x: Prediction(y=x + x)).score
        100.0

    Cost: one run of the program and one of the metric for each example.

    Deviations from DSPy: unknown options, an empty devset and a missing metric are refused; failed rows are counted;
    stopping keeps the finished rows (`.results` of the error).
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
        check_count("num_threads", num_threads, 1)
        check_count("max_errors", max_errors, 1)

    def __call__(
        self,
        program: Any,
        metric: Any = None,
        devset: Sequence[Example] | None = None,
        **overrides: Any,
    ) -> EvaluationResult:
        """Score `program` on the devset.

        Args:
            program: A `Module`, or any callable that takes the inputs by name; sync or async.
            metric: In place of the constructor's.
            devset: In place of the constructor's.
            overrides: Any other option of the constructor, for this call; None leaves it as it is.

        Raises:
            ConfigurationError: An option cannot work; nothing was paid for.
            EvaluationError: `max_errors` rows failed; `.results` holds the finished rows.
            EvaluationInterrupted: Ctrl-C (a `KeyboardInterrupt`); `.results` too.
            BudgetExceeded: A limit of the budget; `.results` too.
        """
        run = self._prepare(program, metric, devset, overrides)
        call = begin("evaluate", self, {"program": program, "devset": run.plan.devset})
        try:
            result = run.finish(run.rows())
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
        **overrides: Any,
    ) -> EvaluationResult:
        """`__call__` on the caller's event loop. Sync programs run in threads beside it, sync metrics on it."""
        run = self._prepare(program, metric, devset, overrides)
        call = begin("evaluate", self, {"program": program, "devset": run.plan.devset})
        try:
            result = run.finish(await run.arows())
        except BaseException as error:
            finish(call, None, error)
            raise
        finish(call, result)
        return result

    def _prepare(self, program: Any, metric: Any, devset: Any, overrides: dict[str, Any]) -> _Run:
        refuse_unknown("Evaluate", overrides, _CALL_OPTIONS)
        overrides = {"metric": metric, "devset": devset, **overrides}
        given = {name: getattr(self, name) for name in _OPTIONS}
        given.update((name, value) for name, value in overrides.items() if value is not None)
        if not callable(program):
            raise ConfigurationError(f"the program {program!r} cannot be called; pass a Module or a function")
        return _Run(RowJob(program, MetricCall(given["metric"]), given["failure_score"]), _plan(given))


class _Plan(NamedTuple):
    """The options of one call, checked and with settings filled in."""

    devset: list[Example]
    num_threads: int
    max_errors: int
    progress: bool
    table: int | bool | None
    tracebacks: bool
    csv: Path | None
    json: Path | None


def _plan(given: dict[str, Any]) -> _Plan:
    check_count("num_threads", given["num_threads"], 1)
    check_count("max_errors", given["max_errors"], 1)
    show = given["display_progress"]
    if not isinstance(show, bool) and show != "force":
        raise ConfigurationError(f"display_progress must be True, False or 'force', got {show!r}")
    csv_path, json_path, traces = given["save_as_csv"], given["save_as_json"], given["provide_traceback"]
    return _Plan(
        checked_examples("devset", given["devset"]),
        setting("num_threads", given["num_threads"]),
        setting("max_errors", given["max_errors"]),
        show == "force" or (show is True and sys.stderr.isatty()),
        given["display_table"],
        setting("provide_traceback", traces),
        None if csv_path is None else _records.check_path(csv_path, "save_as_csv"),
        None if json_path is None else _records.check_path(json_path, "save_as_json"),
    )


@final
class _Run:
    """One evaluation under way: the job, the options, and the rows finished so far."""

    def __init__(self, job: RowJob, plan: _Plan) -> None:
        self.job = job
        self.plan = plan
        self.finished: list[Row] = []
        self.fatal: BaseException | None = None
        self.tracker = UsageTracker(get_setting("usage_tracker"))
        self.started = time.perf_counter()
        self._show: Callable[[Row], None] | None = None

    def rows(self) -> list[Row]:
        work = self._awork if is_async(self.job.program) else self._work
        token = push_setting("usage_tracker", self.tracker)
        try:
            with self._progress():
                return self._in_order(run_all(self._items(), work, **self._options()))
        except BaseException as error:  # noqa: BLE001 - whatever ended the run, the finished rows go with it
            self._stopped(error)
        finally:
            pop_setting(token)

    async def arows(self) -> list[Row]:
        token = push_setting("usage_tracker", self.tracker)
        try:
            with self._progress():
                return self._in_order(await arun_all(self._items(), self._awork, **self._options()))
        except BaseException as error:  # noqa: BLE001 - whatever ended the run, the finished rows go with it
            self._stopped(error)
        finally:
            pop_setting(token)

    def _items(self) -> list[tuple[int, Example]]:
        return list(enumerate(self.plan.devset))

    def _options(self) -> dict[str, Any]:
        plan = self.plan
        return {
            "num_threads": plan.num_threads,
            "max_errors": plan.max_errors,
            "on_done": self._done,
            "cancel": self,
        }

    def is_set(self) -> bool:
        """Whether to start nothing more: the runner asks before each row."""
        return self.fatal is not None

    def _work(self, item: tuple[int, Example]) -> Row:
        try:
            row = score_row(self.job, *item)
        except FATAL as error:
            self.fatal = error
            raise
        if row.error is not None:
            raise RowFailed(row)
        return row

    async def _awork(self, item: tuple[int, Example]) -> Row:
        try:
            row = await ascore_row(self.job, *item)
        except FATAL as error:
            self.fatal = error
            raise
        if row.error is not None:
            raise RowFailed(row)
        return row

    def _done(self, outcome: Outcome) -> None:
        error = outcome.error
        if isinstance(error, RowFailed):
            row = error.row
            if self.plan.tracebacks:
                logger.error("%s", row.error, exc_info=row.error)
        elif error is None:
            row = outcome.value
        else:
            return
        self.finished.append(row)
        if self._show is not None:
            self._show(row)

    def _in_order(self, outcomes: list[Outcome]) -> list[Row]:
        del outcomes  # the same rows, some wrapped in RowFailed
        if self.fatal is not None:
            raise self.fatal
        return sorted(self.finished, key=_index)

    def _progress(self) -> AbstractContextManager[Any]:
        if not self.plan.progress:
            return nullcontext()
        bar = load("telic.evaluate._display").Progress(len(self.plan.devset))
        self._show = bar.add
        return bar

    def _stopped(self, error: BaseException) -> NoReturn:
        """Raise what tells the caller why, with the finished rows, which are also written to the files."""
        rows = sorted(self.finished, key=_index)
        if rows:
            self._save(self._result(rows))
        total = len(self.plan.devset)
        if isinstance(self.fatal, BudgetExceeded):
            self.fatal.results = rows
            raise self.fatal
        if isinstance(self.fatal, NotConfiguredError):
            raise self.fatal
        interrupted = isinstance(error, KeyboardInterrupt) or (
            isinstance(error, RunStopped) and error.reason == "interrupted"
        )
        if interrupted:
            raise EvaluationInterrupted(
                f"interrupted with {len(rows)} of {total} rows finished; they are in `.results`", results=rows
            ) from error
        if isinstance(error, RunStopped):
            failed = [row for row in rows if row.error is not None]
            raise EvaluationError(
                f"stopped: {plural(len(failed), 'row')} failed (max_errors={self.plan.max_errors}) and {len(rows)} of "
                f"{total} were finished; the first failure: {failed[0].error}; the finished rows are in `.results`, "
                "and max_errors= allows more failures",
                results=rows,
            ) from failed[0].error
        raise error

    def _result(self, rows: list[Row]) -> EvaluationResult:
        seconds = time.perf_counter() - self.started
        return EvaluationResult(
            rows, spend=self.tracker.total, seconds=seconds, metric_name=self.job.metric.name
        )

    def _save(self, result: EvaluationResult) -> None:
        if self.plan.csv is not None:
            _records.write_csv(self.plan.csv, result.records())
        if self.plan.json is not None:
            _records.write_json(self.plan.json, result.records())

    def finish(self, rows: list[Row]) -> EvaluationResult:
        """Make the result, write the files, show what was asked for."""
        result = self._result(rows)
        logger.info("%s: %s", self.job.metric.name, result)
        if result.failures:
            logger.warning(
                "%s of %s failed; the first: %s",
                len(result.failures),
                plural(result.n, "row"),
                result.failures[0].error,
            )
        self._save(result)
        table = self.plan.table
        if table is True:
            result.display_table()
        elif table:
            result.display_table(table)
        return result


def _index(row: Row) -> int:
    return row.index


def setting(name: str, given: Any) -> Any:
    """Return `given`, or the setting of that name where it is None."""
    return get_setting(name) if given is None else given


def refuse_unknown(where: str, given: dict[str, Any], known: Sequence[str]) -> None:
    """Refuse options that nobody reads.

    Raises:
        ConfigurationError: There is one.
    """
    for name in given:
        if name == "return_outputs":
            raise ConfigurationError("return_outputs is gone: the rows are always in the result's `.results`")
        if name not in known:
            raise ConfigurationError(f"{where} has no option {name!r}{did_you_mean(name, known)}")


def check_count(name: str, value: Any, least: int) -> None:
    """Refuse a count that is no integer of at least `least`; None passes.

    Raises:
        ConfigurationError: It is.
    """
    if value is None:
        return
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise ConfigurationError(f"{name} must be an integer of {least} or more, got {value!r}")


def checked_examples(name: str, examples: Any) -> list[Example]:
    """Return `examples` as a list of examples with declared inputs.

    Raises:
        DatasetError: There is none, or one is no `Example`, or it does not say which of its fields are inputs.
    """
    rows: list[Any] = list(examples)
    if not rows:
        raise DatasetError(f"{name} is empty; pass at least one example")
    for index, row in enumerate(rows):
        if not isinstance(row, Example):
            raise DatasetError(
                f"{name}[{index}] is {type(row).__name__}, not an Example; wrap it: Example(**fields)"
            )
        try:
            row.inputs()
        except DatasetError as error:
            raise DatasetError(f"{name}[{index}]: {error}") from error
    return rows
