"""What ends a compile early, with the best program so far on it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from telic.errors import BudgetExceeded, EvaluationError


class CompileStopped(EvaluationError):
    """A compile that ended at `max_errors`, or because its run could not be written down any more.

    Attributes:
        results: What had been found: demonstrations, or rows of the candidate that failed.
        program: The best program that could be made of what was finished, with its report; None: there was none.
    """

    def __init__(self, message: str, *, results: Sequence[Any] = (), program: Any = None) -> None:
        super().__init__(message, results=results)
        self.program = program


class CompileInterrupted(KeyboardInterrupt):
    """Ctrl-C during a compile.

    Attributes:
        program: The best program that could be made of what was finished, with its report; None: there was none.
    """

    def __init__(self, message: str, *, program: Any = None) -> None:
        super().__init__(message)
        self.program = program


def stop_words(error: Exception) -> str:
    """Return why a search stopped, as the report has it."""
    return f"budget: {error}" if isinstance(error, BudgetExceeded) else f"LM away: {error}"
