"""A raw value of a reply as the type that its field declares.

`coercer(field, restore)` looks at the annotation once and returns a function for all replies. What comes in is text
(from marker and tag layouts) or whatever JSON held. Plain text and numbers never touch pydantic; everything with
structure goes through the field's cached TypeAdapter, after repair. Repair is tried in the order of trust: the value as
it is, then repaired, then unwrapped from a single key; an object that took nothing of the reply is the last choice. A
field's constraints hold in every case.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from telic._text import truncate, whole_escapes
from telic._unset import UNSET
from telic.adapters._annotations import (
    bare_annotation,
    enum_choices,
    from_text_method,
    literal_choices,
    union_members,
)
from telic.adapters._objects import NoJSON, read_json
from telic.adapters._scalars import bare, match_choice, read_bool, read_float, read_int
from telic.adapters._tags import read_elements
from telic.signatures import type_adapter, type_name

if TYPE_CHECKING:
    from telic.signatures import FieldInfo

Coercer = Callable[[Any], Any]
Restore = Callable[[str], str]
_STRUCTURED_SIGNS = ("{", "[", "`", "<")
_NONE = frozenset({"none", "null"})


class FieldValueError(ValueError):
    """A raw value that is not, and does not repair to, what its field declares; the message is fit for an LM."""


def coercer(field: FieldInfo, restore: Restore) -> Coercer:
    """Return the function that makes a raw value what `field` declares.

    Args:
        field: An output field.
        restore: Takes the layout's guards out of text.

    Raises:
        FieldValueError: (by the function) "expected float, got 'high'".
    """
    if field.is_plain_str:
        return _text_coercer(restore)
    annotation = bare_annotation(field.annotation)
    convert = _converter(annotation, field, restore)
    if convert is None:
        return _structured(field)
    if not field.constraints and annotation is field.annotation:
        return convert
    check = type_adapter(field).validate_python

    return lambda raw: _validated(field, raw, convert(raw), check)


def _text_coercer(restore: Restore) -> Coercer:
    def text(raw: Any) -> str:
        if type(raw) is str:
            return restore(raw) if "\\" in raw else raw
        if raw is None:
            raise FieldValueError("expected str, got null")
        return json.dumps(raw, ensure_ascii=False)

    return text


def _quoted_text(restore: Restore) -> Coercer:
    """Read text that the prompt asks for as JSON (`str | None`): a JSON string is taken out of its quotes."""
    text = _text_coercer(restore)

    def quoted_text(raw: Any) -> str:
        if isinstance(raw, str) and raw[:1] == raw[-1:] == '"' and len(raw) > 1:
            try:
                return json.loads(whole_escapes(raw))
            except ValueError:
                pass
        return text(raw)

    return quoted_text


def _converter(annotation: Any, field: FieldInfo, restore: Restore) -> Coercer | None:
    """Return the function for types that need no pydantic, or None for those with structure."""
    if annotation is str:
        return _text_coercer(restore)
    if annotation is bool:
        return _scalar(field, read_bool, (bool, int))
    if annotation is int:
        return _scalar(field, read_int, (int, float))
    if annotation is float or _is_decimal(annotation):
        fraction = not any(_above_one(field.constraints.get(name)) for name in ("le", "lt"))
        number = partial(read_float, percent_is_fraction=fraction, kind=annotation)
        return _scalar(
            field, number if annotation is float else lambda text: _finite(number(text)), (int, float)
        )
    choices = literal_choices(annotation) or enum_choices(annotation)
    if choices:
        return _choice(field, choices, restore, enum_names=bool(enum_choices(annotation)))
    members = union_members(annotation)
    if members:
        return _union(members, field, restore)
    if annotation is Any or annotation is object:
        return _anything(restore)
    read = from_text_method(annotation)
    return None if read is None else _self_read(annotation, field, read, restore)


def _is_decimal(annotation: Any) -> bool:
    return annotation is getattr(sys.modules.get("decimal"), "Decimal", UNSET)


def _finite(number: Any) -> Any:
    if not number.is_finite():
        raise ValueError("not a finite number")
    return number


def _above_one(limit: Any) -> bool:
    return isinstance(limit, (int, float)) and limit > 1


def _scalar(field: FieldInfo, read: Callable[[str], Any], kinds: tuple[type, ...]) -> Coercer:
    """Read a bool or a number from text or from a JSON value of one of `kinds`."""
    boolean = bool in kinds

    def scalar(raw: Any) -> Any:
        try:
            if isinstance(raw, str):
                return read(raw)
            if isinstance(raw, kinds) and isinstance(raw, bool) <= boolean:
                return read(str(raw))
            if isinstance(raw, (dict, list)) and len(raw) == 1:  # pyright: ignore[reportUnknownArgumentType]
                return scalar(next(iter(raw.values() if isinstance(raw, dict) else raw)))  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
        except (ValueError, OverflowError):
            pass
        raise _mismatch(field, raw)

    def from_text(raw: Any) -> Any:
        if isinstance(raw, str) and raw.lstrip()[:1] in ("{", "[", "`"):
            try:
                return scalar(read_json(raw)[0])
            except NoJSON:
                pass
        return scalar(raw)

    return from_text


def _choice(field: FieldInfo, choices: Mapping[str, Any], restore: Restore, *, enum_names: bool) -> Coercer:
    names = {member.name: member for member in choices.values()} if enum_names else {}

    def choice(raw: Any) -> Any:
        text = restore(raw) if isinstance(raw, str) else str(raw)
        for known in (choices, names):
            spelling = match_choice(text, known)
            if spelling is not None:
                return known[spelling]
        inner = _single_value(text if isinstance(raw, str) else raw)
        if inner is not None:
            return choice(inner)
        raise _mismatch(field, raw)

    return choice


def _single_value(raw: Any) -> Any:
    """Return the value inside a JSON object or array of one, or None."""
    if isinstance(raw, str):
        if raw.lstrip()[:1] not in ("{", "[", "`"):
            return None
        try:
            raw = read_json(raw)[0]
        except NoJSON:
            return None
    if isinstance(raw, dict) and len(raw) == 1:  # pyright: ignore[reportUnknownArgumentType]
        return next(iter(raw.values()))  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
    return raw[0] if isinstance(raw, list) and len(raw) == 1 else None  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]


def _union(members: tuple[Any, ...], field: FieldInfo, restore: Restore) -> Coercer:
    some = [member for member in members if member is not type(None)]
    convert = _one_of(some, field, restore)
    if len(some) == len(members):
        return convert
    empty_is_none = str not in some

    def optional(raw: Any) -> Any:
        if raw is None:
            return None
        if type(raw) is str and len(raw) < 40:
            word = bare(raw).casefold()
            if word in _NONE or (not word and empty_is_none):
                return None
        return convert(raw)

    return optional


def _one_of(members: list[Any], field: FieldInfo, restore: Restore) -> Coercer:
    if members == [str]:
        return _quoted_text(restore)
    if len(members) == 1:
        return _converter(bare_annotation(members[0]), field, restore) or _structured(field)
    validate = type_adapter(field).validate_python
    structured = _structured(field)
    text_allowed = str in members
    converters = [_converter(bare_annotation(member), field, restore) for member in members]
    others = [convert for convert in converters if convert is not None]

    def one_of(raw: Any) -> Any:
        if not isinstance(raw, str):
            return _validated(field, raw, raw, validate)
        try:
            return validate(json.loads(raw))
        except (ValueError, RecursionError):
            if text_allowed:
                return restore(raw)
        structured_first = raw.lstrip()[:1] in _STRUCTURED_SIGNS
        for convert in (structured, *others) if structured_first else (*others, structured):
            try:
                return convert(raw)
            except FieldValueError:
                continue
        raise _mismatch(field, raw)

    return one_of


def _anything(restore: Restore) -> Coercer:
    def anything(raw: Any) -> Any:
        if not isinstance(raw, str):
            return raw
        try:
            return json.loads(whole_escapes(raw))
        except (ValueError, RecursionError):
            return restore(raw)

    return anything


def _self_read(kind: Any, field: FieldInfo, read: Callable[[str], Any], restore: Restore) -> Coercer:
    def self_read(raw: Any) -> Any:
        try:
            if isinstance(raw, str):
                return read(restore(raw))
            value = kind.of(raw)
            return value if isinstance(value, kind) else read(json.dumps(raw, ensure_ascii=False))
        except ValueError as error:
            raise _mismatch(field, raw, error) from None

    return self_read


def _structured(field: FieldInfo) -> Coercer:
    """Validate JSON text, or a JSON value, by the field's TypeAdapter; repair what does not fit at once."""
    adapter = type_adapter(field)
    from_json, validate = adapter.validate_json, adapter.validate_python

    def structured(raw: Any) -> Any:
        if type(raw) is str:
            try:
                value = from_json(raw)
            except (ValueError, RecursionError):
                pass
            else:
                if not _is_hollow(value):
                    return value
        first: ValueError | None = None
        hollow: Any = UNSET
        for candidate in _candidates(raw):
            try:
                value = validate(candidate)
            except (ValueError, RecursionError) as error:
                first = error if first is None and isinstance(error, ValueError) else first
                continue
            if not _is_hollow(value):
                return value
            hollow = value if hollow is UNSET else hollow
        if hollow is not UNSET:
            return hollow
        raise _mismatch(field, raw, first)

    return structured


