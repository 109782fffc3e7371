"""How a predictor is asked again: its own question, and behind it what it answered and why that was not accepted.

The signature gets input fields behind its inputs: `past_<output>` for each output, and `feedback` with all messages so
far, one a line. Instructions, outputs and demos stay. Demos that hold these fields (`counter_examples=True` of the
bootstrap optimizers) show how to correct; elsewhere the fields are not seen.

The attempt is part of the sample index, and so of the cache key: where past answer and messages are the same as
before, the reply is a new one all the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

from telic.modules._value_text import value_text
from telic.signatures import InputField

if TYPE_CHECKING:
    from telic.data import Correction

_PAST_DESC: Final = "an earlier answer; it was not accepted"
_FEEDBACK_DESC: Final = "why it was not accepted"
_SAMPLES: Final = 1 << 20
"""Samples of one request that retries leave free: the n-th attempt draws above n times that."""


def field_names(signature: Any) -> tuple[dict[str, str], str]:
    """Return the name of the past field of each output, and that of the feedback field.

    Where the signature has a field of that name already, underscores are added.
    """
    past = {name: _free(f"past_{name}", signature) for name in signature.output_fields}
    return past, _free("feedback", signature)


def _free(name: str, signature: Any) -> str:
    while name in signature.fields:
        name += "_"
    return name


@lru_cache(maxsize=256)
def retry_signature(signature: Any) -> Any:
    """Return the signature with the fields of a retry; one object for each signature, so that its prompt is kept."""
    past, feedback = field_names(signature)
    for name in past.values():
        signature = signature.append(name, InputField(desc=_PAST_DESC), str)
    return signature.append(feedback, InputField(desc=_FEEDBACK_DESC), str)


def retry_fields(signature: Any, past: Mapping[str, Any], feedback: Iterable[str]) -> dict[str, str]:
    """Return the values of the fields of a retry, by name."""
    names, said = field_names(signature)
    shown = {field: value_text(past[name]) if name in past else "" for name, field in names.items()}
    return {**shown, said: "\n".join(feedback)}


def correction_fields(signature: Any, correction: Correction) -> dict[str, str]:
    """Return the fields that make a demo of `signature` show how an answer was corrected."""
    return retry_fields(signature, correction.past, correction.feedback)


def retry_sample(sample: int, attempt: int) -> int:
    """Return the sample index of the `attempt`-th retry (from 1) of a request."""
    return sample + attempt * _SAMPLES
