"""What models in this process share: a request while it is answered, and the ways to wait for it.

An engine works on *jobs*, one for each completion that is asked for, and rings a job's bell when it is done. A thread
waits for a bell, a task for one that its loop rings, and a stream takes pieces of text and rings out of one queue.
"""

from __future__ import annotations

import contextlib
import queue
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from typing import Any, Final, Generic, Protocol, TypeVar, final

from telic._optional import load
from telic.data import Completion, Response, Usage
from telic.protocols import Delta


class Bell(Protocol):
    """What is rung when a job is done."""

    def set(self) -> None:
        """Ring, from any thread."""
        ...


class Generating(Protocol):
    """One completion while it is generated."""

    @property
    def text(self) -> str:
        """What there is so far."""
        ...

    @property
    def finish_reason(self) -> str:
        """Why it ended; "" while it has not."""
        ...

    @property
    def error(self) -> BaseException | None:
        """What stopped it."""
        ...

    @property
    def done(self) -> bool:
        """Whether nothing more will come."""
        ...

    @property
    def generated(self) -> int:
        """How many tokens were generated."""
        ...

    @property
    def reused(self) -> int:
        """How many tokens of the prompt had been read before."""
        ...

    def cancel(self) -> None:
        """Stop it."""
        ...


JobT = TypeVar("JobT", bound=Generating)


class Generation(ABC, Generic[JobT]):
    """One request while it is answered.

    Args:
        model: The LM's name.
        prompt_tokens: How long the prompt is.
        jobs: One for each completion that is asked for.
    """

    def __init__(self, model: str, prompt_tokens: int, jobs: Sequence[JobT]) -> None:
        self.model: Final = model
        self.jobs: Final = list(jobs)
        self._prompt_tokens = prompt_tokens

    @property
    def done(self) -> bool:
        """Whether all completions are there."""
        return all(job.done for job in self.jobs)

    def cancel(self) -> None:
        """Stop what is not done."""
        for job in self.jobs:
            if not job.done:
                job.cancel()

    @abstractmethod
    def completion(self, job: JobT) -> Completion:
        """Return what came of a job."""

    def response(self) -> Response:
        """Return what was generated; raise what stopped it."""
        for job in self.jobs:
            if job.error is not None:
                raise job.error
        usage = Usage(
            input_tokens=self._prompt_tokens,
            output_tokens=sum(job.generated for job in self.jobs),
            cached_input_tokens=min((job.reused for job in self.jobs), default=0),
            cost_usd=0.0,
            calls=1,
        )
        return Response(tuple(self.completion(job) for job in self.jobs), usage, self.model)


@final
class LoopBell:
    """Wakes a task of an event loop.

    Args:
        loop: The task's loop.
    """

    def __init__(self, loop: Any) -> None:
        self._loop = loop
        self._rung: Any = load("asyncio").Event()

    def set(self) -> None:
        """Ring, from any thread; a loop that is closed has nobody left to wake."""
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._rung.set)

    async def wait(self, call: Generation[Any]) -> Response:
        """Return the response once all jobs are done; where the task is cancelled, stop them."""
        try:
            while not call.done:
                await self._rung.wait()
                self._rung.clear()
        finally:
            call.cancel()
        return call.response()


class Pieces:
    """Pieces of text on their way to a thread that reads a stream; it is its jobs' bell, too."""

    def __init__(self) -> None:
        self._queue: queue.SimpleQueue[Delta | None] = queue.SimpleQueue()

    def put(self, piece: Delta | None) -> None:
        """Give a piece to the reader, from any thread; None: a job is done, and all its pieces came before."""
        self._queue.put(piece)

    def set(self) -> None:
        """Ring."""
        self.put(None)

    def giver(self, index: int) -> Callable[[str], None]:
        """Return a function that gives text of a completion to the reader."""
        return lambda text: self.put(Delta(text=text, index=index))

    def of(self, call: Generation[Any]) -> Iterator[Delta]:
        """Yield the pieces, and last the whole response; stop the jobs where the reader leaves."""
        open_ends = len(call.jobs)
        try:
            while open_ends:
                piece = self._queue.get()
                if piece is None:
                    open_ends -= 1
                else:
                    yield piece
            yield Delta(response=call.response())
        finally:
            call.cancel()


@final
class LoopPieces(Pieces):
    """Pieces of text on their way to a task that reads a stream.

    Args:
        loop: The task's loop.
    """

    def __init__(self, loop: Any) -> None:
        self._loop = loop
        self._pieces: Any = load("asyncio").Queue()

    def put(self, piece: Delta | None) -> None:
        """Give a piece to the reader, from any thread; one whose loop is closed has left."""
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._pieces.put_nowait, piece)

    async def read(self, call: Generation[Any]) -> AsyncIterator[Delta]:
        """Yield the pieces, and last the whole response; stop the jobs where the reader leaves."""
        open_ends = len(call.jobs)
        try:
            while open_ends:
                piece = await self._pieces.get()
                if piece is None:
                    open_ends -= 1
                else:
                    yield piece
            yield Delta(response=call.response())
        finally:
            call.cancel()
