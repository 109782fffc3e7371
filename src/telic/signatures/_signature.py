"""`Signature`: what a step takes and what it gives.

A signature is a class used as a value: it has fields and instructions, is never changed and never instantiated. Edits
return another class, which shares all fields that are not edited: they cost a few microseconds, whatever the number
of fields. A signature is no pydantic model; pydantic is loaded only where a value has to be checked.

Written as a class, the docstring is the instructions; written as a string, the syntax is that of `_grammar`. A string
seen before gives the same class again.
"""

from __future__ import annotations

import copyreg
import keyword
import sys
import threading
from collections.abc import Mapping
from operator import is_
from typing import TYPE_CHECKING, Any, Final, TypeVar, cast

from telic._text import did_you_mean
from telic._unset import UNSET
from telic.errors import SignatureError
from telic.signatures import _grammar, _state
from telic.signatures._body import read_body
from telic.signatures._facts import Facts, Fields, tell_hidden
from telic.signatures._field import FieldInfo, Kind, check_constraints
from telic.signatures._names import SCOPE
from telic.signatures._options import field_changes

if TYPE_CHECKING:
    from telic.signatures._typed import TypedPrediction as _Instance
else:
    _Instance = object

SignatureT = TypeVar("SignatureT", bound="SignatureMeta")
_MAX_KEPT: Final = 1024
_by_text: dict[str, type[Signature]] = {}
_lock: Final = threading.Lock()


class SignatureMeta(Facts):
    """The class of signatures: what `Facts` tells of them, and edits, each of which returns a new signature."""

    def __new__(mcls, name: str, bases: tuple[type, ...], namespace: dict[str, Any], **kwargs: Any) -> Any:
        frame = sys._getframe(1)  # pyright: ignore[reportPrivateUsage]
        cls: Any = type.__new__(mcls, name, bases, read_body(name, bases, namespace, frame), **kwargs)
        cls._telic_origin = cls
        return cls

    if TYPE_CHECKING:

        def __call__(
            cls,
            signature: str | Mapping[str, Any],
            instructions: str | None = None,
            custom_types: Mapping[str, Any] | None = None,
        ) -> type[UntypedSignature]: ...

    else:

        def __call__(cls, signature=UNSET, instructions=None, custom_types=None, **values):  # noqa: ANN001, ANN003, ANN204
            if cls is not Signature or signature is UNSET:
                raise SignatureError(
                    f"the signature {cls.__name__} is a description and has no instances; "
                    f"run it: Predict({cls.__name__})({', '.join(f'{name}=…' for name in cls.input_fields)})"
                )
            if values:
                raise SignatureError(f"Signature(…) has no option {next(iter(values))!r}; see make_signature")
            if instructions is None and custom_types is None and type(signature) is str:
                known = _by_text.get(signature)
                if known is not None:
                    return known
            return make_signature(signature, instructions, custom_types=custom_types)

        def __getattr__(cls, name):  # noqa: ANN001, ANN204
            if name[:1] != "_" and name in cls.fields:
                raise AttributeError(f"{cls.__name__}.{name} is a field: see {cls.__name__}.fields[{name!r}]")
            raise AttributeError(f"the signature {cls.__name__} has no attribute {name!r}")

    def with_instructions(cls: SignatureT, instructions: str) -> SignatureT:
        """Return the signature with other instructions.

        Raises:
            SignatureError: They are no text.
        """
        if not isinstance(instructions, str):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise SignatureError(f"instructions must be text, not {instructions!r}")
        return _derive(cls, instructions, cls.input_fields, cls.output_fields, cls.fields)

    def append_instructions(cls: SignatureT, instructions: str) -> SignatureT:
        """Return the signature with a paragraph added to its instructions."""
        return cls.with_instructions(f"{cls.instructions}\n\n{instructions}")

    def with_updated_fields(cls: SignatureT, name: str, type_: Any = None, **kwargs: Any) -> SignatureT:
        """Return the signature with one field changed.

        Args:
            name: The field.
            type_: Its new type, or None to keep the present one.
            kwargs: What to replace of it, as for `InputField`: `desc`, `default`, constraints ….

        Raises:
            SignatureError: There is no such field, or a keyword is a misspelt option.
        """
        field = cls.fields.get(name)
        if field is None:
            raise SignatureError(f"{cls.__name__} has no field {name!r}{did_you_mean(name, cls.fields)}")
        changes = field_changes(kwargs)
        for merged in ("constraints", "extra"):
            if merged in changes:
                changes[merged] = {**getattr(field, merged), **changes[merged]}
        if type_ is not None:
            changes["annotation"] = type_
        changed = field.replace(**changes)
        check_constraints(changed)
        side = _side(cls, field.kind)
        side[name] = changed
        return _with_side(cls, field.kind, side)

    def prepend(cls: SignatureT, name: str, field: Any, type_: Any = None) -> SignatureT:
        """Return the signature with one more field, the first of the inputs or of the outputs."""
        return cls.insert(0, name, field, type_)

    def append(cls: SignatureT, name: str, field: Any, type_: Any = None) -> SignatureT:
        """Return the signature with one more field, the last of the inputs or of the outputs."""
        return cls.insert(-1, name, field, type_)

    def insert(cls: SignatureT, index: int, name: str, field: Any, type_: Any = None) -> SignatureT:
        """Return the signature with one more field.

        Args:
            index: Its place among the inputs or the outputs; negative: from the end, -1 is behind the last.
            name: Its name.
            field: `InputField(…)` or `OutputField(…)`, which says where it belongs.
            type_: Its type; None: the one that `field` has, else `str`.

        Raises:
            SignatureError: There is a field of that name, `field` is no field, or `index` is out of range.
        """
        made = _named(name, (type_, field))
        if name in cls.fields:
            raise SignatureError(
                f"{cls.__name__} has a field {name!r} already; use with_updated_fields to change it"
            )
        side = list(_side(cls, made.kind).items())
        place = index if index >= 0 else index + len(side) + 1
        if not 0 <= place <= len(side):
            raise SignatureError(
                f"index {index} is out of range: {cls.__name__} has {len(side)} {made.kind} fields, "
                f"so a new one goes to 0 … {len(side)} or -1 … {-len(side) - 1}"
            )
        side.insert(place, (name, made))
        return _with_side(cls, made.kind, dict(side))

    def delete(cls: SignatureT, name: str) -> SignatureT:
        """Return the signature without a field; a name that is not there is no error."""
        field = cls.fields.get(name)
        if field is None:
            return cls
        side = _side(cls, field.kind)
        del side[name]
        return _with_side(cls, field.kind, side)

    def load_state(cls: SignatureT, state: Mapping[str, Any]) -> SignatureT:
        """Return the signature with the instructions, descriptions and prefixes of a saved state, ours or DSPy's.

        Raises:
            StateError: It is no state of a signature.
            StateMismatchError: It belongs to a signature with other fields.
        """
        text, fields = _state.restore(cls.__name__, cls.fields, state)
        if text == cls.instructions and all(map(is_, fields.values(), cls.fields.values())):
            return cls
        inputs = Fields({name: fields[name] for name in cls.input_fields})
        outputs = Fields({name: fields[name] for name in cls.output_fields})
        return _derive(cls, text, inputs, outputs, Fields(fields))


