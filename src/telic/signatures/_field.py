"""`FieldInfo`: one field of a signature, as a value; `InputField` and `OutputField` make it in a class body.

What holds for a field (type, constraints, default) is kept as data: the adapter words it for the prompt, and the type
adapter of `_schema` enforces it on what an LM answers. A field never changes; `replace` returns another one.
"""

from __future__ import annotations

import re
import typing
from collections.abc import Callable, Mapping
from copy import copy
from functools import lru_cache
from types import MappingProxyType
from typing import Any, Final, Literal, final

from telic._unset import UNSET
from telic.errors import SignatureError
from telic.signatures._names import allows_none, type_name

Kind = Literal["input", "output"]

CONSTRAINTS: Final[Mapping[str, str]] = {
    "gt": "greater than {}",
    "ge": "greater than or equal to {}",
    "lt": "less than {}",
    "le": "less than or equal to {}",
    "multiple_of": "a multiple of {}",
    "min_length": "minimum length {}",
    "max_length": "maximum length {}",
    "pattern": "matching the pattern {!r}",
    "max_digits": "at most {} digits",
    "decimal_places": "at most {} decimal places",
    "allow_inf_nan": "",
    "strict": "",
}
_NUMERIC: Final = frozenset(
    {"gt", "ge", "lt", "le", "multiple_of", "max_digits", "decimal_places", "allow_inf_nan"}
)
_SIZED: Final = frozenset({"min_length", "max_length", "pattern"})
_UNMEASURED: Final = frozenset({str, bytes, list, tuple, dict, set, frozenset})
_EMPTY: Final[Mapping[str, Any]] = MappingProxyType({})


