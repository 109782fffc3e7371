"""Values of demos and options as JSON, and back to what their field's type says."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from enum import Enum
from typing import Any, cast

from telic._optional import load
from telic.data import Example
from telic.errors import StateError, StateMismatchError
from telic.signatures import type_adapter, type_name
from telic.types import FieldType, History, mentions, unmarked


class NotFinite(float):
    """NaN or an infinity: a float of a class that the fast encoder refuses, since it would write null for it."""


def store_of(row: Any) -> dict[str, Any]:
    """Return the fields of a demo: those of an `Example`, or the dict that it is."""
    return cast("dict[str, Any]", row) if isinstance(row, dict) else row._store


def plain_value(value: Any, where: str) -> Any:
    """Return `value` as JSON data.

    Raises:
        StateError: It is nothing that JSON or pydantic can hold; names the place.
    """
    kind: type = type(cast("object", value))
    if kind is str or kind is int or kind is bool or value is None:
        return value
    if kind is float:
        return value if math.isfinite(value) else NotFinite(value)
    if isinstance(value, Mapping):
        items = cast("Mapping[Any, Any]", value).items()
        return {_key(key, where): plain_value(item, where) for key, item in items}
    if kind is set or kind is frozenset:  # an order of its own in each process
        return sorted((plain_value(item, where) for item in value), key=_text)
    if kind is list or kind is tuple:
        return [plain_value(item, where) for item in cast("list[Any]", value)]
    if isinstance(value, Example):
        return {name: plain_value(item, where) for name, item in store_of(value).items()}
    to_dict = getattr(value, "to_dict", None)
    if to_dict is not None and not isinstance(value, type):  # a field type of ours: `History`, `ToolCalls`
        return plain_value(to_dict(), where)
    try:
        data: Any = load("pydantic_core").to_jsonable_python(value)
    except (ValueError, TypeError) as error:
        raise StateError(
            f"{where} is {kind.__name__} {value!r}, which cannot be saved as JSON ({error}); "
            "keep plain data, dataclasses or pydantic models in demos"
        ) from error
    return data if isinstance(data, str) else plain_value(data, where)


def _key(key: Any, where: str) -> str:
    if isinstance(key, Enum):
        key = key.value
    if isinstance(key, (str, int, float, bool)) or key is None:
        return str(key)
    try:  # a date, a UUID …: as their types are read; a tuple's parts would not be told apart again
        name = None if isinstance(key, tuple) else load("pydantic_core").to_jsonable_python({key: 0})
        return next(iter(cast("dict[str, int]", name)))
    except (ValueError, TypeError):
        raise StateError(f"{where} has the key {key!r}, and the keys of JSON objects are text") from None


def typed_value(value: Any, field: Any, where: str) -> Any:
    """Return saved data as the value that `field` wants, where that value would be saved as the same data.

    Else as it was saved: a demo of a plain dict, or of 1 for a float, is shown as such in prompts, and a loaded program
    shows what the saved one did, to the byte.

    Raises:
        StateMismatchError: It does not fit the field's type any more.
    """
    kind: type = type(cast("object", value))
    if kind is field.annotation:
        return value
    if kind is str and value.startswith("Not supplied"):
        return value
    if mentions(field.annotation, FieldType) or mentions(field.annotation, History):
        value = unmarked(value)
    try:
        typed = type_adapter(field.annotation).validate_python(value)
        return typed if _text(plain_value(typed, where)) == _text(value) else value
    except StateError:
        return value  # it converts to something that could not have been saved
    except ValueError as error:
        if isinstance(value, str):
            try:
                return type_adapter(field.annotation).validate_json(value)
            except ValueError:
                pass
        raise StateMismatchError(
            f"{where}: {field.name!r} is {value!r}, which is no {type_name(field.annotation)} as the program's "
            f"signature has it ({error})"
        ) from error
    except load("pydantic").PydanticUserError:
        return value  # a class that pydantic knows nothing of: the data as it was saved


def _text(data: Any) -> str:
    return json.dumps(data)  # tells 1 from 1.0 and from True, and takes NaN for NaN
