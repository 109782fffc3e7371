import pytest

from telic.modules._value_text import value_text
from telic.types import (
    Audio,
    Citations,
    Code,
    Document,
    File,
    Image,
    Reasoning,
    has_parts,
    part_text,
    text_of_value,
)

BIG = Image(b"GIF89a" + bytes(1_000_000))


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (Code("x = 1"), "x = 1"),
        (Reasoning("so"), "so"),
        (Document("words", "T"), "words"),
        (Image("https://x/y"), "https://x/y"),
        (Citations([{"document": 1, "cited_text": "a"}]), '[{"document": 1, "cited_text": "a"}]'),
    ],
)
def test_what_has_a_text_is_shown_by_it(value, text):
    assert has_parts(value)
    assert text_of_value(value) == value_text(value) == text


@pytest.mark.parametrize(
    "value", [BIG, Audio(b"ID3."), File(b"abc"), Document(b"%PDF-1", "P", "application/pdf")]
)
def test_what_has_none_is_shown_by_a_mark_of_its_content(value):
    text = value_text(value)

    assert len(text) < 40
    assert text == value_text(type(value).of(value.to_dict()))


def test_marks_tell_pictures_apart():
    assert value_text(BIG) != value_text(Image(b"GIF89a"))


def test_prompts_of_strategies_hold_no_megabytes():
    text = value_text({"picture": BIG, "more": [BIG, Code("x")], "note": "n"})

    assert len(text) < 200
    assert '"note": "n"' in text


def test_any_part_has_a_text():
    for part in [
        {},
        {"type": "x"},
        {"type": "image_url", "image_url": "https://x"},
        {"type": "document", "source": None},
    ]:
        assert isinstance(part_text(part), str)
    assert not has_parts(Code)
