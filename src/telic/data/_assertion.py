"""What became of assertions: one `AssertionOutcome` each, and `AssertionCount`, many of one assertion added up."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple


class AssertionOutcome(NamedTuple):
    """One assertion of one run, once it is decided."""

    name: str
    """The name it was given, or where it stands: "quiz.py:31"."""
    kind: str
    """ "assert" or "suggest"."""
    passed: bool
    backtracks: int = 0
    """How often it had its predictor asked again: 0, it held (or failed) at once."""
    message: str = ""
    """What it said last when it did not hold; "" if it held at once."""
    target: str = ""
    """The predictor that it is about: its path in the module that asserts, else its signature's name."""
    bypassed: bool = False
    """It did not hold, and nothing came of it: `bypass_assert` or `bypass_suggest` was set."""


class Correction(NamedTuple):
    """How a predictor's answer came to be accepted, or not: what was refused, and why."""

    past: Mapping[str, Any]
    """The outputs that were refused last."""
    feedback: tuple[str, ...]
    """All messages, oldest first, each once."""
    attempts: int
    """How often it was asked again."""


class AssertionCount(NamedTuple):
    """All outcomes of one assertion."""

    name: str
    kind: str
    checks: int = 0
    passed_first: int = 0
    """Held without anything asked again."""
    passed_later: int = 0
    """Held after its predictor was asked again."""
    failed: int = 0
    backtracks: int = 0
    """How often predictors were asked again for it."""

    @property
    def passed(self) -> int:
        """How often it held in the end."""
        return self.passed_first + self.passed_later

    @property
    def pass_rate(self) -> float:
        """The share of checks that held in the end."""
        return self.passed / self.checks

    def __str__(self) -> str:
        return f"{self.kind} {self.name}: held {self.passed} times of {self.checks}, {self.backtracks} asked again"

    def to_dict(self) -> dict[str, Any]:
        """Return the figures as plain data."""
        return self._asdict()


def count_assertions(outcomes: Iterable[AssertionOutcome]) -> dict[str, AssertionCount]:
    """Return the figures of each assertion, by name, in the order in which they were first met.

    Example:
        >>> once = AssertionOutcome("short", "suggest", True)
        >>> later = AssertionOutcome("short", "suggest", True, backtracks=1)
        >>> count_assertions([once, later])["short"].pass_rate
        1.0
    """
    counts: dict[str, AssertionCount] = {}
    for one in outcomes:
        so_far = counts.get(one.name, AssertionCount(one.name, one.kind))
        counts[one.name] = so_far._replace(
            checks=so_far.checks + 1,
            passed_first=so_far.passed_first + (one.passed and not one.backtracks),
            passed_later=so_far.passed_later + (one.passed and one.backtracks > 0),
            failed=so_far.failed + (not one.passed),
            backtracks=so_far.backtracks + one.backtracks,
        )
    return counts
