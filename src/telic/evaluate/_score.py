"""The door between us and the user's metric: how it is called, and what it may answer.

A metric takes `(example, prediction)`, `(example, prediction, trace)` or the five arguments of reflective optimizers
`(example, prediction, trace, pred_name, pred_trace)`; which one is read from its signature once, before anything is
paid for. Outside of compiling, `trace` is left at the metric's own default, so that `trace is None` means "evaluating".

Metrics get copies: one that writes on what it judges (`example.answer = example.answer.lower()`) changes neither the
rows of the user nor the demonstrations that are made of a run. In an evaluation alone the prediction is the one of the
result, so that a metric may put a note on it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, final

from telic._optional import load
from telic._text import plural, truncate
from telic.data import Example, Score
from telic.errors import ConfigurationError, MetricError

_POSITIONAL: Final = frozenset({"POSITIONAL_ONLY", "POSITIONAL_OR_KEYWORD"})


def callable_name(function: Any) -> str:
    """Return what a metric or program is called in messages and table headers."""
    name = getattr(function, "__name__", None)
    return name if isinstance(name, str) else type(function).__name__


@final
class MetricCall:
    """A metric, looked at: calls it with as many arguments as it takes.

    Args:
        metric: A function or an object with `__call__` (a `Module` is taken by its `forward`); sync or async.

    Raises:
        ConfigurationError: It is missing, cannot be called, or takes another number of arguments.

    Example:
        >>> MetricCall(lambda example, prediction: 1.0).evaluate("example", "prediction")
        1.0
    """

    __slots__ = ("_compiling", "_evaluating", "explains", "metric", "name")

    def __init__(self, metric: Any) -> None:
        if metric is None:
            raise ConfigurationError(
                "a metric is needed and none was given; pass metric=, a function of (example, prediction, trace=None) "
                "that returns a number or a bool"
            )
        if not callable(metric):
            raise ConfigurationError(
                f"the metric {metric!r} cannot be called; pass a function, not its result"
            )
        self.metric = metric
        self.name = callable_name(metric)
        required, total = _positional_range(metric)
        if total < 2 or required > 5:
            raise ConfigurationError(
                f"the metric {self.name!r} takes {_told(required, total)}; it must take 2 "
                "(example, prediction), 3 (…, trace) or 5 (…, trace, pred_name, pred_trace)"
            )
        self._evaluating = max(2, required)
        self._compiling = self._evaluating if required > 3 else min(3, total)
        self.explains = total >= 5
        """Whether it takes the five arguments, and so may say something of one predictor."""

    def evaluate(self, example: Any, prediction: Any) -> Any:
        """Return what the metric says outside of compiling: a value, or an awaitable of one."""
        if self._evaluating == 2:
            return self.metric(own(example), prediction)
        return self.metric(own(example), prediction, *(None,) * (self._evaluating - 2))

    def compile(self, example: Any, prediction: Any, trace: Any) -> Any:
        """Return what the metric says of a traced run: a value, or an awaitable of one."""
        if self._compiling == 2:
            return self.metric(own(example), own(prediction))
        return self.metric(own(example), own(prediction), trace, *(None,) * (self._compiling - 3))

    def explain(self, example: Any, prediction: Any, trace: Any, pred_name: str, pred_trace: Any) -> Any:
        """Return what the metric says of one predictor's part in a traced run; only where it `explains`."""
        return self.metric(own(example), own(prediction), trace, pred_name, pred_trace)

    def score(self, answer: Any, row: int) -> Score:
        """Return the metric's answer as a `Score`.

        Raises:
            MetricError: It is no score (None, text, NaN …); names the metric and the row.
        """
        if answer is True:
            return _RIGHT
        if answer is False:
            return _WRONG
        try:
            return Score.of(answer)
        except MetricError as error:
            raise MetricError(f"metric {self.name!r} on row {row}: {error}") from error

    def failure(self, error: BaseException, row: int) -> MetricError:
        """Return the error of a metric that raised."""
        said = truncate(str(error), 500)
        return MetricError(f"metric {self.name!r} raised on row {row}: {type(error).__name__}: {said}")


def own(value: Any) -> Any:
    """Return a copy of an example or a prediction for somebody who may write on it; anything else as it is."""
    return value.copy() if isinstance(value, Example) else value


_RIGHT: Final = Score(1.0)
_WRONG: Final = Score(0.0)


def _told(required: int, total: int) -> str:
    words = plural(total, "positional argument")
    return words if required == total else f"{required} to {words}"


def _positional_range(metric: Any) -> tuple[int, int]:
    """Return how many positional arguments a metric needs and how many it takes at most."""
    inspect = load("inspect")
    forward: Callable[..., Any] | None = None
    if not inspect.isroutine(
        metric
    ):  # a program as the metric: its __call__ takes anything, its forward says what
        forward = getattr(metric, "forward", None)
    if not callable(forward) and not inspect.isroutine(metric):
        forward = getattr(metric, "aforward", None)
    try:
        parameters = inspect.signature(forward if callable(forward) else metric).parameters.values()
    except (TypeError, ValueError):  # written in C, without a signature
        return 2, 3
    required = total = 0
    for parameter in parameters:
        if parameter.kind.name == "VAR_POSITIONAL":
            total = max(total, 3)
        elif parameter.kind.name in _POSITIONAL:
            total += 1
            required += parameter.default is parameter.empty
    return required, total
