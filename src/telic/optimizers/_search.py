"""The work of a random search: many candidates, made and evaluated at once over one pool of threads.

Bootstraps come first, since evaluations wait for them and one alone keeps few threads busy; evaluations fill the rest,
in the order of the candidates. Candidates that turn out equal (same demos, same instructions) are evaluated once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Final, final

from telic._text import plural
from telic.errors import BudgetExceeded, EvaluationError, LMOutageError
from telic.evaluate import EvaluationResult, MetricCall, Row, RowJob, is_unreadable, program_key, score_row
from telic.optimizers._compile import stop_words
from telic.optimizers._pool import Source, Standing, Task, told_best

if TYPE_CHECKING:
    from telic.data import Example
    from telic.optimizers._bootstrap import Bootstrap
    from telic.optimizers._report import Candidate


SUGGEST_COST: Final = 0.2
"""What each failed `Suggest` of a row takes off its score while candidates are compared."""


@final
class Entry:
    """One candidate under way.

    Args:
        seed: DSPy's number for it: -3 without demos, -2 labelled, -1 unshuffled bootstrap, 0 … shuffled; -4 as given.
        label: What it is, in words.
        make: Makes its program without any LM call, or None where `bootstrap` does.
        bootstrap: Makes its program by running a teacher.
    """

    def __init__(
        self,
        seed: int,
        label: str,
        *,
        make: Callable[[], Any] | None = None,
        bootstrap: Bootstrap | None = None,
    ) -> None:
        self.seed = seed
        self.label = label
        self.bootstrap = bootstrap
        self.program: Any = None if make is None else make()
        self.twin: Entry | None = None
        """An earlier equal candidate whose rows are this one's too."""
        self.job: RowJob | None = None
        self.candidate: Candidate | None = None
        """As the report has it, once it is complete."""
        self.rows: list[Row | None] = []
        self.started = 0
        self.done = 0
        self.failed = 0

    @property
    def complete(self) -> bool:
        """Whether all rows are known."""
        entry = self if self.twin is None else self.twin
        return bool(entry.rows) and entry.done == len(entry.rows)

    @property
    def result(self) -> EvaluationResult:
        """The rows as a result; only once it is complete."""
        entry = self if self.twin is None else self.twin
        return EvaluationResult([row for row in entry.rows if row is not None])


