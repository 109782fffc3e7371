"""What one can ask a signature: its fields, its instructions, its text, whether values pass its validators.

The edits stand in `_signature`; both are parts of one metaclass. Facts are plain class attributes named `_telic_…`:
fields that are edited share nothing but values.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final, NoReturn

from telic._optional import load
from telic._text import did_you_mean
from telic.data import Prediction
from telic.errors import SignatureError
from telic.signatures import _state
from telic.signatures._field import FieldInfo
from telic.signatures._names import type_name
from telic.signatures._validators import make_model, run_model


class Fields(dict[str, FieldInfo]):
    """The fields of a signature by name, in order: a dict that refuses to change."""

    __slots__ = ()

    def _refuse(self, *_args: Any, **_kwargs: Any) -> NoReturn:
        raise SignatureError(
            "the fields of a signature cannot be changed in place; signature.append, .delete and "
            ".with_updated_fields return a new signature"
        )

    if not TYPE_CHECKING:
        __setitem__ = __delitem__ = __ior__ = clear = pop = popitem = setdefault = update = _refuse

    def __missing__(self, name: str) -> NoReturn:
        raise KeyError(f"{name!r} is no field{did_you_mean(name, self)}")

    def __reduce__(self) -> tuple[Any, ...]:
        return Fields, (dict(self),)


_METHODS: Final = frozenset(name for name in dir(Prediction) if name[0] != "_")


def tell_hidden(name: str, outputs: Mapping[str, Any]) -> None:
    """Say which outputs of a signature stand behind a method of predictions: `prediction.labels` is not their value."""
    if not _METHODS.isdisjoint(outputs):
        for field in sorted(_METHODS.intersection(outputs)):
            load("logging").getLogger("telic").warning(
                "read the output %r of %s as prediction[%r]: %s is a method of every prediction and example",
                field,
                name,
                field,
                field,
            )


class Facts(type):
    """The reading half of the class of signatures."""

    _telic_origin: Any
    _telic_inputs: Fields
    _telic_outputs: Fields
    _telic_fields: Fields
    _telic_text: str | None
    _telic_validators: Mapping[str, Any]
    _telic_pending: Any  # None, or what finds the fields whose types are not known yet
    _telic_model: Any

    @property
    def fields(cls) -> Fields:
        """All fields by name, inputs first."""
        if cls._telic_pending is not None:
            cls._telic_pending(cls)
        return cls._telic_fields

    @property
    def input_fields(cls) -> Fields:
        """The input fields by name, in order."""
        if cls._telic_pending is not None:
            cls._telic_pending(cls)
        return cls._telic_inputs

    @property
    def output_fields(cls) -> Fields:
        """The output fields by name, in order."""
        if cls._telic_pending is not None:
            cls._telic_pending(cls)
        return cls._telic_outputs

    @property
    def instructions(cls) -> str:
        """What the step is to do; "Given the fields …" where nothing was said."""
        text = cls._telic_text
        return _state.default_instructions(cls.input_fields, cls.output_fields) if text is None else text

    @instructions.setter
    def instructions(cls, text: str) -> None:
        raise SignatureError(
            "a signature cannot be changed in place; assign another one: "
            "predictor.signature = predictor.signature.with_instructions(…)"
        )

    @property
    def signature(cls) -> str:
        """The names of the fields: "context, question -> answer"."""
        return f"{', '.join(cls.input_fields)} -> {', '.join(cls.output_fields)}"

    @property
    def spec(cls) -> str:
        """The fields as `Signature(…)` reads them back, with types, defaults, constraints and descriptions."""
        return _state.spec(cls.input_fields, cls.output_fields)

    def equals(cls, other: Any) -> bool:
        """Return whether both have the same instructions and fields: names, order, types, descriptions and all."""
        return (
            isinstance(other, Facts)
            and cls.instructions == other.instructions
            and list(cls.fields.items()) == list(other.fields.items())
            and all(
                type_name(mine.annotation) == type_name(theirs.annotation)
                for mine, theirs in zip(cls.fields.values(), other.fields.values(), strict=True)
            )
        )

    @property
    def validators(cls) -> Mapping[str, Any]:
        """The pydantic validators of the class body, by name; where there are none, `check_outputs` does nothing."""
        return cls._telic_validators

    def check_outputs(cls, values: dict[str, Any], inputs: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Return the outputs as the validators of the class body leave them; free where there are none.

        Args:
            values: Outputs by name, typed.
            inputs: The inputs of the call, for validators that compare both.

        Raises:
            ValueError: A validator objects; the message is fit for an LM.
        """
        if not cls._telic_validators:
            return values
        if "_telic_model" not in cls.__dict__:
            model = make_model(cls.__name__, cls.input_fields, cls.output_fields, cls._telic_validators)
            type.__setattr__(cls, "_telic_model", model)
        return run_model(cls._telic_model, cls.output_fields, values, {} if inputs is None else inputs)

    def dump_state(cls) -> dict[str, Any]:
        """Return instructions and fields (name, type, prefix, description) as plain data."""
        return _state.dump(cls.instructions, cls.fields)

    def __repr__(cls) -> str:
        return f"{cls.__name__}({cls.spec!r}, instructions={cls.instructions!r})"