def make_signature(
    signature: str | Mapping[str, Any],
    instructions: str | None = None,
    signature_name: str = "StringSignature",
    custom_types: Mapping[str, Any] | None = None,
) -> type[Signature]:
    """Return a signature from a string, or from fields by name.

    Args:
        signature: A string such as "question, k: int = 3 -> answer: list[str]" (see `_grammar`), or a dict whose
            values are fields or `(type, field)` pairs.
        instructions: What the step is to do; None: "Given the fields …".
        signature_name: The class's name.
        custom_types: Types of your own by the names that the string uses.

    Raises:
        SignatureSyntaxError: The string does not parse.
        SignatureError: The fields or the instructions cannot be.

    Example:
        >>> make_signature("question -> answer: float").output_fields["answer"].annotation
        <class 'float'>
    """
    if instructions is not None and not isinstance(instructions, str):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise SignatureError(f"instructions must be text, not {instructions!r}")
    if isinstance(signature, str):
        types = SCOPE.types() if custom_types is None else custom_types
        inputs, outputs = _grammar.parse(signature, types)
        made = _string_signature(signature_name, inputs, outputs, instructions)
        if instructions is None and len(types) == 0 and signature_name == "StringSignature":
            _remember(signature, made)
        return made
    if not isinstance(signature, Mapping):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise SignatureError(
            f"a signature is made from a string or from fields by name, not from {signature!r}"
        )
    fields = {name: _named(name, given) for name, given in signature.items()}
    inputs = {name: field for name, field in fields.items() if field.kind == "input"}
    outputs = {name: field for name, field in fields.items() if field.kind == "output"}
    return _string_signature(signature_name, inputs, outputs, instructions)


