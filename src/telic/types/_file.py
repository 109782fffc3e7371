"""`File`: a file in a prompt (a PDF, mostly), as a data URI or by the id under which the provider holds it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, final

from telic._text import did_you_mean
from telic.errors import MediaError
from telic.types._base import FieldValue
from telic.types._media import (
    as_bytes,
    as_mapping,
    checked_size,
    data_uri,
    decoded,
    kind_of,
    shown,
    split_data_uri,
)
from telic.types._sources import mime_of_name, read_path

_NAMES: Final = ("file_data", "file_id", "filename")
_ANY: Final = "application/octet-stream"


@final
class File(FieldValue):
    """A file.

    Args:
        source: A data URI, bytes, a dict of the arguments below, or another `File`.
        file_data: The content as a data URI, or an http or https address that the provider reads.
        file_id: The id of a file that the provider holds.
        filename: Its name, for the LM.

    Raises:
        MediaError: Nothing of it is given, or the data is no data URI, empty or larger than 20 MB.

    Example:
        >>> File.from_bytes(b"a,b", "table.csv", "text/csv")
        File(file_data='data:text/csv;base64,YSxi', filename='table.csv')
    """

    __slots__ = ("file_data", "file_id", "filename")

    def __init__(
        self,
        source: Any = None,
        /,
        *,
        file_data: str | None = None,
        file_id: str | None = None,
        filename: str | None = None,
    ) -> None:
        if isinstance(source, File):
            source = source.to_dict()
        given, content = as_mapping(source), as_bytes(source)
        if given is not None:
            for name in given:
                if name not in _NAMES:
                    raise MediaError(
                        f"a File has no {name!r}{did_you_mean(str(name), _NAMES)}; it has {', '.join(_NAMES)}"
                    )
            file_data, file_id, filename = (
                given.get(name) if mine is None else mine
                for name, mine in zip(_NAMES, (file_data, file_id, filename), strict=True)
            )
        elif content is not None:
            data = checked_size(content, "the file")
            file_data = data_uri(data, kind_of(data) or _ANY)
        elif source is not None:
            if not isinstance(source, str) or file_data is not None:
                raise MediaError(
                    f"a File is made of a data URI, bytes or {', '.join(_NAMES)}, not of {shown(source)}"
                )
            file_data = source
        for name, value in zip(_NAMES, (file_data, file_id, filename), strict=True):
            if value is not None and (not isinstance(value, str) or not value):  # pyright: ignore[reportUnnecessaryIsInstance]
                raise MediaError(f"{name} of a File is {shown(value)}; it is text, not empty")
        if file_data is None and file_id is None and filename is None:
            raise MediaError(f"a File needs at least one of {', '.join(_NAMES)}")
        if file_data is not None:
            _check(file_data)
        self.file_data: Final = file_data
        self.file_id: Final = file_id
        self.filename: Final = filename

    @classmethod
    def from_path(cls, file_path: Any, filename: str | None = None, mime_type: str | None = None) -> File:
        """Return the content of a file.

        Args:
            file_path: Where it lies.
            filename: What the LM is told as its name; None: its own.
            mime_type: None: what its bytes or its name show.

        Raises:
            MediaNotFoundError: There is no such file.
            MediaError: It is a directory, cannot be read, is empty or larger than 20 MB.
        """
        data = read_path(file_path, "the file")
        name = Path(file_path).name if filename is None else filename
        mime = (kind_of(data) or mime_of_name(str(file_path)) or _ANY) if mime_type is None else mime_type
        return cls.from_bytes(data, name, mime)

    @classmethod
    def from_bytes(cls, file_bytes: bytes, filename: str | None = None, mime_type: str = _ANY) -> File:
        """Return bytes as a file."""
        if not isinstance(file_bytes, (bytes, bytearray, memoryview)):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise MediaError(f"File.from_bytes takes bytes, not {shown(file_bytes)}")
        return cls(
            file_data=data_uri(checked_size(bytes(file_bytes), "the file"), mime_type), filename=filename
        )

    @classmethod
    def from_file_id(cls, file_id: str, filename: str | None = None) -> File:
        """Return a file that the provider holds."""
        return cls(file_id=file_id, filename=filename)

    @classmethod
    def of(cls, value: Any) -> Any:
        """Return the file that a data URI, bytes or a dict stands for; anything else as it is."""
        return cls(value) if isinstance(value, (str, bytes, Mapping)) else value

    def to_parts(self) -> list[dict[str, Any]]:
        """Return one `file` part."""
        return [{"type": "file", "file": self.to_dict()}]

    format = to_parts

    def to_dict(self) -> dict[str, Any]:
        """Return what is known of the file as plain data."""
        return {name: value for name in _NAMES if (value := getattr(self, name)) is not None}

    def __repr__(self) -> str:
        return f"File({', '.join(f'{name}={shown(value, 200)}' for name, value in self.to_dict().items())})"


def _check(file_data: str) -> None:
    if file_data.lower().startswith(("http://", "https://")):
        return
    if file_data[:5].lower() != "data:":
        raise MediaError(
            f"file_data is {shown(file_data)}, which is neither a data URI nor an address; File.from_path reads a "
            "file, File.from_bytes takes its bytes"
        )
    mime, text = split_data_uri(file_data, "the file")
    found = kind_of(decoded(text, "the file"))
    if mime == "application/pdf" and found != mime:
        raise MediaError(f"the file says that it is a PDF, and its bytes are not ({found or 'unknown'})")
