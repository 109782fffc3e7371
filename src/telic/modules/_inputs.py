"""Refusing wrong inputs at the door: before anything is rendered, and long before anything is paid for.

A checker is made once for each signature. It fills defaults, names what is missing or unknown with the nearest name,
and tests values against annotations: cheap tests for plain classes and their containers, pydantic for the rest. A `str`
field takes any value but None, which an adapter renders (a list becomes numbered passages); None is taken only by
fields that allow it. Nothing is converted: the trace holds what the caller gave.
"""

from __future__ import annotations

import types
from collections.abc import Callable, Mapping
from typing import Any, Final, Literal, Union, cast, get_args, get_origin

from telic._optional import load
from telic._text import did_you_mean, join_names, truncate
from telic._unset import UNSET
from telic.context import get as setting
from telic.errors import InputError
from telic.signatures import type_adapter, type_name
from telic.types import FieldType, mentions

Test = Callable[[Any], bool]
_MISSING: Final = object()


class InputChecker:
    """The inputs of one signature.

    Attributes:
        names: The input fields.
    """

    __slots__ = ("_defaults", "_signature", "_tests", "names")

    def __init__(self, signature: Any) -> None:
        fields: Mapping[str, Any] = signature.input_fields
        self._signature = signature
        self.names = frozenset(fields)
        self._tests: tuple[tuple[str, Test], ...] = tuple(
            (name, _test(field)) for name, field in fields.items()
        )
        self._defaults = {name: field for name, field in fields.items() if not field.required}

    def check(self, inputs: dict[str, Any]) -> dict[str, Any]:
        """Return the inputs with defaults filled in.

        Raises:
            InputError: An input is missing, unknown or of a wrong type.
        """
        if inputs.keys() != self.names:
            inputs = self._completed(inputs)
        for name, test in self._tests:
            if not test(inputs[name]):
                self._refuse(name, inputs[name])
        return inputs

    def _completed(self, inputs: dict[str, Any]) -> dict[str, Any]:
        unknown = [name for name in inputs if name not in self.names]
        if unknown:
            hint = did_you_mean(unknown[0], [name for name in self.names if name not in inputs] or self.names)
            raise InputError(f"{self._title} has no input {unknown[0]!r}{hint}; {self._known}")
        completed: dict[str, Any] = {}
        missing: list[str] = []
        for name in self._signature.input_fields:
            value = inputs.get(name, _MISSING)
            if value is _MISSING:
                value = self._default(name)
            if value is _MISSING:
                missing.append(name)
            completed[name] = value
        if missing:
            raise InputError(f"{self._title} needs the input {join_names(missing)}, not given; {self._known}")
        return completed

    def _default(self, name: str) -> Any:
        field = self._defaults.get(name)
        if field is None:
            return _MISSING
        value = field.get_default()
        return None if value is UNSET else value

    def _refuse(self, name: str, value: Any) -> None:
        """Raise for a value that does not fit; only None is refused where `warn_on_type_mismatch` is off."""
        field = self._signature.input_fields[name]
        if value is not None and not setting("warn_on_type_mismatch"):
            return
        expected = type_name(field.annotation)
        shown = truncate(repr(value), 120)
        hint = f"; annotate it `{expected} | None` to allow None" if value is None else _reason(value, field)
        raise InputError(
            f"the input {name!r} of {self._title} must be {expected}, got {shown} "
            f"of type {type(value).__name__}{hint}"
        )

    @property
    def _title(self) -> str:
        return self._signature.__name__

    @property
    def _known(self) -> str:
        return f"its inputs are {join_names(self._signature.input_fields)}"


def _reason(value: Any, field: Any) -> str:
    """Return what a field type says of a value that it cannot be made of, or "" for other types."""
    if not mentions(field.annotation, FieldType):
        return ""
    try:
        type_adapter(field.annotation).validate_python(value)
    except load("pydantic").ValidationError as error:
        said = [
            str(found["msg"]).removeprefix("Value error, ") for found in error.errors(include_input=False)
        ]
        return "".join(f"; {truncate(text, 300)}" for text in said[:1] if not text.startswith("Input should"))
    return ""


def positional_error(signature: Any, count: int) -> InputError:
    """Return the error for inputs that were given by position."""
    call = ", ".join(f"{name}=…" for name in signature.input_fields)
    return InputError(
        f"a predictor takes its inputs by name, got {count} by position; call it as predictor({call})"
    )


def _test(field: Any) -> Test:
    if field.constraints:
        return _by_pydantic(field)
    return _optional_aware(field.annotation) or _by_pydantic(field)


def _optional_aware(annotation: Any) -> Test | None:
    if annotation is str:
        return _is_given
    return _plain_test(annotation)


def _is_given(value: Any) -> bool:
    return value is not None


def _anything(value: Any) -> bool:
    return True


def _is_row(value: Any) -> bool:
    return isinstance(value, (list, tuple))


_NUMBERS: Final[Mapping[type, tuple[type, ...]]] = {bool: (bool,), int: (int,), float: (int, float)}


def _plain_test(annotation: Any) -> Test | None:
    """Return a test that needs no pydantic, or None where the annotation is more than that."""
    if annotation is Any or annotation is object:
        return _anything
    if annotation is None or annotation is type(None):
        return lambda value: value is None
    origin = get_origin(annotation)
    if origin is Union or origin is types.UnionType:
        return _union_test(get_args(annotation))
    if origin is Literal:
        allowed = get_args(annotation)
        return lambda value: any(value == one and type(value) is type(one) for one in allowed)
    if annotation is list:
        return _is_row
    if annotation in (dict, bytes):
        return lambda value: isinstance(value, annotation)
    if origin is list and get_args(annotation) == (str,):
        return lambda value: (
            _is_row(value) and all(isinstance(item, str) for item in cast("list[Any]", value))
        )
    if isinstance(annotation, type) and origin is None:
        return _class_test(annotation)
    return None


def _union_test(members: tuple[Any, ...]) -> Test | None:
    tests = [_optional_aware(member) for member in members]
    if any(test is None for test in tests):
        return None
    known = cast("list[Test]", tests)
    return lambda value: any(test(value) for test in known)


def _class_test(cls: type) -> Test:
    exact = _NUMBERS.get(cls)
    if exact is not None:
        quick = exact
        slow = _adapter_test(cls)
        return lambda value: type(value) in quick or slow(value)
    convert = _adapter_test(cls)
    try:
        isinstance(None, cls)
    except TypeError:  # a TypedDict, a protocol: a class that takes no such question
        return convert
    return lambda value: isinstance(value, cls) or convert(value)


def _adapter_test(annotation: Any) -> Test:
    """Return a test by pydantic in lax mode: what it would convert (a dict to a model, "3" to an int) is taken."""
    adapters: list[Any] = []  # made on first use: most values pass the cheap test

    def test(value: Any) -> bool:
        if not adapters:
            adapters.append(type_adapter(annotation))
        plain = value.item() if type(value).__module__ == "numpy" and hasattr(value, "item") else value
        try:
            adapters[0].validate_python(plain)
        except ValueError:
            return False
        except load("pydantic").PydanticUserError:
            return False  # a class that pydantic knows nothing of: only its instances fit
        return True

    return test


def _by_pydantic(field: Any) -> Test:
    return _adapter_test(field)
