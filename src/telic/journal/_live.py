"""`LiveRun`: a run at work. What it has paid for it has written down before anybody uses it.

Two files in the run's folder, both append-only (`_lines`): `journal.jsonl` holds the header (what the run is of), the
results of steps, candidates, decisions and the end; `replies.jsonl` every reply of an LM. `step(key, work)` does work
once: its result is kept under `key`, the content of all that it depends on, and is there at once when the same run is
opened again. A step that was cut short is worked on anew, and gets the replies that had come already. So whoever does
all costly work in steps can be killed at any moment, and needs no code for it.

While the block of `active()` runs, the setting `run` holds the run: the LMs, `Evaluate` and the optimizers' teachers
find it there.

When lines reach the disk: the operating system has them at once (a killed process loses nothing); the device has
them within a second (`SYNC_S`), and at the end of the run (a crash of the machine loses a second at most).
"""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Awaitable, Callable, Generator, Mapping
from contextlib import contextmanager
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, Final, TypeVar, final

from telic._hash import content_key
from telic.context import get as setting
from telic.context import pop, push
from telic.data import Usage
from telic.errors import RunDivergedError, RunMismatchError
from telic.journal._callers import Callers
from telic.journal._lent import Lent, Returned
from telic.journal._lines import LinesFile, Place, scan
from telic.journal._lock import RunLock
from telic.journal._outage import Outages
from telic.journal._places import JOURNAL, REPLIES, make_folder
from telic.journal._replies import Replies, Slot, Spend, step_digest
from telic.journal._values import Unstorable, pack, unpack

T = TypeVar("T")

FORMAT: Final = 1
"""The version of the folder's layout; another one is refused."""
SYNC_S: Final = 1.0

_WHAT_COUNTS: Final = (
    ". Of a program counts its code, too, and what its modules hold; what a call leaves behind belongs into "
    "attributes whose names begin with _"
)


