"""Reads the body of a signature class: fields, their types, instructions and validators.

Types may be written as text, whole (`from __future__ import annotations`) or in part (`list["City"]`). They are
looked up where Python itself would: in the module of the class and in the function around it. What cannot be found
yet is looked up again when the fields are first asked for, so that a class may name a type defined after it.
"""

from __future__ import annotations

import sys
import typing
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from telic._text import did_you_mean
from telic._unset import UNSET
from telic.errors import SignatureError
from telic.signatures._field import FieldInfo, check_constraints
from telic.signatures._names import find_type

Namespace = Mapping[str, Any]


def own_fields(namespace: Namespace) -> dict[str, FieldInfo]:
    """Return the fields declared in a class body, in its order."""
    return {name: value for name, value in namespace.items() if isinstance(value, FieldInfo)}


def own_validators(namespace: Namespace) -> dict[str, Any]:
    """Return pydantic's decorated methods (`@field_validator`, `@model_validator`) of a class body."""
    return {name: value for name, value in namespace.items() if type(value).__name__ == "PydanticDescriptorProxy"}


def own_annotations(namespace: Namespace) -> dict[str, Any]:
    """Return the annotations of a class body: types, or text that is still to be looked up.

    Raises:
        NameError: Python 3.14 and later, which evaluates them all on demand, cannot do it yet.
    """
    if "__annotations__" in namespace or sys.version_info < (3, 14):
        return dict(namespace.get("__annotations__", {}))
    import annotationlib  # noqa: PLC0415  # pyright: ignore

    evaluate: Any = annotationlib.get_annotate_from_class_namespace(namespace)  # pyright: ignore
    return {} if evaluate is None else dict(annotationlib.call_annotate_function(evaluate, annotationlib.Format.VALUE))  # pyright: ignore


def check_body(title: str, namespace: Namespace, annotations: Mapping[str, Any]) -> None:
    """Refuse annotated names that are no fields, and fields that have no proper name.

    Raises:
        SignatureError: Naming the class and the field.
    """
    for name, annotation in annotations.items():
        if isinstance(namespace.get(name), FieldInfo) or name.startswith("_") or _is_class_variable(annotation):
            continue
        raise SignatureError(
            f"{title}.{name} is annotated, but is neither an input nor an output; write "
            f"`{name}: … = InputField()` or `{name}: … = OutputField()` (a constant is marked ClassVar)"
        )


def _is_class_variable(annotation: Any) -> bool:
    if isinstance(annotation, str):
        return annotation.partition("[")[0].rpartition(".")[2] == "ClassVar"
    return annotation is typing.ClassVar or typing.get_origin(annotation) is typing.ClassVar


def named_fields(
    title: str,
    fields: Mapping[str, FieldInfo],
    annotations: Mapping[str, Any],
    inherited: Mapping[str, FieldInfo],
    look_up: Callable[[str, Any], Any],
) -> dict[str, FieldInfo]:
    """Return the fields of a class body with their names and types.

    Args:
        title: The class's name, for errors.
        fields: The nameless fields.
        annotations: Their types; a field without one has the inherited field's, else `str`.
        inherited: The fields of the bases.
        look_up: Turns an annotation that holds text into a type.

    Raises:
        NameError: A type is not known (yet).
        SignatureError: A field's name or constraints cannot be.
    """
    made: dict[str, FieldInfo] = {}
    for name, field in fields.items():
        if name.startswith("_"):
            raise SignatureError(f"{title}.{name}: the name of a field may not start with an underscore")
        annotation = annotations.get(name, UNSET)
        if annotation is UNSET:
            annotation = inherited[name].annotation if name in inherited else str
        elif not isinstance(annotation, type):
            annotation = look_up(name, annotation)
        made[name] = named = field.replace(name=name, annotation=annotation)
        if named.constraints:
            check_constraints(named)
    return made


def look_up_in(module: Namespace, around: Namespace) -> Callable[[str, Any], Any]:
    """Return a function that turns annotations into types, by the names of a module and of a function's body."""

    def look_up(name: str, annotation: Any) -> Any:
        if isinstance(annotation, str):
            if annotation not in module and annotation not in around:
                found = find_type(annotation)
                if isinstance(found, type) and found.__module__ == "builtins":
                    return found
        elif not _holds_text(annotation):
            return annotation
        holder = type("_", (), {"__annotations__": {name: annotation}})
        found = typing.get_type_hints(holder, dict(module), dict(around), include_extras=True)[name]
        return type(None) if found is None else found

    return look_up


def _holds_text(annotation: Any) -> bool:
    if isinstance(annotation, (str, typing.ForwardRef)):
        return True
    if typing.get_origin(annotation) is typing.Literal:
        return False
    args: Iterable[Any] = typing.get_args(annotation)
    if typing.get_origin(annotation) is typing.Annotated:
        args = [next(iter(args))]
    return any(_holds_text(arg) for arg in args)


def unknown_type(title: str, error: NameError) -> SignatureError:
    """Return the error of a signature class whose types are still unknown when they are needed."""
    name = str(getattr(error, "name", "")) or str(error)
    hint = did_you_mean(name, ("str", "int", "float", "bool", "list", "dict", "Literal", "Optional", "Any"))
    return SignatureError(f"{title} has a field of the unknown type {name!r}{hint}; define or import it in the module")


def clean_text(text: str) -> str:
    """Return a docstring without its indentation and the blank lines around it.

    Example:
        >>> clean_text('''Answer the question.
        ...
        ...     Be brief.
        ... ''')
        'Answer the question.\\n\\nBe brief.'
    """
    first, *rest = text.expandtabs().split("\n")
    margin = min((len(line) - len(line.lstrip()) for line in rest if line.strip()), default=0)
    lines = [first.lstrip(), *(line[margin:] if line.strip() else "" for line in rest)]
    return "\n".join(lines).strip("\n").rstrip()
