"""Bytes that travel inside a prompt: what they are, how large they may be, and their form as a data URI.

Nothing here guesses from a name what the bytes can say themselves, and nothing touches disk or network: `_sources` does
that, for those who ask for it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final, NamedTuple, cast

from telic._optional import load
from telic._text import truncate
from telic.errors import MediaError

MAX_BYTES: Final = 20_000_000
"""Of one picture, clip or file. Providers take between 5 and 32 MB, and base64 adds a third on the way."""

_DATA_URI: Final = re.compile(
    r"data:([\w.+-]{1,80}/[\w.+-]{1,80})?((?:;[\w.+-]{1,80}=[^;,]{0,200}){0,9})(;base64)?,"
)
_MAGIC: Final[tuple[tuple[bytes, str], ...]] = (
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF87a", "image/gif"),
    (b"GIF89a", "image/gif"),
    (b"BM", "image/bmp"),
    (b"II*\x00", "image/tiff"),
    (b"MM\x00*", "image/tiff"),
    (b"%PDF-", "application/pdf"),
    (b"ID3", "audio/mp3"),
    (b"fLaC", "audio/flac"),
    (b"OggS", "audio/ogg"),
    (b"\x1aE\xdf\xa3", "audio/webm"),
)
_RIFF: Final = {b"WEBP": "image/webp", b"WAVE": "audio/wav"}
_BRANDS: Final = {
    b"avif": "image/avif",
    b"heic": "image/heic",
    b"heix": "image/heic",
    b"mif1": "image/heif",
    b"M4A ": "audio/m4a",
}
_MP3_FRAMES: Final = (b"\xff\xfb", b"\xff\xf3", b"\xff\xf2", b"\xff\xfa")


class DataUri(NamedTuple):
    """The two halves of a data URI."""

    mime: str
    base64: str


def kind_of(data: bytes) -> str:
    """Return the media type that the first bytes show, or "" where they show none that is known here.

    Example:
        >>> kind_of(b"GIF89a..."), kind_of(b"plain text")
        ('image/gif', '')
    """
    if data[:4] == b"RIFF":
        return _RIFF.get(data[8:12], "")
    if data[4:8] == b"ftyp":
        return _BRANDS.get(data[8:12], "")
    if data[:2] in _MP3_FRAMES:
        return "audio/mp3"
    if is_svg(data):
        return "image/svg+xml"
    return next((mime for magic, mime in _MAGIC if data.startswith(magic)), "")


def is_svg(data: bytes) -> bool:
    """Return whether the bytes are a drawing in XML."""
    head = data[:1000].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    return head.startswith((b"<svg", b"<?xml", b"<!doctype svg")) and b"<svg" in head


def checked_size(data: bytes, what: str) -> bytes:
    """Return `data` as it is.

    Args:
        data: The bytes.
        what: Whose they are, as the subject of a sentence: "the image".

    Raises:
        MediaError: There are none, or more than `MAX_BYTES`.
    """
    if not data:
        raise MediaError(f"{what} is empty: 0 bytes; give one with content")
    if len(data) > MAX_BYTES:
        raise MediaError(
            f"{what} has {len(data):,} bytes, and {MAX_BYTES:,} is the most that is sent inside a prompt; scale it "
            "down or compress it first, or give the LM a URL"
        )
    return data


def data_uri(data: bytes, mime: str) -> str:
    """Return bytes as `data:<mime>;base64,…`."""
    return f"data:{mime};base64,{load('base64').b64encode(data).decode('ascii')}"


def split_data_uri(uri: str, what: str) -> DataUri:
    """Return media type and base64 text of a data URI.

    Raises:
        MediaError: It is no data URI, not in base64, empty, too large, or its base64 is broken.
    """
    head = _DATA_URI.match(uri)
    if head is None:
        raise MediaError(f"{what} is {shown(uri)}, which is no data URI; it begins data:<media type>;base64,")
    if head.group(3) is None:
        raise MediaError(f"{what} is {shown(uri)}, a data URI without ;base64; encode its bytes in base64")
    text = uri[head.end() :]
    if len(text) > MAX_BYTES * 4 // 3 + 4:
        checked_size(b"\0" * (len(text) * 3 // 4), what)
    return DataUri(head.group(1) or "application/octet-stream", text)


def decoded(text: str, what: str) -> bytes:
    """Return the bytes that base64 text stands for, their size checked.

    Raises:
        MediaError: The base64 is broken, or the size is impossible.
    """
    try:
        return checked_size(load("base64").b64decode(text, validate=True), what)
    except (ValueError, UnicodeError) as error:
        if isinstance(error, MediaError):
            raise
        raise MediaError(f"{what} holds broken base64 ({error}); encode the bytes anew") from error


def as_bytes(value: object) -> bytes | None:
    """Return a bytes-like value as bytes, or None for anything else."""
    return bytes(cast("bytes", value)) if isinstance(value, (bytes, bytearray, memoryview)) else None


def as_mapping(value: object) -> Mapping[str, Any] | None:
    """Return a mapping as it is, or None for anything else."""
    return cast("Mapping[str, Any]", value) if isinstance(value, Mapping) else None


def shown(value: Any, limit: int = 80) -> str:
    """Return a value for messages and reprs: never more than a line of it."""
    data = as_bytes(value)
    if data is not None:
        return f"{len(data):,} bytes that begin {data[:12]!r}"
    if not isinstance(value, str):
        return truncate(repr(value), limit)
    head = _DATA_URI.match(value[:400])
    if head is not None and len(value) > limit:
        return f"'{head.group()}…' ({len(value) - head.end():,} characters)"
    return repr(truncate(value, limit))