def _is_hollow(value: Any) -> bool:
    """Return whether nothing of what was given went into an object: all keys unknown, all fields defaults."""
    if type(value) is dict:
        return not value
    if not hasattr(value, "__dataclass_fields__"):
        return not getattr(value, "model_fields_set", True)
    try:
        return value == type(value)()
    except TypeError:  # it has a field without a default, which was given
        return False


def _candidates(raw: Any) -> Iterator[Any]:
    """Yield what a raw value may have meant, most trusted first."""
    values: list[Any] = [raw]
    if isinstance(raw, str):
        values = []
        text = raw.strip()
        if text.startswith("<"):
            try:
                values.append(read_elements(text))
            except ValueError:
                pass
        try:
            values.append(read_json(text)[0])
        except NoJSON:
            pass
        if not values or len(text) < 100:
            values.append(text)
    for value in values:
        yield value
        if not isinstance(value, dict):
            continue
        if len(value) == 1:  # pyright: ignore[reportUnknownArgumentType]
            inner: Any = next(iter(value.values()))  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
            yield inner
            if isinstance(inner, dict):
                yield [inner]
        yield [value]


def _validated(field: FieldInfo, raw: Any, value: Any, validate: Callable[[Any], Any]) -> Any:
    try:
        return validate(value)
    except ValueError as error:
        raise _mismatch(field, raw, error) from None


def _mismatch(field: FieldInfo, raw: Any, cause: ValueError | None = None) -> FieldValueError:
    expected = type_name(field.annotation)
    if field.constraints_text:
        expected += f" ({field.constraints_text})"
    got = repr(truncate(raw if isinstance(raw, str) else json.dumps(raw, ensure_ascii=False, default=str)))
    return FieldValueError(f"expected {expected}, got {got}{_reasons(cause)}")


def _reasons(cause: ValueError | None) -> str:
    """Return pydantic's findings in brackets, three at most, without its links and inputs."""
    if cause is None:
        return ""
    errors: Any = getattr(cause, "errors", None)
    if not callable(errors):
        return f" ({truncate(str(cause))})"
    found: Any = errors(include_url=False, include_input=False, include_context=False)
    texts = [
        (f"at {'.'.join(map(str, item['loc']))}: " if item["loc"] else "") + item["msg"] for item in found[:3]
    ]
    more = f"; {len(found) - 3} more" if len(found) > 3 else ""
    return f" ({'; '.join(texts)}{more})"
