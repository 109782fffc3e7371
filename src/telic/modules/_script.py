"""The steps of a run, and the script that they make for the next one.

A script answers each call from the record of the same call. A call that is in no record ends it: from there on, all
calls are live. Branches that run at the same time (threads, tasks) end it each for itself: that it has ended is noted
in the branch's own context. What comes after the branches, in the thread or task that began the run, sees `_missed`. So
what is called again does not depend on which branch was faster.
"""

from __future__ import annotations

import sys
import threading
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Final, final

from telic.context import get as setting
from telic.data import Correction, Prediction
from telic.modules._value_copy import value_copy
from telic.tracing import ACTIVE_CALL_ID

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    OpenCall = Any  # of `_predict`, which stands above this file


@final
class Note:
    """What assertions have said about one predictor call, over all runs."""

    __slots__ = ("attempts", "feedback", "past", "pending", "said", "used", "warned")

    def __init__(self) -> None:
        self.attempts = 0
        self.feedback: list[str] = []
        self.past: Mapping[str, Any] = {}
        self.pending = False  # it is to be asked again when the next run comes to it
        self.used: dict[str, int] = {}  # by the name of the assertion: how often it had it asked again
        self.said: dict[str, str] = {}  # by the name of the assertion: its last message
        self.warned: set[str] = set()

    def refuse(self, past: Mapping[str, Any], message: str, name: str) -> None:
        """Note that the assertion `name` refused the outputs `past`, and have the call asked again."""
        self.attempts += 1
        self.past = past
        self.pending = True
        self.used[name] = self.used.get(name, 0) + 1
        self.hear(message, name)

    def hear(self, message: str, name: str) -> None:
        """Note why the assertion `name` refused it."""
        if message not in self.feedback:
            self.feedback.append(message)
        self.said[name] = message

    @property
    def correction(self) -> Correction:
        """The note as a value."""
        return Correction(dict(self.past), tuple(self.feedback), self.attempts)


class Record:
    """A step with what came of it."""

    __slots__ = ("error",)
    error: Exception | None

    def same(self, other: Any) -> bool:
        """Whether `other` is the same call."""
        raise NotImplementedError


@final
class Asked(Record):
    """A predictor call. It is the same as another if both send the same request to the same LM."""

    __slots__ = ("call", "call_id", "note", "prediction", "predictor", "role", "rows")

    def __init__(self, predictor: Any, call: OpenCall) -> None:
        self.predictor = predictor
        self.call = call
        self.call_id = ACTIVE_CALL_ID.get()
        self.role: str = setting("role")
        self.note: Note | None = call.note
        self.prediction: Any = None
        self.rows: list[dict[str, Any]] | None = None
        self.error = None

    def same(self, other: Any) -> bool:
        """Whether an `OpenCall` is about to send the same."""
        if type(other) is not type(self.call):
            return False
        mine, theirs = self.call.request, other.request
        return (
            self.call.lm is other.lm
            and mine.sample == theirs.sample
            and _equal(mine.messages, theirs.messages)
            and _equal(mine.options, theirs.options)
        )

    def fresh(self) -> Prediction:
        """Return what was answered, as it was before `forward` could change it."""
        made = self.prediction
        if self.rows is not None:
            rows = value_copy(self.rows)
            return Prediction.of(rows[0], response=made._response, completions=rows)
        asked = self.call if self.call.again is None else self.call.again
        return asked.read(made._response)  # type: ignore[return-value]  # it was read once, and will be


@final
class Done(Record):
    """A call of anything else: an LM directly, a tool, a retriever."""

    __slots__ = ("callee", "inner", "inputs", "result", "stale")

    def __init__(self, callee: Any, inputs: Any) -> None:
        self.callee = callee
        self.inputs = value_copy(inputs)
        self.result: Any = None
        self.inner: Sequence[Record] = ()
        """What was recorded while it ran: a tool may ask predictors of its own."""
        self.stale = False
        """Whether it has to run again, since one of these is to be asked again."""
        self.error = None

    def same(self, other: Any) -> bool:
        """Whether another one calls the same with the same."""
        return (
            type(other) is Done
            and (self.callee is other.callee or _equal(self.callee, other.callee))
            and _equal(self.inputs, other.inputs)
        )

    def recall(self) -> Any:
        """Return or raise what came of it."""
        if self.error is not None:
            raise self.error
        return value_copy(self.result)


def _equal(one: Any, other: Any) -> bool:
    try:
        return bool(one == other)
    except Exception:  # noqa: BLE001  arrays and other foreign values: not known to be equal
        return False


_ENDED: Final[ContextVar[tuple[Script, ...]]] = ContextVar("telic_ended_scripts", default=())


@final
class Script:
    """The records of a run, to answer the next one from.

    Args:
        records: In the order in which they were made.
        base: The script that the frame around is answered from.
    """

    def __init__(self, records: list[Record], base: Script | None) -> None:
        self._left = list(records)
        self._records = records
        self._again = [r for r in records if type(r) is Asked and r.note is not None and r.note.pending]
        self._base = base
        self._missed = False
        self._lane = _lane()
        self._lock = threading.Lock()  # two branches must not be given one record

    def find(self, asked: Any) -> Any:
        """Return the first record of this call that was not returned before; None: there is none, or it has ended."""
        if self.ended:
            return None
        script: Script | None = self
        while script is not None:
            if not script.ended and (found := script._take(asked)) is not None:
                return found
            script = script._base
        self._end()
        return None

    def _take(self, asked: Any) -> Any:
        with self._lock:
            for index, record in enumerate(self._left):
                if record.same(asked):
                    return self._left.pop(index)
        return None

    @property
    def waits(self) -> bool:
        """Whether a call of this thread or task is still to be asked again."""
        return any(r.note is not None and r.note.pending for r in self._again) and _lane() == self._lane

    def pending(self, predictor: Any, nth: int) -> Note | None:
        """Return the note of a call that is to be asked again, and is met in other words: the n-th of its predictor.

        So it is asked again also where `forward` puts the time of day, or chance, into what it asks.
        """
        for record in self._records:
            if type(record) is Asked and record.predictor is predictor:
                if nth == 0:
                    note = record.note
                    return note if note is not None and note.pending else None
                nth -= 1
        return None

    def void(self) -> list[Record]:
        """Return what an ended script still holds, once: steps of the run before that do not come again."""
        if not self.ended or _lane() != self._lane:
            return []
        with self._lock:
            left, self._left = self._left, []
        return left

    @property
    def ended(self) -> bool:
        """Whether calls made here are live."""
        return self in _ENDED.get() or (self._missed and _lane() == self._lane)

    def _end(self) -> None:
        script: Script | None = self
        ended = _ENDED.get()
        while script is not None:
            script._missed = True
            ended = (*ended, script)
            script = script._base
        _ENDED.set(ended)


def _lane() -> tuple[int, int]:
    """Return what tells this thread and task from others that run now."""
    asyncio = sys.modules.get("asyncio")
    task = None
    if asyncio is not None and asyncio._get_running_loop() is not None:
        task = asyncio.current_task()
    return threading.get_ident(), id(task)


def forget_ended() -> None:
    """Forget which scripts have ended here: the outermost call is done."""
    if _ENDED.get():
        _ENDED.set(())