@final
class Search(Source):
    """All candidates as work for one pool.

    Args:
        entries: The candidates, in the order that decides ties.
        valset: The rows they are evaluated on.
        metric: Scores them.
        max_errors: Failed rows of one candidate that end the search.
        stop_at_score: A mean in percent that is good enough: candidates after the first that has it are dropped.
        scored: Makes the report's candidate of an entry whose rows are all known.
    """

    def __init__(
        self,
        entries: Sequence[Entry],
        valset: Sequence[Example],
        metric: MetricCall,
        *,
        max_errors: int,
        stop_at_score: float | None,
        scored: Callable[[Entry, EvaluationResult], Candidate],
    ) -> None:
        self._make_candidate = scored
        self.entries = list(entries)
        self.stopped: str | None = None
        self._valset = valset
        self._metric = metric
        self._max_errors = max_errors
        self._stop_at_score = stop_at_score
        self._making = [entry for entry in self.entries if entry.program is None]
        self._scoring: list[Entry] = []
        self._by_key: dict[str, Entry] = {}
        self._checked = 0
        self._closed = False
        self._best = ""
        self._best_mean = -float("inf")
        for entry in self.entries:
            if entry.program is not None:
                self._made(entry)

    @property
    def finished(self) -> bool:
        """Whether nothing more is to be started."""
        return self._closed or not (self._making or self._scoring)

    def take(self) -> Task | None:
        """Return a bootstrap's next try, or the next row of the first candidate that has one."""
        # With a score to stop at, later candidates may never be needed: work only a little ahead.
        ahead = len(self._making) if self._stop_at_score is None else 2
        for entry in self._making[:ahead]:
            task = None if entry.bootstrap is None else entry.bootstrap.take()
            if task is not None:
                return Task(task.work, self._teller(entry, task))
        while self._scoring:
            entry = self._scoring[0]
            if entry.started < len(entry.rows):
                index = entry.started
                entry.started += 1
                return Task(self._scorer(entry, index), self._taker(entry, index))
            self._scoring.pop(0)
        return None

    def _teller(self, entry: Entry, task: Task) -> Callable[[Any, Exception | None], None]:
        def done(value: Any, error: Exception | None) -> None:
            task.done(value, error)
            bootstrap = entry.bootstrap
            if bootstrap is not None and bootstrap.stopped is not None:
                self._stop(bootstrap.stopped)
            elif entry.program is None and bootstrap is not None and bootstrap.finished:
                self._making.remove(entry)
                entry.program = bootstrap.program()
                self._made(entry)

        return done

    def _made(self, entry: Entry) -> None:
        twin = self._by_key.setdefault(program_key(entry.program), entry)
        if twin is not entry:
            entry.twin = twin
            self._check_stop()
            return
        entry.rows = [None] * len(self._valset)
        self._scoring.append(entry)
        self._scoring.sort(key=lambda other: other.seed)

    def _scorer(self, entry: Entry, index: int) -> Callable[[], Row]:
        if entry.job is None:
            entry.job = RowJob(entry.program, self._metric, suggest_cost=SUGGEST_COST)
        job, example = entry.job, self._valset[index]
        return lambda: score_row(job, index, example)

    def _taker(self, entry: Entry, index: int) -> Callable[[Any, Exception | None], None]:
        def done(row: Any, error: Exception | None) -> None:
            if isinstance(error, (BudgetExceeded, LMOutageError)):
                self._stop(stop_words(error))
            elif error is not None:
                raise error
            else:
                self._scored(entry, index, row)

        return done

    def _scored(self, entry: Entry, index: int, row: Row) -> None:
        entry.rows[index] = row
        entry.done += 1
        if row.error is not None and not is_unreadable(row.error):
            entry.failed += 1
            if entry.failed >= self._max_errors:
                known = [one for one in entry.rows if one is not None]
                raise EvaluationError(
                    f"candidate {entry.seed} ({entry.label}) failed on {entry.failed} of {len(known)} rows "
                    f"(max_errors={self._max_errors}); the last: {row.error}",
                    results=known,
                ) from row.error
        if entry.done == len(entry.rows):
            self._note_best(entry)
            self._check_stop()

    def _note_best(self, entry: Entry) -> None:
        result = entry.result
        entry.candidate = self._make_candidate(entry, result)
        if result.mean > self._best_mean:
            self._best_mean = result.mean
            self._best = f", {told_best(result)}"

    @staticmethod
    def candidate_of(entry: Entry) -> Candidate:
        """Return a complete entry as the report has it; an equal one shows its twin's rows under its own name."""
        if entry.candidate is not None:
            return entry.candidate
        assert entry.twin is not None
        assert entry.twin.candidate is not None
        return entry.twin.candidate._replace(program=entry.program, seed=entry.seed, label=entry.label)

    def standing(self) -> Standing:
        """Return how many rows were scored, and the best complete candidate."""
        own = [entry for entry in self.entries if entry.twin is None]
        rows = sum(entry.done for entry in own)
        complete = sum(entry.complete for entry in self.entries)
        words = f"{complete} of {plural(len(self.entries), 'candidate')}, {plural(rows, 'row')}{self._best}"
        return Standing(rows, len(own) * len(self._valset), words)

    def _check_stop(self) -> None:
        """In the order of the candidates, end the search at the first whose score is good enough."""
        if self._stop_at_score is None:
            return
        while self._checked < len(self.entries) and self.entries[self._checked].complete:
            entry = self.entries[self._checked]
            self._checked += 1
            score = entry.result.score
            if score >= self._stop_at_score:
                self._stop(
                    f"candidate {entry.seed} scored {score:.2f}, at least stop_at_score={self._stop_at_score}"
                )
                del self.entries[self._checked :]
                return

    def _stop(self, why: str) -> None:
        if not self._closed:
            self.stopped = why
            self._closed = True

    @property
    def extra_runs(self) -> int:
        """Bootstrap runs made ahead that turned out not to be needed."""
        return sum(entry.bootstrap.extra_runs for entry in self.entries if entry.bootstrap is not None)

    @property
    def failures(self) -> list[str]:
        """What went wrong in bootstraps and evaluations, in the order of the candidates."""
        told: list[str] = []
        for entry in self.entries:
            if entry.bootstrap is not None:
                told += entry.bootstrap.failures
            told += [str(row.error) for row in entry.rows if row is not None and row.error is not None]
        return told
