"""Canonical JSON and content keys, for caches, journals and seeds."""

from __future__ import annotations

import hashlib
import json
from typing import Any


def canonical_json(value: Any) -> bytes:
    """Return `value` as JSON bytes that are equal for equal values: keys sorted, no blanks, UTF-8.

    Objects with a `to_dict` or pydantic's `model_dump` are taken through it; lone surrogates are kept as escapes,
    so that any Python string has a key.
    """
    return _ENCODER.encode(value).encode()


def content_key(value: Any) -> str:
    """Return the SHA-256 of `canonical_json(value)` as 64 hex digits."""
    return hashlib.sha256(canonical_json(value)).hexdigest()


def _plain(value: Any) -> Any:
    for name in ("to_dict", "model_dump"):
        method = getattr(value, name, None)
        if callable(method) and not isinstance(value, type):
            return method()
    if isinstance(value, (set, frozenset)):
        return sorted(value, key=canonical_json)  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType]
    if isinstance(value, bytes):
        return {"bytes": value.hex()}
    return repr(value)


_ENCODER = json.JSONEncoder(sort_keys=True, separators=(",", ":"), default=_plain)
