"""Running one function over many items at once, in threads or as tasks; results in order, failures as values.

`run_all` takes what it is given: a plain function runs in up to `num_threads` threads, a coroutine function
as up to `num_threads` tasks on one event loop in one thread. Each item runs in its own copy of the caller's
context. No item is ever started twice, and none is given up: what was started is waited for.

Ctrl-C, or a KeyboardInterrupt of the work: nothing more is started, and `RunInterrupted` (a KeyboardInterrupt) carries
the finished items. Threads in flight are waited for a few seconds, or until a second Ctrl-C; tasks in flight are
cancelled.
"""

from __future__ import annotations

import contextvars
import time
from typing import TYPE_CHECKING, Any, Final, cast

from telic._optional import load
from telic.errors import ConfigurationError
from telic.execution._bridge import run_coroutine, run_in_thread
from telic.execution._crew import Crew
from telic.execution._ledger import CancelFlag, Ledger
from telic.execution._outcome import Outcome
from telic.execution._stray import stray_cancellations

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Sequence

_GRACE_S: Final = 5.0
"""How long items in flight may still take after Ctrl-C: they are paid for, but a stalled server must not hold us."""


def run_all(
    items: Iterable[Any],
    work: Callable[[Any], Any],
    *,
    num_threads: int,
    max_errors: int | None = None,
    on_done: Callable[[Outcome], object] | None = None,
    cancel: CancelFlag | None = None,
) -> list[Outcome]:
    """Run `work(item)` for each item, many at once, and return the outcomes in the order of the items.

    Args:
        items: What to work on; it is made a list first.
        work: A function or a coroutine function of one item.
        num_threads: How many items run at once: threads, or tasks for a coroutine function. 1 runs plain
            functions in the caller's own thread.
        max_errors: Stop starting items when that many have failed; None: never.
        on_done: Called with each outcome as it is finished, one at a time, in a worker's thread.
        cancel: Asked before each item; when set, nothing more is started.

    Raises:
        RunStopped: The run ended early: `max_errors`, `cancel` or a `Budget`; carries what was finished.
        RunInterrupted: Ctrl-C (a `KeyboardInterrupt`); carries what was finished.
        ConfigurationError: `num_threads` is below 1.

    Cost: O(1) per item beside the work, a few microseconds.

    Example:
        >>> [outcome.value for outcome in run_all([1, 2, 3], lambda item: item * 10, num_threads=2)]
        [10, 20, 30]
    """
    rows = _as_list(items, num_threads)
    ledger = Ledger(rows, max_errors=max_errors, on_done=on_done, cancel=cancel)
    if is_async(work):
        try:
            run_coroutine(_run_tasks(ledger, work, num_threads))
        except KeyboardInterrupt as interrupt:
            ledger.stop("interrupted", interrupt)
    elif num_threads == 1 or len(rows) == 1:
        _run_here(ledger, work)
    else:
        _run_threads(ledger, work, min(num_threads, len(rows)))
    return ledger.outcomes()


async def arun_all(
    items: Iterable[Any],
    work: Callable[[Any], Any],
    *,
    num_threads: int,
    max_errors: int | None = None,
    on_done: Callable[[Outcome], object] | None = None,
    cancel: CancelFlag | None = None,
) -> list[Outcome]:
    """`run_all` for callers on an event loop: coroutines run on it, plain functions in threads.

    Cancelling the awaiting task cancels tasks in flight, and starts no more work in threads.
    """
    rows = _as_list(items, num_threads)
    ledger = Ledger(rows, max_errors=max_errors, on_done=on_done, cancel=cancel)
    try:
        if is_async(work):
            await _run_tasks(ledger, work, num_threads)
        elif rows:
            await run_in_thread(_run_threads, ledger, work, min(num_threads, len(rows)))
    except BaseException:
        ledger.stop("cancelled")
        raise
    return ledger.outcomes()


def is_async(work: Any) -> bool:
    """Whether calling `work` gives a coroutine: a coroutine function, or an object whose call is one."""
    while hasattr(work, "func") and hasattr(work, "args"):  # functools.partial
        work = work.func
    is_coroutine_function = load("inspect").iscoroutinefunction
    if is_coroutine_function(work):
        return True
    cls = cast("Any", type(work))
    return cls is not type and is_coroutine_function(getattr(cls, "__call__", None))  # noqa: B004


def _as_list(items: Iterable[Any], num_threads: int) -> Sequence[Any]:
    if num_threads < 1:
        raise ConfigurationError(f"num_threads must be 1 or more, got {num_threads!r}")
    return cast("Sequence[Any]", items) if isinstance(items, (list, tuple)) else list(items)


def _run_here(ledger: Ledger, work: Callable[[Any], Any]) -> None:
    try:
        _work_through(ledger, work, contextvars.copy_context())
    except KeyboardInterrupt as interrupt:
        ledger.stop("interrupted", interrupt)


def _work_through(ledger: Ledger, work: Callable[[Any], Any], carried: contextvars.Context) -> None:
    clock = time.perf_counter
    items = ledger.items
    while (index := ledger.take()) is not None:
        started = clock()
        try:
            with stray_cancellations:
                value = carried.copy().run(work, items[index])
        except Exception as error:  # noqa: BLE001  the user's code, at a boundary: a value from here on
            outcome = Outcome(index, None, error, clock() - started)
        else:
            outcome = Outcome(index, value, None, clock() - started)
        ledger.put(outcome)


def _run_threads(ledger: Ledger, work: Callable[[Any], Any], num_threads: int) -> None:
    carried = contextvars.copy_context()
    failures: list[BaseException] = []

    def worker() -> None:
        try:
            _work_through(ledger, work, carried)
        except KeyboardInterrupt as interrupt:
            ledger.stop("interrupted", interrupt)
        except BaseException as error:  # noqa: BLE001  `on_done` raised, or SystemExit: told to the caller
            failures.append(error)
            ledger.stop("cancelled", error)

    crew = Crew(worker)
    try:
        crew.start(num_threads)
        crew.wait()
    except KeyboardInterrupt as interrupt:
        ledger.stop("interrupted", interrupt)
        try:
            crew.wait(_GRACE_S)
        except KeyboardInterrupt:
            pass  # a second one: those in flight are left behind
    if failures:
        raise failures[0]


async def _run_tasks(ledger: Ledger, work: Callable[[Any], Awaitable[Any]], num_tasks: int) -> None:
    asyncio = load("asyncio")
    carried = contextvars.copy_context()
    clock = time.perf_counter
    items = ledger.items

    async def one(index: int) -> None:
        started = clock()
        try:
            with stray_cancellations:
                value = await work(items[index])
        except Exception as error:  # noqa: BLE001  as in _work_through
            outcome = Outcome(index, None, error, clock() - started)
        else:
            outcome = Outcome(index, value, None, clock() - started)
        ledger.put(outcome)

    async def worker(loop: Any) -> None:
        while (index := ledger.take()) is not None:
            # A task for each item: what it sets in its context is not seen by the next.
            await loop.create_task(one(index), context=carried.copy())

    loop = asyncio.get_running_loop()
    workers = [loop.create_task(worker(loop)) for _ in range(min(num_tasks, len(items)))]
    try:
        await asyncio.gather(*workers)
    finally:
        for task in workers:
            task.cancel()
        await asyncio.gather(*workers, return_exceptions=True)
