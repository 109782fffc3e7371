import base64

import pydantic
import pytest

from telic.errors import MediaError, MediaNotFoundError
from telic.types import File

PDF = b"%PDF-1.7\n..."
URI = "data:application/pdf;base64," + base64.b64encode(PDF).decode()


@pytest.mark.parametrize(
    ("make", "part"),
    [
        (lambda: File(file_data=URI, filename="a.pdf"), {"file_data": URI, "filename": "a.pdf"}),
        (lambda: File(URI), {"file_data": URI}),
        (lambda: File(PDF), {"file_data": URI}),
        (lambda: File(URI, filename="a.pdf"), {"file_data": URI, "filename": "a.pdf"}),
        (lambda: File({"file_id": "f-1"}), {"file_id": "f-1"}),
        (lambda: File({"file_id": "f-1"}, filename="x"), {"file_id": "f-1", "filename": "x"}),
        (lambda: File(filename="x"), {"filename": "x"}),
        (lambda: File(file_data="https://x/y.pdf"), {"file_data": "https://x/y.pdf"}),
        (lambda: File.from_file_id("f-1", "x"), {"file_id": "f-1", "filename": "x"}),
        (lambda: File.from_bytes(PDF, "a.pdf", "application/pdf"), {"file_data": URI, "filename": "a.pdf"}),
        (
            lambda: File.from_bytes(b"abc"),
            {"file_data": "data:application/octet-stream;base64,YWJj"},
        ),
        (lambda: File(File(URI)), {"file_data": URI}),
    ],
)
def test_every_way_to_make_a_file(make, part):
    file = make()

    assert file.to_parts() == [{"type": "file", "file": part}]
    assert File(file.to_dict()) == file


@pytest.mark.parametrize(
    ("arguments", "options", "fact"),
    [
        ((), {}, "at least one of file_data, file_id, filename"),
        (({},), {}, "at least one"),
        (({"file_di": "x"},), {}, "did you mean 'file_id'"),
        ((), {"file_id": ""}, "file_id of a File is ''"),
        ((), {"file_id": 3}, "file_id of a File is 3"),
        ((), {"file_data": "plain text"}, "neither a data URI nor an address"),
        ((), {"file_data": "/etc/passwd"}, "File.from_path"),
        ((), {"file_data": "data:application/pdf;base64,aGVsbG8="}, "says that it is a PDF"),
        ((), {"file_data": "data:application/pdf;base64,"}, "0 bytes"),
        ((b"",), {}, "0 bytes"),
        ((b"x" * 30_000_000,), {}, "20,000,000 is the most"),
        ((3,), {}, "not of 3"),
        ((URI,), {"file_data": URI}, "is made of"),
    ],
)
def test_what_is_no_file_is_refused_with_the_fact(arguments, options, fact):
    with pytest.raises(MediaError, match=fact):
        File(*arguments, **options)


def test_from_bytes_takes_bytes():
    with pytest.raises(MediaError, match="takes bytes"):
        File.from_bytes("text")


def test_a_file_is_read_when_asked(tmp_path):
    pdf, table = tmp_path / "report", tmp_path / "table.csv"
    pdf.write_bytes(PDF)
    table.write_text("a,b")

    assert File.from_path(pdf).to_dict() == {"file_data": URI, "filename": "report"}
    assert File.from_path(str(table)).file_data.startswith("data:text/csv;base64,")
    assert File.from_path(table, "t", "text/plain").to_dict()["filename"] == "t"
    with pytest.raises(MediaNotFoundError):
        File.from_path(tmp_path / "none")
    with pytest.raises(MediaError, match="directory"):
        File.from_path(tmp_path)


def test_a_repr_never_shows_megabytes():
    assert len(repr(File.from_bytes(bytes(5_000_000), "x" * 1000))) < 600


def test_a_model_holds_files():
    class Box(pydantic.BaseModel):
        file: File

    box = Box(file={"file_id": "f-1"})

    assert Box.model_validate_json(box.model_dump_json()) == box
