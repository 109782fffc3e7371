"""The LM of a saved predictor: a model's name and generation options, and nothing that a file could misuse.

A file never brings an endpoint, a key, a header, a class or a way out of its own folder: whoever hands over a saved
program could otherwise send the prompts and the key elsewhere.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, NamedTuple, cast

from telic._optional import load
from telic.errors import StateError
from telic.lm import LM

_TAKEN: Final = frozenset({
    "temperature", "max_tokens", "max_completion_tokens", "top_p", "top_k", "min_p", "n", "stop", "seed",
    "frequency_penalty", "presence_penalty", "repetition_penalty", "reasoning_effort", "verbosity",
    "num_retries", "cache", "model_type", "timeout",
})  # fmt: skip


class Home(NamedTuple):
    """The folder of the file that a state is written to or read from."""

    folder: Path
    copies: Mapping[str, str] = MappingProxyType({})
    """Weights that were copied there: what they are called from there, by their model's name."""


def dump(lm: Any, home: Home | None = None) -> dict[str, Any]:
    """Return what is saved of `lm`: an `LM` by name and options, any other by name alone."""
    model = str(getattr(lm, "model", type(lm).__name__))
    if type(lm) is not LM:
        return {"model": model, "custom": True}
    state: Mapping[str, Any] = lm.dump_state()
    options = {name: value for name, value in sorted(state.items()) if name in _TAKEN and value is not None}
    near: str | None = None
    if home is not None and model.startswith("local/"):
        near = home.copies.get(model) or load("telic.modules._state_weights").beside(model, home.folder)
    return {"model": model, **options} if near is None else {"model": near, "beside": True, **options}


def restore(state: Any, where: str, home: Home | None = None) -> LM | None:
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
    if known.get("beside") is True:
        folder = None if home is None else home.folder
        model = str(load("telic.modules._state_weights").found(model, folder, where))
    options = {name: value for name, value in known.items() if name in _TAKEN and value is not None}
    try:
        return LM(model, **options)
    except ValueError as error:
        raise StateError(f"the lm of {where}, {model!r}, cannot be made: {error}") from error
