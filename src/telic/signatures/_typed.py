"""What a type checker believes a signature's instances to be; nothing of this exists while a program runs.

`Predict(QA)(…)` is a `Prediction` when it runs. For a checker it is a `QA`, whose fields are declared with their
types: `.answer` is a `str`. A `QA` is a `Prediction` too, so that a `forward` that is declared to return one may
return it; but where a `Prediction` has any attribute, a `QA` has its fields alone: its `__getattr__` takes no name at
all, and so a misspelt `.anwser` is an error.
"""

from __future__ import annotations

from typing import Any, Never

from telic.data import Prediction


class TypedPrediction(Prediction):
    """A prediction without attributes that nobody declared, for type checkers."""

    reasoning: str
    """What `ChainOfThought` lets the LM write first."""
    inputs: Any
    """Free to be a field's name, as is `labels`: these methods say nothing about a prediction."""
    labels: Any

    def __getattr__(self, name: Never) -> Any: ...  # pyright: ignore[reportIncompatibleMethodOverride]
