"""What an annotation is, as far as prompts and replies care."""

from __future__ import annotations

import enum
import types
import typing
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal

from telic.types import FieldType, History

if TYPE_CHECKING:
    from telic.signatures import FieldInfo


def bare_annotation(annotation: Any) -> Any:
    """Return `annotation` without `Annotated` around it."""
    while typing.get_origin(annotation) is typing.Annotated:
        annotation = typing.get_args(annotation)[0]
    return annotation


def union_members(annotation: Any) -> tuple[Any, ...]:
    """Return the members of `A | B` or `Optional[A]`, or () for anything else."""
    if typing.get_origin(annotation) in (typing.Union, types.UnionType):
        return typing.get_args(annotation)
    return ()


def literal_choices(annotation: Any) -> dict[str, Any]:
    """Return the values of a `Literal` by how they are written in prompts, or {} for anything else."""
    if typing.get_origin(annotation) is not Literal:
        return {}
    return {_written(value): value for value in typing.get_args(annotation)}


def enum_choices(annotation: Any) -> dict[str, Any]:
    """Return the members of an enum by how they are written in prompts, or {} for anything else."""
    if isinstance(annotation, type) and issubclass(annotation, enum.Enum):
        return {_written(member): member for member in annotation}
    return {}


def from_text_method(annotation: Any) -> Callable[[str], Any] | None:
    """Return the annotation's own `from_text(text)` where it is a field type that is not read from JSON."""
    if not is_field_type(annotation):
        return None
    from_json = annotation.of.__func__ is not FieldType.of.__func__
    return (
        None
        if from_json and annotation.from_text.__func__ is FieldType.from_text.__func__
        else annotation.from_text
    )


def is_field_type(annotation: Any) -> bool:
    """Return whether an annotation is a class of this library's field types."""
    return isinstance(annotation, type) and issubclass(annotation, FieldType)


def is_text(annotation: Any) -> bool:
    """Return whether a reply's bare text can be the value: it is `str`, or a field type that reads itself from text."""
    return annotation is str or (
        is_field_type(annotation)
        and annotation.output_note() is not None
        and from_text_method(annotation) is not None
    )


def holds(annotation: Any, kind: type) -> bool:
    """Return whether a value of `annotation` may be a `kind`: it is that class, or a union that names it."""
    if isinstance(annotation, type):
        return issubclass(annotation, kind)
    bare = bare_annotation(annotation)
    if bare is not annotation:
        return holds(bare, kind)
    return any(holds(member, kind) for member in union_members(annotation))


def split_histories(signature: Any) -> tuple[tuple[FieldInfo, ...], tuple[str, ...]]:
    """Return the input fields that hold no `History`, and the names of those that do."""
    fields = tuple(signature.input_fields.values())
    histories = tuple(f.name for f in fields if holds(f.annotation, History))
    return tuple(f for f in fields if f.name not in histories), histories


def _written(value: Any) -> str:
    return str(value.value if isinstance(value, enum.Enum) else value)
