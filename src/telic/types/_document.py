"""`Document`: a source that an answer may cite.

LMs that cite by themselves get it as a document of its own; to all others an adapter shows its text under a number, and
they name that number. Either way the citations come back as `Citations`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final, final

from telic._optional import load
from telic._text import did_you_mean
from telic.errors import MediaError
from telic.types._base import FieldValue
from telic.types._media import as_bytes, as_mapping, checked_size, decoded, kind_of, shown, split_data_uri
from telic.types._sources import read_path

_NAMES: Final = ("data", "title", "media_type", "context")
_TEXT, _PDF = "text/plain", "application/pdf"


@final
class Document(FieldValue):
    """A text or a PDF that answers may cite.

    Args:
        data: Its text; of a PDF its base64 text, a data URI or its bytes.
        title: For the LM, and in citations.
        media_type: "text/plain" or "application/pdf".
        context: What the LM should know about it and cannot cite.

    Raises:
        MediaError: It is empty, larger than 20 MB, or of another media type.

    Example:
        >>> Document("Water boils at 100 °C at sea level.", title="Physics")
        Document('Water boils at 100 °C at sea level.', title='Physics')
    """

    __slots__ = ("context", "data", "media_type", "title")

    def __init__(
        self, data: Any, title: str | None = None, media_type: str = _TEXT, context: str | None = None
    ) -> None:
        if media_type not in (_TEXT, _PDF):
            hint = did_you_mean(str(media_type), (_TEXT, _PDF))
            raise MediaError(f"media_type of a Document is {media_type!r}{hint}; it is {_TEXT!r} or {_PDF!r}")
        for name, value in (("title", title), ("context", context)):
            if value is not None and not isinstance(value, str):  # pyright: ignore[reportUnnecessaryIsInstance]
                raise MediaError(f"{name} of a Document is {shown(value)}; it is text")
        self.data: Final[str] = _base64(data) if media_type == _PDF else _text(data)
        self.title: Final = title
        self.media_type: Final = media_type
        self.context: Final = context

    @classmethod
    def from_path(cls, file_path: Any, title: str | None = None, context: str | None = None) -> Document:
        """Return the document in a file: a PDF, or text in UTF-8.

        Raises:
            MediaNotFoundError: There is no such file.
            MediaError: It is a directory, empty, too large, or neither PDF nor text.
        """
        data = read_path(file_path, "the document")
        title = Path(file_path).name if title is None else title
        if kind_of(data) == _PDF:
            return cls(data, title, _PDF, context)
        try:
            return cls(data.decode("utf-8-sig"), title, _TEXT, context)
        except UnicodeDecodeError as error:
            raise MediaError(
                f"the document in {str(file_path)!r} is neither a PDF nor text in UTF-8 ({error.reason} at byte "
                f"{error.start:,}); convert it first"
            ) from error

    @classmethod
    def of(cls, value: Any) -> Any:
        """Return the document that a text or a dict stands for; anything else as it is."""
        if isinstance(value, str):
            return cls(value)
        given = as_mapping(value)
        if given is None:
            return value
        for name in given:
            if name not in _NAMES:
                raise MediaError(
                    f"a Document has no {name!r}{did_you_mean(str(name), _NAMES)}; it has {', '.join(_NAMES)}"
                )
        if "data" not in given:
            raise MediaError("a Document needs its data")
        return cls(**given)

    @property
    def is_text(self) -> bool:
        """Whether `data` is text that quotations can be looked up in."""
        return self.media_type == _TEXT

    def to_parts(self) -> list[dict[str, Any]]:
        """Return one `document` part, which may be cited."""
        kind = "text" if self.is_text else "base64"
        part: dict[str, Any] = {
            "type": "document",
            "source": {"type": kind, "media_type": self.media_type, "data": self.data},
            "citations": {"enabled": True},
        }
        named = {"title": self.title, "context": self.context}
        part.update({name: value for name, value in named.items() if value is not None})
        return [part]

    format = to_parts

    def to_dict(self) -> dict[str, Any]:
        """Return the document as plain data."""
        values = {name: getattr(self, name) for name in _NAMES}
        return {name: value for name, value in values.items() if value is not None}

    def __repr__(self) -> str:
        named = "" if self.title is None else f", title={shown(self.title)}"
        kind = "" if self.is_text else f", media_type={self.media_type!r}"
        return f"Document({shown(self.data)}{named}{kind})"


def _text(data: Any) -> str:
    if not isinstance(data, str):
        raise MediaError(
            f"the data of a text Document is text, not {shown(data)}; Document.from_path reads a file"
        )
    if not data.strip():
        raise MediaError("the document is empty; leave it out")
    if len(data) > 5_000_000:  # far more than the window of any LM, and a check on every call
        raise MediaError(f"the document has {len(data):,} characters, and 5,000,000 is the most; split it")
    return data


def _base64(data: Any) -> str:
    given = as_bytes(data)
    if given is not None:
        content = checked_size(given, "the document")
        text: str = load("base64").b64encode(content).decode("ascii")
    elif isinstance(data, str):
        text = split_data_uri(data, "the document").base64 if data[:5].lower() == "data:" else data
        content = decoded(text, "the document")
    else:
        raise MediaError(f"the data of a PDF Document is bytes or base64 text, not {shown(data)}")
    if kind_of(content) != _PDF:
        raise MediaError(f"the document says that it is a PDF, and its bytes begin {content[:12]!r}")
    return text
