"""Results of steps as JSON, and back exactly: what comes back is equal to what was put in, types included.

Taken: None, truth values, numbers (also infinite ones), texts, lists, tuples, dicts, `Example`, `Prediction` and
`Usage`. Anything else has no exact JSON form that is known here: `Unstorable` is raised, and the step is worked out
again on resume, from the replies that the run has kept.
"""

from __future__ import annotations

import math
from typing import Any, Final, cast

from telic.data import Example, Prediction, Usage

_TAG: Final = "$"
_LARGE: Final = 1 << 63
_ATOMS: Final = frozenset({str, int, bool, type(None)})


class Unstorable(Exception):
    """A value that has no exact JSON form; the message names its type."""


def pack(value: Any) -> Any:
    """Return the JSON form of a value.

    Raises:
        Unstorable: It has none.

    Example:
        >>> pack({"row": (1, 2.5)})
        {'row': {'$': 'tuple', 'v': [1, 2.5]}}
        >>> unpack(pack({"row": (1, 2.5)}))
        {'row': (1, 2.5)}
    """
    kind: Any = cast("Any", type(value))
    if kind is int and not -_LARGE <= value < _LARGE:  # readers of JSON make floats of them
        return {_TAG: "int", "v": str(value)}
    if kind in _ATOMS:
        return value
    if kind is float:
        return value if math.isfinite(value) else {_TAG: "float", "v": repr(value)}
    if kind is list:
        return [pack(item) for item in value]
    if kind is tuple:
        return {_TAG: "tuple", "v": [pack(item) for item in value]}
    if kind is dict:
        fields = cast("dict[Any, Any]", value)
        if _TAG not in fields and all(type(name) is str for name in fields):
            return {name: pack(item) for name, item in fields.items()}
        return {_TAG: "dict", "v": [[pack(name), pack(item)] for name, item in fields.items()]}
    if kind is Usage:
        return {_TAG: "usage", "v": list(value)}
    if kind is Example or kind is Prediction:
        return _packed_row(value)
    raise Unstorable(f"a {kind.__name__} has no exact JSON form")


def _packed_row(row: Any) -> Any:
    is_prediction: bool = type(row) is not Example
    form: dict[str, Any] = {
        _TAG: "prediction" if is_prediction else "example",
        "v": [[name, pack(item)] for name, item in row._store.items()],
    }
    if row._input_keys is not None:
        form["inputs"] = sorted(row._input_keys)
    if is_prediction and row._completions is not None:
        form["samples"] = [pack(sample) for sample in row.completions.rows()]
    return form


def unpack(form: Any) -> Any:
    """Return the value that `pack` was given."""
    if isinstance(form, list):
        return [unpack(item) for item in cast("list[Any]", form)]
    if not isinstance(form, dict):
        return form
    fields = cast("dict[str, Any]", form)
    tag = fields.get(_TAG)
    if tag is None:
        return {name: unpack(item) for name, item in fields.items()}
    held = fields["v"]
    if tag == "float":
        return float(held)
    if tag == "int":
        return int(held)
    if tag == "tuple":
        return tuple(unpack(item) for item in held)
    if tag == "usage":
        return Usage(*held)
    store = {unpack(name): unpack(item) for name, item in held}
    if tag == "dict":
        return store
    inputs = fields.get("inputs")
    keys = None if inputs is None else frozenset(inputs)
    if tag == "example":
        return cast("Any", Example)._of(store, keys)
    samples = fields.get("samples")
    prediction = Prediction.of(store, completions=None if samples is None else [unpack(s) for s in samples])
    cast("Any", prediction).__class__._input_keys.__set__(prediction, keys)
    return prediction
