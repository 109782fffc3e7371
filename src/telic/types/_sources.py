"""Where bytes come from when a user asks for it by name: `from_path` reads a file, `from_url` asks a server.

Constructors never do either: a value from an untrusted place must not make the program read a file or call an address.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from telic._optional import load
from telic.errors import MediaError, MediaNotFoundError
from telic.types._media import MAX_BYTES, checked_size, shown

_CHUNK: Final = 65_536


def read_path(path: Any, what: str) -> bytes:
    """Return the bytes of a file.

    Args:
        path: A path, as text or `Path`.
        what: What it is to be, as the subject of a sentence: "the image".

    Raises:
        MediaNotFoundError: There is no such file.
        MediaError: It is a directory, cannot be read, is empty or too large.
    """
    try:
        place = Path(path).expanduser()
        if place.is_dir():
            raise MediaError(
                f"{what} cannot be read from {str(path)!r}: it is a directory; name a file in it"
            )
        size = place.stat().st_size
        if size > MAX_BYTES:
            raise MediaError(
                f"{what} in {str(path)!r} has {size:,} bytes, and {MAX_BYTES:,} is the most that is sent inside a "
                "prompt; scale it down or compress it first"
            )
        with place.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except FileNotFoundError as error:
        raise MediaNotFoundError(
            f"{what}: there is no file {str(path)!r} (looked in {str(Path.cwd())!r}); check the path"
        ) from error
    except MediaError:
        raise
    except (OSError, ValueError, TypeError) as error:
        raise MediaError(f"{what} cannot be read from {shown(path)}: {error}; check the path") from error
    return checked_size(data, f"{what} in {str(path)!r}")


def mime_of_name(name: str) -> str:
    """Return the media type that a file's name suggests, or ""."""
    return load("mimetypes").guess_type(name)[0] or ""


def download(url: str, what: str, *, verify: bool, timeout: float | None) -> tuple[bytes, str]:
    """Return the bytes at an address, and the media type that the server names ("" for none).

    Args:
        url: http or https.
        what: What it is to be, as the subject of a sentence.
        verify: Check the server's certificate.
        timeout: Seconds without a byte before it is given up; None: no limit.

    Raises:
        MediaError: The address is of another kind, the server cannot be reached or refuses, or what it sends is empty
            or too large.

    Cost: no LM call; one request.
    """
    if not isinstance(url, str) or not url.lower().startswith(("http://", "https://")):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise MediaError(
            f"{what} cannot be downloaded from {shown(url)}: only http:// and https:// addresses can"
        )
    request: Any = load("urllib.request")
    context: Any = None
    if not verify:
        context = load("ssl").create_default_context()
        context.check_hostname = False
        context.verify_mode = load("ssl").CERT_NONE
    try:
        asked = request.Request(url, headers={"User-Agent": "telic"})
        with request.urlopen(asked, timeout=timeout, context=context) as answer:
            data = bytearray()
            while len(data) <= MAX_BYTES and (piece := answer.read(_CHUNK)):
                data += piece
            if len(data) <= MAX_BYTES and answer.length:  # what is still to come
                raise MediaError(
                    f"{what} at {shown(url)} was cut: {answer.length:,} bytes are missing; try again"
                )
            mime = answer.headers.get_content_type() if answer.headers.get("content-type") else ""
    except MediaError:
        raise
    except (OSError, ValueError, load("http.client").HTTPException) as error:
        raise MediaError(
            f"{what} cannot be downloaded from {shown(url)}: {error}; check the address, or read a file with from_path"
        ) from error
    return checked_size(bytes(data), f"{what} at {shown(url)}"), mime
