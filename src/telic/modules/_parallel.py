"""`Parallel`: many programs on many inputs at once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, final

from telic.modules._batch import run_batch


@final
class Parallel:
    """Run pairs of a program and its inputs in threads, and return the results in order.

    Args:
        num_threads: How many run at once; None: the setting `num_threads`.
        max_errors: How many failures end the whole; None: the setting `max_errors`.
        access_examples: True: an `Example` is passed as its inputs; False: as one argument.
        return_failed_examples: Also return the rows that failed and their exceptions.
        provide_traceback: Kept for programs that pass it; exceptions always keep their tracebacks.
        disable_progress_bar: Kept for programs that pass it; none is shown.
        timeout: Kept for programs that pass it; no call is ever started a second time.
        straggler_limit: Kept for programs that pass it.

    Cost: one call of each program.

    Example:
        >>> Parallel(num_threads=2)([(lambda n: n + 1, (1,)), (lambda n: n * 10, {"n": 2})])
        [2, 20]
    """

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

    def __call__(self, exec_pairs: Sequence[tuple[Any, Any]], num_threads: int | None = None) -> Any:
        """Run all pairs.

        Returns:
            The results in order, None for those that failed; with `return_failed_examples` a tuple of the results,
            the rows that failed, and their exceptions.

        Raises:
            RunStopped: Too many failed; `.outcomes` has what was finished.
            RunInterrupted: Ctrl-C (a `KeyboardInterrupt`); `.outcomes` too.
        """
        return run_batch(
            exec_pairs,
            num_threads=self.num_threads if num_threads is None else num_threads,
            max_errors=self.max_errors,
            return_failed=self.return_failed_examples,
            access_examples=self.access_examples,
        )

    forward = __call__
