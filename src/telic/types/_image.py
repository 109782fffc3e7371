"""`Image`: a picture in a prompt, as an address or as bytes in a data URI.

The constructor takes what is there already; reading a file or asking a server is `from_path` and `from_url`. Equal
pictures have equal data URIs wherever they came from, so caches and demos know them by content.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Self, final

from telic._optional import load
from telic._unset import UNSET
from telic.errors import MediaError
from telic.types._base import FieldValue
from telic.types._media import (
    as_bytes,
    as_mapping,
    checked_size,
    data_uri,
    decoded,
    is_svg,
    kind_of,
    shown,
    split_data_uri,
)
from telic.types._sources import download as downloaded
from telic.types._sources import read_path

_ADDRESSES: Final = ("http://", "https://", "gs://", "s3://")
_FORMS: Final = "a URL, a data URI, bytes, a PIL image, or {'url': …}"
_SVG: Final = "is an SVG drawing, which LMs cannot read; render it to PNG first"


@final
class Image(FieldValue):
    """A picture.

    Args:
        source: An http, https, gs or s3 address, a data URI, bytes (PNG, JPEG, GIF, WebP, BMP, TIFF, AVIF or HEIC), a
            PIL image, `{"url": …}`, or another `Image`. Nothing is read or fetched: an address is given to the LM.
        url: The same by name.
        download: Refused: `Image.from_url(…)` downloads.
        verify: Refused: it belongs to `Image.from_url`.

    Raises:
        MediaError: No picture can be made of it: a path, unknown bytes, SVG, 0 bytes, more than 20 MB, another media
            type than the bytes show.

    Example:
        >>> Image("https://example.com/cat.png")
        Image(url='https://example.com/cat.png')
        >>> Image(b"GIF89a" + bytes(1000))
        Image(url='data:image/gif;base64,…' (1,344 characters))
    """

    __slots__ = ("url",)

    def __init__(
        self, source: Any = None, /, *, url: Any = None, download: Any = UNSET, verify: Any = UNSET
    ) -> None:
        for name, given in (("download", download), ("verify", verify)):
            if given is not UNSET and given:
                raise MediaError(
                    f"Image({name}={given!r}): a constructor asks no server; Image.from_url(url) downloads"
                )
        if (source is None) == (url is None):
            raise MediaError(
                f"an Image is made of one thing: {_FORMS}; got {shown(source)} and url={shown(url)}"
            )
        self.url: Final[str] = _url_of(url if source is None else source)

    @classmethod
    def from_path(cls, file_path: Any) -> Image:
        """Return the picture in a file.

        Raises:
            MediaNotFoundError: There is no such file.
            MediaError: It is a directory, or holds no picture that LMs read.
        """
        data = read_path(file_path, "the image")
        return cls(_encoded(data, f"the image in {str(file_path)!r}"))

    from_file = from_path

    @classmethod
    def from_url(cls, url: str, verify: bool = True, timeout: float | None = 30.0) -> Image:
        """Return the picture at an http or https address, downloaded now.

        Args:
            url: Where.
            verify: Check the server's certificate.
            timeout: Seconds without a byte before it is given up; None: no limit.

        Raises:
            MediaError: It cannot be fetched, or is no picture that LMs read.

        Cost: no LM call; one request.
        """
        data, _ = downloaded(url, "the image", verify=verify, timeout=timeout)
        return cls(_encoded(data, f"the image at {shown(url)}"))

    @classmethod
    def from_PIL(cls, pil_image: Any) -> Image:  # noqa: N802  DSPy's name
        """Return a PIL image as a picture: JPEG stays JPEG, anything else becomes PNG."""
        return cls(pil_image)

    @classmethod
    def from_text(cls, text: str) -> Self:
        """Return the picture at the address that an LM wrote."""
        return cls(text.strip())

    @classmethod
    def of(cls, value: Any) -> Any:
        """Return the picture that a URL, bytes or a dict stands for; anything else as it is."""
        return cls(value) if isinstance(value, (str, bytes, Mapping)) else value

    def to_parts(self) -> list[dict[str, Any]]:
        """Return one `image_url` part."""
        return [{"type": "image_url", "image_url": {"url": self.url}}]

    format = to_parts

    def to_dict(self) -> dict[str, Any]:
        """Return the picture as plain data."""
        return {"url": self.url}

    def __repr__(self) -> str:
        return f"Image(url={shown(self.url, 200)})"


def _url_of(source: Any) -> str:
    if isinstance(source, Image):
        return source.url
    if isinstance(source, str):
        return _checked_url(source)
    content, given = as_bytes(source), as_mapping(source)
    if content is not None:
        return _encoded(content, "the image")
    if given is not None and set(given) == {"url"}:
        return _url_of(given["url"])
    if hasattr(source, "save") and hasattr(source, "mode"):
        return _from_pil(source)
    raise MediaError(f"an Image is made of {_FORMS}, not of {shown(source)} of type {type(source).__name__}")


def _checked_url(url: str) -> str:
    if url[:5].lower() == "data:":
        mime, text = split_data_uri(url, "the image")
        data = decoded(text, "the image")
        found = kind_of(data)
        if not mime.startswith("image/"):
            raise MediaError(f"the image is {shown(url)}: its media type {mime!r} is no picture's")
        if mime == "image/svg+xml" or is_svg(data):
            raise MediaError(f"the image {_SVG}")
        if found and found != mime and {found, mime} != {"image/jpeg", "image/jpg"}:
            raise MediaError(
                f"the image says that it is {mime}, and its bytes are {found}; correct the media type"
            )
        return url
    if url.lower().startswith(_ADDRESSES) and not url.isspace():
        if any(character.isspace() or not character.isprintable() for character in url):
            raise MediaError(f"the image's address {shown(url)} holds blanks; encode them as %20")
        return url
    raise MediaError(
        f"{shown(url)} is neither an address nor a data URI; an Image reads no files by itself: "
        "Image.from_path(path) does"
    )


def _encoded(data: bytes, what: str) -> str:
    mime = kind_of(checked_size(data, what))
    if mime == "image/svg+xml":
        raise MediaError(f"{what} {_SVG}")
    if not mime.startswith("image/"):
        known = f"are {mime}" if mime else f"begin {data[:12]!r}, which is no picture known here"
        raise MediaError(f"the bytes of {what} {known}; convert it to PNG, JPEG, GIF or WebP")
    return data_uri(data, mime)


def _from_pil(picture: Any) -> str:
    kind = "JPEG" if picture.format == "JPEG" else "PNG"
    buffer = load("io").BytesIO()
    try:
        picture.save(buffer, format=kind)
    except (OSError, ValueError) as error:
        raise MediaError(
            f"the PIL image cannot be written as {kind} ({error}); convert('RGB') it first"
        ) from error
    return data_uri(checked_size(buffer.getvalue(), "the image"), f"image/{kind.lower()}")
