"""The factory behind "local/…": weights from a folder or from Hugging Face's hub, run in this process.

A folder that holds `tiny.safetensors` is an embedded model that was trained further; it needs NumPy alone. Everything
else goes through transformers, and its weights are loaded at the first call.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

from telic._optional import load, require
from telic.errors import ConfigurationError, LMUnsupportedModelError

if TYPE_CHECKING:
    from telic.lm._registry import ClientSpec
    from telic.protocols import Client

TINY_WEIGHTS: Final = "tiny.safetensors"
"""What an embedded model's weights are called in a folder of their own; `vocab.json` lies beside them."""


def local_client(spec: ClientSpec) -> Client:
    """Return the client of a model on this machine.

    Raises:
        MissingExtraError: torch or transformers (for an embedded model: NumPy) is not installed.
        LMUnsupportedModelError: There is no such folder.
        ConfigurationError: An endpoint was given: this model runs in the process.
    """
    if spec.base_url is not None:
        raise ConfigurationError(
            f"LM({spec.model!r}): base_url is {spec.base_url!r}, but this model runs in the process; "
            "for a server write LM('openai/…', base_url=…)"
        )
    folder = Path(spec.name).expanduser()
    if spec.name.startswith(("/", ".", "~")) and not folder.is_dir():
        raise LMUnsupportedModelError(
            f"the LM {spec.model!r}: there is no folder {str(folder)!r}; weights that were trained lie in the "
            "folder of their run, and a program that calls them names it",
            model=spec.model,
            provider="local",
        )
    weights = folder / TINY_WEIGHTS
    if weights.is_file():
        require("numpy", extra="tiny", purpose=f"the LM {spec.model!r}")
        engine = load("telic.lm.tiny._load").load_engine(weights, weights.with_name("vocab.json"))
        return load("telic.lm.tiny").TinyClient(spec.name, engine=engine)
    for package in ("torch", "transformers"):
        require(package, extra="local", purpose=f"the LM {spec.model!r}")
    return load("telic.lm.local").LocalClient(spec.name)