@final
class LiveRun:
    """A run, open for work; only one at a time for each folder.

    Args:
        folder: Made if it is not there. One that holds a run is resumed.
        kind: "compile" or "evaluate".
        name: What runs: the optimizer's class.
        identity: What the run is of, as digests by name (program, trainset, metric …): a run is only resumed with the
            same.
        about: More for readers (a command line, sizes); not compared.

    Raises:
        RunLockedError: Somebody else works on it.
        RunMismatchError: It is another run.
        JournalError: The folder cannot be used.
    """

    def __init__(
        self,
        folder: Path,
        *,
        kind: str,
        name: str,
        identity: Mapping[str, str],
        about: Mapping[str, Any] | None = None,
    ) -> None:
        self.folder = folder
        make_folder(folder)
        self._lock_file = RunLock(folder)
        try:
            self._open(kind, name, dict(identity), {} if about is None else dict(about))
        except BaseException:
            self._lock_file.release()
            raise

    def _open(self, kind: str, name: str, identity: dict[str, str], about: dict[str, Any]) -> None:
        self._lock = threading.Lock()  # protects the tables below
        self._steps: dict[str, Place] = {}
        self._decisions: dict[str, str] = {}
        self._candidates: dict[str, dict[str, Any]] = {}
        self._nested: dict[str, int] = {}
        self._header: dict[str, Any] | None = None
        self._latest = 0.0
        self._closed = threading.Event()
        self._syncer: threading.Thread | None = None
        self._tap: Callable[[str], object] | None = setting("journal_tap")
        end = scan(self.folder / JOURNAL, self._load)
        if self._header is not None:
            self._check(self._header, kind, name, identity)
        self._callers = Callers()
        self.outages = Outages(setting("outage_patience"))
        self.replies = Replies(self.folder / REPLIES)
        self.carried = Usage(*self.replies.spend.total)
        """What earlier parts of this run had paid."""
        self.carried_s: float = max(self._latest, self.replies.latest)
        """How long they had worked, in seconds."""
        self.resumed: bool = self._header is not None
        self._started = time.monotonic()
        self._file = LinesFile(self.folder / JOURNAL, end)
        if self._header is None:
            self._append(
                {
                    "e": "run",
                    "format": FORMAT,
                    "kind": kind,
                    "name": name,
                    "identity": identity,
                    "about": about,
                }
            )
        self._append({"e": "open", "pid": os.getpid(), "host": socket.gethostname(), "utc": _now()})

    def _load(self, place: Place, record: dict[str, Any]) -> None:
        event = record.get("e")
        self._latest = max(self._latest, record.get("at", 0.0))
        if event == "run":
            self._header = record
        elif event == "step":
            self._steps[record["k"]] = place
        elif event == "decision":
            self._decisions[record["k"]] = record["digest"]
        elif event == "candidate":
            self._candidates[record["k"]] = record

    def _check(self, header: Mapping[str, Any], kind: str, name: str, identity: dict[str, str]) -> None:
        folder = str(self.folder)
        if header.get("format") != FORMAT:
            raise RunMismatchError(
                f"{folder!r} holds a run of format {header.get('format')!r}, and this telic works with {FORMAT}: "
                "finish it with the version that began it, or choose another run_dir",
                folder=folder,
                changed=("format",),
            )
        known: dict[str, str] = {**header["identity"], "kind": header["kind"], "optimizer": header["name"]}
        present = {**identity, "kind": kind, "optimizer": name}
        changed = [part for part in {**known, **present} if known.get(part) != present.get(part)]
        if changed:
            raise RunMismatchError(
                f"{folder!r} holds another run: {', '.join(changed)} {'is' if len(changed) == 1 else 'are'} not what "
                "it was begun with, so its results would not fit; choose another run_dir for this one (or put "
                f"back what was changed to go on with that one){_WHAT_COUNTS if 'program' in changed else ''}",
                folder=folder,
                changed=changed,
            )

    # Work

    def step(
        self,
        key: object,
        work: Callable[[], T],
        *,
        packed: Callable[[T], Any] = pack,
        unpacked: Callable[[Any], T] = unpack,
    ) -> T:
        """Return the result of `work()`, or, without calling it, what is kept of an equal step of this run.

        Args:
            key: All that the result depends on, in JSON's terms: equal keys are the same step.
            work: Does it. What it raises is not kept; nor is a result that `packed` refuses: such a step is worked
                out again on resume, from the replies that came.
            packed: The result's exact JSON form; raises `Unstorable` where there is none.
            unpacked: The way back.

        Raises:
            JournalError: The result cannot be written down.
            LMOutageError: An LM stayed away, also where the work caught that.
        """
        digest = step_digest(key)
        place = self._steps.get(digest)
        if place is not None:
            return unpacked(self._file.read(place)["v"])
        token = push("run_step", digest)
        try:
            value = work()
        finally:
            pop(token)
        self._keep(digest, value, packed)
        return value

    async def astep(
        self,
        key: object,
        work: Callable[[], Awaitable[T]],
        *,
        packed: Callable[[T], Any] = pack,
        unpacked: Callable[[Any], T] = unpack,
    ) -> T:
        """Same as `step`, for tasks."""
        digest = step_digest(key)
        place = self._steps.get(digest)
        if place is not None:
            return unpacked(self._file.read(place)["v"])
        token = push("run_step", digest)
        try:
            value = await work()
        finally:
            pop(token)
        self._keep(digest, value, packed)
        return value

    def _keep(self, digest: str, value: T, packed: Callable[[T], Any]) -> None:
        if self.outages.ended is not None:
            raise self.outages.ended
        try:
            form = packed(value)
        except Unstorable:
            return
        place = self._append({"e": "step", "k": digest, "v": form})
        with self._lock:
            self._steps[digest] = place

    def decide(self, label: str, value: Any) -> None:
        """Write down a decision, or check that a resumed run makes the same one.

        Args:
            label: Which; once in a run.
            value: What was decided, in JSON's terms.

        Raises:
            RunDivergedError: It was another one before.
        """
        digest = content_key(value)
        known = self._decisions.get(label)
        if known is None:
            self._append({"e": "decision", "k": label, "v": value, "digest": digest})
            with self._lock:
                self._decisions[label] = digest
        elif known != digest:
            raise RunDivergedError(
                f"the resumed run in {str(self.folder)!r} came to another result at {label!r} than it is recorded: "
                "the program, the metric or a tool gives another answer each time. Begin anew in another run_dir",
                folder=str(self.folder),
                step=label,
            )

    def candidate(self, label: str, record: Mapping[str, Any], save: Callable[[Path], object]) -> None:
        """Write down a candidate, with its program in a file of its own; once for each label.

        Args:
            label: Which; once in a run.
            record: Its score and whatever a reader wants, in JSON's terms.
            save: Writes its program to a path, whole or not at all.

        Raises:
            RunDivergedError: A candidate of that label scored otherwise before.
        """
        known = self._candidates.get(label)
        plain = dict(record)
        if known is None:
            number = len(self._candidates)
            path = Path("candidates") / f"{number:04d}.json"
            save(self.folder / path)
            paid = self.spend.total
            spent = {"calls": paid.calls, "tokens": paid.total_tokens, "usd": paid.cost_usd}
            kept = {"e": "candidate", "k": label, "file": path.as_posix(), "spent": spent, **plain}
            self._append(kept)
            with self._lock:
                self._candidates[label] = kept
        elif known.get("score") != plain.get("score"):
            raise RunDivergedError(
                f"the resumed run in {str(self.folder)!r} scored candidate {label!r} {plain.get('score')!r}, and it is "
                f"recorded with {known.get('score')!r}: the program, the metric or a tool gives another answer each "
                "time. Begin anew in another run_dir",
                folder=str(self.folder),
                step=label,
            )

    def nested(self, name: str) -> str:
        """Return a label for a compile within this run; the same ones on resume, as they come one after another."""
        with self._lock:
            number = self._nested.get(name, 0) + 1
            self._nested[name] = number
        return f"{name} {number}"

    def note(self, text: str) -> None:
        """Write a line for readers."""
        self._append({"e": "note", "text": text})

    # Replies of LMs

    def claim(self, key: bytes) -> Slot:
        """Return the slot of a call that is about to be made in the present step."""
        return self.replies.claim(setting("run_step"), key)

    def keep(self, slot: Slot, value: Any, usage: Usage, *, model: str, cached: bool) -> None:
        """Write the reply of a slot down."""
        self._tapped("reply")
        role, predictor = self._callers.present()
        self.replies.keep(
            slot, value, usage, role=role, predictor=predictor, model=model, cached=cached, at=self.seconds
        )
        self._sync_soon()

    def call_failed(self, model: str) -> None:
        """Count a call that was sent and failed."""
        role, predictor = self._callers.present()
        self.replies.failed(role=role, predictor=predictor, model=model, at=self.seconds)

    def lend(self) -> Lent:
        """Return what goes along with the work of the present step to another process; see `LentRun`."""
        step = setting("run_step")
        return Lent(step, *self.replies.lend(step))

    def take_back(self, step: str, returned: Returned) -> None:
        """Write down what the calls of lent work came to."""
        if returned.records:
            self._tapped("reply")
            self.replies.take_back(
                step, returned.records, self.seconds, returned.asked if returned.away is None else None
            )
            self._sync_soon()

    # State

    @property
    def seconds(self) -> float:
        """How long this run has worked, parts before a resume included."""
        return self.carried_s + time.monotonic() - self._started

    @property
    def spend(self) -> Spend:
        """What was paid, parts before a resume included."""
        return self.replies.spend

    @contextmanager
    def active(self) -> Generator[LiveRun]:
        """Make this the run that work in the block belongs to."""
        token = push("run", self)
        try:
            yield self
        finally:
            pop(token)

    def end(self, status: str, why: str | None = None, result: Mapping[str, Any] | None = None) -> None:
        """Write down how the run ended.

        Args:
            status: "finished", "stopped", "interrupted" or "failed".
            why: What stopped it.
            result: The report, in JSON's terms.
        """
        self._append(
            {"e": "end", "status": status, "why": why, "result": None if result is None else dict(result)}
        )

    def close(self) -> None:
        """Let go of the folder; once is enough."""
        self.outages.close()
        self._closed.set()
        try:
            self.replies.file.close()
            self._file.close()
        finally:
            self._lock_file.release()

    def _append(self, record: dict[str, Any]) -> Place:
        self._tapped(record["e"])
        place = self._file.append({**record, "at": round(self.seconds, 3)})
        self._sync_soon()
        return place

    def _tapped(self, event: str) -> None:
        if self._tap is not None:
            self._tap(event)

    def _sync_soon(self) -> None:
        if self._syncer is not None:
            return
        with self._lock:
            if self._syncer is None:
                self._syncer = threading.Thread(target=self._sync, name="telic-journal", daemon=True)
                self._syncer.start()

    def _sync(self) -> None:
        while not self._closed.wait(SYNC_S):
            self.replies.file.sync()
            self._file.sync()


def _now() -> str:
    return datetime.now(timezone.utc).isoformat(timespec="seconds")  # noqa: UP017  3.11 has both
