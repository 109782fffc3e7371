"""A Python value as prompt text.

Text stays as it is. What has structure becomes JSON on one line, not escaped to ASCII; a list for a `str` field becomes
a numbered list, as retrieved passages are shown; everything else is `str(value)`.
"""

from __future__ import annotations

import enum
import json
from collections.abc import Iterable, Mapping
from typing import Any

from telic._optional import load

_SCALARS = (int, float)


def value_text(value: Any, *, as_str: bool) -> tuple[str, bool]:
    """Return the text of a value, and whether it is JSON.

    Args:
        value: Any value that has no parts of its own.
        as_str: The field is declared `str`: a list is shown numbered.
    """
    if isinstance(value, enum.Enum):
        value = value.value
    if isinstance(value, str):
        return str(value), False
    if value is None or isinstance(value, _SCALARS):
        return str(value), False
    if as_str and isinstance(value, (list, tuple)):
        return numbered_list(value), False  # pyright: ignore[reportUnknownArgumentType]
    if is_structure(value):
        return to_json(value), True
    return str(value), False


def numbered_list(values: Iterable[Any]) -> str:
    """Return `[1] «…»` lines, a block of its own for a text with line breaks, or "N/A" for none.

    Example:
        >>> print(numbered_list(["one", "two"]))
        [1] «one»
        [2] «two»
    """
    lines: list[str] = []
    for number, value in enumerate(values, 1):
        text = value_text(value, as_str=False)[0]
        lines.append(f"[{number}] {_block(text)}")
    return "\n".join(lines) if lines else "N/A"


def _block(text: str) -> str:
    return "\n    ".join(["«««", *text.split("\n")]) + "\n»»»" if "\n" in text else f"«{text}»"


def is_structure(value: Any) -> bool:
    """Return whether JSON is how `value` is shown: a container, a model, a dataclass, a row."""
    if isinstance(value, type):
        return False
    return (
        isinstance(value, (Mapping, list, tuple, set, frozenset))
        or hasattr(value, "model_dump")
        or hasattr(value, "__dataclass_fields__")
        or hasattr(value, "to_dict")
    )


def to_json(value: Any, *, indent: int | None = None) -> str:
    """Return `value` as JSON, on one line without `indent`; not escaped to ASCII."""
    try:
        return json.dumps(value, ensure_ascii=False, default=plain, indent=indent)
    except TypeError:  # keys that JSON has not
        return json.dumps(_any_jsonable(value), ensure_ascii=False, indent=indent)


def plain(value: Any) -> Any:
    """Return `value` in terms that `json.dumps` knows."""
    if isinstance(value, enum.Enum):
        return value.value
    if isinstance(value, Mapping):
        return dict(value)  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType]
    for name in ("model_dump", "to_dict"):
        method = getattr(value, name, None)
        if callable(method) and not isinstance(value, type):
            return method(mode="json") if name == "model_dump" else method()
    return _any_jsonable(value)


def _any_jsonable(value: Any) -> Any:
    return load("pydantic_core").to_jsonable_python(value, fallback=str)
