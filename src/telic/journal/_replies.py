"""The replies of a run: every reply of an LM is written down before anybody sees it, and is there again on resume.

A reply is found by the step that the call was made in, by what was asked (model, messages, options, sample), and by how
many equal calls came before it in that step: a program that asks the same twice, without a cache, gets its two
replies back in their order. Steps run at once without getting in each other's way.

What calls cost is kept by role, predictor and model, so that a resumed run knows all that was ever paid for it.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple, final

from telic._hash import canonical_json
from telic._optional import load
from telic.data import NO_USAGE, Usage
from telic.journal._lines import LinesFile, Place, scan


class Spent(NamedTuple):
    """What one predictor's calls of one model cost, in one role."""

    role: str
    """"task", "teacher", "proposer", "judge" …."""
    predictor: str
    """Its path in the program; in other roles than task and teacher the name of its signature; "": none asked."""
    model: str
    usage: Usage


class Slot(NamedTuple):
    """The place of one call in a run."""

    key: str
    place: Place | None
    """Where its reply is kept, or None: it has to be asked for."""


@final
class Spend:
    """What was paid, by role, predictor and model. Not locked: its owner does that."""

    def __init__(self) -> None:
        self.usage: dict[tuple[str, str, str], Usage] = {}
        self.failed = 0
        """Calls that failed; in `usage` they count as calls."""
        self.replies = 0

    def add(self, record: Mapping[str, Any]) -> None:
        """Count a record of the file."""
        failed = "v" not in record
        self.failed += failed
        self.replies += not failed
        if record.get("c"):
            return  # from the cache: nothing was paid
        key = (record["r"], record.get("p", ""), record["m"])
        self.usage[key] = self.usage.get(key, NO_USAGE).plus(Usage(*record["u"]))

    def by_role(self) -> dict[str, Usage]:
        """Return what was paid for each role."""
        return self._by(0)

    def by_predictor(self) -> dict[str, Usage]:
        """Return what was paid for each predictor; roles other than task and teacher have names of their own."""
        return self._by(1)

    def by_model(self) -> dict[str, Usage]:
        """Return what was paid for each model."""
        return self._by(2)

    def by_part(self) -> dict[tuple[str, str, str], Usage]:
        """Return what was paid, as fine as it is known, by role, predictor and model."""
        return {key: self.usage[key] for key in sorted(self.usage)}

    def _by(self, part: int) -> dict[str, Usage]:
        found: dict[str, Usage] = {}
        for key in sorted(self.usage):
            found[key[part]] = found.get(key[part], NO_USAGE).plus(self.usage[key])
        return found

    @property
    def total(self) -> Usage:
        """Everything added up."""
        total = NO_USAGE
        for usage in self.usage.values():
            total = total.plus(usage)
        return total


@final
class Replies:
    """The file of replies, open for a run; safe to use from any thread.

    Args:
        path: The file.

    Raises:
        JournalError: It is damaged, or cannot be read or written.
    """

    def __init__(self, path: Path) -> None:
        self.spend = Spend()
        self.latest = 0.0
        """The run's clock at the last record, in seconds."""
        self._lock = threading.Lock()  # protects all below, and `spend`
        self._places: dict[str, Place] = {}
        self._asked: dict[str, int] = {}
        self._of_step: dict[str, list[str]] = {}
        self._asked_in: dict[str, Mapping[str, int]] = {}
        end = scan(path, self._load)
        self.file = LinesFile(path, end)

    def _load(self, place: Place, record: dict[str, Any]) -> None:
        if "v" in record:
            self._places[record["k"]] = place
            if "s" in record:
                self._of_step.setdefault(record["s"], []).append(record["k"])
        self.spend.add(record)
        self.latest = max(self.latest, record["at"])

    def claim(self, step: str, key: bytes) -> Slot:
        """Return the slot of the next call of this kind in a step; each call claims one, whether kept or not."""
        kind = kind_of(step, key)
        with self._lock:
            number = self._asked.get(kind, 0)
            self._asked[kind] = number + 1
            name = f"{kind}.{number}"
            return Slot(name, self._places.get(name))

    def holds(self, slot: str) -> bool:
        """Whether the reply of a slot is kept."""
        return slot in self._places

    def keep(
        self,
        slot: Slot,
        value: Any,
        usage: Usage,
        *,
        role: str,
        predictor: str,
        model: str,
        cached: bool,
        at: float,
    ) -> None:
        """Write a reply down.

        Raises:
            JournalError: It cannot be written.
            TypeError: The value holds what JSON does not.
        """
        record = {
            "k": slot.key, "r": role, "p": predictor, "m": model, "c": int(cached), "u": counted(usage),
            "at": round(at, 3), "v": value,
        }  # fmt: skip
        self._append(record)

    def failed(self, *, role: str, predictor: str, model: str, at: float) -> None:
        """Count a call that failed: it is not repeated on resume unless it is made again."""
        record = {
            "r": role, "p": predictor, "m": model, "c": 0, "u": [0, 0, 0, 0, 0.0, 1], "at": round(at, 3),
        }  # fmt: skip
        self._append(record)

    def _append(self, record: dict[str, Any]) -> None:
        place = self.file.append(record)
        with self._lock:
            self._load(place, record)

    # What another process works on

    def lend(self, step: str) -> tuple[Mapping[str, int], dict[str, Any]]:
        """Return how often calls were made in a step that was lent, by kind, and the replies that it has, by slot."""
        with self._lock:
            places = [(name, self._places[name]) for name in self._of_step.get(step, ())]
            asked = self._asked_in.get(step, {})
        return asked, {name: self.file.read(place)["v"] for name, place in places}

    def take_back(
        self, step: str, records: Sequence[Mapping[str, Any]], at: float, asked: Mapping[str, int] | None
    ) -> None:
        """Write down what calls came to that were made elsewhere.

        Args:
            step: Of the run.
            records: As the file holds them, without step and time.
            at: The run's clock.
            asked: How often calls of each kind were made in all; None: the work is sent again.

        Raises:
            JournalError: They cannot be written.
        """
        for record in records:
            self._append({**record, "s": step, "at": round(at, 3)})
        if asked is not None:
            with self._lock:
                self._asked_in[step] = asked

    def read(self, slot: Slot) -> Any:
        """Return the value of a slot that has a place."""
        assert slot.place is not None
        return self.file.read(slot.place)["v"]


def counted(usage: Usage) -> list[Any]:
    """Return usage as the file holds it, of one call at least."""
    return list(usage if usage.calls else usage._replace(calls=1))


def kind_of(step: str, key: bytes) -> str:
    """Return what equal calls of a step have in common."""
    return sha256(step.encode() + b"\0" + key).hexdigest()[:24]


def step_digest(key: object) -> str:
    """Return what a step is known by."""
    orjson = load("orjson")  # for each row of an evaluation: three times as fast as canonical JSON
    try:
        text: bytes = orjson.dumps(key, option=orjson.OPT_SORT_KEYS)
    except TypeError:  # large integers, lone surrogates, odd objects
        text = canonical_json(key)
    return sha256(text).hexdigest()[:32]
