"""Counting tokens, calls and dollars: by role (task, teacher, proposer …), by LM and by predictor.

A tracker counts what was paid for: answers that came from the cache are counted apart, with no tokens.
Trackers nest: an inner one passes everything on to the one around it, so that a total never loses what a part
was looked at for.
"""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar, final

from telic.context import get as setting
from telic.context import pop, push
from telic.data import NO_USAGE, Usage

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable

_Key = tuple[str, str, int]
_Group = TypeVar("_Group")


@final
class UsageTracker:
    """What the calls inside a block used; made by `track_usage()`. Safe to feed and to read from any thread.

    Example:
        >>> tracker = UsageTracker()
        >>> tracker.add(Usage(input_tokens=10, output_tokens=2, calls=1), lm="openai/gpt-5-mini")
        >>> tracker.total.total_tokens, list(tracker.by_lm())
        (12, ['openai/gpt-5-mini'])
    """

    def __init__(
        self,
        parent: UsageTracker | None = None,
        *,
        on_add: Callable[[Usage, str, Any, bool], object] | None = None,
    ) -> None:
        self._parent = parent
        self._on_add = on_add  # told of each call: usage, LM, predictor, whether it was cached
        self._lock = threading.Lock()  # protects the three below
        self._usage: dict[_Key, Usage] = {}
        self._predictors: dict[int, Any] = {}
        self._cached_calls = 0

    def add(
        self, usage: Usage, *, lm: str, role: str = "task", predictor: Any = None, cached: bool = False
    ) -> None:
        """Count one call.

        Args:
            usage: What the call used; `calls` 0 is counted as one call.
            lm: The model as configured.
            role: Whose call it is.
            predictor: The module that asked, or None for a direct call of an LM.
            cached: The answer came from the cache: nothing was paid, only `cached_calls` grows.
        """
        with self._lock:
            if cached:
                self._cached_calls += 1
            else:
                self._predictors[id(predictor)] = predictor
                key = (role, lm, id(predictor))
                paid = usage if usage.calls else usage._replace(calls=1)
                known = self._usage.get(key)
                self._usage[key] = paid if known is None else known.plus(paid)
        if self._parent is not None:
            self._parent.add(usage, lm=lm, role=role, predictor=predictor, cached=cached)
        if self._on_add is not None:
            self._on_add(usage, lm, predictor, cached)

    @property
    def total(self) -> Usage:
        """Everything added up."""
        with self._lock:
            return _sum(self._usage.values())

    @property
    def cached_calls(self) -> int:
        """Calls that the cache answered."""
        return self._cached_calls

    def by_role(self) -> dict[str, Usage]:
        """Return the usage of each role."""
        return self._grouped(_role)

    def by_lm(self) -> dict[str, Usage]:
        """Return the usage of each LM, by its name."""
        return self._grouped(_lm)

    def by_predictor(self, program: Any = None) -> dict[str, Usage]:
        """Return the usage of each predictor.

        Args:
            program: Name the predictors by their paths in this program; others, and all of them where it is
                None, go by the name of their signature. Direct calls of an LM are under "".
        """
        name = self._namer(program)
        return self._grouped(lambda key: name(key[2]))

    def by_part(self, program: Any = None) -> dict[tuple[str, str, str], Usage]:
        """Return the usage by role, predictor (named as in `by_predictor`) and LM."""
        name = self._namer(program)
        return self._grouped(lambda key: (key[0], name(key[2]), key[1]))

    def _namer(self, program: Any) -> Callable[[int], str]:
        paths: dict[int, str] = (
            {} if program is None else {id(p): path for path, p in program.named_predictors()}
        )

        def name(key: int) -> str:
            predictor = self._predictors[key]
            if predictor is None:
                return ""
            return paths.get(key) or getattr(
                getattr(predictor, "signature", None), "__name__", type(predictor).__name__
            )

        return name

    def get_total_tokens(self) -> dict[str, dict[str, Any]]:
        """Return the usage of each LM as a dict (DSPy's name for `by_lm`)."""
        return {lm: usage.to_dict() for lm, usage in self.by_lm().items()}

    def _grouped(self, name: Callable[[_Key], _Group]) -> dict[_Group, Usage]:
        with self._lock:
            items = list(self._usage.items())
        groups: dict[_Group, list[Usage]] = {}
        for key, usage in items:
            groups.setdefault(name(key), []).append(usage)
        return {group: _sum(usages) for group, usages in groups.items()}

    def __repr__(self) -> str:
        total = self.total
        cost = "unknown cost" if total.cost_usd is None else f"{total.cost_usd:.6f} USD"
        return (
            f"UsageTracker({total.calls} calls, {total.total_tokens} tokens, {cost}, "
            f"{self._cached_calls} cached)"
        )


def _role(key: _Key) -> str:
    return key[0]


def _lm(key: _Key) -> str:
    return key[1]


def _sum(usages: Iterable[Usage]) -> Usage:
    total = NO_USAGE
    for usage in usages:
        total = total.plus(usage)
    return total


@contextmanager
def track_usage() -> Generator[UsageTracker]:
    """Count what the calls of a `with` block use, in this thread or task and what it starts.

    Example:
        >>> with track_usage() as tracker:
        ...     pass  # program(question=…)
        >>> tracker.total.calls
        0
    """
    tracker = UsageTracker(setting("usage_tracker"))
    token = push("usage_tracker", tracker)
    try:
        yield tracker
    finally:
        pop(token)
