"""Rows that take too long, among many that run side by side: they are given up, and the others go on.

A thread cannot be stopped. So a sync row runs in a thread of its own, which is left behind: it goes on until its next
LM call, which is refused, and holds up neither the others nor the end of the process. An async row is cancelled.
"""

from __future__ import annotations

import contextvars
import threading
import time
from collections.abc import Callable, Coroutine
from typing import Any, final

from telic._optional import load
from telic.budget import Budget
from telic.context import context
from telic.context import get as setting
from telic.errors import ProgramTimeoutError


@final
class Stragglers:
    """The watch over the rows of one run.

    Args:
        timeout: Seconds that a row may take.
        limit: Rows are given up only while at most so many are unfinished; None: however many there are.
        total: How many rows there are.
    """

    def __init__(self, timeout: float, limit: int | None, total: int) -> None:
        self._timeout = timeout
        self._limit = total if limit is None else limit
        self._unfinished = total
        self._changed = threading.Condition()  # guards `_unfinished` and the ends of rows
        self._wakes: list[Callable[[], object]] = []

    def run(self, work: Callable[[], Any]) -> Any:
        """Run one row, and wait for it as long as it may take.

        Raises:
            ProgramTimeoutError: It was given up.
        """
        row = _Row(work)
        try:
            row.start(self._changed)
            with self._changed:
                while not row.ended:
                    left = (
                        None
                        if self._unfinished > self._limit
                        else row.started + self._timeout - time.monotonic()
                    )
                    if left is not None and left <= 0:
                        raise self._given_up()
                    self._changed.wait(left)
        except BaseException:
            row.give_up()
            raise
        finally:
            self._finished()
        return row.result()

    async def arun(self, work: Coroutine[Any, Any, Any]) -> Any:
        """Run one row on the loop, and cancel it when it takes too long.

        Raises:
            ProgramTimeoutError: It was cancelled.
        """
        asyncio = load("asyncio")
        started = time.monotonic()
        task, few = asyncio.ensure_future(work), asyncio.ensure_future(self._few(asyncio))
        try:
            await asyncio.wait({task, few}, return_when=asyncio.FIRST_COMPLETED)
            if not task.done():
                await asyncio.wait({task}, timeout=max(0.0, started + self._timeout - time.monotonic()))
            if task.done():
                return task.result()
            task.cancel()
            await asyncio.wait({task})
            raise self._given_up()
        finally:
            few.cancel()
            task.cancel()
            self._finished()

    async def _few(self, asyncio: Any) -> None:
        """Wait until so few rows are unfinished that they may be given up; from then on it is so."""
        event, loop = asyncio.Event(), asyncio.get_running_loop()
        with self._changed:
            if self._unfinished <= self._limit:
                return
            self._wakes.append(lambda: loop.call_soon_threadsafe(event.set))
        await event.wait()

    def _finished(self) -> None:
        with self._changed:
            self._unfinished -= 1
            self._changed.notify_all()
            wakes, self._wakes = (self._wakes, []) if self._unfinished <= self._limit else ([], self._wakes)
        for wake in wakes:
            wake()

    def _given_up(self) -> ProgramTimeoutError:
        return ProgramTimeoutError(
            f"the row was given up after {self._timeout:g} s; raise `timeout`, or give its LM a shorter one"
        )


@final
class _Row:
    """One row in a thread of its own."""

    __slots__ = ("_budget", "_error", "_outer", "_trace", "_value", "_work", "ended", "started")

    def __init__(self, work: Callable[[], Any]) -> None:
        self._work = work
        self._budget = Budget(parent=setting("budget"))
        self._outer: list[Any] | None = setting("trace")
        self._trace: list[Any] | None = None if self._outer is None else []
        self._value: Any = None
        self._error: BaseException | None = None
        self.ended = False
        self.started = time.monotonic()

    def start(self, changed: threading.Condition) -> None:
        carried = contextvars.copy_context()
        threading.Thread(target=carried.run, args=(self._run, changed), name="telic-row", daemon=True).start()

    def _run(self, changed: threading.Condition) -> None:
        try:
            with context(budget=self._budget, trace=self._trace):
                self._value = self._work()
        except BaseException as error:  # noqa: BLE001  raised where the row is waited for
            self._error = error
        with changed:
            self.ended = True
            changed.notify_all()

    def give_up(self) -> None:
        """Refuse all further LM calls of the row."""
        self._budget.calls = 0

    def result(self) -> Any:
        """Return what it returned, or raise what it raised; only now its steps reach the trace outside."""
        if self._outer is not None and self._trace is not None:
            self._outer += self._trace
        if self._error is not None:
            raise self._error
        return self._value


def watch(timeout: float | None, limit: int | None, total: int) -> Stragglers | None:
    """Return what watches over `total` rows; None where they may take as long as they like."""
    return None if timeout is None or timeout == 0 else Stragglers(timeout, limit, total)
