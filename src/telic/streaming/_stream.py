"""`Stream`: the events of one run of a program, for `for` and for `async for`.

The program starts when the first event is asked for. It runs in a thread of its own, or as a task of the reader's
loop, in the context in which the stream was made; the reader holds it back when it does not read. Leaving early
(`close`, the end of a `with` block, a `break`, a cancelled task) calls the program off: its LM calls end, their
connections are closed, and none begins.
"""

from __future__ import annotations

import contextvars
import sys
import threading
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final, Self, final

from telic._cancel import CancelScope
from telic._optional import load
from telic.errors import InputError, ProgramError
from telic.streaming._channel import TaskChannel, ThreadChannel
from telic.streaming._events import Event, Failed, Finished
from telic.streaming._run import ProgramCall, run_as_task, run_in_this_thread

if TYPE_CHECKING:
    import asyncio
    from types import TracebackType

    from telic.data import Usage

_GRACE_S: Final = 5.0
"""How long `close` waits for the program's own code, which nothing can interrupt."""


@final
class Stream:
    """The events of one run; an iterator and an async iterator, to be read once, in one of the two ways.

    Args:
        program: A module, or any function, sync or async.
        args: Its inputs by position, if any.
        inputs: Its inputs by name.
        pieces: Also give the pieces of LMs' replies, as `LMDelta`.

    An error of the program is the event `Failed`, and is raised where the next event is asked for.

    Cost: what the program costs. Reading adds no LM call.
    """

    def __init__(
        self, program: Any, args: tuple[Any, ...], inputs: Mapping[str, Any], *, pieces: bool = False
    ) -> None:
        self._call = ProgramCall(program, args, inputs, pieces)
        self._context = contextvars.copy_context()
        self._scope = CancelScope()
        self._channel: ThreadChannel | TaskChannel | None = None
        self._thread: threading.Thread | None = None
        self._task: asyncio.Task[None] | None = None
        self._loop: Any = None
        self._last: Finished | Failed | None = None
        self._ended = False

    # Reading in plain code

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Event:
        channel = self._channel
        if channel is None:
            channel = self._start_thread()
        if self._ended or not isinstance(channel, ThreadChannel):
            self._check_way(ThreadChannel)
            raise StopIteration
        try:
            event: Event | None = channel.get()
        except BaseException:  # Ctrl-C
            self._leave()
            raise
        if event is None:
            self._end()
            raise StopIteration
        return self._noted(event)

    def result(self) -> Any:
        """Read to the end and return the prediction.

        Raises:
            ProgramError: The stream was closed before.
            Exception: What the program raised.
        """
        for _ in self:
            pass
        return self._prediction()

    def close(self) -> None:
        """Call the program off, and wait some seconds for its own code to end. Idempotent."""
        self._leave()
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join(_GRACE_S)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # Reading in a task

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Event:
        channel = self._channel
        if channel is None:
            channel = self._start_task()
        if self._ended or not isinstance(channel, TaskChannel):
            self._check_way(TaskChannel)
            raise StopAsyncIteration
        try:
            event: Event | None = await channel.get()
        except BaseException:  # the reading task was cancelled
            self._leave()
            raise
        if event is None:
            self._end()
            raise StopAsyncIteration
        return self._noted(event)

    async def aresult(self) -> Any:
        """Same as `result`, for tasks."""
        async for _ in self:
            pass
        return self._prediction()

    async def aclose(self) -> None:
        """Same as `close`, for tasks."""
        self._leave()
        if self._task is not None and self._task is not load("asyncio").current_task():
            await load("asyncio").wait([self._task], timeout=_GRACE_S)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    # After the end

    @property
    def prediction(self) -> Any:
        """What the program returned; None before it has."""
        return self._last.prediction if isinstance(self._last, Finished) else None

    @property
    def usage(self) -> Usage | None:
        """What its LM calls used; None before its end."""
        return None if self._last is None else self._last.usage

    def __del__(self) -> None:
        if getattr(self, "_channel", None) is not None and not sys.is_finalizing():
            self._leave()

    def __repr__(self) -> str:
        state = "ended" if self._ended else "not begun" if self._channel is None else "under way"
        return f"Stream({type(self._call.program).__name__}, {state})"

    # Inside. What runs holds no reference to the stream, so that one that is dropped is called off.

    def _start_thread(self) -> ThreadChannel:
        channel = self._channel = ThreadChannel()
        self._thread = threading.Thread(
            target=self._context.run,
            args=(run_in_this_thread, self._call, channel, self._scope),
            name="telic-stream",
            daemon=True,
        )
        self._thread.start()
        return channel

    def _start_task(self) -> TaskChannel:
        channel = self._channel = TaskChannel()
        loop = self._loop = load("asyncio").get_running_loop()
        work = run_as_task(self._call, channel, self._scope)
        self._task = loop.create_task(work, context=self._context)
        return channel

    def _noted(self, event: Event) -> Event:
        if isinstance(event, (Finished, Failed)):
            self._last = event
        return event

    def _end(self) -> None:
        self._ended = True
        if isinstance(self._last, Failed):
            raise self._last.error

    def _leave(self) -> None:
        if self._ended:
            return
        self._ended = True
        self._scope.cancel()
        if self._channel is None:
            self._channel = ThreadChannel()  # closed before it began: it never will
            return
        task, loop = self._task, self._loop
        if task is None or loop is None:
            self._channel.leave()
            return
        if load("asyncio")._get_running_loop() is loop:
            self._call_off(task, self._channel)
        else:
            try:
                loop.call_soon_threadsafe(self._call_off, task, self._channel)
            except RuntimeError:
                return  # the loop is closed, and its tasks with it

    @staticmethod
    def _call_off(task: Any, channel: ThreadChannel | TaskChannel) -> None:
        channel.leave()
        task.cancel()

    def _check_way(self, way: type) -> None:
        if not self._ended and not isinstance(self._channel, way):
            raise InputError(
                "this stream is being read in the other way (`for` or `async for`); make another with program.stream(…)"
            )

    def _prediction(self) -> Any:
        if isinstance(self._last, Finished):
            return self._last.prediction
        raise ProgramError("this stream was closed before the program had returned")
