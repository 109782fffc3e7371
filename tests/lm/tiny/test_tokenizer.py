from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from telic.lm.tiny._load import FOLDER
from telic.lm.tiny._tokenizer import Decoder, Tokenizer

TOKENIZER = Tokenizer.from_json(Path(FOLDER / "vocab.json").read_text())
FIXED = TOKENIZER.vocabulary["fixed"]

any_text = st.text(
    alphabet=st.characters(codec=None, categories=None) | st.sampled_from("  \n.,[]#{}`'AbcZ019")
)
pieces = st.lists(
    st.sampled_from([*FIXED, " ", "the", "The", "THE", "Zorba", "12", "\n", ". ", "é", "\ud800"])
)


@settings(max_examples=300, deadline=None)
@given(any_text)
def test_any_string_comes_back_as_it_was(text):
    assert TOKENIZER.decode(TOKENIZER.encode(text)) == text


@settings(max_examples=200, deadline=None)
@given(pieces)
def test_pieces_of_the_layout_in_any_order_come_back(parts):
    text = "".join(parts)
    assert TOKENIZER.decode(TOKENIZER.encode(text)) == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "  ",
        "\x00",
        "é ü",
        "日本 語",
        "😀 😀",
        "\ud83d\ude00",
        "a  b",
        " a ",
        "don't stop-it",
        "x -> y",
        "[1] A.",
        "iPhone NASA McX",
    ],
)
def test_blanks_and_other_scripts_are_kept(text):
    assert TOKENIZER.decode(TOKENIZER.encode(text)) == text


def test_the_layout_costs_few_tokens():
    system = (
        "Input fields:\n1. `text` (str)\n\nOutput fields:\n1. `label` (str)\n\nEvery message follows this form:\n\n"
        "[[ ## text ## ]]\n{text}\n\n[[ ## label ## ]]\n{label}\n\n[[ ## completed ## ]]\n\nYour objective:\n        Do."
    )
    assert len(TOKENIZER.encode(system)) < 25


def test_text_given_out_piece_by_piece_adds_up():
    text = "The dog 12 ünd 😀\n\n[[ ## completed ## ]]"
    decoder = Decoder(TOKENIZER)
    assert "".join(decoder.push(i) for i in TOKENIZER.encode(text)) + decoder.finish() == text


def test_bytes_that_are_no_character_become_a_replacement():
    first = TOKENIZER.encode("é")[:1]
    assert TOKENIZER.decode(first) == "\ufffd"


def test_role_tokens_have_no_text():
    assert TOKENIZER.decode([0, 1, 2, 3, 4]) == ""
