"""The weights file: safetensors, half or single precision, with a checksum and the model's shape in its header.

Read by hand (the format is a length, a JSON header and raw data), so that the extra `tiny` is NumPy alone; any
safetensors library reads the file too.
"""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any, NamedTuple, cast

import numpy as np
from numpy.typing import NDArray

from telic.errors import ConfigurationError

if TYPE_CHECKING:
    from pathlib import Path

Array = NDArray[Any]
"""Single precision everywhere; NumPy's own annotations widen too much to say so."""


class Shape(NamedTuple):
    """The sizes of a network, in numbers of channels, layers, heads and tokens."""

    vocab: int
    width: int
    layers: int
    heads: int
    hidden: int
    context: int
    theta: float


class Weights(NamedTuple):
    """A weights file in memory: tensors in single precision, by name."""

    shape: Shape
    tensors: dict[str, Array]
    vocabulary_sha256: str
    sha256: str
    """Of the tensors: which model this is."""


def read_weights(path: Path) -> Weights:
    """Return the weights of `path`.

    Raises:
        ConfigurationError: The file is missing, cut, damaged, or not one of ours; the message says which.
    """
    place = f"the weights file {str(path)!r}"
    again = "install telic again, or copy the file anew from the release"
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ConfigurationError(f"{place} cannot be read ({error}); {again}") from error
    size = int.from_bytes(data[:8], "little")
    try:
        header: Any = json.loads(data[8 : 8 + size]) if 8 + size <= len(data) and size < 1 << 20 else None
        meta = cast("dict[str, str]", header["__metadata__"])
        shape = Shape(**json.loads(meta["shape"]))
        checksum, vocabulary = meta["sha256"], meta["vocabulary_sha256"]
    except (ValueError, KeyError, TypeError) as error:
        raise ConfigurationError(
            f"{place} is not a weights file of telic/tiny, or it is cut; {again}"
        ) from error
    body = data[8 + size :]
    found = hashlib.sha256(body).hexdigest()
    if found != checksum:
        raise ConfigurationError(
            f"{place} is damaged: its data have the SHA-256 {found[:16]}…, its header says {checksum[:16]}…; {again}"
        )
    tensors: dict[str, Array] = {}
    for name, entry in header.items():
        if name != "__metadata__":
            start, stop = entry["data_offsets"]
            kind = "<f4" if entry["dtype"] == "F32" else "<f2"  # trained further; as shipped
            tensors[name] = (
                np.frombuffer(body[start:stop], dtype=kind).reshape(entry["shape"]).astype(np.float32)
            )
    return Weights(shape, tensors, vocabulary, checksum)
