"""`load_documents`: a folder of files into passages with source and page, and a report of what was left out.

One file that is broken, encrypted, binary, too large or misencoded never ends the run: it is in `skipped` with its
reason. A passage that says what another one said before is left out; so is a page without text.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple, cast, final

from telic._optional import require
from telic._text import plural
from telic.errors import ConfigurationError, DatasetError
from telic.retrieve._chunks import check_sizes, split_text
from telic.retrieve._passage import Passage
from telic.retrieve._readers import READERS, Page, Unreadable, read_text


class Skipped(NamedTuple):
    """A file that was not read."""

    source: str
    reason: str


@final
class Documents(Sequence[Passage]):
    """Passages of files, and what became of the files. It is a list of its passages: `BM25(documents)`.

    Attributes:
        files: How many files were read.
        skipped: Those that were not, with reasons.
        empty_pages: Source and page of each page without text: scans need OCR first.
        duplicates: Passages that say what one before them said.
    """

    def __init__(self) -> None:
        self._passages: list[Passage] = []
        self.files = 0
        self.skipped: list[Skipped] = []
        self.empty_pages: list[tuple[str, int]] = []
        self.duplicates: list[Passage] = []

    @property
    def passages(self) -> list[Passage]:
        """The passages, in the order of files and pages."""
        return list(self._passages)

    def add(self, passage: Passage) -> None:
        """Append a passage."""
        self._passages.append(passage)

    def __len__(self) -> int:
        return len(self._passages)

    def __getitem__(self, index: Any) -> Any:
        return cast("Any", self._passages)[index]

    def __iter__(self) -> Iterator[Passage]:
        return iter(self._passages)

    def __str__(self) -> str:
        lines = [f"{plural(len(self), 'passage')} of {plural(self.files, 'file')}"]
        if self.duplicates:
            lines.append(f"left out: {plural(len(self.duplicates), 'passage')} that another one says too")
        if self.empty_pages:
            shown = ", ".join(f"{source} page {page}" for source, page in self.empty_pages[:5])
            more = f" and {len(self.empty_pages) - 5} more" if len(self.empty_pages) > 5 else ""
            lines.append(
                f"{len(self.empty_pages):,} pages have no text (scans need OCR first): {shown}{more}"
            )
        lines += [f"skipped {source}: {reason}" for source, reason in self.skipped]
        return "\n".join(lines)

    def __repr__(self) -> str:
        return f"Documents({len(self)} passages, {self.files} files, {len(self.skipped)} skipped)"


def load_documents(
    source: str | Path | Iterable[str | Path],
    *,
    size: int = 1000,
    overlap: int = 1,
    encoding: str = "utf-8",
    max_bytes: int = 50_000_000,
    progress: Callable[[int, int], object] | None = None,
) -> Documents:
    r"""Read files into passages.

    Args:
        source: A folder (all in it, hidden files left out), a file, or several of these.
        size: How many characters a passage has at most.
        overlap: How many sentences at the end of a passage stand again at the start of the next.
        encoding: Of text files that do not say theirs.
        max_bytes: Larger files are skipped.
        progress: Called with (files done, all files).

    Returns:
        The passages, each with `source` (the path as given), `page` (of PDF files, from 1) and, where the file says
        one, `title`; and what was left out and why.

    Raises:
        DatasetError: There is no such file or folder, or a folder without files.
        ConfigurationError: `size`, `overlap`, `max_bytes` or `encoding` cannot work.
        MissingExtraError: There are PDF files, and the extra `documents` is not installed.

    Example:
        >>> import pathlib, tempfile
        >>> folder = pathlib.Path(tempfile.mkdtemp())
        >>> _ = (folder / "ada.md").write_text("# Ada\n\nAda was born in London.")
        >>> _ = (folder / "photo.png").write_bytes(b"...")
        >>> documents = load_documents(folder)
        >>> [str(passage) for passage in documents], documents.skipped[0].reason
        (['Ada\nAda was born in London.'], "no reader for '.png' files")
    """
    check_sizes(size, overlap)
    if isinstance(max_bytes, bool) or max_bytes < 1:
        raise ConfigurationError(f"max_bytes is {max_bytes!r}; a number of bytes, at least 1")
    try:
        "".encode(encoding)
    except LookupError:
        raise ConfigurationError(f"encoding={encoding!r} is no encoding that Python knows") from None
    files = _files(source)
    if any(path.suffix.lower() == ".pdf" for path, _ in files):
        require("pypdf", extra="documents", purpose="reading PDF files")
    documents = Documents()
    seen: set[bytes] = set()
    for number, (path, is_named) in enumerate(files, 1):
        try:
            pages = _read(path, encoding, max_bytes, is_named=is_named)
            documents.files += 1
            _add(documents, path, pages, size, overlap, seen)
        except Unreadable as error:
            documents.skipped.append(Skipped(path.as_posix(), str(error)))
        if progress is not None:
            progress(number, len(files))
    return documents


def _files(source: str | Path | Iterable[str | Path]) -> list[tuple[Path, bool]]:
    """Return all files in order, each once, and whether it was named itself."""
    given = [source] if isinstance(source, (str, os.PathLike)) else list(source)
    found: dict[Path, bool] = {}
    for item in given:
        path = Path(item)
        if path.is_dir():
            inside = sorted(_inside(path))
            if not inside:
                raise DatasetError(f"the folder {str(path)!r} has no files")
            for file in inside:
                found.setdefault(file, False)
        elif path.exists():
            found[path] = True
        else:
            raise DatasetError(f"there is no file or folder {str(path)!r} (looked in {str(Path.cwd())!r})")
    if not found:
        raise DatasetError("load_documents was given no files")
    return list(found.items())


def _inside(folder: Path) -> Iterator[Path]:
    for top, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        yield from (Path(top, name) for name in names if not name.startswith("."))


def _read(path: Path, encoding: str, max_bytes: int, *, is_named: bool) -> list[Page]:
    suffix = path.suffix.lower()
    reader = READERS.get(suffix, read_text if is_named else None)
    if reader is None:
        raise Unreadable(
            f"no reader for {suffix!r} files" if suffix else "no reader for files without an ending"
        )
    try:
        if not path.is_file():
            raise Unreadable("no plain file")
        size = path.stat().st_size
        if size > max_bytes:
            raise Unreadable(f"too large: {size / 1e6:,.0f} MB, and max_bytes is {max_bytes / 1e6:,.0f} MB")
        data = path.read_bytes()
    except OSError as error:
        raise Unreadable(f"cannot be opened: {error.strerror or error}") from error
    if not data:
        raise Unreadable("empty: it has no bytes")
    try:
        pages = reader(data, encoding)
    except RecursionError as error:
        raise Unreadable("nested too deeply") from error
    if not any(page.text.strip() for page in pages):
        raise Unreadable(
            "empty: it has no text" + (" (a scan? it needs OCR first)" if suffix == ".pdf" else "")
        )
    return pages


def _add(
    documents: Documents, path: Path, pages: Sequence[Page], size: int, overlap: int, seen: set[bytes]
) -> None:
    source = path.as_posix()
    for page in pages:
        texts = split_text(page.text, size, overlap)
        if not texts and page.number is not None:
            documents.empty_pages.append((source, page.number))
        for text in texts:
            facts: dict[str, Any] = {"source": source}
            if page.number is not None:
                facts["page"] = page.number
            if page.title:
                facts["title"] = page.title
            passage = Passage(text, **facts)
            key = hashlib.sha256(text.casefold().encode("utf-8", "surrogatepass")).digest()
            if key in seen:
                documents.duplicates.append(passage)
            else:
                seen.add(key)
                documents.add(passage)
