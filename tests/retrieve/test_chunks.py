"""Texts into passages: whole sentences, up to a size, with overlap."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from telic.errors import ConfigurationError
from telic.retrieve import split_text
from telic.retrieve._chunks import sentences


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("One. Two! Three? Four", ["One.", "Two!", "Three?", "Four"]),
        (
            "Dr. Ada met J. K. Rowling, e.g. in May. Then she left.",
            ["Dr. Ada met J. K. Rowling, e.g. in May.", "Then she left."],
        ),
        ('She said "Stop." He did.', ['She said "Stop."', "He did."]),
        ("It costs 3.50 now. 7 are left.", ["It costs 3.50 now.", "7 are left."]),
        ("See Fig. 3. It shows it.", ["See Fig. 3.", "It shows it."]),
        ("version 2.0 is out. see it", ["version 2.0 is out. see it"]),
        ("東京です。大阪です。", ["東京です。", "大阪です。"]),
        ("Items:\n- one\n- two", ["Items:", "- one", "- two"]),
        ("", []),
        (" \n ", []),
    ],
)
def test_sentences_end_where_they_end(text, expected):
    assert sentences(text) == expected


def test_sentences_fill_a_passage_and_the_last_is_repeated():
    text = "Aa bb. Cc dd. Ee ff. Gg hh."

    assert split_text(text, size=13, overlap=0) == ["Aa bb. Cc dd.", "Ee ff. Gg hh."]
    assert split_text(text, size=13, overlap=1) == ["Aa bb. Cc dd.", "Cc dd. Ee ff.", "Ee ff. Gg hh."]
    assert split_text(text, size=1000) == [text]


def test_paragraphs_begin_on_a_line_of_their_own():
    assert split_text("Title\n\nText with\none break.\n \nMore.") == ["Title\nText with one break.\nMore."]


def test_an_overlap_that_leaves_no_room_is_left_out():
    assert split_text("Long enough words. And more words here.", size=20, overlap=1) == [
        "Long enough words.",
        "And more words here.",
    ]


def test_what_is_longer_than_a_passage_is_cut_between_words_and_a_word_within():
    assert split_text("one two three four five", size=9, overlap=0) == ["one two", "three", "four five"]
    assert split_text("a" * 25, size=10, overlap=3) == ["a" * 10, "a" * 10, "a" * 5]


@given(
    st.text(alphabet=st.sampled_from("ab .!?\nA\u00e9。\x00\ud800"), max_size=300),
    st.integers(1, 40),
    st.integers(0, 3),
)
@settings(max_examples=150, deadline=None)
def test_nothing_is_lost_and_nothing_is_too_long(text, size, overlap):
    passages = split_text(text, size, overlap)

    assert all(0 < len(passage) <= size for passage in passages)
    if overlap == 0:
        assert "".join("".join(passages).split()) == "".join(text.split())


def test_a_long_text_takes_a_moment_only():
    text = "word " * 2_000_000

    assert sum(map(len, split_text(text, overlap=0))) > 9_900_000
    assert len(split_text("x." * 100_000)) == 200
    assert len(split_text("\n" * 200_000 + "x")) == 1
    assert len(split_text("A. " * 100_000, overlap=0)) == 301
    assert split_text("\n\x0c" * 200_000) == []
    assert len(split_text(". " * 100_000 + "\n\t" * 100_000)) > 100


@pytest.mark.parametrize(("size", "overlap"), [(0, 0), (-1, 0), (10, -1), (1.5, 0), (True, 0)])
def test_impossible_sizes_are_refused(size, overlap):
    with pytest.raises(ConfigurationError):
        split_text("a", size, overlap)
