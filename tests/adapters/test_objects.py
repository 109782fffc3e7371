import pytest

from telic.adapters._objects import MAX_REPAIR, NoJSON, read_json


@pytest.mark.parametrize(
    ("text", "value", "whole"),
    [
        ("[1]", [1], True),
        ('Set [x] then {"a": 1}.', {"a": 1}, True),
        ('one ```json\n{"a": 1}\n``` two {"b": 2}', {"a": 1}, True),
        ("(1, 'a')", (1, "a"), True),
        ('{"a": {"b": 1}, "c": tru', {"a": {"b": 1}}, False),
        ('{"a": "\\d", "b": 1,}', {"a": "\\d", "b": 1}, False),
        ('{"a": 85%, "b": "5%, 6%"', {"a": "85%", "b": "5%, 6%"}, False),
        ("{'it': \"John's\"}", {"it": "John's"}, False),
        ('{"a": 1 /* one */, # two\n "b": 2}', {"a": 1, "b": 2}, False),
    ],
)
def test_json_is_read_as_it_was_meant(text, value, whole):
    found, was_whole = read_json(text)

    assert was_whole is whole
    assert {k: found[k] for k in value} == value if isinstance(value, dict) else found == value


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "no JSON value"),
        ("words only", "no JSON value"),
        ("(not a tuple", "no JSON value"),
        ("[" * 100_000, "without their other half"),
        ("{" + "x" * MAX_REPAIR, "repair stops at"),
        ("[" + "(a)" * 9_000, "tuples"),
    ],
)
def test_what_is_no_json_is_said_to_be_none(text, why):
    with pytest.raises(NoJSON, match=why):
        read_json(text)


def test_half_an_escaped_pair_is_a_sign_that_can_be_encoded():
    cut = r'{"a": "\ud83d oops", "b": ["\uDE00", "\ud83d\ude00", "\\ud83d"]}'
    assert read_json(cut)[0] == {"a": "\ufffd oops", "b": ["\ufffd", "😀", "\\ud83d"]}


def test_brackets_in_prose_without_end_are_read_in_no_time():
    assert read_json("[a] " * 200) == (["a"], False)
