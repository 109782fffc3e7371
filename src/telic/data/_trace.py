"""`Step`: one predictor call as a trace remembers it.

A trace is a plain list of steps, in the order in which the calls ended. A step unpacks as
`predictor, inputs, prediction`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from telic.data._prediction import Prediction


class Step(NamedTuple):
    """One call of one predictor."""

    predictor: Any
    """The `Predict` object itself."""
    inputs: dict[str, Any]
    """What it was called with, defaults filled in."""
    prediction: Prediction


Trace = list[Step]
