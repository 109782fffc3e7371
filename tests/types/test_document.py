import base64

import pytest

from telic.errors import MediaError, MediaNotFoundError
from telic.types import Document

PDF = b"%PDF-1.7\n..."
TEXT = base64.b64encode(PDF).decode()


def test_a_text_is_a_document_that_may_be_cited():
    document = Document(data="The sky", title="T", context="old")

    assert document.format() == [
        {
            "type": "document",
            "source": {"type": "text", "media_type": "text/plain", "data": "The sky"},
            "citations": {"enabled": True},
            "title": "T",
            "context": "old",
        }
    ]
    assert document == Document("The sky", "T", context="old") == Document.of(document.to_dict())


@pytest.mark.parametrize("data", [PDF, TEXT, f"data:application/pdf;base64,{TEXT}"])
def test_a_pdf_is_held_as_base64(data):
    document = Document(data=data, media_type="application/pdf")

    assert document.format()[0]["source"] == {"type": "base64", "media_type": "application/pdf", "data": TEXT}
    assert not document.is_text


@pytest.mark.parametrize(
    ("options", "fact"),
    [
        ({"data": ""}, "is empty"),
        ({"data": " \n"}, "is empty"),
        ({"data": b"bytes"}, "Document.from_path"),
        ({"data": None}, "is text, not None"),
        ({"data": "x" * 5_000_001}, "5,000,001 characters"),
        ({"data": "x", "media_type": "text/html"}, "did you mean 'text/plain'"),
        ({"data": "x", "title": 3}, "title of a Document is 3"),
        ({"data": b"hello", "media_type": "application/pdf"}, "its bytes begin b'hello'"),
        ({"data": "@@", "media_type": "application/pdf"}, "broken base64"),
        ({"data": 3, "media_type": "application/pdf"}, "bytes or base64 text"),
        ({"data": b"", "media_type": "application/pdf"}, "0 bytes"),
    ],
)
def test_what_is_no_document_is_refused_with_the_fact(options, fact):
    with pytest.raises(MediaError, match=fact):
        Document(**options)


def test_unknown_fields_are_refused():
    with pytest.raises(MediaError, match="did you mean 'title'"):
        Document.of({"data": "x", "titel": "t"})
    with pytest.raises(MediaError, match="needs its data"):
        Document.of({"title": "t"})


def test_a_file_is_read_when_asked(tmp_path):
    (tmp_path / "a.txt").write_text("\ufeffwords")
    (tmp_path / "a.pdf").write_bytes(PDF)
    (tmp_path / "a.bin").write_bytes(b"\xff\xfe\x00")

    assert Document.from_path(tmp_path / "a.txt") == Document("words", "a.txt")
    assert Document.from_path(tmp_path / "a.pdf", title="P").media_type == "application/pdf"
    with pytest.raises(MediaError, match="neither a PDF nor text in UTF-8"):
        Document.from_path(tmp_path / "a.bin")
    with pytest.raises(MediaNotFoundError):
        Document.from_path(tmp_path / "none")


def test_a_repr_is_a_line():
    assert len(repr(Document("x" * 1_000_000, title="y" * 1000))) < 400
