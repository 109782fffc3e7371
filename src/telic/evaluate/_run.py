"""One evaluation under way: its options as they hold now, the rows finished so far, and how it ends."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn, cast, final

from telic._optional import load
from telic._text import plural
from telic.context import get as get_setting
from telic.context import pop as pop_setting
from telic.context import push as push_setting
from telic.errors import ConfigurationError, EvaluationError
from telic.evaluate import _records
from telic.evaluate._checks import check_count, checked_examples, setting, threads_of
from telic.evaluate._result import EvaluationResult
from telic.evaluate._row import Row, RowFailed, RowJob, ascore_row, is_unreadable, score_row
from telic.execution import Outcome, RunStopped, arun_all, is_async, run_all
from telic.tracing import UsageTracker

if TYPE_CHECKING:
    from telic.data import Example


class EvaluationInterrupted(KeyboardInterrupt):
    """Ctrl-C during an evaluation.

    Attributes:
        results: The finished rows, in order.
    """

    def __init__(self, message: str, *, results: Sequence[Row] = ()) -> None:
        super().__init__(message)
        self.results = results


class Plan(NamedTuple):
    """The options of one call, checked and with settings filled in."""

    devset: list[Example]
    num_threads: int
    max_errors: int
    progress: bool
    table: int | bool | None
    tracebacks: bool
    csv: Path | None
    json: Path | None


def plan_of(given: dict[str, Any]) -> Plan:
    check_count("num_threads", given["num_threads"], 1, optional=True)
    check_count("max_errors", given["max_errors"], 1, optional=True)
    show = given["display_progress"]
    if not isinstance(show, bool) and show != "force":
        raise ConfigurationError(f"display_progress must be True, False or 'force', got {show!r}")
    csv_path, json_path, traces = given["save_as_csv"], given["save_as_json"], given["provide_traceback"]
    return Plan(
        checked_examples("devset", given["devset"]),
        threads_of(given["num_threads"]),
        setting("max_errors", given["max_errors"]),
        show == "force" or (show is True and sys.stderr.isatty()),
        given["display_table"],
        setting("provide_traceback", traces),
        None if csv_path is None else _records.check_path(csv_path, "save_as_csv"),
        None if json_path is None else _records.check_path(json_path, "save_as_json"),
    )


@final
class Run:
    """One evaluation under way: the job, the options, and the rows finished so far."""

    def __init__(self, job: RowJob, plan: Plan) -> None:
        self.job = job
        self.plan = plan
        self.tracker = UsageTracker(get_setting("usage_tracker"))
        self.started = time.perf_counter()
        self._finished: list[Row] = []
        self._show: Callable[[Row], None] | None = None

    def work(self) -> None:
        """Score all rows, from plain code; an async program runs on an event loop of its own."""
        work = self._ascore if is_async(self.job.program) else self._score
        with self._under_way():
            run_all(self._items(), work, **self._options())

    async def awork(self) -> None:
        """Score all rows, on the running event loop."""
        with self._under_way():
            await arun_all(self._items(), self._ascore, **self._options())

    @contextmanager
    def _under_way(self) -> Generator[None]:
        """Hold for all rows: who counts usage, and room for each row's plain code beside an event loop."""
        workers = max(get_setting("async_max_workers"), self.plan.num_threads)
        tokens = [push_setting("usage_tracker", self.tracker), push_setting("async_max_workers", workers)]
        try:
            with self._progress():
                yield
        except BaseException as error:  # noqa: BLE001 - whatever ended the run, the finished rows go with it
            self._stopped(error)
        finally:
            for token in reversed(tokens):
                pop_setting(token)

    def _items(self) -> list[tuple[int, Example]]:
        return list(enumerate(self.plan.devset))

    def _options(self) -> dict[str, Any]:
        plan = self.plan
        return {"num_threads": plan.num_threads, "max_errors": plan.max_errors, "on_done": self._done}

    def _score(self, item: tuple[int, Example]) -> Row:
        return _counted(score_row(self.job, *item))

    async def _ascore(self, item: tuple[int, Example]) -> Row:
        return _counted(await ascore_row(self.job, *item))

    def _done(self, outcome: Outcome) -> None:
        error = outcome.error
        if error is not None and not isinstance(error, RowFailed):
            raise error  # nothing that any other row could survive
        row = outcome.value if error is None else error.row
        if row.error is not None and self.plan.tracebacks:
            _logger().error("%s", row.error, exc_info=row.error)
        self._finished.append(row)
        if self._show is not None:
            self._show(row)

    def _progress(self) -> AbstractContextManager[Any]:
        if not self.plan.progress:
            return nullcontext()
        bar = load("telic.evaluate._display").Progress(len(self.plan.devset))
        self._show = bar.add
        return bar

    def _stopped(self, error: BaseException) -> NoReturn:
        """Raise what tells the caller why, with the finished rows, which are also written to the files."""
        rows = self._rows()
        if rows:
            try:
                self._save(self._result())
            except OSError as failure:  # why the run stopped is the greater news
                _logger().error(
                    "the finished rows could not be written (%s); they are in `.results`", failure
                )
        total = len(self.plan.devset)
        if isinstance(error, KeyboardInterrupt):
            raise EvaluationInterrupted(
                f"interrupted with {len(rows)} of {total} rows finished; they are in `.results`", results=rows
            ) from error
        if isinstance(error, RunStopped):
            failed = [row for row in rows if row.error is not None and not is_unreadable(row.error)]
            raise EvaluationError(
                f"stopped: {plural(len(failed), 'row')} failed (max_errors={self.plan.max_errors}) and {len(rows)} of "
                f"{total} were finished; the first failure: {failed[0].error}; the finished rows are in `.results`, "
                "and max_errors= allows more failures",
                results=rows,
            ) from failed[0].error
        # A budget's limit, a key that expired, a cancellation (Ctrl-C inside `asyncio.run`): its own kind must go on.
        cast("Any", error).results = rows
        raise error

    def _rows(self) -> list[Row]:
        return sorted(self._finished, key=_index)

    def _result(self) -> EvaluationResult:
        seconds = time.perf_counter() - self.started
        return EvaluationResult(
            self._rows(), spend=self.tracker.total, seconds=seconds, metric_name=self.job.metric.name
        )

    def _save(self, result: EvaluationResult) -> None:
        if self.plan.csv is not None:
            _records.write_csv(self.plan.csv, result.records())
        if self.plan.json is not None:
            _records.write_json(self.plan.json, result.records())

    def finish(self) -> EvaluationResult:
        """Make the result of all rows, write the files, show what was asked for."""
        result = self._result()
        if "logging" in sys.modules:  # else nobody can have asked for information
            _logger().info("%s: %s", self.job.metric.name, result)
        if result.failures:
            _logger().warning(
                "%s of %s failed; the first: %s",
                len(result.failures),
                plural(result.n, "row"),
                result.failures[0].error,
            )
        try:
            self._save(result)
        except OSError as error:
            raise EvaluationError(
                f"all {plural(result.n, 'row')} are finished, but could not be written ({error}); they are in "
                "`.results`",
                results=result.rows,
            ) from error
        table = self.plan.table
        if table is True:
            result.display_table()
        elif table:
            result.display_table(table)
        return result


def _counted(row: Row) -> Row:
    """Return a row, or raise it where it counts toward `max_errors`."""
    if row.error is not None and not is_unreadable(row.error):
        raise RowFailed(row)
    return row


def _logger() -> Any:
    return load("logging").getLogger("telic.evaluate")


def _index(row: Row) -> int:
    return row.index
