import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from telic import Example, Prediction
from telic.data import Usage
from telic.journal import Unstorable, pack, unpack
from telic.journal._lines import decode, encode

ATOMS = st.none() | st.booleans() | st.integers() | st.floats() | st.text()
VALUES = st.recursive(
    ATOMS,
    lambda inner: (
        st.lists(inner)
        | st.lists(inner).map(tuple)
        | st.dictionaries(st.text() | st.integers() | st.just("$"), inner)
        | st.dictionaries(st.text(min_size=1), inner).map(Example)
        | st.dictionaries(st.text(min_size=1), inner).map(Prediction)
    ),
    max_leaves=10,
)


def same(a, b):
    if type(a) is not type(b):
        return False
    if isinstance(a, float):
        return a == b or (math.isnan(a) and math.isnan(b))
    if isinstance(a, (list, tuple)):
        return len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, Example):
        return same(a._store, b._store)
    if isinstance(a, dict):
        return list(a) == list(b) and all(same(a[k], b[k]) for k in a)
    return a == b


@settings(max_examples=100, deadline=None, derandomize=True)
@given(VALUES)
def test_values_come_back_with_their_types(value):
    assert same(unpack(decode(encode({"v": pack(value)}))["v"]), value)


def test_inputs_and_samples_come_back():
    row = unpack(pack(Example(q=1, a=2).with_inputs("q")))
    assert row.inputs().toDict() == {"q": 1}
    many = unpack(pack(Prediction.from_completions([{"a": "x"}, {"a": "y"}])))
    assert many.completions.a == ["x", "y"]
    assert unpack(pack(Usage(1, 2, cost_usd=None, calls=1))) == Usage(1, 2, cost_usd=None, calls=1)


@pytest.mark.parametrize(
    "value", [object(), {1, 2}, b"bytes", 1j, [object()], {"a": (b"",)}, Example(a=object())]
)
def test_what_has_no_exact_form_is_refused(value):
    with pytest.raises(Unstorable, match="no exact JSON form"):
        pack(value)
