"""Bring a shipped model into memory, once for a process."""

from __future__ import annotations

import functools
import hashlib
import threading
from pathlib import Path
from typing import Final

from telic.errors import ConfigurationError
from telic.lm.tiny._engine import Engine
from telic.lm.tiny._network import Network
from telic.lm.tiny._tokenizer import Tokenizer
from telic.lm.tiny._weights import read_weights

FOLDER: Final = Path(__file__).parent
_lock = threading.Lock()  # protects the first load: two threads must not both do it


def shipped_engine(name: str) -> Engine:
    """Return the engine of a shipped model; the first call reads its file, later ones share it."""
    with _lock:
        return _shipped(name)


@functools.cache
def _shipped(name: str) -> Engine:
    return load_engine(FOLDER / f"{name}.safetensors")


def load_engine(weights_path: Path, vocabulary_path: Path = FOLDER / "vocab.json") -> Engine:
    """Return an engine of its own for a weights file.

    Raises:
        ConfigurationError: A file is missing, damaged, not ours, or the two do not belong together.
    """
    weights = read_weights(weights_path)
    try:
        vocabulary = vocabulary_path.read_bytes()
    except OSError as error:
        raise ConfigurationError(
            f"the vocabulary file {str(vocabulary_path)!r} cannot be read ({error}); install telic again"
        ) from error
    found = hashlib.sha256(vocabulary).hexdigest()
    if found != weights.vocabulary_sha256:
        raise ConfigurationError(
            f"the weights file {str(weights_path)!r} was trained with another vocabulary "
            f"({weights.vocabulary_sha256[:16]}…) than {str(vocabulary_path)!r} ({found[:16]}…); "
            "use the two files of one release"
        )
    return Engine(Network(weights), Tokenizer.from_json(vocabulary.decode()), identity=weights.sha256)
