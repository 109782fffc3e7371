from hypothesis import given
from hypothesis import strategies as st

from telic.adapters._guard import MARKERS, tag_guard
from telic.adapters._markers import has_markers, read_markers
from telic.adapters._tags import read_tags

TAGS = tag_guard(["answer", "b"])
PIECES = st.lists(
    st.sampled_from(
        ["[[ ## answer ## ]]", "[[##answer##]]", "[", "##", "\\", "\n", " ", "x", "]]", "<answer>", "</b >", "<", "/",
         "b", "completed", "**", "`", "[ \t## a ##", "\u2028"]
    ),
    max_size=12,
).map("".join)  # fmt: skip


@given(PIECES)
def test_hiding_is_undone_and_leaves_no_marker(text):
    hidden = MARKERS.hide(text)

    assert MARKERS.restore(hidden) == text
    assert read_markers(hidden, ["answer"]).found == {}
    assert not has_markers(hidden)


@given(PIECES)
def test_hiding_tags_is_undone_and_leaves_no_tag(text):
    hidden = TAGS.hide(text)

    assert TAGS.restore(hidden) == text
    assert read_tags(hidden, ["answer", "b"]).found == {}


def test_json_keeps_its_meaning():
    assert MARKERS.hide_json('{"a": "[[ ## b ## ]]"}') == '{"a": "\\u005b[ ## b ## ]]"}'
    assert TAGS.hide_json('["</b>", "<i>"]') == '["\\u003c/b>", "<i>"]'


def test_text_without_markers_is_the_same_object():
    text = "a [[link]] and <i>html</i>"

    assert MARKERS.hide(text) is text
    assert MARKERS.hide_json(text) is text
