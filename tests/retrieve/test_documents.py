"""A folder of files into passages; what cannot be read is told and left out."""

from __future__ import annotations

import io
import os
import subprocess
import sys

import pypdf
import pytest
from pypdf.generic import DecodedStreamObject, DictionaryObject, NameObject

from telic.errors import ConfigurationError, DatasetError
from telic.retrieve import BM25, load_documents


def pdf(*pages, password=None, title=""):
    """A PDF file with one line of text a page; None is a page without any."""
    writer = pypdf.PdfWriter()
    font = DictionaryObject(
        {
            NameObject("/Type"): NameObject("/Font"),
            NameObject("/Subtype"): NameObject("/Type1"),
            NameObject("/BaseFont"): NameObject("/Helvetica"),
        }
    )
    for text in pages:
        page = writer.add_blank_page(width=300, height=300)
        if text is None:
            continue
        stream = DecodedStreamObject()
        stream.set_data(f"BT /F1 12 Tf 20 200 Td ({text}) Tj ET".encode("latin-1"))
        page[NameObject("/Contents")] = writer._add_object(stream)
        page[NameObject("/Resources")] = DictionaryObject(
            {NameObject("/Font"): DictionaryObject({NameObject("/F1"): writer._add_object(font)})}
        )
    if title:
        writer.add_metadata({"/Title": title})
    if password:
        writer.encrypt(password, algorithm="RC4-128")
    out = io.BytesIO()
    writer.write(out)
    return out.getvalue()


@pytest.fixture
def folder(tmp_path):
    made = tmp_path / "files"
    made.mkdir()
    return made


def reasons(documents):
    return {os.path.basename(source): reason for source, reason in documents.skipped}


def test_text_markdown_html_and_pdf_become_passages_with_their_source(folder):
    (folder / "a.txt").write_text("Plain text is here.")
    (folder / "b.md").write_text(
        "---\ntags: x\n---\n# Ada\n\nShe [wrote](http://x.y/z) it. <!-- no -->\n\n![A moth](moth.png)"
    )
    (folder / "c.html").write_text(
        "<html><head><title>The  page</title><style>p {}</style></head><body><nav>Menu</nav><p>Five &lt; six.</p>"
        "<script>alert('no')</script><div>Next<br>line</div></body></html>"
    )
    (folder / "d.pdf").write_bytes(pdf("First page.", "Second page.", title="Report"))
    documents = load_documents(folder)

    found = [(str(p), os.path.basename(p.source), p.page, p.facts.get("title")) for p in documents]
    assert found == [
        ("Plain text is here.", "a.txt", None, None),
        ("Ada\nShe wrote it.\nA moth", "b.md", None, "Ada"),
        ("Five < six.\nNext line", "c.html", None, "The page"),
        ("First page.", "d.pdf", 1, "Report"),
        ("Second page.", "d.pdf", 2, "Report"),
    ]
    assert (documents.files, documents.skipped) == (4, [])


def test_what_cannot_be_read_is_told_and_the_rest_is_read(folder):
    (folder / "good.txt").write_text("Good.")
    (folder / "empty.txt").write_bytes(b"")
    (folder / "blank.md").write_text(" \n\n")
    (folder / "binary.txt").write_bytes(b"\x7fELF\x00\x01\x02")
    (folder / "latin.txt").write_bytes("Müller".encode("latin-1"))
    (folder / "photo.png").write_bytes(b"\x89PNG")
    (folder / "README").write_text("no ending")
    (folder / "cut.pdf").write_bytes(pdf("Text.")[:200])
    (folder / "no.pdf").write_bytes(b"this is no PDF")
    (folder / "locked.pdf").write_bytes(pdf("Secret.", password="sesame"))
    (folder / "scan.pdf").write_bytes(pdf(None, None))
    (folder / "large.txt").write_bytes(b"x" * 2000)
    documents = load_documents(folder, max_bytes=1500)
    told = reasons(documents)

    assert list(documents) == ["Good."]
    assert told["empty.txt"] == "empty: it has no bytes"
    assert told["blank.md"] == "empty: it has no text"
    assert told["binary.txt"] == "binary: it is no text"
    assert told["latin.txt"].startswith("misencoded: byte 1 is no utf-8")
    assert told["photo.png"] == "no reader for '.png' files"
    assert told["README"] == "no reader for files without an ending"
    assert "no PDF that can be read" in told["cut.pdf"] or "no text" in told["cut.pdf"]
    assert "no PDF that can be read" in told["no.pdf"]
    assert told["locked.pdf"] == "encrypted: it asks for a password"
    assert "OCR" in told["scan.pdf"]
    assert told["large.txt"].startswith("too large")
    assert "skipped" in str(documents)
    assert documents.files == 1


def test_what_is_told_of_a_broken_pdf_is_told_in_the_report_alone(folder):
    (folder / "no.pdf").write_bytes(b"this is no PDF")
    code = f"from telic.retrieve import load_documents; print(load_documents({str(folder)!r}))"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert "no PDF that can be read" in ran.stdout
    assert ran.stderr == ""


def test_a_file_of_200_mb_is_not_read(folder):
    with (folder / "huge.txt").open("wb") as file:
        file.truncate(200_000_000)
    (folder / "small.txt").write_text("Small.")

    documents = load_documents(folder)

    assert reasons(documents) == {"huge.txt": "too large: 200 MB, and max_bytes is 50 MB"}


