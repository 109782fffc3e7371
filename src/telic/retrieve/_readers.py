"""Files into pages of text: plain text, markdown, HTML, PDF.

A reader returns `Page`s, or raises `Unreadable` with the reason in words for the report. Nothing that is in a file is
run, fetched or followed.
"""

from __future__ import annotations

import logging
import re
import unicodedata
from collections.abc import Callable, Mapping
from html.parser import HTMLParser
from io import BytesIO
from typing import Any, Final, NamedTuple

from telic._optional import require


class Page(NamedTuple):
    """A part of a file."""

    text: str
    number: int | None = None
    """The page, counted from 1; None: the file has no pages."""
    title: str = ""
    """The title of the file, where it says one."""


class Unreadable(Exception):
    """A file, or a page of one, that cannot be read; the message says why."""


def read_text(data: bytes, encoding: str) -> list[Page]:
    """Read plain text."""
    return [Page(decoded(data, encoding))]


_FRONT = re.compile(r"\A---\s*\n(.*?)\n(?:---|\.\.\.)\s*\n", re.DOTALL)
_LINK = re.compile(r"!?\[([^\]\[]*)\]\((?:[^()\s]|\([^()]*\))*(?:\s+\"[^\"]*\")?\)")
_HEADING = re.compile(r"^#{1,6}[ \t]+(\S.*)$", re.MULTILINE)


def read_markdown(data: bytes, encoding: str) -> list[Page]:
    """Read markdown: front matter and comments are left out, links are their texts, headings end as sentences do."""
    text = decoded(data, encoding).replace("\r\n", "\n")
    text = _LINK.sub(r"\1", _without_comments(_FRONT.sub("", text)))
    first = _HEADING.search(text)
    text = _HEADING.sub(lambda match: f"\n{_heading(match)}\n", text)
    return [Page(text, title=_heading(first) if first else "")]


def _heading(match: re.Match[str]) -> str:
    return match.group(1).rstrip("# \t")


def _without_comments(text: str) -> str:
    """Return markdown without comments; one that is never closed is text."""
    kept: list[str] = []
    start = 0
    while (opened := text.find("<!--", start)) >= 0 and (closed := text.find("-->", opened)) >= 0:
        kept.append(text[start:opened])
        start = closed + 3
    return "".join([*kept, text[start:]])


_SKIPPED = frozenset({"script", "style", "template", "noscript", "svg", "head", "nav"})
_BLOCKS = frozenset(
    {
        "p", "div", "br", "li", "ul", "ol", "tr", "table", "h1", "h2", "h3", "h4", "h5", "h6", "section", "article",
        "header", "footer", "main", "aside", "blockquote", "pre", "dt", "dd", "figcaption", "hr", "option",
    }
)  # fmt: skip
_CHARSET = re.compile(rb"<meta[^>]+charset=[\"']?([A-Za-z0-9_\-]+)", re.IGNORECASE)


class _Texts(HTMLParser):
    """Collects what a reader of the page would see, and its title."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.parts: list[str] = []
        self.title: list[str] = []
        self._inside: list[str] = []
        self._in_title = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Open an element."""
        del attrs
        if tag == "title":
            self._in_title = True
        elif tag in _SKIPPED:
            self._inside.append(tag)
        elif tag == "body":
            self._inside.clear()  # a head that was never closed
        elif tag in _BLOCKS:
            self.parts.append("\n\n" if tag != "br" else "\n")
        elif tag in ("td", "th"):
            self.parts.append(" ")

    def handle_endtag(self, tag: str) -> None:
        """Close an element; what it left open inside is closed with it."""
        if tag == "title":
            self._in_title = False
        elif tag in self._inside:
            while self._inside.pop() != tag:
                pass
        elif tag in _BLOCKS:
            self.parts.append("\n\n")

    def handle_data(self, data: str) -> None:
        """Take a text."""
        if self._in_title:
            self.title.append(data)
        elif not self._inside:
            self.parts.append(data)


def read_html(data: bytes, encoding: str) -> list[Page]:
    """Read a web page: its visible text; scripts, styles and navigation are left out."""
    said = _CHARSET.search(data[:4096])
    parser = _Texts()
    parser.feed(decoded(data, said.group(1).decode() if said else encoding))
    parser.close()
    return [Page("".join(parser.parts), title=" ".join("".join(parser.title).split()))]


_QUIET: Final = logging.NullHandler()
_HYPHEN = re.compile(r"(?<=[^\W\d_])-\n(?=[a-zß-ÿ])")


def read_pdf(data: bytes, encoding: str) -> list[Page]:
    """Read the pages of a PDF file; one without text (a scan) is an empty page."""
    del encoding
    pypdf: Any = require("pypdf", extra="documents", purpose="reading PDF files")
    # Its warnings name no file, and what comes of them is told with the file's name: not on the terminal, unless the
    # program that calls has logging set up.
    logging.getLogger("pypdf").addHandler(_QUIET)
    try:
        reader = pypdf.PdfReader(BytesIO(data), strict=False)
        if reader.is_encrypted and not reader.decrypt(""):
            raise Unreadable("encrypted: it asks for a password")
        count = len(reader.pages)
    except Unreadable:
        raise
    except Exception as error:
        kind = type(error).__name__
        if kind == "DependencyError":
            raise Unreadable(f"encrypted: {error}") from error
        raise Unreadable(f"no PDF that can be read ({kind}: {error})") from error
    title = _title_of(reader)
    return [Page(_page_text(reader, number), number + 1, title) for number in range(count)]


def _page_text(reader: Any, number: int) -> str:
    try:
        text = str(reader.pages[number].extract_text() or "")
    except Exception:  # noqa: BLE001  as above; the page is reported as one without text, the others are read
        return ""
    return _HYPHEN.sub("", unicodedata.normalize("NFKC", text))


def _title_of(reader: Any) -> str:
    try:
        metadata: Any = reader.metadata
        return str(metadata.title or "") if metadata else ""
    except Exception:  # noqa: BLE001  as above; a title is not needed
        return ""


def decoded(data: bytes, encoding: str) -> str:
    """Return the text of bytes: by their byte order mark, else by `encoding`.

    Raises:
        Unreadable: They are no text in that encoding.
    """
    for mark, name in _MARKS.items():
        if data.startswith(mark):
            encoding = name
            break
    else:
        if b"\0" in data[:8192]:
            raise Unreadable("binary: it is no text")
    try:
        return data.decode(encoding)
    except UnicodeDecodeError as error:
        raise Unreadable(
            f"misencoded: byte {error.start} is no {encoding}; convert it, or pass encoding=…"
        ) from error
    except LookupError as error:
        raise Unreadable(f"misencoded: it says {encoding!r}, which is no encoding") from error


_MARKS: Final[Mapping[bytes, str]] = {
    b"\xef\xbb\xbf": "utf-8-sig",
    b"\xff\xfe\0\0": "utf-32",
    b"\0\0\xfe\xff": "utf-32",
    b"\xff\xfe": "utf-16",
    b"\xfe\xff": "utf-16",
}

Reader = Callable[[bytes, str], list[Page]]
READERS: Final[Mapping[str, Reader]] = {
    ".txt": read_text,
    ".text": read_text,
    ".rst": read_text,
    ".md": read_markdown,
    ".markdown": read_markdown,
    ".html": read_html,
    ".htm": read_html,
    ".xhtml": read_html,
    ".pdf": read_pdf,
}
"""By the ending of the file's name."""
