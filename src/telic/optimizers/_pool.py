"""Threads that pull work from one source, which decides what is worth doing next.

A list of jobs is not enough for a search: whether the next run is needed depends on what the last ones found, and many
candidates share the threads. So the source is asked for work whenever a thread is free, and told of every result; both
happen one at a time, under the pool's lock, so that a source is ordinary sequential code. What a search decides must
depend on the indices of its work, never on the order in which results come in: then any number of threads finds the
same.

Threads are started when they are needed. With one thread the work runs in the caller's own.
"""

from __future__ import annotations

import contextvars
import math
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, NamedTuple, final

from telic.errors import ConfigurationError

if TYPE_CHECKING:
    from telic.evaluate import EvaluationResult

_GRACE_S: Final = 5.0
"""How long work in flight may still take after Ctrl-C: it is paid for, but a stalled server must not hold us."""


class Task(NamedTuple):
    """A piece of work, and who is told of its result."""

    work: Callable[[], Any]
    """Runs in a thread, in a copy of the caller's context."""
    done: Callable[[Any, Exception | None], None]
    """Gets the value, or the error that `work` raised; under the pool's lock. What it raises ends the run."""


class Standing(NamedTuple):
    """How far a source is, for people."""

    done: int
    total: int | None
    """None: not known."""
    words: str = ""


def told_best(result: EvaluationResult) -> str:
    """Return the best so far with its 95 % interval, for people.

    Example:
        >>> from telic.data import Example, Prediction
        >>> from telic.evaluate import EvaluationResult, Row
        >>> told_best(EvaluationResult([Row(i, Example(), Prediction(), float(i > 0)) for i in range(4)]))
        'best 75.0 % [30–95]'
    """
    low, high = result.interval
    return f"best {result.score:.1f} %" + ("" if math.isnan(low) else f" [{100 * low:.0f}–{100 * high:.0f}]")


class Source(ABC):
    """Where work comes from. All methods are called under the pool's lock."""

    @abstractmethod
    def take(self) -> Task | None:
        """Return work that is ready, or None: nothing is until a result comes in (or ever).

        What it raises ends the run.
        """

    @property
    @abstractmethod
    def finished(self) -> bool:
        """Whether nothing is worth starting any more; work in flight is still waited for and told of."""

    @abstractmethod
    def standing(self) -> Standing:
        """Return how far it is."""


def run_pool(source: Source, num_threads: int, watch: Callable[[Standing], None] | None = None) -> None:
    """Run what `source` gives until it is finished, `num_threads` pieces at once.

    Args:
        source: Where the work comes from.
        num_threads: How many pieces run at once.
        watch: Told how far the source is, after each result.

    Raises:
        Exception: What a `done` raised; no more was started and work in flight was waited for.
        KeyboardInterrupt: Ctrl-C, or raised by the work itself; work in flight was waited for, at most a few
            seconds, or until a second Ctrl-C. What it finds later is not told to the source any more.
        ConfigurationError: `num_threads` is below 1.
    """
    if num_threads < 1:
        raise ConfigurationError(f"num_threads must be 1 or more, got {num_threads!r}")
    pool = _Pool(source, num_threads, watch)
    if num_threads == 1:
        pool.work()
    else:
        pool.run_threads()
    if pool.failure is not None:
        raise pool.failure


@final
class _Pool:
    def __init__(self, source: Source, num_threads: int, watch: Callable[[Standing], None] | None) -> None:
        self.failure: BaseException | None = None
        self._source = source
        self._watch = watch
        self._num_threads = num_threads
        self._carried = contextvars.copy_context()
        self._changed = threading.Condition(threading.Lock())  # protects the source and the counts below
        self._threads = 0
        self._idle = 0
        self._in_flight = 0
        self._ended = 0
        self._more_wanted = False
        self._left = False
        """Nobody waits any more: the source is the caller's again, and not to be touched."""
        self._signal = threading.Semaphore(0)
        """Wakes the caller's thread: a thread is wanted, or has ended."""

    def run_threads(self) -> None:
        """Start threads as they are wanted, and wait until all have ended.

        Only this thread starts others: it gets its turn when the working ones wait for something. Where they never do
        (every reply comes from a cache) few threads are started, and they do not get into each other's way.
        """
        self._more_wanted = True  # the first one
        self._signal.release()
        until: float | None = None
        while self._more_wanted or self._ended < self._threads:
            try:
                if not self._signal.acquire(
                    timeout=None if until is None else max(0.0, until - time.monotonic())
                ):
                    break
                with self._changed:
                    start = self._more_wanted and self._threads < self._num_threads and not self._over
                    self._more_wanted = False
                if start:
                    self._start_thread()
            except KeyboardInterrupt as interrupt:
                if self.failure is not None:
                    break
                self._fail(interrupt)
                self._more_wanted = False
            if until is None and isinstance(self.failure, KeyboardInterrupt):
                until = time.monotonic() + _GRACE_S
        with self._changed:
            self._left = True

    @property
    def _over(self) -> bool:
        return self.failure is not None or self._source.finished

    def _start_thread(self) -> None:
        thread = threading.Thread(target=self._thread, name=f"telic-pool-{self._threads}", daemon=True)
        self._threads += 1  # before: an interrupt that comes while it starts must not leave it uncounted
        try:
            thread.start()
        except RuntimeError:  # the system allows no more: those that run do the work
            self._threads -= 1
            if not self._threads:
                raise
            self._num_threads = self._threads

    def _thread(self) -> None:
        try:
            self.work()
        finally:
            with self._changed:
                self._ended += 1
            self._signal.release()

    def work(self) -> None:
        """Do work until there is none left."""
        while (task := self._next()) is not None:
            value, error = None, None
            try:
                value = self._carried.copy().run(task.work)
            except Exception as raised:  # noqa: BLE001 - a failure is a result: the source decides
                error = raised
            except BaseException as stop:  # noqa: BLE001 - an interrupt: handed to the thread that waits
                self._fail(stop)
                return
            self._tell(task, value, error)

    def _next(self) -> Task | None:
        with self._changed:
            while not self._over:
                try:
                    task = self._source.take()
                except BaseException as raised:  # noqa: BLE001 - the source gave up: told to the caller
                    self.failure = raised if self.failure is None else self.failure
                    break
                if task is not None:
                    self._in_flight += 1
                    if self._idle:
                        self._changed.notify()
                    elif self._threads < self._num_threads and not self._more_wanted:
                        self._more_wanted = True
                        self._signal.release()
                    return task
                if not self._in_flight:  # nothing is ready and nothing can become ready
                    break
                self._idle += 1
                self._changed.wait()
                self._idle -= 1
            self._changed.notify_all()
            return None

    def _tell(self, task: Task, value: Any, error: Exception | None) -> None:
        with self._changed:
            self._in_flight -= 1
            if self._left:
                return
            try:
                task.done(value, error)
                if self._watch is not None:
                    self._watch(self._source.standing())
            except BaseException as raised:  # noqa: BLE001 - the source gave up: told to the caller
                self.failure = raised if self.failure is None else self.failure
            if self._idle:
                self._changed.notify()

    def _fail(self, error: BaseException) -> None:
        with self._changed:
            self.failure = error if self.failure is None else self.failure
            self._changed.notify_all()
