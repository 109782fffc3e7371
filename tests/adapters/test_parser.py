import pytest
from pydantic import field_validator

from telic.adapters import ChatAdapter, JSONAdapter, XMLAdapter
from telic.errors import AdapterParseError
from telic.signatures import InputField, OutputField, Signature


def test_all_problems_are_told_at_once_with_what_could_be_read():
    signature = Signature("q -> a, n: int, x: float, note: str | None, b: bool")
    reply = "[[ ## a ## ]]\nA\n[[ ## n ## ]]\nmany\n[[ ## b ## ]]\nperhaps"

    with pytest.raises(AdapterParseError) as caught:
        ChatAdapter().parse(signature, reply)

    error = caught.value
    assert error.problems == (
        "field `n`: expected int, got 'many'",
        "field `x`: missing",
        "field `b`: expected bool, got 'perhaps'",
    )
    assert (error.field, error.parsed_result, error.adapter_name) == (None, {"a": "A"}, "ChatAdapter")
    assert error.signature is signature


def test_a_long_reply_is_shortened_in_the_message_and_whole_on_the_error():
    with pytest.raises(AdapterParseError) as caught:
        ChatAdapter().parse(Signature("q -> n: int"), "x" * 5000)

    assert len(str(caught.value)) < 1000
    assert len(caught.value.lm_response) == 5000


class Short(Signature):
    """Answer in a few letters."""

    q: str = InputField()
    answer: str = OutputField()

    @field_validator("answer")
    @classmethod
    def short(cls, value):
        if len(value) > 3:
            raise ValueError("too long")
        return value.upper()


@pytest.mark.parametrize("make", [ChatAdapter, JSONAdapter, XMLAdapter])
def test_a_text_that_a_validator_refuses_is_a_parse_error(make):
    def reply(answer):
        return make().format_assistant_message_content(Short, {"answer": answer})

    assert make().parse(Short, reply("abc")) == {"answer": "ABC"}
    with pytest.raises(AdapterParseError, match="`answer`: too long") as caught:
        make().parse(Short, reply("abcd"))
    assert caught.value.problems == ("`answer`: too long",)


@pytest.mark.parametrize("depth", [100, 900, 990, 5000])
def test_deep_nesting_in_a_reply_is_an_error_of_ours(depth):
    for kind in ("int", "bool", "list[int]", "Literal['a', 'b']", "int | list[int]"):
        signature = Signature(f"q -> n: {kind}, x")
        reply = f"[[ ## n ## ]]\n{'[' * depth}{']' * depth}\n[[ ## x ## ]]\nx"

        with pytest.raises(AdapterParseError):
            ChatAdapter().parse(signature, reply)
