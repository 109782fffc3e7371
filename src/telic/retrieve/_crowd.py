"""Callers that come while a search is under way are searched for together.

A search reads all vectors, whether for one query or for thirty; so those who come while one is under way wait for its
end, and the first of them searches for all who are waiting by then. A caller who comes alone waits for nobody.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar, cast, final

Ask = TypeVar("Ask")
Answer = TypeVar("Answer")


@final
class _Turn(Generic[Ask, Answer]):
    """One caller: what is asked, and what came of it."""

    __slots__ = ("answer", "ask", "awake", "done", "error")

    def __init__(self, ask: Ask) -> None:
        self.ask = ask
        self.awake = threading.Event()  # it is done, or it is this caller's turn to search
        self.done = False
        self.answer: Answer | None = None
        self.error: Exception | None = None


@final
class Crowd(Generic[Ask, Answer]):
    """Joins calls that come at the same time.

    Args:
        work: Answers several asks at once, in their order.
        largest: How many it answers at once at most.
    """

    def __init__(self, work: Callable[[Sequence[Ask]], Sequence[Answer]], largest: int) -> None:
        self._work = work
        self._largest = largest
        self._begin_anew()

    def _begin_anew(self) -> None:
        self._process = os.getpid()
        self._lock = threading.Lock()  # protects the two below
        self._waiting: list[_Turn[Ask, Answer]] = []
        self._busy = False

    def run(self, ask: Ask) -> Answer:
        """Return the answer to one ask.

        Raises:
            Exception: What `work` raised for the asks that were answered together.
        """
        if self._process != os.getpid():  # a forked child: who was searching is a thread of the parent
            self._begin_anew()
        turn: _Turn[Ask, Answer] = _Turn(ask)
        with self._lock:
            self._waiting.append(turn)
            waits = self._busy
            self._busy = True
        try:
            if waits:
                turn.awake.wait()
            if not turn.done:
                self._serve()
        except BaseException:
            self._leave(turn)  # interrupted: the others are not
            raise
        if turn.error is not None:
            raise turn.error
        return cast("Answer", turn.answer)

    def _serve(self) -> None:
        """Answer those who wait, this caller among the first; then wake the next one."""
        with self._lock:
            served = self._waiting[: self._largest]
        try:
            answers = self._work([turn.ask for turn in served])
            for turn, answer in zip(served, answers, strict=True):
                turn.answer = answer
        except Exception as error:  # noqa: BLE001  it is raised where each of them asked
            for turn in served:
                turn.error = error
        with self._lock:
            for turn in served:
                turn.done = True
                turn.awake.set()
            self._waiting = [turn for turn in self._waiting if not turn.done]  # some may have left meanwhile
            self._pass_on()

    def _leave(self, turn: _Turn[Ask, Answer]) -> None:
        with self._lock:
            if turn.done or turn not in self._waiting:
                return
            was_searching = self._waiting[0] is turn
            self._waiting.remove(turn)
            if was_searching:
                self._pass_on()

    def _pass_on(self) -> None:
        """Let the first who waits search; called with the lock."""
        if self._waiting:
            self._waiting[0].awake.set()
        else:
            self._busy = False

    def __reduce__(self) -> tuple[type[Crowd[Ask, Answer]], tuple[object, int]]:
        return Crowd, (self._work, self._largest)  # locks do not travel
