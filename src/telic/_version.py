"""The version of this package; `importlib.metadata` says the same, and takes 20 ms to be loaded for it."""

from __future__ import annotations

from typing import Final

VERSION: Final = "0.1.0"
