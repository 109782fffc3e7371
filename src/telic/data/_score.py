"""`Score`: what a metric says about one prediction, a number and the words for it.

Metrics return whatever is natural (a bool, a number, a `Score`, a `Prediction` with a `score` field); `Score.of` is the
one place where all of these become the same thing, and where what is no score is refused.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

from telic.data._prediction import Prediction
from telic.errors import MetricError


class Score(NamedTuple):
    """A number and its explanation.

    Example:
        >>> Score.of(True), float(Score(0.5, "half right"))
        (Score(value=1.0, feedback=''), 0.5)
    """

    value: float
    """Higher is better; by custom between 0 and 1."""
    feedback: str = ""
    """Why it is not higher, in words that a reflective optimizer hands on to an LM; "" where nothing was said."""

    def __float__(self) -> float:
        return float(self.value)

    @classmethod
    def of(cls, result: Any) -> Score:
        """Return what a metric returned as a `Score`.

        Raises:
            MetricError: It is no finite number (None, NaN, text), or a prediction without a field `score`.
        """
        feedback = ""
        value = result
        if isinstance(result, Score):
            value, feedback = result
        elif isinstance(result, Prediction):
            if "score" not in result:
                raise MetricError(f"the metric returned a Prediction without the field 'score': {result!r}")
            value = result["score"]
            said = result.get("feedback")
            feedback = "" if said is None else str(said)
        if isinstance(value, (str, bytes)) or value is None:
            raise MetricError(f"the metric returned {value!r}, which is no score; return {_wanted(result)}")
        try:
            number = float(value)
        except (TypeError, ValueError) as error:
            raise MetricError(
                f"the metric returned {value!r}, which is no score; return {_wanted(result)}"
            ) from error
        if not math.isfinite(number):
            shown = "NaN" if math.isnan(number) else "an infinity"
            raise MetricError(f"the metric returned {shown}, which cannot be averaged; return a number")
        return cls(number, feedback)


def _wanted(result: Any) -> str:
    """Return what a metric should return that returned something else: words are welcome beside the number."""
    with_words = isinstance(result, (tuple, Mapping))
    return "telic.Prediction(score=…, feedback=…)" if with_words else "a number or a bool"
