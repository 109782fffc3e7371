import pytest

import telic
from telic.errors import SignatureError


def test_reasoning_comes_before_the_outputs():
    cot = telic.ChainOfThought("question -> answer: int")

    assert list(cot.predict.signature.output_fields) == ["reasoning", "answer"]


def test_a_signature_that_has_reasoning_already_keeps_its_own():
    cot = telic.ChainOfThought("question -> steps, reasoning: list[str], answer")

    assert list(cot.predict.signature.output_fields) == ["steps", "reasoning", "answer"]
    assert cot.predict.signature.output_fields["reasoning"].annotation == list[str]


def test_an_input_called_reasoning_is_refused():
    with pytest.raises(SignatureError, match="reasoning"):
        telic.ChainOfThought("reasoning -> answer")


def test_the_reasoning_field_can_be_given():
    cot = telic.ChainOfThought("question -> answer", rationale_field=telic.OutputField(desc="in one line"))

    assert cot.predict.signature.output_fields["reasoning"].desc == "in one line"
