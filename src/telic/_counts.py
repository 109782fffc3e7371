"""Counts that are given by people: how many rows, steps, threads, characters."""

from __future__ import annotations

from typing import Any

from telic.errors import ConfigurationError


def checked_count(value: Any, what: str, least: int = 1) -> int:
    """Return `value`, which the message calls `what`.

    Raises:
        ConfigurationError: It is no whole number of `least` or more.
    """
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise ConfigurationError(f"{what} must be a whole number of {least} or more, got {value!r}")
    return value
