import pytest

from telic.adapters._tags import MAX_DEPTH, read_elements, read_tags


def test_an_empty_tag_is_an_empty_text():
    assert read_tags("x <a/> <b />", ["a", "b"]).found == {"a": "", "b": ""}


def test_elements_without_a_close_and_closes_without_an_element_are_survived():
    assert read_elements("<a>1</a></z><b><c>2</b>") == {"a": "1", "b": {"c": ""}}


def test_elements_beyond_a_sane_depth_are_refused():
    with pytest.raises(ValueError, match=str(MAX_DEPTH)):
        read_elements("<a>" * 1000)
    with pytest.raises(ValueError, match="no element"):
        read_elements("1 < 2")


def test_reading_says_whether_the_reply_was_whole():
    assert read_tags("<a>1</a><b>2</b>", ["a", "b"]).complete
    assert not read_tags("<a>1</a><b>2", ["a", "b"]).complete
    assert not read_tags("<a>1</a>", ["a", "b"]).complete
