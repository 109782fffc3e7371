"""Reads the body of a signature class: fields, their types, instructions and validators.

Types may be written as text, whole (`from __future__ import annotations`) or in part (`list["City"]`). They are
looked up where Python itself would: in the module of the class and in the function around it. What cannot be found
yet is looked up again when the fields are first asked for, so that a class may name a type defined after it.
"""

from __future__ import annotations

import sys
import typing
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from telic._optional import load
from telic._text import did_you_mean
from telic._unset import UNSET
from telic.errors import SignatureError
from telic.signatures._facts import Facts, Fields, tell_hidden
from telic.signatures._field import FieldInfo, check_constraints
from telic.signatures._names import find_type

if TYPE_CHECKING:
    from types import FrameType

Namespace = Mapping[str, Any]


def read_body(
    name: str, bases: tuple[type, ...], namespace: dict[str, Any], frame: FrameType
) -> dict[str, Any]:
    """Return the namespace of a signature class: what its body holds beside fields and validators, and `Facts`.

    Args:
        name: The class's name.
        bases: Its bases; those that are signatures hand on their fields, validators and instructions.
        namespace: Its body.
        frame: Where the class statement stands.

    Raises:
        SignatureError: Something in the body cannot be a field; the message names it.
    """
    own = {key: value for key, value in namespace.items() if isinstance(value, FieldInfo)}
    validators = _own_validators(namespace)
    parents = [base for base in bases if isinstance(base, Facts)]
    facts = {key: value for key, value in namespace.items() if key not in own and key not in validators}
    facts["_telic_text"] = _instructions(namespace.get("__doc__"), parents)
    for parent in reversed(parents):
        validators = {**parent.validators, **validators}
    facts["_telic_validators"] = validators
    find = _finder(name, namespace, own, parents, frame)
    try:
        facts.update(find())
    except NameError:  # a type that is defined later: looked up again when the fields are asked for
        facts["_telic_pending"] = _late(name, find)
    return facts


def _instructions(doc: str | None, parents: list[Facts]) -> str | None:
    """Return the docstring, else the nearest base's instructions, else None; "" for the root of all signatures."""
    text = "" if doc is None else clean_text(doc)
    if text or not parents:
        return text
    texts: list[str | None] = [vars(parent)["_telic_text"] for parent in parents]
    return next((text for text in texts if text), None)


def _finder(
    name: str, namespace: dict[str, Any], own: dict[str, FieldInfo], parents: list[Facts], frame: FrameType
) -> Callable[[], dict[str, Any]]:
    """Return what finds the fields of a class body; it raises NameError while the name of a type is not known."""
    module = around = frame.f_globals
    if any(not isinstance(kind, type) for kind in namespace.get("__annotations__", {"": None}).values()):
        around = frame.f_locals
    look_up = look_up_in(module, {} if around is module else dict(around))

    def find() -> dict[str, Any]:
        annotations = _own_annotations(namespace)
        _check_body(name, namespace, annotations)
        inherited: dict[str, FieldInfo] = {}
        for parent in reversed(parents):
            inherited.update(parent.fields)
        fields = {**inherited, **_named_fields(name, own, annotations, inherited, look_up)}
        inputs = {key: field for key, field in fields.items() if field.kind == "input"}
        outputs = {key: field for key, field in fields.items() if field.kind == "output"}
        tell_hidden(name, outputs)
        return {
            "_telic_inputs": Fields(inputs),
            "_telic_outputs": Fields(outputs),
            "_telic_fields": Fields({**inputs, **outputs}),
            "_telic_pending": None,
        }

    return find


def _late(name: str, find: Callable[[], dict[str, Any]]) -> Callable[[Any], None]:
    """Return what settles the fields of a class that was made before its types were known."""

    def settle(cls: Any) -> None:
        try:
            facts = find()
        except NameError as error:
            raise _unknown_type(name, error) from error
        for key, value in facts.items():
            setattr(cls, key, value)

    return settle


def _own_validators(namespace: Namespace) -> dict[str, Any]:
    """Return pydantic's decorated methods (`@field_validator`, `@model_validator`) of a class body."""
    return {
        name: value for name, value in namespace.items() if type(value).__name__ == "PydanticDescriptorProxy"
    }


def _own_annotations(namespace: Namespace) -> dict[str, Any]:
    """Return the annotations of a class body: types, or text that is still to be looked up.

    Raises:
        NameError: Python 3.14 and later, which evaluates them all on demand, cannot do it yet.
    """
    if "__annotations__" in namespace or sys.version_info < (3, 14):
        return dict(namespace.get("__annotations__", {}))
    annotationlib = load("annotationlib")
    evaluate = annotationlib.get_annotate_from_class_namespace(namespace)
    if evaluate is None:
        return {}
    return dict(annotationlib.call_annotate_function(evaluate, annotationlib.Format.VALUE))


def _check_body(title: str, namespace: Namespace, annotations: Mapping[str, Any]) -> None:
    """Refuse annotated names that are no fields, and fields that have no proper name.

    Raises:
        SignatureError: Naming the class and the field.
    """
    for name, annotation in annotations.items():
        if (
            isinstance(namespace.get(name), FieldInfo)
            or name.startswith("_")
            or _is_class_variable(annotation)
        ):
            continue
        raise SignatureError(
            f"{title}.{name} is annotated, but is neither an input nor an output; write "
            f"`{name}: … = InputField()` or `{name}: … = OutputField()` (a constant is marked ClassVar)"
        )


def _is_class_variable(annotation: Any) -> bool:
    if isinstance(annotation, str):
        return annotation.partition("[")[0].rpartition(".")[2] == "ClassVar"
    return annotation is typing.ClassVar or typing.get_origin(annotation) is typing.ClassVar


def _named_fields(
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
        made[name] = named = field.bound(name, annotation)
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


def _unknown_type(title: str, error: NameError) -> SignatureError:
    """Return the error of a signature class whose types are still unknown when they are needed."""
    name = str(getattr(error, "name", "")) or str(error)
    hint = did_you_mean(name, ("str", "int", "float", "bool", "list", "dict", "Literal", "Optional", "Any"))
    return SignatureError(
        f"{title} has a field of the unknown type {name!r}{hint}; define or import it in the module"
    )


def clean_text(text: str) -> str:
    r"""Return a docstring without its indentation and the blank lines around it.

    Example:
        >>> clean_text('''Answer the question.
        ...
        ...     Be brief.
        ... ''')
        'Answer the question.\n\nBe brief.'
    """
    first, *rest = text.expandtabs().split("\n")
    margin = min((len(line) - len(line.lstrip()) for line in rest if line.strip()), default=0)
    lines = [first.lstrip(), *(line[margin:] if line.strip() else "" for line in rest)]
    return "\n".join(lines).strip("\n").rstrip()
