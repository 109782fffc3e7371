"""`ChainOfThought`: reasoning before the answer."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from telic.modules._flow import Call, Flow
from telic.modules._predict import Predict
from telic.modules._strategy import S, Strategy
from telic.signatures import OutputField, ensure_signature


class ChainOfThought(Strategy[S]):
    """Ask for the outputs of a signature with a `reasoning` field before them.

    Args:
        signature: As for `Predict`.
        rationale_field: The output field to put first, made by `OutputField`, instead of the usual one.
        rationale_field_type: The type of the reasoning field.
        callbacks: Told of this module's calls.
        config: As for `Predict`.

    Cost: one LM call. Source: Wei et al. 2022, arXiv 2201.11903. Deviations: the reasoning is a field of its own, and
    no worked examples are given unless demos are set.

    Example:
        >>> list(ChainOfThought("question -> answer").predict.signature.output_fields)
        ['reasoning', 'answer']
    """

    _framed = False
    predict: Predict[Any]

    def __init__(
        self,
        signature: str | type[S],
        rationale_field: Any = None,
        rationale_field_type: Any = str,
        *,
        callbacks: Sequence[Any] | None = None,
        **config: Any,
    ) -> None:
        given = ensure_signature(signature)
        if "reasoning" in given.output_fields:
            extended = given  # a field of the user's own takes the place of ours
        elif rationale_field is None and rationale_field_type is str:
            extended = _with_reasoning(given)
        else:
            field = OutputField() if rationale_field is None else rationale_field
            extended = given.prepend("reasoning", field, type_=rationale_field_type)
        self.predict = Predict(extended, **config)
        if callbacks:
            self.callbacks = list(callbacks)

    def flow(self, *args: Any, **inputs: Any) -> Flow[Any]:
        """Ask once."""
        if args:
            self.predict.forward(*args)  # refuses them, with the right call
        return (yield Call(self.predict, **inputs))


@lru_cache(maxsize=256)
def _with_reasoning(signature: Any) -> Any:
    """Return the signature with the usual field; modules of one signature share it, and so its rendered layout."""
    return signature.prepend("reasoning", OutputField())
