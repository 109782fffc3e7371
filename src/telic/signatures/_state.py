"""A signature as text and as saved state.

`spec` writes the string that `Signature(…)` reads back. A state holds what an optimizer may have changed (instructions,
descriptions, prefixes), with the fields' names and types to check it by; DSPy's states, which hold neither, are read
by position.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

from telic._text import join_names
from telic._unset import UNSET
from telic.errors import StateError, StateMismatchError
from telic.signatures._names import type_name

if TYPE_CHECKING:
    from telic.signatures._field import FieldInfo


def default_instructions(inputs: Mapping[str, Any], outputs: Mapping[str, Any]) -> str:
    """Return the instructions of a signature that has none."""
    given = ", ".join(f"`{name}`" for name in inputs)
    wanted = ", ".join(f"`{name}`" for name in outputs)
    return f"Given the fields {given}, produce the fields {wanted}."


def spec(inputs: Mapping[str, FieldInfo], outputs: Mapping[str, FieldInfo]) -> str:
    """Return the fields in the string syntax: types, defaults, constraints and descriptions.

    What has no place in a string is left out: default factories, extras, and metadata inside a type.
    """
    left = ", ".join(_field_text(field) for field in inputs.values())
    right = ", ".join(_field_text(field) for field in outputs.values())
    return f"{left} -> {right}".strip()


def _field_text(field: FieldInfo) -> str:
    kind = type_name(field.annotation)
    if field.constraints:
        options = ", ".join(f"{name}={_value_text(value)}" for name, value in field.constraints.items())
        kind = f"Annotated[{kind}, Field({options})]"
    text = field.name if kind == "str" else f"{field.name}: {kind}"
    if field.default is not UNSET:
        text += f" = {_value_text(field.default)}"
    return f"{text} {field.desc!r}" if field.desc else text


def _value_text(value: Any) -> str:
    if isinstance(value, float) and math.isinf(value):
        return "1e999" if value > 0 else "-1e999"
    if isinstance(value, (list, tuple)):
        items = ", ".join(_value_text(item) for item in cast("Sequence[Any]", value))
        return f"[{items}]" if isinstance(value, list) else f"({items})"
    if isinstance(value, dict):
        pairs = cast("dict[Any, Any]", value).items()
        return f"{{{', '.join(f'{_value_text(key)}: {_value_text(item)}' for key, item in pairs)}}}"
    return repr(value)


def dump(instructions: str, fields: Mapping[str, FieldInfo]) -> dict[str, Any]:
    """Return the state of a signature as plain data."""
    rows = [
        {
            "name": field.name,
            "kind": field.kind,
            "type": type_name(field.annotation),
            "prefix": field.prefix,
            "description": field.desc,
        }
        for field in fields.values()
    ]
    return {"instructions": instructions, "fields": rows}


def restore(title: str, fields: Mapping[str, FieldInfo], state: Any) -> tuple[str, dict[str, FieldInfo]]:
    """Return the instructions of a saved state, and `fields` with its descriptions and prefixes.

    Raises:
        StateError: It is no state of a signature.
        StateMismatchError: It belongs to a signature with other fields.
    """
    if not isinstance(state, Mapping) or not isinstance(cast("Any", state).get("instructions"), str):
        raise StateError(f"the saved state of {title} is {state!r}; it must have 'instructions' and 'fields'")
    rows = cast("Mapping[str, Any]", state).get("fields")
    if not isinstance(rows, Sequence) or not all(
        isinstance(row, Mapping) for row in cast("Sequence[Any]", rows)
    ):
        raise StateError(f"the saved 'fields' of {title} are {rows!r}; they must be a list of objects")
    saved = cast("Sequence[Mapping[str, Any]]", rows)
    if len(saved) != len(fields):
        raise StateMismatchError(
            f"the saved state has {len(saved)} fields, {title} has {len(fields)} ({', '.join(fields)}); "
            "it belongs to another signature"
        )
    by_name = {row["name"]: row for row in saved if "name" in row}
    if not by_name:
        by_name = dict(zip(fields, saved, strict=True))
    if set(by_name) != set(fields):
        raise StateMismatchError(
            f"the saved state has the fields {join_names(by_name)}, {title} has {join_names(fields)}; "
            "it belongs to another signature"
        )
    restored = {name: _restored(field, by_name[name]) for name, field in fields.items()}
    return cast("Mapping[str, str]", state)["instructions"], restored


def _restored(field: FieldInfo, row: Mapping[str, Any]) -> FieldInfo:
    desc = str(row.get("description", field.desc))
    if desc == f"${{{field.name}}}":  # DSPy's way to say that there is none
        desc = ""
    prefix = str(row.get("prefix", field.prefix))
    if desc == field.desc and prefix == field.prefix:
        return field
    return field.replace(desc=desc, prefix=None if prefix == field.replace(prefix=None).prefix else prefix)
