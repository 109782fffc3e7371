"""`Run`: what a folder tells of a run, while it works, after it ended, or after it was killed. It changes nothing."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeVar, cast, final

from telic.data import Usage
from telic.errors import JournalError
from telic.journal._lines import Place, scan
from telic.journal._lock import is_locked, read_holder
from telic.journal._places import JOURNAL, REPLIES, find_run
from telic.journal._replies import Spend, Spent

T = TypeVar("T")


class RunCandidate(NamedTuple):
    """A program that a run has tried."""

    label: str
    path: Path
    """Its saved state."""
    score: float | None
    """Mean in percent; None: not evaluated."""
    interval: tuple[float, float] | None
    """95 % interval of the score."""
    record: Mapping[str, Any]
    """All that was written down; `spent` is what the run had paid by then: calls, tokens, usd."""

    def load(self, program: T) -> T:
        """Load its state into `program`, one of the same shape, and return it."""
        return cast("Any", program).load(self.path)


@final
class Run:
    """A run, looked at.

    Args:
        folder: Its folder, or its name (or the beginning of it) among the user's runs.

    Raises:
        JournalError: There is no run, or its journal is damaged.
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self.folder: Path = find_run(folder)
        self._header: dict[str, Any] = {}
        self._candidates: list[dict[str, Any]] = []
        self._end: dict[str, Any] | None = None
        self._opened: dict[str, Any] = {}
        self._seconds = 0.0
        self.events: int = 0
        """How many records the journal has."""
        self.steps: int = 0
        """How many of them are results of steps."""
        self.notes: list[str] = []
        scan(self.folder / JOURNAL, self._load)
        if not self._header:
            raise JournalError(
                f"{str(self.folder)!r} is a run that was killed before it had written anything down: delete the folder",
                folder=str(self.folder),
            )
        self._spend: Spend | None = None

    def _load(self, place: Place, record: dict[str, Any]) -> None:
        del place
        self.events += 1
        self._seconds = max(self._seconds, record.get("at", 0.0))
        event = record.get("e")
        if event == "run":
            self._header = record
        elif event == "step":
            self.steps += 1
        elif event == "candidate":
            self._candidates.append(record)
        elif event == "open":
            self._opened, self._end = record, None
        elif event == "end":
            self._end = record
        elif event == "note" and record["text"] not in self.notes:  # a resumed run says it again
            self.notes.append(record["text"])

    @property
    def name(self) -> str:
        """What ran: the optimizer's class."""
        return self._header["name"]

    @property
    def kind(self) -> str:
        """What kind of run: "compile" or "evaluate"."""
        return self._header["kind"]

    @property
    def identity(self) -> Mapping[str, str]:
        """What the run is of, as digests by name."""
        return self._header["identity"]

    @property
    def about(self) -> Mapping[str, Any]:
        """What else was noted at its beginning."""
        return self._header["about"]

    @property
    def began(self) -> str:
        """When it was opened last, in UTC."""
        return self._opened.get("utc", "")

    @property
    def status(self) -> str:
        """One of "running", "killed", or how it ended: "finished", "stopped", "interrupted", "failed"."""
        if self._end is not None:
            return self._end["status"]
        return "running" if is_locked(self.folder) else "killed"

    @property
    def holder(self) -> Mapping[str, Any]:
        """`pid` and `host` of the process that works on it now; {} where none does."""
        return read_holder(self.folder) if self.status == "running" else {}

    @property
    def why(self) -> str | None:
        """What stopped it, if anything."""
        return None if self._end is None else self._end.get("why")

    @property
    def report(self) -> Mapping[str, Any] | None:
        """The report of a run that ended, as plain data."""
        return None if self._end is None else self._end.get("result")

    @property
    def seconds(self) -> float:
        """How long it has worked."""
        return max(self._seconds, self._latest_reply)

    @property
    def candidates(self) -> Sequence[RunCandidate]:
        """The programs it has tried, best first; those without a score last."""
        return sorted(
            (_candidate(self.folder, record) for record in self._candidates),
            key=lambda one: -float("inf") if one.score is None else one.score,
            reverse=True,
        )

    @property
    def best(self) -> RunCandidate | None:
        """The candidate with the highest score."""
        scored = [one for one in self.candidates if one.score is not None]
        return scored[0] if scored else None

    def load(self, program: T, candidate: str | None = None) -> T:
        """Load the state of a candidate into `program` and return it.

        Args:
            program: One of the shape that was compiled.
            candidate: Its label; None: the best so far.

        Raises:
            JournalError: There is none.
            StateError: It does not fit.
        """
        known = {one.label: one for one in self.candidates}
        chosen = self.best if candidate is None else known.get(candidate)
        if chosen is None:
            there = f"there are {', '.join(map(repr, known))}" if known else "it has none yet"
            raise JournalError(
                f"the run {self.folder.name!r} has no candidate {candidate or 'with a score'!r}; {there}",
                folder=str(self.folder),
            )
        return chosen.load(program)

    @property
    def spend(self) -> Mapping[str, Usage]:
        """What was paid, by role."""
        return self._replies.by_role()

    @property
    def spend_parts(self) -> Sequence[Spent]:
        """What was paid, by role, predictor and model."""
        return [Spent(*part, usage) for part, usage in self._replies.by_part().items()]

    @property
    def spend_by_model(self) -> Mapping[str, Usage]:
        """What was paid, by model."""
        return self._replies.by_model()

    @property
    def total_spend(self) -> Usage:
        """What was paid."""
        return self._replies.total

    @property
    def failed_calls(self) -> int:
        """Calls of LMs that failed."""
        return self._replies.failed

    @property
    def _latest_reply(self) -> float:
        _ = self._replies
        return self._reply_at

    @property
    def _replies(self) -> Spend:
        if self._spend is None:
            spend, latest = Spend(), 0.0

            def count(place: Place, record: dict[str, Any]) -> None:
                nonlocal latest
                del place
                spend.add(record)
                latest = max(latest, record["at"])

            scan(self.folder / REPLIES, count)
            self._spend, self._reply_at = spend, latest
        return self._spend

    def __repr__(self) -> str:
        return f"Run({self.folder.name!r}: {self.name}, {self.status}, {len(self._candidates)} candidates)"


def _candidate(folder: Path, record: dict[str, Any]) -> RunCandidate:
    interval = record.get("interval")
    low, high = cast("list[Any]", interval) if isinstance(interval, list) else (None, None)
    return RunCandidate(
        record["k"],
        folder / record["file"],
        record.get("score"),
        None if low is None or high is None else (low, high),
        record,
    )


def was_killed(folder: Path) -> bool:
    """Return whether the run in a folder is not at work and never came to an end; False where it cannot be read."""
    try:
        return Run(folder).status == "killed"
    except JournalError:
        return False
