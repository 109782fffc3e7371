from typing import Any

import pytest
from pydantic import BaseModel

from telic.adapters import JSONAdapter
from telic.data import Completion
from telic.errors import AdapterParseError, TruncatedReplyError
from telic.protocols import Capabilities
from telic.signatures import Signature


class City(BaseModel):
    name: str
    population: int


TWO = Signature("question -> answer, score: float")
ONE = Signature("question -> answer")


def read(signature, text, **kwargs):
    return JSONAdapter().plan(signature, []).parse(Completion(text, **kwargs))


@pytest.mark.parametrize(
    "reply",
    [
        '{"answer": "yes", "score": 0.5}',
        '{"score": "0.5", "answer": "yes", "comment": [1]}',
        'Here you are:\n```json\n{"answer": "yes", "score": 0.5}\n```\nAnything else?',
        'Sure [as asked]: {"answer": "yes", "score": 0.5} and {"answer": "no", "score": 1}',
        '{"json_input": {"answer": "yes", "score": 0.5}}',
        '[{"answer": "yes", "score": 0.5}]',
        '{"Answer": "yes", "SCORE": 0.5}',
        "{'answer': 'yes', 'score': 0.5}",
        '{"answer": "yes", // a comment\n "score": 0.5,}',
        '{answer: "yes", score: 50%}',
        '{"answer": "yes", "score": 0.5',
        "[[ ## answer ## ]]\nyes\n\n[[ ## score ## ]]\n0.5\n\n[[ ## completed ## ]]",
        "<answer>yes</answer>\n<score>0.5</score>",
    ],
)
def test_replies_that_mean_the_same_are_read_without_a_second_call(reply):
    assert read(TWO, reply) == {"answer": "yes", "score": 0.5}


def test_line_breaks_inside_strings_are_read():
    assert read(ONE, '{"answer": "two\nlines"}') == {"answer": "two\nlines"}


def test_text_in_json_is_not_stripped():
    assert read(ONE, '{"answer": "  x\\n"}') == {"answer": "  x\n"}


def test_a_single_output_may_come_bare():
    assert read(Signature("q -> score: float"), "0.5") == {"score": 0.5}
    assert read(Signature("q -> tags: list[str]"), '["a", "b"]') == {"tags": ["a", "b"]}
    assert read(ONE, '"Paris"') == {"answer": "Paris"}
    assert read(ONE, "Paris") == {"answer": "Paris"}


def test_a_single_model_may_come_without_its_field():
    signature = Signature("q -> city: City", custom_types={"City": City})

    parsed = read(signature, '{"name": "Bonn", "population": 3}')

    assert parsed["city"] == City(name="Bonn", population=3)


def test_null_is_no_text():
    with pytest.raises(AdapterParseError, match="`answer`: expected str, got null"):
        read(ONE, '{"answer": null}')


def test_a_cut_object_is_an_error_where_the_provider_cut_it():
    with pytest.raises(TruncatedReplyError):
        read(Signature("q -> tags: list[str]"), '{"tags": ["a", "b', finish_reason="length")


def test_a_whole_object_before_the_cut_is_kept():
    assert read(ONE, '{"answer": "x"} because', finish_reason="length") == {"answer": "x"}


def test_deeply_nested_json_is_an_error_and_no_crash():
    with pytest.raises(AdapterParseError):
        read(Signature("q -> tags: list[str], x"), '{"tags": ' + "[" * 200_000)


def test_the_native_format_is_chosen_from_the_capabilities():
    adapter = JSONAdapter()

    strict = adapter.plan(TWO, [], Capabilities(response_schema=True, json_object=True)).options
    loose = adapter.plan(TWO, [], Capabilities(json_object=True)).options
    none = adapter.plan(TWO, [], Capabilities()).options

    assert strict["response_format"]["json_schema"]["schema"] == {
        "type": "object",
        "properties": {"answer": {"type": "string"}, "score": {"type": "number"}},
        "required": ["answer", "score"],
        "additionalProperties": False,
    }
    assert strict["response_format"]["json_schema"]["strict"] is True
    assert loose == {"response_format": {"type": "json_object"}}
    assert none == {}


def test_open_ended_outputs_ask_for_some_object_only():
    signature = Signature("q -> table: dict[str, Any]", custom_types={"Any": Any})

    options = JSONAdapter().plan(signature, [], Capabilities(response_schema=True)).options

    assert options == {"response_format": {"type": "json_object"}}


def test_a_value_that_holds_a_hidden_marker_comes_back():
    text = "\\[[ ## answer ## ]] [[ ## answer ## ]]"
    reply = JSONAdapter().format_assistant_message_content(ONE, {"answer": text})

    assert read(ONE, reply) == {"answer": text}
