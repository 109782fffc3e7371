"""A Python value as prompt text.

Text stays as it is. What has structure becomes JSON on one line, not escaped to ASCII; a list for a `str` field becomes
a numbered list, as retrieved passages are shown; everything else is `str(value)`.
"""

from __future__ import annotations

import enum
import json
from collections.abc import Iterable, Mapping
from typing import Any, cast

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
    isoformat: Any = getattr(value, "isoformat", None)  # dates and times: as in JSON and in saved demos
    return str(value if isoformat is None or isinstance(value, type) else isoformat()), False


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
        lines.append(f"[{number}] {block(text)}")
    return "\n".join(lines) if lines else "N/A"


def block(text: str) -> str:
    """Return text between marks that show where it ends: one line, or indented lines."""
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


def plain_fields(value: Any) -> Mapping[Any, Any] | None:
    """Return the fields of a mapping, a pydantic model or a dataclass by name, or None for anything else."""
    if isinstance(value, Mapping):
        return cast("Mapping[Any, Any]", value)
    if isinstance(value, type):
        return None
    names: Any = getattr(cast("Any", type(value)), "model_fields", None)
    if names is None:
        names = getattr(value, "__dataclass_fields__", None)
    if names is None:
        return None
    extra: Any = getattr(value, "model_extra", None)
    return {**{name: getattr(value, name) for name in names}, **({} if extra is None else extra)}


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
    if isinstance(value, (set, frozenset)):
        return _in_order(value)  # pyright: ignore[reportUnknownArgumentType]
    if hasattr(value, "model_dump") and not isinstance(value, type):
        return _sets_in_order(value.model_dump(mode="json"), value.model_dump())
    method = getattr(value, "to_dict", None)
    if callable(method) and not isinstance(value, type):
        return method()
    return _any_jsonable(value)


def _in_order(values: Iterable[Any]) -> list[Any]:
    """Return the items of a set in one order: that of hashes differs from process to process."""
    return sorted(values, key=to_json)


def _sets_in_order(shown: Any, value: Any) -> Any:
    """Return `shown`, the JSON form of `value`, with what are sets in `value` put in order."""
    if isinstance(shown, list):
        items = cast("list[Any]", shown)
        if isinstance(value, (set, frozenset)):
            return _in_order(items)
        if isinstance(value, (list, tuple)):
            return [_sets_in_order(*pair) for pair in zip(items, cast("list[Any]", value), strict=True)]
    elif isinstance(shown, dict) and isinstance(value, dict):
        # pydantic writes the items of a dict in their order, whatever it makes of their keys
        inner = list(cast("dict[Any, Any]", value).values())
        named = cast("dict[str, Any]", shown).items()
        if len(inner) == len(named):
            return {name: _sets_in_order(item, inner[at]) for at, (name, item) in enumerate(named)}
    return shown  # pyright: ignore[reportUnknownVariableType]


def _any_jsonable(value: Any) -> Any:
    return load("pydantic_core").to_jsonable_python(value, fallback=str)
