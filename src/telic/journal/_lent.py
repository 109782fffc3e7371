"""A run where its work is done elsewhere: another process has no journal, and sends back what belongs into it.

`LiveRun.lend()` is what is sent along with a piece of work: its step, the replies of it that came before, and how many
equal calls it has made. There, `LentRun` stands for the run: it gives those replies again, and notes the new ones with
what they cost. `LiveRun.take_back` writes them down here. So work that was done and is not kept as a step's result (a
row that failed, say) is worked out again from its replies, like that of this process; only what was under way when this
process ended is lost.

Whether an LM that fails is away is for the run to say, which knows of the calls of all: here the first failure is noted
and goes on, and the work is sent again from there, with the replies it has.
"""

from __future__ import annotations

import threading
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, NamedTuple, TypeVar, final

from telic.context import get as setting
from telic.context import pop, push
from telic.data import Usage
from telic.errors import LMError
from telic.journal._callers import Callers
from telic.journal._lines import Place, encode
from telic.journal._outage import PASSING
from telic.journal._replies import Slot, counted, kind_of, step_digest

T = TypeVar("T")

_HERE: Final = Place(0, 0)


class Lent(NamedTuple):
    """What is sent along with a piece of work."""

    step: str
    asked: Mapping[str, int]
    """How often its calls were made before, by their kind."""
    forms: Mapping[str, Any]
    """Replies that it had already, by their slot."""


class Returned(NamedTuple):
    """What comes back with it."""

    records: list[dict[str, Any]]
    """What is to be written down, as `replies.jsonl` holds it but for step and time."""
    asked: dict[str, int]
    """As in `Lent`."""
    away: LMError | None
    """The first failure of an LM that may pass."""


@final
class LentRun:
    """Stands for a run in another process; safe to use from any thread."""

    def __init__(self, lent: Lent) -> None:
        self.replies = self.outages = self  # as LMs ask them
        self._forms = lent.forms
        self._callers = Callers()
        self._lock = threading.Lock()  # protects the three below
        self._records: list[dict[str, Any]] = []
        self._asked = dict(lent.asked)
        self._away: LMError | None = None

    def returned(self) -> Returned:
        """Return what goes back."""
        with self._lock:
            return Returned(list(self._records), dict(self._asked), self._away)

    def claim(self, key: bytes) -> Slot:
        """Return the slot of a call that is about to be made."""
        kind = kind_of(setting("run_step"), key)
        with self._lock:
            number = self._asked.get(kind, 0)
            self._asked[kind] = number + 1
        name = f"{kind}.{number}"
        return Slot(name, _HERE if name in self._forms else None)

    def read(self, slot: Slot) -> Any:
        """Return a reply that came before."""
        return self._forms[slot.key]

    def keep(self, slot: Slot, value: Any, usage: Usage, *, model: str, cached: bool) -> None:
        """Note a reply.

        Raises:
            TypeError: The value holds what JSON does not.
        """
        encode({"v": value})
        self._note(model, usage, {"k": slot.key, "v": value, "c": int(cached)})

    def call_failed(self, model: str) -> None:
        """Note a call that was sent and failed."""
        self._note(model, Usage(calls=1), {"c": 0})

    def _note(self, model: str, usage: Usage, rest: Mapping[str, Any]) -> None:
        role, predictor = self._callers.present()
        record = {"r": role, "p": predictor, "m": model, "u": counted(usage), **rest}
        with self._lock:
            self._records.append(record)

    def ask(self, model: str, call: Callable[[], T]) -> T:
        """Make a call."""
        try:
            return call()
        except PASSING as error:
            self._failed(error)
            raise

    async def aask(self, model: str, call: Callable[[], Awaitable[T]]) -> T:
        """Same as `ask`, for tasks."""
        try:
            return await call()
        except PASSING as error:
            self._failed(error)
            raise

    def _failed(self, error: LMError) -> None:
        with self._lock:
            self._away = error if self._away is None else self._away

    def step(self, key: object, work: Callable[[], T], **_: Any) -> T:
        """Do work within the work; nothing of it is kept but its replies."""
        token = push("run_step", step_digest(key))
        try:
            return work()
        finally:
            pop(token)

    async def astep(self, key: object, work: Callable[[], Awaitable[T]], **_: Any) -> T:
        """Same as `step`, for tasks."""
        token = push("run_step", step_digest(key))
        try:
            return await work()
        finally:
            pop(token)
