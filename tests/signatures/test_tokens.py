import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from telic.errors import SignatureSyntaxError
from telic.signatures._tokens import Tokens


@settings(max_examples=200, deadline=None)
@given(st.text())
def test_text_is_read_as_python_writes_it(text):
    assert Tokens(repr(text)).value() == text


@settings(max_examples=200, deadline=None)
@given(st.integers() | st.floats(allow_nan=False, allow_infinity=False))
def test_numbers_are_read_as_python_writes_them(number):
    read = Tokens(repr(number)).value()

    assert read == number
    assert type(read) is type(number)
    assert math.copysign(1, read) == math.copysign(1, number)


def test_a_fault_points_into_a_string():
    with pytest.raises(SignatureSyntaxError) as caught:
        Tokens(r"  'ab\q'").value()

    assert caught.value.column == 5


def test_nesting_is_limited():
    assert Tokens("[" * 40 + "]" * 40).value() != 0
    with pytest.raises(SignatureSyntaxError, match="nested more than 50 deep"):
        Tokens("[" * 60 + "]" * 60).value()
