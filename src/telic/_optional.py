"""The one door for imports that are not made at the top of a file.

Two reasons allow one: the package is an extra that may be missing, or it is heavy and most programs never need it
(pydantic, asyncio's event loop, orjson): `import telic` stays fast because of this file.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Mapping
from typing import Any

from telic.errors import MissingExtraError


def load(name: str) -> Any:
    """Return the module `name`, imported now if it was not before. For our own dependencies."""
    module = sys.modules.get(name)
    if module is None or getattr(
        module.__spec__, "_initializing", False
    ):  # another thread is at it: wait for it
        return importlib.import_module(name)
    return module


def require(name: str, *, extra: str, purpose: str) -> Any:
    """Return the optional module `name`, or say how to install it.

    Args:
        name: The module, as in an import statement.
        extra: The extra of telic that brings it.
        purpose: What needs it, as the subject of a sentence: "the LM 'telic/tiny'".

    Raises:
        MissingExtraError: It is not installed.
    """
    try:
        return load(name)
    except ModuleNotFoundError as error:
        raise MissingExtraError(
            f"{purpose} needs the package {name.partition('.')[0]!r}, which is not installed; "
            f"run: pip install 'telic[{extra}]'"
        ) from error


def later(package: str, homes: Mapping[str, str]) -> Callable[[str], Any]:
    """Return the `__getattr__` of a package of which some names load when they are first asked for.

    Args:
        package: Its `__name__`.
        homes: Each such name, and the module that holds it.
    """

    def get(name: str) -> Any:
        if name not in homes:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        value = getattr(load(homes[name]), name)
        setattr(sys.modules[package], name, value)
        return value

    return get
