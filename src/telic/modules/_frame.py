"""`Frame`: one module call under way, what it has called so far, and how it runs again after a failed assertion.

A frame records the steps of its `forward`: predictor calls, direct LM calls, retrieval, tools, with what came of each.
An assertion that does not hold raises `Backtrack`, which ends `forward` and is caught by the frame that holds the call
to be asked again. Its `forward` then runs anew, and steps are answered from the `Script` of the run before: nothing is
called twice. One call is marked to be asked again; its new answer usually changes what the next steps are called
with, and a step that is not in the script ends it: from there on, all calls are live.

Frames form a chain through a context variable, so threads and tasks each see their own. A frame that is done hands
its records and outcomes to the one around it, whose turn to run again may come later.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Awaitable, Callable, Mapping
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Final, final

from telic._replay import ACTIVE
from telic.context import get as setting
from telic.data import AssertionOutcome, Correction, Prediction, Step
from telic.errors import AssertionFailed
from telic.modules._value_copy import value_copy

if TYPE_CHECKING:
    from collections.abc import Iterator

    OpenCall = Any  # of `_predict`, which stands above this file


@final
class Backtrack(BaseException):
    """Ends a `forward` that is to run again. No `Exception`: code that handles errors does not stop it."""

    def __init__(self, frame: Frame) -> None:
        super().__init__("an assertion lets this module's forward run again")
        self.frame = frame


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
        if message not in self.feedback:
            self.feedback.append(message)
        self.pending = True
        self.said[name] = message
        self.used[name] = self.used.get(name, 0) + 1

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

    __slots__ = ("call", "note", "prediction", "predictor", "rows")

    def __init__(self, predictor: Any, call: OpenCall) -> None:
        self.predictor = predictor
        self.call = call
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

    __slots__ = ("callee", "inputs", "result")

    def __init__(self, callee: Any, inputs: Any) -> None:
        self.callee = callee
        self.inputs = value_copy(inputs)
        self.result: Any = None
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


# A script ends where a step is not in it. Branches that run at the same time (threads, tasks) end it each for itself:
# the variable goes with the branch's own context. What comes after them sees `missed`, in the thread or task that
# began the run. So what is called again does not depend on which branch was faster.
_ENDED: Final[ContextVar[tuple[Script, ...]]] = ContextVar("telic_ended_scripts", default=())


@final
class Script:
    """The records of a run, to answer the next one from.

    Args:
        records: In the order in which they were made.
        base: The script that the frame around is answered from.
    """

    def __init__(self, records: list[Record], base: Script | None) -> None:
        self._left = records
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


_TRACES: Final = threading.Lock()  # two frames may take steps out of one trace


@final
class Frame:
    """One module call under way.

    Args:
        module: The module; None: no call, but a loop around calls, to which nothing goes back.
        parent: The frame around it.
    """

    __slots__ = ("module", "outcomes", "parent", "records", "script", "used")

    def __init__(self, module: Any, parent: Frame | None) -> None:
        self.module = module
        self.parent = parent
        self.records: list[Record] = []
        self.outcomes: list[AssertionOutcome] = []
        self.script: Script | None = None if parent is None else parent.script
        self.used: dict[tuple[str, int, int], int] | None = None

    def chain(self) -> Iterator[Frame]:
        """Yield this frame and those around it that are module calls."""
        frame: Frame | None = self
        while frame is not None:
            if frame.module is not None:
                yield frame
            frame = frame.parent

    # Predictor calls

    def recall(self, predictor: Any, call: OpenCall) -> Prediction | None:
        """Return what the call was answered with in the run before; None: it is to be made now.

        Where an assertion has it asked again, `call.note` says so.

        Raises:
            Exception: What the call raised.
        """
        if self.script is None:
            return None
        found: Asked | None = self.script.find(call)
        if found is None:
            return None
        call.note = found.note
        if found.note is not None and found.note.pending:
            found.note.pending = False
            return None
        call.again = found.call.again
        if found.error is not None:
            self.failed(predictor, call, found.error)
            raise found.error
        return found.fresh()

    def answered(self, predictor: Any, call: OpenCall, prediction: Prediction) -> None:
        """Record a call that was answered."""
        record = Asked(predictor, call)
        record.prediction = prediction
        if prediction._completions is not None:  # pyright: ignore[reportPrivateUsage]  (parsing is not enough)
            record.rows = value_copy(prediction.completions.rows())
        if record.note is not None:
            prediction.note_assertions((), record.note.correction)
        self.records.append(record)

    def failed(self, predictor: Any, call: OpenCall, error: Exception) -> None:
        """Record a call that raised."""
        record = Asked(predictor, call)
        record.error = error
        self.records.append(record)

    # Other steps; see `telic._replay`

    def step(self, callee: Any, inputs: Any, work: Callable[[], Any]) -> Any:
        """Return what the step returned in the run before, else that of `work()`."""
        record = Done(callee, inputs)
        if (found := self._found(record)) is not None:
            return found.recall()
        try:
            result = work()
        except Exception as error:
            self._keep(record, None, error)
            raise
        self._keep(record, result, None)
        return result

    async def astep(self, callee: Any, inputs: Any, work: Callable[[], Awaitable[Any]]) -> Any:
        """`step` for coroutines."""
        record = Done(callee, inputs)
        if (found := self._found(record)) is not None:
            return found.recall()
        try:
            result = await work()
        except Exception as error:
            self._keep(record, None, error)
            raise
        self._keep(record, result, None)
        return result

    def _found(self, record: Done) -> Done | None:
        found: Done | None = None if self.script is None else self.script.find(record)
        if found is not None:
            self.records.append(found)
        return found

    def _keep(self, record: Done, result: Any, error: Exception | None) -> None:
        record.result = value_copy(result)
        record.error = error
        self.records.append(record)

    # Running again, ending

    def rewind(self) -> None:
        """Forget this run, and answer the next one from it."""
        trace: list[Step] | None = setting("trace")
        if trace is not None:
            _take_out(trace, {id(r.prediction) for r in self.records if type(r) is Asked})
        base = None if self.parent is None else self.parent.script
        self.script = Script(self.records, None if base is None or base.ended else base)
        self.records = []
        self.outcomes = []

    def close(self) -> None:
        """Hand over to the frame around this one."""
        parent = self.parent
        if parent is not None:
            parent.records.extend(self.records)
            parent.outcomes.extend(self.outcomes)
        elif _ENDED.get():
            _ENDED.set(())


def _take_out(trace: list[Step], predictions: set[int]) -> None:
    with _TRACES:
        for index in range(len(trace) - 1, -1, -1):
            if id(trace[index].prediction) in predictions:
                del trace[index]


def run_framed(module: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Return `module.forward(…)`, which runs again as often as assertions ask for it."""
    frame = Frame(module, ACTIVE.get())
    token = ACTIVE.set(frame)
    try:
        while True:
            try:
                return _marked(frame, module.forward(*args, **kwargs))
            except Backtrack as signal:
                if signal.frame is not frame:
                    raise
            frame.rewind()
    except AssertionFailed as failure:
        failure.outcomes = tuple(frame.outcomes)
        raise
    finally:
        frame.close()
        _reset(token)