@final
class FieldInfo:
    """A field of a signature.

    Attributes:
        name: The field's name; "" before it stands in a signature.
        annotation: Its type; UNSET before it stands in a signature, where none means `str`.
        kind: "input" or "output".
        desc: What it means, in words for the LM; "" for nothing.
        default: Its value where none is given, or UNSET.
        default_factory: Makes that value, or None.
        constraints: What a value must satisfy beside its type, in pydantic's names (`ge`, `max_length` …).
        extra: Whatever else was given, for adapters of the user's own.
    """

    __slots__ = (
        "_adapter", "_optional", "_prefix", "annotation", "constraints", "default", "default_factory", "desc",
        "extra", "kind", "name",
    )  # fmt: skip

    name: str
    annotation: Any
    kind: Kind
    desc: str
    default: Any
    default_factory: Callable[[], Any] | None
    constraints: Mapping[str, Any]
    extra: Mapping[str, Any]
    _adapter: Any
    _optional: bool | None
    _prefix: str | None

    def __init__(
        self,
        name: str,
        annotation: Any,
        kind: Kind,
        desc: str = "",
        default: Any = UNSET,
        default_factory: Callable[[], Any] | None = None,
        constraints: Mapping[str, Any] = _EMPTY,
        extra: Mapping[str, Any] = _EMPTY,
        prefix: str | None = None,
    ) -> None:
        put = object.__setattr__
        put(self, "name", name)
        put(self, "annotation", annotation)
        put(self, "kind", kind)
        put(self, "desc", desc)
        put(self, "default", default)
        put(self, "default_factory", default_factory)
        put(self, "constraints", constraints)
        put(self, "extra", extra)
        put(self, "_prefix", prefix)
        put(self, "_optional", None)
        put(self, "_adapter", None)

    def __setattr__(self, name: str, value: Any) -> None:
        raise SignatureError(
            f"field {self.name!r} cannot be changed in place ({name} = {value!r}); "
            "use signature.with_updated_fields(name, …), which returns a new signature"
        )

    def __delattr__(self, name: str) -> None:
        raise SignatureError(f"field {self.name!r} cannot be changed in place (del {name})")

    @property
    def is_plain_str(self) -> bool:
        """Whether a value is any text at all: nothing to parse, nothing to check."""
        return self.annotation is str and not self.constraints

    @property
    def optional(self) -> bool:
        """Whether None is a value of the type."""
        known = self._optional
        if known is None:
            known = allows_none(self.annotation)
            object.__setattr__(self, "_optional", known)
        return known

    @property
    def has_default(self) -> bool:
        """Whether there is a value where none is given."""
        return self.default is not UNSET or self.default_factory is not None

    @property
    def required(self) -> bool:
        """Whether a value must be given: there is no default, and None is no value."""
        return not self.has_default and not self.optional

    def get_default(self) -> Any:
        """Return the value that stands where none was given (a fresh list, dict or set each time), or UNSET."""
        if self.default_factory is not None:
            return self.default_factory()
        default = self.default
        return copy(default) if default.__class__ in (list, dict, set) else default

    @property
    def prefix(self) -> str:
        """The field's name as a title ("My Field:"); kept in saved programs, shown by no adapter."""
        return f"{infer_prefix(self.name)}:" if self._prefix is None else self._prefix

    @property
    def constraints_text(self) -> str:
        """The constraints in words, "" where there are none: "greater than or equal to 0, less than 10"."""
        words = [
            CONSTRAINTS[name].format(value) for name, value in self.constraints.items() if CONSTRAINTS[name]
        ]
        if self.constraints.get("allow_inf_nan") is False:
            words.append("finite")
        return ", ".join(words)

    @property
    def type_name(self) -> str:
        """The type as prompts show it."""
        return type_name(self.annotation)

    @property
    def json_schema_extra(self) -> dict[str, Any]:
        """The field in the form that DSPy's adapters read: `desc`, `prefix`, `__dspy_field_type` …; a copy."""
        shown = {
            "desc": self.desc or f"${{{self.name}}}",
            "prefix": self.prefix,
            "__dspy_field_type": self.kind,
        }
        if self.constraints:
            shown["constraints"] = self.constraints_text
        return {**self.extra, **shown}

    def bound(self, name: str, annotation: Any) -> FieldInfo:
        """Return the field under a name and with a type, as it stands in a signature."""
        factory, prefix = self.default_factory, self._prefix
        return FieldInfo(
            name,
            annotation,
            self.kind,
            self.desc,
            self.default,
            factory,
            self.constraints,
            self.extra,
            prefix,
        )

    def replace(self, **changes: Any) -> FieldInfo:
        """Return the field with some of its attributes replaced."""
        values = self._values()
        values.update(changes)
        return FieldInfo(**values)

    def _values(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "annotation": self.annotation,
            "kind": self.kind,
            "desc": self.desc,
            "default": self.default,
            "default_factory": self.default_factory,
            "constraints": self.constraints,
            "extra": self.extra,
            "prefix": self._prefix,
        }

    def __eq__(self, other: object) -> bool:
        return self._values() == other._values() if isinstance(other, FieldInfo) else NotImplemented

    def __hash__(self) -> int:
        return hash((self.name, self.kind, self.desc))

    def __copy__(self) -> FieldInfo:
        return self

    def __deepcopy__(self, memo: object) -> FieldInfo:
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        values = {**self._values(), "constraints": dict(self.constraints), "extra": dict(self.extra)}
        return FieldInfo, tuple(values.values())

    def __repr__(self) -> str:
        shown = [f"{self.kind}", repr(self.name)]
        if self.annotation is not UNSET:
            shown.append(type_name(self.annotation))
        if self.desc:
            shown.append(f"desc={self.desc!r}")
        if self.default is not UNSET:
            shown.append(f"default={self.default!r}")
        if self.default_factory is not None:
            shown.append(f"default_factory={self.default_factory!r}")
        shown += [f"{name}={value!r}" for name, value in self.constraints.items()]
        return f"FieldInfo({', '.join(shown)})"


def check_constraints(field: FieldInfo) -> None:
    """Refuse constraints that the field's type can never satisfy or break.

    Raises:
        SignatureError: Such as `ge` on a `str`, or `max_length` on a `float`.
    """
    kind = field.annotation
    while typing.get_origin(kind) is typing.Annotated:
        kind = typing.get_args(kind)[0]
    kind = typing.get_origin(kind) or kind
    impossible: frozenset[str] = frozenset()
    if isinstance(kind, type):
        if kind in _UNMEASURED or vars(object)["__lt__"] is getattr(kind, "__lt__", None):
            impossible |= _NUMERIC
        if not hasattr(kind, "__len__"):
            impossible |= _SIZED
    for name in field.constraints:
        if name in impossible:
            raise SignatureError(
                f"field {field.name!r} is of type {type_name(field.annotation)}, to which the constraint {name!r} "
                "cannot apply; change its type or drop the constraint"
            )


_WORDS: Final = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[^\W\dA-Z_]+|\d+|[^\W_]+")


@lru_cache(4096)  # saved programs name the same fields again and again
def infer_prefix(name: str) -> str:
    """Return a field's name as a title.

    Example:
        >>> infer_prefix("some_inputText2"), infer_prefix("HTMLPage")
        ('Some Input Text 2', 'HTML Page')
    """
    words = _WORDS.findall(name)
    return " ".join(word if word.isupper() else word[:1].upper() + word[1:] for word in words)
