"""From an LM to a network that can be trained, or a plain word why not."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from telic._optional import load, require
from telic.errors import ConfigurationError
from telic.training._trainable import Adaptation, Trainable

WEIGHTS: Final = "tiny.safetensors"


def model_of(lm: Any) -> str:
    """Return the name of an LM, "prefix/model"; a name is taken as it is."""
    return lm if isinstance(lm, str) else str(getattr(lm, "model", type(lm).__name__))


def is_trainable(lm: Any) -> bool:
    """Whether an LM's weights are at hand, in this process."""
    return model_of(lm).partition("/")[0] in ("local", "telic") and getattr(lm, "client", None) is None


def check_trainable(lm: Any, method: str = "lora") -> None:
    """Refuse an LM that cannot be trained here, before anything is loaded or paid for.

    Raises:
        ConfigurationError: Its weights are elsewhere, or there are none.
        MissingExtraError: torch, transformers or peft is not installed.
    """
    name = model_of(lm)
    if not is_trainable(lm):
        raise ConfigurationError(
            f"the LM {name!r} cannot be trained here: its weights are not on this machine; "
            "use LM('local/PATH-or-hub-id') or LM('telic/tiny')"
        )
    purpose = f"training {name!r}"
    require("torch", extra="train", purpose=purpose)
    if tiny_files(name) is not None:
        require("numpy", extra="tiny", purpose=purpose)
        return
    require("transformers", extra="train", purpose=purpose)
    if method == "lora":
        require("peft", extra="train", purpose=purpose)


def tiny_files(name: str) -> tuple[Path, Path] | None:
    """Return weights and vocabulary of an embedded LM; None: it is another kind of model."""
    prefix, _, model = name.partition("/")
    if prefix == "telic":
        folder = Path(load("telic.lm.tiny").__file__).parent
        return folder / f"{model}.safetensors", folder / "vocab.json"
    weights = Path(model).expanduser() / WEIGHTS
    return (weights, weights.with_name("vocab.json")) if weights.is_file() else None


def open_trainable(
    lm: Any, adaptation: Adaptation | None = None, *, device: str | None = None, dtype: str | None = None
) -> Trainable:
    """Load a model for training.

    Args:
        lm: An LM, or its name: "local/PATH-or-hub-id", "telic/tiny".
        adaptation: What of it is trained; None: LoRA.
        device: "cpu", "cuda" …; None: the best there is (for an embedded LM: the CPU).
        dtype: Of the weights; None: single precision on a CPU, the model's own on a GPU.

    Raises:
        ConfigurationError: It cannot be trained here, or does not fit into memory.
        MissingExtraError: torch, transformers or peft is not installed.
        LMUnsupportedModelError: There is no such model.
    """
    wanted = (Adaptation() if adaptation is None else adaptation).checked()
    check_trainable(lm, wanted.method)
    name = model_of(lm)
    tiny = tiny_files(name)
    if tiny is not None:
        return load("telic.training._tiny").TinyTrainable(name, *tiny, wanted, device)
    return load("telic.training._hub").HubTrainable(name.partition("/")[2], wanted, device, dtype)