async def arun_framed(module: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """`run_framed` for `aforward`."""
    frame = Frame(module, ACTIVE.get())
    token = ACTIVE.set(frame)
    try:
        while True:
            try:
                return _marked(frame, await module.aforward(*args, **kwargs))
            except Backtrack as signal:
                if signal.frame is not frame:
                    raise
            frame.rewind()
    except AssertionFailed as failure:
        failure.outcomes = tuple(frame.outcomes)
        raise
    finally:
        frame.close()
        _reset(token)


def _marked(frame: Frame, result: Any) -> Any:
    """Note on a module's prediction what became of its assertions."""
    if frame.outcomes and isinstance(result, Prediction):
        result.note_assertions(frame.outcomes, result.get_correction())
    return result


def _reset(token: Any) -> None:
    try:
        ACTIVE.reset(token)
    except ValueError:  # a coroutine that is closed in another task than it was begun in
        return


@final
class watched:  # noqa: N801  reads as a verb: with watched() as seen: …
    """A block whose calls begin anew: what is asserted in it goes back to nothing outside, and is in `outcomes`."""

    def __enter__(self) -> Frame:
        frame = Frame(None, None)
        self._token = ACTIVE.set(frame)
        return frame

    def __exit__(self, *_: object) -> None:
        _reset(self._token)