def test_pages_without_text_are_noted_and_the_others_read(folder):
    (folder / "a.pdf").write_bytes(pdf("One.", None, "Three."))
    documents = load_documents(folder)

    assert [(str(p), p.page) for p in documents] == [("One.", 1), ("Three.", 3)]
    assert [(os.path.basename(source), page) for source, page in documents.empty_pages] == [("a.pdf", 2)]
    assert "1 pages have no text" in str(documents)


def test_an_encrypted_file_without_a_password_is_read(folder):
    (folder / "open.pdf").write_bytes(pdf("Open.", password=""))
    writer = pypdf.PdfWriter(clone_from=io.BytesIO(pdf("Open.")))
    writer.encrypt("", owner_password="owner", algorithm="RC4-128")
    out = io.BytesIO()
    writer.write(out)
    (folder / "open.pdf").write_bytes(out.getvalue())

    assert list(load_documents(folder)) == ["Open."]


def test_what_was_said_before_is_left_out(folder):
    (folder / "a.txt").write_text("Said once.\n")
    (folder / "b.txt").write_text("Said   ONCE.")
    (folder / "c.txt").write_text("Said otherwise.")
    documents = load_documents(folder)

    assert list(documents) == ["Said once.", "Said otherwise."]
    assert [os.path.basename(p.source) for p in documents.duplicates] == ["b.txt"]


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-32"])
def test_byte_order_marks_are_heeded(folder, encoding):
    (folder / "a.txt").write_text("Grüße.", encoding=encoding)

    assert list(load_documents(folder)) == ["Grüße."]


def test_other_encodings_are_read_where_they_are_said(folder):
    (folder / "a.txt").write_text("Grüße.", encoding="latin-1")
    (folder / "b.html").write_bytes('<meta charset="latin-1"><p>Größe.'.encode("latin-1"))
    (folder / "c.html").write_bytes(b'<meta charset="klingon"><p>x')

    documents = load_documents(folder, encoding="latin-1")

    assert list(documents) == ["Grüße.", "Größe."]
    assert "klingon" in reasons(documents)["c.html"]


def test_broken_html_is_read_as_far_as_it_goes(folder):
    (folder / "a.html").write_text("<p>One<p>Two <b>bold</div></span> <script>never closed")
    (folder / "b.html").write_text("<head><title>T</title><body><p>Text")
    (folder / "c.html").write_text("<div>" * 50_000 + "deep")

    documents = load_documents(folder)

    assert [str(p) for p in documents] == ["One\nTwo bold", "Text", "deep"]


def test_files_folders_and_lists_of_them_are_taken_each_file_once(folder):
    (folder / "sub").mkdir()
    (folder / "sub" / "b.md").write_text("Two.")
    (folder / ".hidden").mkdir()
    (folder / ".hidden" / "x.txt").write_text("Hidden.")
    (folder / "a.txt").write_text("One.")
    (folder / "notes.log").write_text("Three.")

    assert list(load_documents(str(folder))) == ["One.", "Two."]
    assert list(load_documents([folder / "a.txt", folder, folder / "notes.log"])) == [
        "One.",
        "Three.",
        "Two.",
    ]
    assert list(load_documents(folder / "notes.log")) == ["Three."]


def test_links_pipes_and_unreadable_files_are_skipped(folder):
    (folder / "a.txt").write_text("One.")
    (folder / "gone.txt").symlink_to(folder / "nowhere")
    os.mkfifo(folder / "pipe.txt")

    told = reasons(load_documents(folder))

    assert told == {"gone.txt": "no plain file", "pipe.txt": "no plain file"}


def test_nothing_to_read_is_refused(folder):
    with pytest.raises(DatasetError, match="has no files"):
        load_documents(folder)
    with pytest.raises(DatasetError, match="no file or folder"):
        load_documents(folder / "nowhere")
    with pytest.raises(DatasetError, match="given no files"):
        load_documents([])
    for options in ({"size": 0}, {"overlap": -1}, {"max_bytes": 0}, {"encoding": "klingon"}):
        with pytest.raises(ConfigurationError):
            load_documents(folder, **options)


def test_passages_are_no_longer_than_asked_and_overlap(folder):
    (folder / "a.txt").write_text(" ".join(f"Sentence number {n} is here." for n in range(100)))
    documents = load_documents(folder, size=200, overlap=1)

    assert all(len(passage) <= 200 for passage in documents)
    assert documents[0].split(". ")[-1].rstrip(".") in documents[1]


def test_progress_is_told_and_documents_are_a_corpus(folder):
    (folder / "a.txt").write_text("Ada wrote programs.")
    (folder / "b.txt").write_text("Grace found a moth.")
    told = []
    documents = load_documents(folder, progress=lambda done, total: told.append((done, total)))
    found = BM25(documents)("moth")[0]

    assert told == [(1, 2), (2, 2)]
    assert os.path.basename(found.source) == "b.txt"
    assert repr(documents) == "Documents(2 passages, 2 files, 0 skipped)"
    assert documents.passages == documents[:]


def test_hostile_markdown_takes_a_moment_only(folder):
    (folder / "a.md").write_text("<!--" * 200_000)
    (folder / "b.md").write_text("# " + "# " * 200_000 + "x")
    (folder / "c.md").write_text("[" * 200_000 + "](" * 1000 + "a](" + "(" * 200_000)
    (folder / "d.html").write_text("<" * 100_000 + "<p " * 1000)

    assert load_documents(folder).files == 4


def test_comments_that_are_closed_are_left_out(folder):
    (folder / "a.md").write_text("One <!-- not\n\nthis -->two. <!-- never closed")

    assert list(load_documents(folder)) == ["One two. <!-- never closed"]
