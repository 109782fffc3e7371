"""`Compile`: one compile under way. It opens the run, holds the budget, and brings every ending to a program.

Everything an optimizer needs beside its own algorithm is here, so that none has code for resuming, for limits or for
interrupts (`_base` says how an author uses it).
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar, cast, final

from telic._hash import content_key
from telic._optional import load
from telic._version import VERSION
from telic.budget import Budget, for_run
from telic.context import context
from telic.context import get as get_setting
from telic.data import Usage
from telic.errors import (
    BudgetExceeded,
    ConfigurationError,
    EvaluationError,
    JournalError,
    LMOutageError,
    RunDivergedError,
    RunLockedError,
    StateError,
)
from telic.evaluate import (
    Evaluate,
    EvaluationResult,
    callable_key,
    check_sendable,
    example_key,
    program_key,
    settings_key,
    stable,
)
from telic.journal import LiveRun, Spent, new_folder, was_killed
from telic.optimizers._overlap import tell_overlap
from telic.optimizers._plan import plan_of
from telic.optimizers._pool import Source, Standing, run_pool
from telic.optimizers._progress import shown_progress
from telic.optimizers._report import Candidate, Report, save_start
from telic.optimizers._stops import CompileInterrupted, CompileStopped, stop_words
from telic.tracing import UsageTracker, begin, finish

if TYPE_CHECKING:
    from telic.data import Example
    from telic.optimizers._base import Optimizer

T = TypeVar("T")


@final
class Compile:
    """One compile under way: its run, its budget, its clock, and the callbacks that watch it. A context manager.

    Args:
        optimizer: Whose.
        student: What is compiled.
        run_dir: The folder of the run; None: one under the user's data directory.
        budget: Limits of this run; they hold over all its parts, before and after a resume.
        options: Arguments of `compile` that the result depends on, beside the data.
        data: trainset, valset, teacher.

    Raises:
        ConfigurationError: The budget cannot work; nothing was paid for.
        JournalError: The folder cannot be used, or holds another run, or another process works in it.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        student: Any,
        *,
        run_dir: str | os.PathLike[str] | None = None,
        budget: Budget | None = None,
        options: Mapping[str, Any] | None = None,
        **data: Any,
    ) -> None:
        self.optimizer = optimizer
        self.student = student
        self.tracker = UsageTracker(get_setting("usage_tracker"))
        self.notes: list[str] = []
        self.live: LiveRun | None = None
        """The run; None: it could not be opened in the usual place, and nothing is kept."""
        self._name = type(optimizer).__name__
        self._run_dir = run_dir
        self._given = budget
        self._options = {} if options is None else dict(options)
        self._data = data
        self._budget: Budget | None = None
        self._folder: str | None = None
        self.prefix = ""  # of a compile within another one: its name there, with "/"
        self._owns, self._started = False, time.perf_counter()
        self._context: Any = None
        self._call: Any = None
        self._made: Any = None  # what `guarded` returned, for callbacks

    # What optimizers use

    @property
    def threads(self) -> int:
        """How many pieces of work run at once."""
        own = getattr(self.optimizer, "num_threads", None)
        return get_setting("num_threads") if own is None else own

    def step(self, key: object, work: Callable[[], T]) -> T:
        """Do work once: see `LiveRun.step`. Its result must be None, numbers, texts, examples, lists, tuples, dicts."""
        return work() if self.live is None else self.live.step([self.prefix, key], work)

    def evaluate(self, program: Any, rows: Sequence[Example], *, metric: Any = None) -> EvaluationResult:
        """Score a program on rows, many at once; each row is a step.

        Raises:
            EvaluationError: Too many rows failed.

        Cost: one run of the program and of the metric for each row that this run has not scored yet.
        """
        metric = getattr(self.optimizer, "metric", None) if metric is None else metric
        return Evaluate(devset=rows, metric=metric, num_threads=self.threads)(program)

    def pool(self, source: Source, title: str) -> None:
        """Run a source's work, `threads` pieces at once, with the progress line."""
        show = getattr(self.optimizer, "display_progress", True)
        with shown_progress(title, show) as tell:
            run_pool(source, self.threads, None if tell is None else self._watching(tell))

    def _watching(self, tell: Callable[[Standing], None]) -> Callable[[Standing], None]:
        def watch(standing: Standing) -> None:
            tell(standing._replace(words=f"{standing.words}{self._told_spend()}"))

        return watch

    def _told_spend(self) -> str:
        used = self.spent
        words = f" · {used.calls:,} calls"
        if used.cost_usd:
            words += f", {used.cost_usd:.2f} USD"
        rest = [f"{value:,.6g} {name}" for name, value in self.remaining.items()]
        if rest:
            words += f", left: {', '.join(rest)}"
        away = "" if self.live is None else self.live.outages.told
        return f"{words} · {away}" if away else words

    def decide(self, label: str, value: Any) -> None:
        """Write a decision down, or check that a resumed run makes the same one; `label` once in a compile.

        Raises:
            RunDivergedError: It was another one before.
        """
        if self.live is not None:
            self.live.decide(f"{self.prefix}{label}", stable(value))

    def candidate(
        self, program: Any, result: EvaluationResult | None, label: str, seed: int | None = None, **more: Any
    ) -> Candidate:
        """Return a program as a candidate of the report; it is written down, and can be loaded from the run at once.

        Args:
            program: The program.
            result: Its evaluation; None: not scored.
            label: What it is; with `seed` its name, once in a compile.
            seed: Its number.
            more: What a reader may want: `parent`, `round` ….

        Raises:
            RunDivergedError: A resumed run scored it otherwise before.
        """
        made = Candidate.of(program, result, seed, label)
        if self.live is not None:
            name = f"{self.prefix}{label}" if seed is None else f"{self.prefix}{seed}: {label}"
            try:
                self.live.candidate(name, {**made.to_dict(), **stable(more)}, program.save)
            except StateError as error:
                self.note(f"candidate {label!r} could not be saved in the run: {error}")
        return made

    def note(self, text: str, *, warn: bool = False) -> None:
        """Put a line into the report and the log, there as a warning or for information."""
        self.notes.append(text)
        if self.live is not None and self._owns:
            with suppress(JournalError):  # the report has it; a disk that is full is met at the next step
                self.live.note(text)
        logger = load("logging").getLogger("telic.optimizers")
        (logger.warning if warn else logger.info)("%s: %s", self._name, text)

    def report(self, **found: Any) -> Report:
        """Return the report with what this compile knows itself filled in."""
        own = self.live if self._owns else None
        parts = self.tracker.by_part(self.student) if own is None else own.spend.by_part()
        return Report(
            optimizer=self._name,
            spend=self.tracker.by_role() if own is None else own.spend.by_role(),
            spend_parts=[Spent(*part, usage) for part, usage in parts.items()],
            seconds=time.perf_counter() - self._started if own is None else own.seconds,
            notes=tuple(self.notes),
            run_dir=self._folder,
            failed_calls=0 if self.live is None else self.live.spend.failed,
            **found,
        )

    @property
    def remaining(self) -> dict[str, float]:
        """What is left of each limit that there is, by its name: "usd", "calls", "tokens", "seconds"."""
        left = {} if self._budget is None else self._budget.remaining()
        return {name: value for name, value in left.items() if value is not None}

    @property
    def spent(self) -> Usage:
        """What was paid so far, before a resume too."""
        return self.tracker.total if self.live is None or not self._owns else self.live.spend.total

    def guarded(self, search: Callable[[], str | None], best: Callable[[str | None], Any]) -> Any:
        """Run the search, and return the best program of what it found, whatever ended it.

        Args:
            search: Does the work; returns why it ended early, or None.
            best: Makes the program, with its report, of what was found so far; gets why it ended early. None: there
                is nothing yet.

        Raises:
            CompileInterrupted: Ctrl-C; `.program` is the best so far.
            CompileStopped: Too many failures, or the run cannot be written down any more; `.program` too.
            RunDivergedError: A resumed run came to another result than before.
        """
        try:
            stopped = search()
        except KeyboardInterrupt as interrupt:
            program = self._ended("interrupted", "interrupted", best)
            kept = "the best program so far is in `.program`" if program is not None else "`.program` is None"
            raise CompileInterrupted(f"interrupted; {kept}{self._way_on()}", program=program) from interrupt
        except EvaluationError as error:
            program = self._ended("stopped", str(error), best)
            raise CompileStopped(str(error), results=error.results, program=program) from error.__cause__
        except RunDivergedError:
            raise
        except JournalError as error:
            self._leave(error)
            raise CompileStopped(str(error), program=best(str(error))) from error
        except (BudgetExceeded, LMOutageError) as error:
            stopped = stop_words(error)
        program = self._ended("finished" if stopped is None else "stopped", stopped, best)
        self._made = self._as_given(stopped) if program is None else program
        return self._made

    def _as_given(self, stopped: str | None) -> Any:
        """The end came before anything was found: the program as it was, and a report that says so."""
        program = self.student.deepcopy()
        self.note("nothing was finished: the program is as it was given")
        program.report = self.report(stopped=stopped)
        return program

    def _ended(self, status: str, stopped: str | None, best: Callable[[str | None], Any]) -> Any:
        if self.live is not None and status == "interrupted":
            self.live.outages.close()
        program = best(stopped)
        if self.live is not None and self._owns:
            report = getattr(program, "report", None)
            if status == "finished" and report is not None and report.stopped is not None:
                status, stopped = "stopped", report.stopped
            self.live.end(status, stopped, None if report is None else stable(report.to_dict()))
            if program is not None:
                try:
                    program.save(self.live.folder / "program.json")
                except StateError as error:
                    self.note(f"the program could not be saved in the run: {error}")
        return program

    def _leave(self, error: JournalError) -> None:
        """Go on without the journal, to bring out what was found."""
        live, self.live = self.live, None
        self.note(f"the run ended early: {error}", warn=True)
        if live is not None and self._owns:
            live.close()

    def _way_on(self) -> str:
        return "" if self.live is None else f"; run_dir={str(self.live.folder)!r} goes on from here"

    # Opening and closing

    def __enter__(self) -> Self:
        outer: Any = get_setting("run")  # in a process of an executor no `LiveRun`
        check_sendable(self.student, getattr(self.optimizer, "metric", None))
        try:
            if isinstance(outer, LiveRun) and self._run_dir is None:
                self.live, self.prefix = outer, f"{outer.nested(self._name)}/"
                self._folder = str(outer.folder)
            else:
                self._open()
            ambient: Budget | None = get_setting("budget")
            self._budget = for_run(self._given, ambient)
            self._check_budget()
            if self._given is not None and self._budget is not None and self.live is not None and self._owns:
                self._budget.carry(self.live.carried, self.live.carried_s)
            self._call = begin("compile", self.optimizer, {"student": self.student, **self._data})
        except BaseException:
            self._close()
            raise
        self._context = context(usage_tracker=self.tracker, budget=self._budget, run=self.live)
        self._context.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._context.__exit__(None, None, None)
        try:
            failed = isinstance(error, Exception) and not isinstance(error, CompileStopped)
            if failed and self.live is not None and self._owns:
                self.live.end("failed", f"{type(error).__name__}: {error}")
        finally:
            self._close()
            finish(self._call, None if error is not None else self._made, error)

    def _close(self) -> None:
        if self.live is not None and self._owns:
            self.live.close()

    def _open(self) -> None:
        identity = self._identity()
        asked = self._run_dir is not None
        name = f"{self._name}-{content_key(identity)[:8]}"
        folder = Path(self._run_dir) if self._run_dir is not None else new_folder(name, was_killed)
        about = {
            "trainset": len(self._data.get("trainset") or ()),
            "valset": len(self._data.get("valset") or ()),
        }
        try:
            self.live = LiveRun(folder, kind="compile", name=self._name, identity=identity, about=about)
        except JournalError as error:
            if asked:
                raise
            if isinstance(error, RunLockedError):  # somebody took it meanwhile: the next one
                return self._open()
            self.note(f"this compile is not kept and cannot be resumed: {error}", warn=True)
            return None
        self._owns, self._folder = True, str(folder)
        save_start(self.live.folder, self.student)
        tell_overlap(self.note, self._data)
        if self.live.resumed:
            spent = self.live.carried
            self.note(f"resumed {str(folder)!r}: {spent.calls:,} calls had been paid for", warn=not asked)
        else:
            logger = load("logging").getLogger("telic.optimizers")
            logger.info("%s: the run is kept in %s", self._name, folder)
        return None

    def _identity(self) -> dict[str, str]:
        """Return what the run is of: all that its result depends on, as digests by name."""
        optimizer = self.optimizer
        settings = {k: v for k, v in optimizer.identity().items() if k != "metric"}  # that one has its own
        metric = getattr(optimizer, "metric", None)
        identity = {
            "program": program_key(self.student, code=True),
            "settings": content_key(stable(settings)),
            "options": content_key(stable(self._options)),
            "lm": content_key(settings_key()),
            "version": VERSION,
        }
        if metric is not None:
            identity["metric"] = callable_key(metric)
        for name, value in self._data.items():
            if isinstance(value, (list, tuple)):
                identity[name] = content_key([example_key(row) for row in cast("list[Any]", value)])
            elif value is not None:
                identity[name] = program_key(value, code=True)
        return {name: value[:32] for name, value in identity.items()}

    def _check_budget(self) -> None:
        """Refuse a budget that does not even hold the first part of the work.

        Raises:
            ConfigurationError: It does not.
        """
        given = self._given
        if given is None or (self.live is not None and self.live.carried.calls):
            return
        zero = next((n for n in ("usd", "calls", "tokens", "seconds") if getattr(given, n) == 0), None)
        if zero is not None:
            raise ConfigurationError(
                f"Budget({zero}=0) allows no call, so {self._name} could do nothing; raise it, or leave budget= out"
            )
        if given.calls is None:
            return
        rows, held_out = self._data["trainset"], self._data.get("valset")
        work = self.optimizer._work(self.student, rows, held_out)  # pyright: ignore[reportPrivateUsage]
        plan = plan_of(self.student, work, rows, None, metric=getattr(self.optimizer, "metric", None))
        if given.calls < plan.least_calls:
            raise ConfigurationError(
                f"Budget(calls={given.calls:,}) is less than the {plan.least_calls:,} calls that {self._name} needs to "
                f"score the first program; plan: {plan.calls[0]:,} to {plan.calls[1]:,} calls. Raise it, or pass "
                "fewer rows as valset="
            )
