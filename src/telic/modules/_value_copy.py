"""Copies of values that programs hand around, so that what is recorded stays as it was."""

from __future__ import annotations

from typing import Any, cast

from telic._optional import load
from telic.data import Example

_ATOMS = frozenset({str, int, float, bool, bytes, complex, type(None)})


def value_copy(value: Any) -> Any:
    """Return a value that changes in `value` do not reach.

    Lists, tuples, sets, dicts, rows (`Example`, `Prediction`), arrays of NumPy and pydantic models are copied, with all
    in them. Other objects are shared, and so is what contains itself.

    Example:
        >>> passages = [["a"], "b"]
        >>> kept = value_copy(passages)
        >>> passages[0].append("c")
        >>> kept
        [['a'], 'b']
    """
    if type(value) in _ATOMS:
        return value
    try:
        return _copied(value)
    except RecursionError:
        return value


def _copied(value: Any) -> Any:
    kind = cast("type[Any]", type(value))
    if kind in _ATOMS:
        return value
    if kind is list:
        return [item if type(item) in _ATOMS else _copied(item) for item in value]
    if kind is dict:
        return {key: item if type(item) in _ATOMS else _copied(item) for key, item in value.items()}
    if kind is tuple:
        return tuple([_copied(item) for item in value])
    if kind is set:
        return {_copied(item) for item in value}
    if isinstance(value, Example):
        made = value.copy()
        for key, item in Example.items(value, include_dspy=True):
            made[key] = _copied(item)
        return made
    if kind.__module__ == "numpy" and kind.__name__ == "ndarray":
        return value.copy()
    if hasattr(value, "model_copy"):
        return load("copy").deepcopy(value)
    return value
