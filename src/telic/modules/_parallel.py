"""`Parallel`: many programs on many inputs at once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, final

from telic.modules._batch import Batch


@final
class Parallel:
    """Run pairs of a program and its inputs at once, and return the results in order.

    Args:
        num_threads: How many run at once; None: the setting `num_threads`.
        max_errors: How many failures end the whole; None: the setting `max_errors`.
        access_examples: True: an `Example` is passed as its inputs; False: as one argument.
        return_failed_examples: Also return the rows that failed and their exceptions, both in order.
        provide_traceback: Kept for programs that pass it; exceptions always keep their tracebacks.
        disable_progress_bar: Kept for programs that pass it; none is shown.
        timeout: Seconds that a row may take, from when it is begun; then it has failed with `ProgramTimeoutError`, and
            the others go on. None or 0: as long as it likes.
        straggler_limit: Rows are given up only while at most so many are unfinished, those included that have not
            begun; None: however many there are.

    Raises:
        ConfigurationError: A time or a number cannot work.

    `parallel(pairs)` runs them in threads; `await parallel.acall(pairs)` on the running loop: programs are awaited, and
    plain functions run in worker threads. A row that is given up is cancelled there. A thread cannot be stopped: it is
    left behind, its next LM call is refused, and it does not hold up the end of the process. No row is ever started a
    second time. It is no part of a program: what it runs is given at the call.

    Cost: one call of each program.

    Example:
        >>> Parallel(num_threads=2)([(lambda n: n + 1, (1,)), (lambda n: n * 10, {"n": 2})])
        [2, 20]
    """

    takes_pairs: Final = True
    """A list of pairs is one argument, also where this is itself the program of a pair."""

    def __init__(
        self,
        num_threads: int | None = None,
        max_errors: int | None = None,
        access_examples: bool = True,
        return_failed_examples: bool = False,
        provide_traceback: bool | None = None,
        disable_progress_bar: bool = False,
        timeout: float | None = None,
        straggler_limit: int | None = None,
    ) -> None:
        self.num_threads = num_threads
        self.max_errors = max_errors
        self.access_examples = access_examples
        self.return_failed_examples = return_failed_examples
        self.provide_traceback = provide_traceback
        self.disable_progress_bar = disable_progress_bar
        self.timeout = timeout
        self.straggler_limit = straggler_limit
        self._batch(None)

    def __call__(self, exec_pairs: Sequence[tuple[Any, Any]], num_threads: int | None = None) -> Any:
        """Run all pairs.

        Returns:
            The results in order, None for those that failed; with `return_failed_examples` a tuple of the results,
            the rows that failed, and their exceptions.

        Raises:
            RunStopped: Too many failed; `.outcomes` has what was finished.
            RunInterrupted: Ctrl-C (a `KeyboardInterrupt`); `.outcomes` too.
            BudgetExceeded: A limit of the budget in force was reached; `.results` has what was finished.
        """
        return self._batch(num_threads).run(exec_pairs)

    async def acall(self, exec_pairs: Sequence[tuple[Any, Any]], num_threads: int | None = None) -> Any:
        """Run all pairs on the running loop; cancelled, it cancels what runs."""
        return await self._batch(num_threads).arun(exec_pairs)

    forward = __call__
    aforward = acall

    def _batch(self, num_threads: int | None) -> Batch:
        return Batch(
            self.num_threads if num_threads is None else num_threads,
            self.max_errors,
            self.return_failed_examples,
            self.access_examples,
            self.timeout,
            self.straggler_limit,
        ).checked("Parallel")
