import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from telic.data import Request
from telic.errors import LMInvalidRequestError
from telic.lm.tiny import TinyClient
from telic.lm.tiny._guide import Guide, guide_of

SCHEMA = {
    "type": "object",
    "properties": {
        "answer": {"type": "string"},
        "count": {"type": "integer"},
        "tags": {"type": "array", "items": {"type": "string"}},
        "place": {"anyOf": [{"$ref": "#/$defs/Place"}, {"type": "null"}]},
        "kind": {"enum": ["a", "b", 1]},
        "extra": {"type": "number"},
    },
    "required": ["answer", "count", "tags", "place", "kind"],
    "$defs": {"Place": {"type": "object", "properties": {"x": {"type": "number"}}, "required": ["x"]}},
}
VALUE = {"answer": 'a "q" \\ é', "count": -12, "tags": ["x", "y"], "place": {"x": 1.5}, "kind": "b"}


def accepts(guide, text):
    return all(guide.allows(text[:i], text[i], ends=False) for i in range(len(text))) and guide.allows(
        text, "", ends=True
    )


@pytest.mark.parametrize("indent", [None, 2])
@pytest.mark.parametrize("change", [{}, {"place": None}, {"kind": 1}, {"tags": []}, {"extra": 2.5}])
def test_what_follows_the_schema_may_be_written_and_only_the_whole_may_end(indent, change):
    text = json.dumps(VALUE | change, indent=indent)
    guide = Guide(SCHEMA)
    assert accepts(guide, text)
    assert not any(guide.allows(text[:i], "", ends=True) for i in range(len(text)))
    assert not guide.allows(text, "x", ends=False)


@pytest.mark.parametrize(
    "change",
    [{"count": 1.5}, {"count": "1"}, {"tags": [1]}, {"place": {"y": 1}}, {"kind": "c"}, {"other": 1}],
)
def test_what_does_not_follow_it_may_not(change):
    assert not accepts(Guide(SCHEMA), json.dumps(VALUE | change))


def test_nothing_required_may_be_left_out():
    text = json.dumps({k: v for k, v in VALUE.items() if k != "count"})
    assert not accepts(Guide(SCHEMA), text)


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=60, deadline=None)
@given(st.dictionaries(st.text(max_size=5), JSON, max_size=3), st.booleans())
def test_any_json_object_may_be_written_where_no_schema_is_given(value, plain):
    assert accepts(Guide(), json.dumps(value, ensure_ascii=plain))


@pytest.mark.parametrize(
    "bad", ["json", {"type": "xml"}, {"type": "json_schema"}, {"type": "json_schema", "json_schema": {}}]
)
def test_other_formats_are_refused(bad):
    with pytest.raises(LMInvalidRequestError, match="response_format"):
        guide_of(bad)


@pytest.mark.parametrize("temperature", [0.0, 1.5])
def test_even_random_weights_write_json_of_the_schema(engine, temperature):
    schema = {
        "type": "object",
        "properties": {"kind": {"enum": ["red", "blue"]}, "right": {"type": "boolean"}},
        "required": ["kind", "right"],
    }
    request = Request(
        [{"role": "user", "content": "the dog"}],
        {
            "max_tokens": 110, "temperature": temperature,
            "response_format": {"type": "json_schema", "json_schema": {"schema": schema}},
        },
    )  # fmt: skip
    completion = TinyClient(engine=engine).complete(request).completions[0]
    assert completion.finish_reason == "stop"
    value = json.loads(completion.text)
    assert value["kind"] in ("red", "blue")
    assert isinstance(value["right"], bool)
