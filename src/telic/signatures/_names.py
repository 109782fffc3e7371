"""Types and their names: what a name in a signature string means, and how a type is shown in a prompt.

A string never causes an import of something that it names: the table is fixed (builtins, `typing`, `collections`,
dates, a few plain values of the standard library, and the field types of this library). Types of the user's own come
through `custom_types`.
"""

from __future__ import annotations

import builtins
import collections
import collections.abc
import types
import typing
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, final

import telic.types
from telic._optional import load

_BUILTIN_NAMES: Final = "str int float bool list dict set frozenset tuple bytes bytearray complex object type"
_TYPING_NAMES: Final = (
    "Annotated Any Callable Collection Container DefaultDict Deque Dict FrozenSet Iterable Iterator List Literal "
    "Mapping MutableMapping MutableSequence MutableSet Optional OrderedDict Sequence Set Tuple Type Union"
)
_ABC_NAMES: Final = (
    "Callable Collection Container Iterable Iterator Mapping MutableMapping MutableSequence MutableSet "
    "Sequence Set"
)
_BUILTINS: Final[Mapping[str, Any]] = {name: getattr(builtins, name) for name in _BUILTIN_NAMES.split()}
_TYPING: Final[Mapping[str, Any]] = {name: getattr(typing, name) for name in _TYPING_NAMES.split()}
_COLLECTIONS: Final[Mapping[str, Any]] = {
    name: getattr(collections, name) for name in ("deque", "defaultdict", "OrderedDict", "Counter")
}
_ABC: Final[Mapping[str, Any]] = {name: getattr(collections.abc, name) for name in _ABC_NAMES.split()}
_STANDARD: Final[
    Mapping[str, str]
] = {  # values of the standard library; its module is loaded for the first such field
    "datetime": "datetime",
    "date": "datetime",
    "time": "datetime",
    "timedelta": "datetime",
    "timezone": "datetime",
    "Decimal": "decimal",
    "Fraction": "fractions",
    "UUID": "uuid",
    "Path": "pathlib",
}
_BARE: Final[Mapping[str, Any]] = {**_COLLECTIONS, **_TYPING, **_BUILTINS, "None": None}
_PACKAGES: Final[Mapping[str, Mapping[str, Any]]] = {
    "typing": _TYPING,
    "builtins": _BUILTINS,
    "collections": _COLLECTIONS,
    "collections.abc": _ABC,
}
_OWN: Final = ("telic", "dspy")  # programs write `dspy.Image` in strings
MISSING: Final = object()


@final
class _Scope:
    """Where signature strings look for types that nobody passed in: nowhere, unless `telic.compat` says so."""

    def __init__(self) -> None:
        self.types: Callable[[], Mapping[str, Any]] = dict
        """Makes the scope of one string: types by name; its length is how many were found in it."""


SCOPE: Final = _Scope()


def find_type(name: str) -> Any:
    """Return what a bare or dotted name stands for, or `MISSING`; `None` stands for itself."""
    if name in _BARE:
        return _BARE[name]
    package, _, last = name.rpartition(".")
    if package in _PACKAGES:
        return _PACKAGES[package].get(last, MISSING)
    if last in _STANDARD and package in ("", _STANDARD[last]):
        return getattr(load(_STANDARD[last]), last)
    if package == "" or package in _OWN:
        found = vars(telic.types).get(last)
        if isinstance(found, type) and found.__module__.startswith("telic."):
            return found
    return MISSING


def known_names() -> Iterable[str]:
    """Return the bare names that a signature string may use without `custom_types`."""
    own = [name for name, value in vars(telic.types).items() if isinstance(value, type)]
    return [*_BARE, *_STANDARD, *own]


def type_name(annotation: Any) -> str:
    """Return a type as it is shown in prompts and written in signature strings.

    Example:
        >>> from typing import Literal, Optional
        >>> type_name(dict[str, Optional[int]]), type_name(Literal["a", 3])
        ('dict[str, int | None]', "Literal['a', 3]")
    """
    if annotation is None or annotation is type(None):
        return "None"
    if annotation is ...:
        return "..."
    origin = typing.get_origin(annotation)
    if origin is None:
        return _plain_name(annotation)
    args = typing.get_args(annotation)
    if origin is typing.Literal:
        return f"Literal[{', '.join(_literal(arg) for arg in args)}]"
    if origin is typing.Union or origin is types.UnionType:
        return " | ".join(type_name(arg) for arg in args)
    if origin is typing.Annotated:
        return type_name(args[0])
    name = _plain_name(origin)
    return f"{name}[{', '.join(_argument(arg) for arg in args)}]" if args else name


def _argument(arg: Any) -> str:
    return f"[{', '.join(type_name(a) for a in arg)}]" if isinstance(arg, list) else type_name(arg)  # pyright: ignore[reportUnknownVariableType]


def _literal(value: Any) -> str:
    if hasattr(value.__class__, "__members__"):  # an enum's member
        return f"{value.__class__.__name__}.{value.name}"
    return repr(value)


def _plain_name(annotation: Any) -> str:
    if isinstance(annotation, str):
        return annotation
    for attribute in ("__name__", "_name", "__forward_arg__"):
        name = getattr(annotation, attribute, None)
        if isinstance(name, str):
            return name
    return repr(annotation)


def allows_none(annotation: Any) -> bool:
    """Return whether None is a value of the type."""
    if annotation is None or annotation is type(None):
        return True
    origin = typing.get_origin(annotation)
    if origin is typing.Union or origin is types.UnionType:
        return any(allows_none(arg) for arg in typing.get_args(annotation))
    if origin is typing.Annotated:
        return allows_none(typing.get_args(annotation)[0])
    return origin is typing.Literal and None in typing.get_args(annotation)
