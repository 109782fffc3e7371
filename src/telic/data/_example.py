"""`Example`: one row of data, and which of its fields are inputs.

A row is a thin shell around one dict: building it costs about a microsecond, reading an attribute is a dict lookup,
and two rows are equal when their dicts are. Fields are reached as items (`row["question"]`) and, where the name is not
one of the methods, as attributes (`row.question`). The methods that "change" a row return another one; only plain
assignment writes into it.

Keys that start with `telic_` or `dspy_` are notes of the library's own: they are stored, found by item access, and
left out of `keys()`, `len()`, iteration and what is shown to an LM.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from typing import Any, Self, cast

from telic._text import did_you_mean
from telic.errors import DatasetError

HIDDEN_PREFIXES = ("telic_", "dspy_")
_ATOMS = frozenset({str, int, float, bool, bytes, complex, type(None)})


class Example:
    """A row of data with dict-like and attribute access.

    Args:
        base: Another example or a mapping whose fields are taken first; a base's input names are taken too.
        kwargs: Fields by name; they win over the base's.

    Example:
        >>> row = Example(question="2+2?", answer="4").with_inputs("question")
        >>> row.answer, row.inputs().toDict(), "answer" in row
        ('4', {'question': '2+2?'}, True)
    """

    __slots__ = ("_input_keys", "_store")

    _store: dict[str, Any]
    _input_keys: frozenset[str] | None

    def __init__(self, base: Example | Mapping[str, Any] | None = None, **kwargs: Any) -> None:
        if base is None:
            _set_store(self, kwargs)
            _set_keys(self, None)
        elif isinstance(base, Example):
            _set_store(self, {**base._store, **kwargs})
            _set_keys(self, base._input_keys)
        else:
            _set_store(self, {**base, **kwargs})
            _set_keys(self, None)

    @classmethod
    def _of(cls, store: dict[str, Any], input_keys: frozenset[str] | None = None) -> Self:
        made = cls.__new__(cls)
        _set_store(made, store)
        _set_keys(made, input_keys)
        return made

    # Access

    def __getattr__(self, name: str) -> Any:
        if name[:2] != "__" and name != "_store":  # an object in the making has no store yet
            store = self._store
            if name in store:
                return store[name]
            hint = did_you_mean(name, store)
            raise AttributeError(
                f"this {type(self).__name__} has no field {name!r}{hint}", name=name, obj=None
            )
        raise AttributeError(name)

    def __setattr__(self, name: str, value: Any) -> None:
        if hasattr(getattr(type(self), name, None), "__set__"):  # a slot, or a property of a subclass
            object.__setattr__(self, name, value)
        else:
            self._store[name] = value

    def __delattr__(self, name: str) -> None:
        if name not in self._store:
            raise AttributeError(f"this {type(self).__name__} has no field {name!r}")
        del self._store[name]

    def __getitem__(self, key: str) -> Any:
        return self._store[key]

    def __setitem__(self, key: str, value: Any) -> None:
        self._store[key] = value

    def __delitem__(self, key: str) -> None:
        del self._store[key]

    def __contains__(self, key: object) -> bool:
        return key in self._store

    def __len__(self) -> int:
        return len(self.keys())

    def __iter__(self) -> Iterator[str]:
        return iter(self.keys())

    def keys(self, include_dspy: bool = False) -> list[str]:
        """Return the names of the fields; the library's own notes only if `include_dspy`."""
        return [key for key in self._store if include_dspy or not key.startswith(HIDDEN_PREFIXES)]

    def values(self, include_dspy: bool = False) -> list[Any]:
        """Return the values of the fields, in order of their names' first appearance."""
        return [self._store[key] for key in Example.keys(self, include_dspy)]

    def items(self, include_dspy: bool = False) -> list[tuple[str, Any]]:
        """Return names and values."""
        return [(key, self._store[key]) for key in Example.keys(self, include_dspy)]

    def get(self, key: str, default: Any = None) -> Any:
        """Return a field, or `default` where there is none of that name."""
        return self._store.get(key, default)

    # Inputs and labels

    def with_inputs(self, *keys: str) -> Self:
        """Return a copy that knows which fields are inputs; all others are labels."""
        made = self.copy()
        _set_keys(made, frozenset(keys))
        return made

    def inputs(self) -> Example:
        """Return an example with the input fields only.

        Raises:
            DatasetError: It was never said which fields are inputs.
        """
        keys = self._declared("inputs")
        store = {key: value for key, value in self._store.items() if key in keys}
        return Example._of(store, keys)

    def labels(self) -> Example:
        """Return an example with all fields that are not inputs, the library's notes left out.

        Raises:
            DatasetError: It was never said which fields are inputs.
        """
        keys = self._declared("labels")
        store = {key: value for key, value in Example.items(self) if key not in keys}
        return Example._of(store)

    def _declared(self, what: str) -> frozenset[str]:
        if self._input_keys is None:
            names = ", ".join(repr(key) for key in Example.keys(self))
            raise DatasetError(
                f"the {what} of this example are not known; say which of its fields ({names}) are inputs: "
                "example.with_inputs('…')"
            )
        return self._input_keys

    # Copies

    def copy(self, **kwargs: Any) -> Self:
        """Return a shallow copy with some fields replaced or added."""
        made = copy.copy(self)
        made._store.update(kwargs)
        return made

    def without(self, *keys: str) -> Self:
        """Return a copy that lacks the named fields; a name that is not there is no error."""
        made = copy.copy(self)
        for key in keys:
            made._store.pop(key, None)
        return made

    def __copy__(self) -> Self:
        made = self._of(dict(self._store), self._input_keys)
        self._copy_extras(made)
        return made

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        made = self._of({}, self._input_keys)
        memo[id(self)] = made
        store = made._store
        for key, value in self._store.items():
            store[key] = value if type(value) in _ATOMS else copy.deepcopy(value, memo)
        self._copy_extras(made)
        return made

    def _copy_extras(self, made: Example) -> None:
        extras: dict[str, Any] | None = getattr(
            self, "__dict__", None
        )  # subclasses without __slots__ have one
        if extras:
            made.__dict__.update(extras)

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as plain data: nested examples, pydantic models, enums, dates and sets are converted."""
        return {key: plain(value) for key, value in self._store.items()}

    def toDict(self) -> dict[str, Any]:  # noqa: N802
        """Same as `to_dict`."""
        return self.to_dict()

    # Comparison

    def __eq__(self, other: object) -> bool:
        return self._store == other._store if isinstance(other, Example) else NotImplemented

    def __hash__(self) -> int:
        try:
            return hash(frozenset(self._store.items()))
        except (
            TypeError
        ):  # a list or a dict among the values: the names alone are a poorer, still correct hash
            return hash(frozenset(self._store))

    def __repr__(self) -> str:
        shown = dict(Example.items(self))
        keys = None if self._input_keys is None else set(self._input_keys)
        return f"{type(self).__name__}({shown!r}) (input_keys={keys!r})"


_set_store = Example.__dict__["_store"].__set__
_set_keys = Example.__dict__["_input_keys"].__set__


def plain(value: Any) -> Any:
    """Return `value` as what JSON can hold, as far as its parts say how; anything else comes back as it is.

    Example:
        >>> plain({"rows": (Example(a=1), {2})})
        {'rows': [{'a': 1}, [2]]}
    """
    if type(value) in _ATOMS:
        return value
    if isinstance(value, Example):
        return value.to_dict()
    if isinstance(value, dict):
        return {key: plain(item) for key, item in cast("dict[Any, Any]", value).items()}
    if isinstance(value, (set, frozenset)):
        return [plain(item) for item in sorted(cast("set[Any]", value), key=repr)]
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in cast("list[Any]", value)]
    if isinstance(value, type):
        return value
    return _converted(value)


def _converted(value: Any) -> Any:
    dump = getattr(value, "model_dump", None)  # pydantic
    if callable(dump):
        return dump(mode="json")
    to_dict = getattr(value, "to_dict", None)
    if callable(to_dict):
        return plain(to_dict())
    names = getattr(value, "__dataclass_fields__", None)
    if names is not None:
        return {name: plain(getattr(value, name)) for name in names}
    if hasattr(value.__class__, "__members__") and hasattr(value, "value"):  # an enum's member
        return plain(value.value)
    isoformat = getattr(value, "isoformat", None)  # dates and times
    return isoformat() if callable(isoformat) else value
