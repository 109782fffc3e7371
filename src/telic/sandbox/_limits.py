"""The limits of an interpreter, checked once."""

from __future__ import annotations

import math
from typing import NamedTuple, final

from telic.errors import ConfigurationError


class Limits(NamedTuple):
    """What one execution may take."""

    max_seconds: float
    max_memory_mb: int
    max_output_chars: int
    max_calls: int

    @property
    def max_chars(self) -> int:
        """How large one value may be that crosses the wall: an eighth of the memory, for what it becomes inside."""
        return self.max_memory_mb * 1024 * 1024 // 8

    def checked(self, owner: str) -> Limits:
        """Return these limits.

        Raises:
            ConfigurationError: One of them cannot hold.
        """
        for name, value in self._asdict().items():
            whole = name != "max_seconds"
            fits = isinstance(value, int if whole else (int, float)) and not isinstance(value, bool)
            if not fits or not math.isfinite(value) or value <= 0:
                kind = "a whole number of 1 or more" if whole else "a number of seconds above 0"
                raise ConfigurationError(f"{owner}: {name} must be {kind}, got {value!r}")
        if self.max_memory_mb < 16:
            raise ConfigurationError(
                f"{owner}: max_memory_mb must be 16 or more, got {self.max_memory_mb!r}: with less no code runs"
            )
        return self


@final
class Printed:
    """What code prints: kept up to a limit, then counted."""

    __slots__ = ("_left", "_parts", "_size", "limit")

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._left = limit
        self._parts: list[str] = []
        self._size = 0

    def __call__(self, stream: str, text: str) -> None:
        self._size += len(text)
        if self._left > 0:
            self._parts.append(text[: self._left])
            self._left -= len(text)

    def text(self) -> str:
        """Return what was kept, with how much was not."""
        kept = "".join(self._parts)
        left_out = self._size - len(kept)
        return f"{kept}… (+{left_out} characters)" if left_out else kept
