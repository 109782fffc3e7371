"""The LM of a saved predictor: a model's name and generation options, and nothing that a file could misuse.

A file never brings an endpoint, a key, a header or a class: whoever hands over a saved program could otherwise send
the prompts and the key elsewhere.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, cast

from telic.errors import StateError
from telic.lm import LM

_TAKEN: Final = frozenset({
    "temperature", "max_tokens", "max_completion_tokens", "top_p", "top_k", "min_p", "n", "stop", "seed",
    "frequency_penalty", "presence_penalty", "repetition_penalty", "reasoning_effort", "verbosity",
    "num_retries", "cache", "model_type", "timeout",
})  # fmt: skip


def dump(lm: Any) -> dict[str, Any]:
    """Return what is saved of `lm`: an `LM` by name and options, any other by name alone."""
    model = str(getattr(lm, "model", type(lm).__name__))
    if type(lm) is not LM:
        return {"model": model, "custom": True}
    state: Mapping[str, Any] = lm.dump_state()
    options = {name: value for name, value in sorted(state.items()) if name in _TAKEN and value is not None}
    return {"model": model, **options}


def restore(state: Any, where: str) -> LM | None:
    """Return the `LM` that a saved state names; None where it was an LM of the user's own, which code must set.

    Raises:
        StateError: It is no state of an LM, or names a model or option that cannot be.
    """
    if not isinstance(state, Mapping):
        raise StateError(f"the lm of {where} is {state!r}, and must be an object with a model's name")
    known = cast("Mapping[str, Any]", state)
    model = known.get("model")
    if known.get("custom") or "class" in known or "_class" in known:
        return None
    if not isinstance(model, str):
        raise StateError(f"the lm of {where} has no model name")
    options = {name: value for name, value in known.items() if name in _TAKEN and value is not None}
    try:
        return LM(model, **options)
    except ValueError as error:
        raise StateError(f"the lm of {where}, {model!r}, cannot be made: {error}") from error
