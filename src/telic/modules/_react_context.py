"""Whether a prompt is plainly longer than the LM's context, without asking the LM.

A server that is asked refuses what does not fit, which costs a round trip; some cut the prompt silently, which costs
the answer. Tokens are not counted but estimated from below, so that nothing is left out that would have fitted; what
lies between the estimate and the truth is for the server to refuse.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from telic.context import get as setting
from telic.errors import TelicError

_CHARS_A_TOKEN: Final = 5


def overflows(predictor: Any, inputs: Mapping[str, Any]) -> bool:
    """Return whether the prompt of a call has more tokens than the LM's context; False where that is not known.

    Args:
        predictor: A predictor, or a module with one in `predict`.
        inputs: Of the call.
    """
    leaf = getattr(predictor, "predict", predictor)
    if not hasattr(leaf, "render"):  # a function that somebody put in the predictor's place
        return False
    lm = leaf.lm if leaf.lm is not None else setting("lm")
    size: int | None = getattr(getattr(lm, "capabilities", None), "context_tokens", None)
    if size is None:
        return False
    try:
        messages = leaf.render(**inputs)
    except TelicError:
        return False  # the call itself will say what is wrong
    return sum(_characters(message) for message in messages) > size * _CHARS_A_TOKEN


def _characters(message: Mapping[str, Any]) -> int:
    content: Any = message.get("content")
    if isinstance(content, str):
        return len(content)
    return sum(len(part.get("text", "")) for part in content or ())
