"""What a run keeps of its batch jobs (`batches.jsonl`), so that a killed run pays for none of them twice.

Before a job is made, it is written down which calls are in it, under a mark that goes to the server with it; after, its
id. A run that is opened again finds its calls in these jobs: by their slot, the place that the journal gives a call, or
else by what they ask, for where equal calls share one answer, another of them may be the one that asks now.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Final, NamedTuple, final

from telic.journal import LinesFile, scan

if TYPE_CHECKING:
    from telic.journal import LiveRun, Place

BATCHES: Final = "batches.jsonl"


@final
class KeptJob:
    """A job of an earlier part of the run.

    Attributes:
        mark: Its mark.
        id: As the server calls it; None: its making was not confirmed.
        work: Fetches its answers, once.
    """

    def __init__(self, mark: str) -> None:
        self.mark = mark
        self.id: str | None = None
        self.work: Any = None


class Sent(NamedTuple):
    """A request that is in a job."""

    job: KeptJob
    number: int
    slot: str


@final
class Ledger:
    """The jobs of one run; used on one event loop.

    Args:
        run: Whose; None: calls outside of runs, of which nothing is kept.

    Raises:
        JournalError: The file is damaged, or cannot be read or written.
    """

    def __init__(self, run: LiveRun | None) -> None:
        self._run = run
        self._jobs: dict[str, KeptJob] = {}
        self._sent: dict[
            str, list[Sent]
        ] = {}  # by digest; those whose answer is asked for again are taken out
        self._file: LinesFile | None = None
        if run is not None:
            path = run.folder / BATCHES
            self._file = LinesFile(path, scan(path, self._load))

    def _load(self, place: Place, record: dict[str, Any]) -> None:
        del place
        mark = record["mark"]
        if "id" in record:
            self._jobs[mark].id = record["id"]
            return
        self.put_back(mark, None, record["calls"])

    def put_back(self, mark: str, identity: str | None, calls: Sequence[Sequence[str]]) -> None:
        """Let the calls of a job be found when they are made again, for their answers were not fetched yet."""
        job = self._jobs[mark] = KeptJob(mark)
        job.id = identity
        for number, (slot, digest) in enumerate(calls):
            self._sent.setdefault(digest, []).append(Sent(job, number, slot))

    def return_(self, digest: str, sent: Sent) -> None:
        """Undo a `take`."""
        self._sent.setdefault(digest, []).append(sent)

    def intend(self, mark: str, calls: Sequence[tuple[str, str]]) -> None:
        """Write down what a job is about to be made of: slot and digest of each request."""
        self._write({"mark": mark, "calls": calls})

    def made(self, mark: str, identity: str) -> None:
        """Write down that it was made."""
        self._write({"mark": mark, "id": identity})

    def _write(self, record: dict[str, Any]) -> None:
        if self._file is not None:
            self._file.append(record)
            self._file.sync()

    def take(self, slot: str, digest: str) -> Sent | None:
        """Return where a call was sent before, and take it out; None: it was not."""
        known = self._sent.get(digest, [])
        found = next((one for one in known if one.slot == slot), None)
        if found is None and self._run is not None:
            holds = self._run.replies.holds
            found = next((one for one in known if not holds(one.slot)), None)
        if found is not None:
            known.remove(found)
        return found


def digest_of(body: bytes) -> str:
    """Return what stands for a request."""
    return sha256(body).hexdigest()[:24]
