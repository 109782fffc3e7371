"""The factory behind "telic/…": the LM that is shipped with telic, loaded at its first call."""

from __future__ import annotations

from typing import TYPE_CHECKING

from telic._optional import load, require
from telic.errors import ConfigurationError

if TYPE_CHECKING:
    from telic.lm._registry import ClientSpec
    from telic.protocols import Client


def embedded_client(spec: ClientSpec) -> Client:
    """Return the client of an embedded model.

    Raises:
        MissingExtraError: NumPy is not installed.
        ConfigurationError: An endpoint was given: this model runs in the process.
    """
    if spec.base_url is not None:
        raise ConfigurationError(
            f"LM({spec.model!r}): base_url is {spec.base_url!r}, but this model runs in the process"
        )
    require("numpy", extra="tiny", purpose=f"the LM {spec.model!r}")
    return load("telic.lm.tiny").TinyClient(spec.name)