def ensure_signature(signature: Any, instructions: str | None = None) -> Any:
    """Return a signature for a string, and a signature or None as it is.

    Raises:
        SignatureError: It is something else, or instructions come with a signature that has its own.
    """
    if isinstance(signature, SignatureMeta):
        if instructions is not None:
            raise SignatureError(
                f"the signature {signature.__name__} has instructions of its own; use with_instructions(…)"
            )
        return signature
    if signature is None:
        return None
    return Signature(signature) if instructions is None else make_signature(signature, instructions)


def _string_signature(
    name: str, inputs: Mapping[str, FieldInfo], outputs: Mapping[str, FieldInfo], text: str | None
) -> type[Signature]:
    tell_hidden(name, outputs)
    return _derive(Signature, text, Fields(inputs), Fields(outputs), Fields({**inputs, **outputs}), name)


def _remember(text: str, made: type[Signature]) -> None:
    with _lock:
        if len(_by_text) >= _MAX_KEPT:
            del _by_text[next(iter(_by_text))]
        _by_text[text] = made


def _derive(
    cls: SignatureT,
    text: str | None,
    inputs: Fields,
    outputs: Fields,
    fields: Fields,
    name: str | None = None,
) -> SignatureT:
    """Return a new class beside `cls`: a direct child of the class that the user wrote, however many edits ago."""
    origin: Any = cls._telic_origin  # pyright: ignore[reportPrivateUsage]
    namespace: dict[str, Any] = {
        "__module__": cls.__module__,
        "__doc__": text,
        "_telic_text": text,
        "_telic_inputs": inputs,
        "_telic_outputs": outputs,
        "_telic_fields": fields,
        "_telic_pending": None,
    }
    title = cls.__name__ if name is None else name
    return cast("SignatureT", type.__new__(origin.__class__, title, (origin,), namespace))


def _side(cls: SignatureMeta, kind: Kind) -> dict[str, FieldInfo]:
    return dict(cls.input_fields if kind == "input" else cls.output_fields)


def _with_side(cls: SignatureT, kind: Kind, side: dict[str, FieldInfo]) -> SignatureT:
    changed = Fields(side)
    inputs = changed if kind == "input" else cls.input_fields
    outputs = changed if kind == "output" else cls.output_fields
    return _derive(cls, cls.instructions, inputs, outputs, Fields({**inputs, **outputs}))


def _named(name: str, given: Any) -> FieldInfo:
    """Return the field of `name` from a field or a `(type, field)` pair.

    Raises:
        SignatureError: `given` is neither, or `name` cannot name a field.
    """
    annotation, field = cast("tuple[Any, Any]", given) if isinstance(given, tuple) else (None, given)
    if not isinstance(field, FieldInfo):
        raise SignatureError(f"field {name!r} is {field!r}; make it with InputField(…) or OutputField(…)")
    if not isinstance(name, str) or not name.isidentifier() or name[0] == "_" or keyword.iskeyword(name):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise SignatureError(f"{name!r} cannot name a field; use a Python name without a leading underscore")
    if annotation is None:
        annotation = str if field.annotation is UNSET else field.annotation
    made = field.bound(name, annotation)
    check_constraints(made)
    return made


def _rebuild(
    origin: Any, name: str, text: str | None, inputs: list[FieldInfo], outputs: list[FieldInfo]
) -> type[Signature]:
    left = Fields({field.name: field for field in inputs})
    right = Fields({field.name: field for field in outputs})
    return _derive(origin, text, left, right, Fields({**left, **right}), name)


def _reduce(cls: Any) -> Any:
    """Pickle a signature written as a class by its name, and one made by a string or an edit by its fields."""
    if cls._telic_origin is cls:
        return cls.__qualname__
    fields = [list(cls.input_fields.values()), list(cls.output_fields.values())]
    return _rebuild, (cls._telic_origin, cls.__name__, cls._telic_text, *fields)


class Signature(_Instance, metaclass=SignatureMeta):
    """"""  # noqa: D419  # a docstring is instructions, and the base has none

    if TYPE_CHECKING:

        def __new__(
            cls,
            signature: str | Mapping[str, Any],
            instructions: str | None = None,
            custom_types: Mapping[str, Any] | None = None,
        ) -> type[UntypedSignature]: ...  # pyright: ignore[reportIncompatibleMethodOverride] - for mypy


if TYPE_CHECKING:

    class UntypedSignature(Signature):
        """What `Signature("question -> answer")` is to type checkers: they cannot know its fields."""

        def __getattr__(self, name: str) -> Any: ...


copyreg.pickle(cast("Any", SignatureMeta), _reduce)
