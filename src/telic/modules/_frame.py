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

import threading
from typing import TYPE_CHECKING, Any, Final, final

from telic._replay import ACTIVE
from telic.context import get as setting
from telic.data import AssertionOutcome, Prediction, Step
from telic.errors import AssertionFailed
from telic.modules._script import Asked, Done, Record, Script, forget_ended
from telic.modules._value_copy import value_copy

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

    from telic.modules._script import OpenCall


@final
class Backtrack(BaseException):
    """Ends a `forward` that is to run again. No `Exception`: code that handles errors does not stop it."""

    def __init__(self, frame: Frame) -> None:
        super().__init__("an assertion lets this module's forward run again")
        self.frame = frame


_TRACES: Final = threading.Lock()  # two frames may take steps out of one trace


@final
class Frame:
    """One module call under way.

    Args:
        module: The module; None: no call, but a loop around calls, to which nothing goes back.
        parent: The frame around it.
    """

    __slots__ = ("born", "module", "outcomes", "parent", "records", "run", "script", "used")

    def __init__(self, module: Any, parent: Frame | None) -> None:
        self.module = module
        self.parent = parent
        self.records: list[Record] = []
        self.outcomes: list[AssertionOutcome] = []
        self.script: Script | None = None if parent is None else parent.script
        self.used: dict[tuple[str, int, int], int] | None = None
        self.run = 0
        self.born = 0 if parent is None else parent.run

    def chain(self) -> Iterator[Frame]:
        """Yield this frame and those around it that are module calls."""
        frame: Frame | None = self
        while frame is not None:
            if frame.module is not None:
                yield frame
            frame = frame.parent

    def is_current(self, run: int) -> bool:
        """Whether what was begun in a run of this frame still belongs to a run that has not been given up.

        Tasks of `asyncio.gather` go on after one of them has ended the run, and threads may be left behind.
        """
        frame = self
        while frame.run == run:
            if frame.parent is None:
                return True
            run, frame = frame.born, frame.parent
        return False

    def given_up(self) -> Frame | None:
        """Return the frame around this one whose run, in which this one was begun, was given up; None: none was."""
        frame = self
        while (parent := frame.parent) is not None:
            if parent.run != frame.born:
                return parent
            frame = parent
        return None

    # Predictor calls

    def recall(self, predictor: Any, call: OpenCall) -> Prediction | None:
        """Return what the call was answered with in the run before; None: it is to be made now.

        Where an assertion has it asked again, `call.note` says so.

        Raises:
            Exception: What the call raised.
        """
        call.run = self.run
        script = self.script
        if script is None:
            return None
        found: Asked | None = self._find(call)
        if found is None:
            if script.waits:
                call.note = script.pending(predictor, self._count(predictor, script))
            if call.note is not None:
                call.note.pending = False
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

    def _count(self, predictor: Any, script: Script) -> int:
        """Return how many calls of a predictor there were so far in the run that `script` belongs to."""
        count, frame = 0, self
        while True:
            count += sum(type(r) is Asked and r.predictor is predictor for r in frame.records)
            if frame.parent is None or frame.parent.script is not script:
                return count
            frame = frame.parent

    def answered(self, predictor: Any, call: OpenCall, prediction: Prediction) -> bool:
        """Record a call that was answered; False: too late, its run was given up."""
        if not self.is_current(call.run):
            return False
        if self.module is None:
            return True
        record = Asked(predictor, call)
        record.prediction = prediction
        if prediction._completions is not None:  # pyright: ignore[reportPrivateUsage]  (parsing is not enough)
            record.rows = value_copy(prediction.completions.rows())
        if record.note is not None:
            prediction.note_assertions((), record.note.correction)
        self.records.append(record)
        return True

    def failed(self, predictor: Any, call: OpenCall, error: Exception) -> None:
        """Record a call that raised."""
        if self.module is not None and self.is_current(call.run):
            record = Asked(predictor, call)
            record.error = error
            self.records.append(record)

    # Other steps; see `telic._replay`

    def step(self, callee: Any, inputs: Any, work: Callable[[], Any]) -> Any:
        """Return what the step returned in the run before, else that of `work()`."""
        if self.module is None:
            return work()
        record = Done(callee, inputs)
        if (found := self._found(record)) is not None:
            return found.recall()
        before, run = len(self.records), self.run
        try:
            result = work()
        except Exception as error:
            self._keep(record, before, run, error=error)
            raise
        self._keep(record, before, run, result)
        return result

    async def astep(self, callee: Any, inputs: Any, work: Callable[[], Awaitable[Any]]) -> Any:
        """`step` for coroutines."""
        if self.module is None:
            return await work()
        record = Done(callee, inputs)
        if (found := self._found(record)) is not None:
            return found.recall()
        before, run = len(self.records), self.run
        try:
            result = await work()
        except Exception as error:
            self._keep(record, before, run, error=error)
            raise
        self._keep(record, before, run, result)
        return result

    def _found(self, record: Done) -> Done | None:
        found: Done | None = self._find(record)
        if found is None or found.stale:
            return None
        self.records.append(found)
        return found

    def _find(self, asked: Any) -> Any:
        script = self.script
        if script is None:
            return None
        found = script.find(asked)
        if found is None and (emitter := setting("send_stream")) is not None:
            for record in script.void():
                if type(record) is Asked:
                    emitter.backtracked(record.predictor, record.call_id, "the steps before it have changed")
        return found

    def _keep(
        self, record: Done, before: int, run: int, result: Any = None, error: Exception | None = None
    ) -> None:
        if not self.is_current(run):
            return
        record.inner = self.records[before:]
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
        again = [r for r in self.records if type(r) is Asked and r.note is not None and r.note.pending]
        for record in self.records:
            if type(record) is Done and record.inner:
                record.stale = any(one in record.inner for one in again)
        self.script = Script(self.records, None if base is None or base.ended else base)
        self.records = []
        self.outcomes = []
        self.run += 1

    def close(self) -> None:
        """Hand over to the frame around this one."""
        parent = self.parent
        if parent is None:
            forget_ended()
        elif self.is_current(self.run):
            parent.outcomes.extend(self.outcomes)
            if parent.module is not None:
                parent.records.extend(self.records)


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
        """End the block."""
        forget_ended()
        _reset(self._token)
