"""Type adapters and JSON schemas: the one place of the signatures that needs pydantic, loaded on first use.

A field's adapter is its type with its constraints applied, so what an LM answers obeys both. Adapters are made once:
a field keeps its own, and fields with equal types share them through a bounded table.
"""

from __future__ import annotations

import threading
import typing
from collections.abc import Mapping
from typing import Any, Final

from telic._optional import load
from telic.errors import SignatureError
from telic.signatures._field import FieldInfo
from telic.signatures._names import type_name

_MAX_KEPT: Final = 1024
_adapters: dict[Any, Any] = {}
_schemas: dict[Any, dict[str, Any]] = {}
_lock: Final = threading.Lock()


def type_adapter(field_or_annotation: Any) -> Any:
    """Return pydantic's `TypeAdapter` of a field (constraints applied) or of a type; always the same one.

    Raises:
        SignatureError: pydantic cannot make one: the type is unknown to it, or a constraint does not fit the type.

    Example:
        >>> type_adapter(list[int]).validate_python(["1", 2])
        [1, 2]
    """
    if isinstance(field_or_annotation, FieldInfo):
        field = field_or_annotation
        adapter = field._adapter  # pyright: ignore[reportPrivateUsage]
        if adapter is None:
            adapter = _adapter(field.annotation, field.constraints, f"field {field.name!r}")
            object.__setattr__(field, "_adapter", adapter)
        return adapter
    return _adapter(field_or_annotation, {}, "this")


def json_schema(field_or_annotation: Any) -> dict[str, Any]:
    """Return the JSON schema of a field (constraints applied) or of a type; not to be changed.

    Raises:
        SignatureError: As `type_adapter`, and for types that JSON cannot describe (a `Callable`).

    Example:
        >>> json_schema(list[int])
        {'items': {'type': 'integer'}, 'type': 'array'}
    """
    annotation: Any = field_or_annotation
    constraints: Mapping[str, Any] = {}
    if isinstance(field_or_annotation, FieldInfo):
        annotation, constraints = field_or_annotation.annotation, field_or_annotation.constraints
    key = _key(annotation, constraints)
    known = _schemas.get(key) if key is not None else None
    if known is None:
        try:
            known = type_adapter(field_or_annotation).json_schema()
        except load("pydantic").PydanticUserError as error:
            raise SignatureError(f"{type_name(annotation)} has no JSON schema: {error}") from error
        _keep(_schemas, key, known)
    return typing.cast("dict[str, Any]", known)


def _adapter(annotation: Any, constraints: Mapping[str, Any], what: str) -> Any:
    key = _key(annotation, constraints)
    known = _adapters.get(key) if key is not None else None
    if known is None:
        pydantic = load("pydantic")
        narrowed = annotation
        if constraints:
            narrowed = typing.Annotated[annotation, pydantic.Field(**constraints)]
        try:
            known = pydantic.TypeAdapter(narrowed, config=_config(pydantic, annotation))
        except (TypeError, NameError, pydantic.PydanticUserError) as error:
            limits = f" with the constraints {dict(constraints)}" if constraints else ""
            raise SignatureError(
                f"{what} has the type {type_name(annotation)}{limits}, which cannot be checked: {error}"
            ) from error
        _keep(_adapters, key, known)
    return known


def _config(pydantic: Any, annotation: Any) -> Any:
    """Return a config that lets classes unknown to pydantic stand (checked by isinstance), where one is allowed."""
    owns_config = isinstance(annotation, type) and (
        hasattr(annotation, "__pydantic_config__")
        or hasattr(annotation, "model_config")
        or hasattr(annotation, "__dataclass_fields__")
        or hasattr(annotation, "__required_keys__")  # a TypedDict, of typing or typing_extensions
    )
    return None if owns_config else pydantic.ConfigDict(arbitrary_types_allowed=True)


def _key(annotation: Any, constraints: Mapping[str, Any]) -> Any:
    """Return what tells two types apart, or None for one that cannot be a key.

    Unions are equal in any order of their members, and pydantic is not indifferent to it: hence the text beside.
    """
    text = "" if isinstance(annotation, type) else repr(annotation)
    limits = tuple((name, repr(value)) for name, value in constraints.items())
    key: tuple[Any, str, Any] = (annotation, text, limits)
    try:
        hash(key)
    except TypeError:
        return None
    return key


def _keep(table: dict[Any, Any], key: Any, value: Any) -> None:
    if key is None:
        return
    with _lock:
        if len(table) >= _MAX_KEPT:
            del table[next(iter(table))]
        table[key] = value
