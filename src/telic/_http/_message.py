"""What goes over the wire: where to, what, and what came back.

An `Endpoint` is made once for an LM: URL and headers are checked there (no CR, LF or NUL can reach the wire) and
become bytes, so that a request costs one concatenation. Nothing here shows a header, a query or a body when printed.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, NamedTuple, final
from urllib.parse import quote, unquote, urlsplit

from telic.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Mapping

_TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_FORBIDDEN = re.compile(r"[\r\n\0]")
_HOST = re.compile(r"[0-9A-Za-z._~\-]+|[0-9A-Fa-f:.]+(?:%[0-9A-Za-z]+)?")
_PORTS: Final[Mapping[str, int]] = {"http": 80, "https": 443}


class Origin(NamedTuple):
    """Where connections go: what a pool is kept for."""

    scheme: str
    host: str
    port: int

    @property
    def authority(self) -> str:
        """`host:port` as the Host header wants it; the port is left out where it is the scheme's own."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _PORTS[self.scheme] else f"{host}:{self.port}"

    @property
    def name(self) -> str:
        """`scheme://host:port`, for people: no path, no query, no user."""
        return f"{self.scheme}://{self.authority}"


class Address(NamedTuple):
    """A URL taken apart."""

    origin: Origin
    target: str
    user: str
    password: str


def parse_url(url: str, *, what: str = "URL") -> Address:
    """Return the parts of an http(s) URL; its path and query are quoted where they must be.

    Raises:
        ConfigurationError: It is no http(s) URL, or holds characters that could break a request.
    """
    if _FORBIDDEN.search(url) or url != url.strip():
        raise ConfigurationError(f"the {what} holds a line break or blanks at its ends; remove them")
    try:
        parts = urlsplit(url)
        port = parts.port
        host = parts.hostname
    except ValueError as error:
        raise ConfigurationError(f"the {what} cannot be read: {error}") from None
    if parts.scheme not in _PORTS or not host:
        raise ConfigurationError(
            f"the {what} must look like 'https://host/v1', not {_shown(url)!r}; give scheme and host"
        )
    try:
        host = host if host.isascii() else host.encode("idna").decode("ascii")
    except UnicodeError as error:
        raise ConfigurationError(f"the host {host!r} of the {what} is no valid name: {error}") from None
    if not _HOST.fullmatch(host):
        raise ConfigurationError(f"the host {host!r} of the {what} is no valid name")
    origin = Origin(parts.scheme, host, _PORTS[parts.scheme] if port is None else port)
    target = quote(parts.path or "/", safe="/%:@!$&'()*+,;=~-._")
    if parts.query:
        target += "?" + quote(parts.query, safe="/%:@!$&'()*+,;=~-._?")
    return Address(origin, target, unquote(parts.username or ""), unquote(parts.password or ""))


def _shown(url: str) -> str:
    # No query and no user: both may hold a key.
    return url.partition("?")[0].rpartition("@")[2][:80]


def encode_headers(headers: Mapping[str, str]) -> bytes:
    """Return header lines, each with its line end.

    Raises:
        ConfigurationError: A name is no token, or a value holds CR, LF, NUL or something outside Latin-1. The value
            is not shown: it may be a key.
    """
    lines: list[bytes] = []
    for name, value in headers.items():
        if not _TOKEN.fullmatch(name):
            raise ConfigurationError(f"{name!r} is no valid header name; use letters, digits and '-'")
        if _FORBIDDEN.search(value):
            raise ConfigurationError(
                f"the value of the header {name!r} holds a line break or NUL; remove it "
                "(a key read from a file often ends in one)"
            )
        try:
            lines.append(f"{name}: {value}\r\n".encode("latin-1"))
        except UnicodeEncodeError as error:
            raise ConfigurationError(
                f"the value of the header {name!r} holds {error.object[error.start]!r}, which HTTP cannot carry; "
                "use ASCII (a key that was cut for display ends in '…')"
            ) from None
    return b"".join(lines)


@final
class Endpoint:
    """One method, URL and set of headers, ready to be sent any number of times.

    Args:
        url: `https://host/path?query`.
        headers: Besides Host, Content-Length, Accept-Encoding and User-Agent, which are set here.
        method: "POST", "GET" ….
        compress: May the answer be gzipped? Streams say no: proxies hold them back to compress them.

    Raises:
        ConfigurationError: The URL or a header cannot be sent; see `parse_url` and `encode_headers`.

    Example:
        >>> Endpoint("https://user:secret@example.com/v1?key=secret")
        Endpoint(POST https://example.com)
    """

    __slots__ = ("fields", "head", "method", "origin", "target")

    def __init__(
        self,
        url: str,
        headers: Mapping[str, str] | None = None,
        *,
        method: str = "POST",
        compress: bool = True,
    ) -> None:
        if not _TOKEN.fullmatch(method):
            raise ConfigurationError(f"{method!r} is no HTTP method")
        address = parse_url(url)
        self.origin = address.origin
        self.target = address.target
        self.method = method
        given = {} if headers is None else dict(headers)
        names = {name.lower() for name in given}
        own = {
            "Host": self.origin.authority,
            "User-Agent": "telic",
            "Accept-Encoding": "gzip, deflate" if compress else "identity",
        }
        own = {name: value for name, value in own.items() if name.lower() not in names}
        for name in ("content-length", "transfer-encoding", "connection"):
            if name in names:
                raise ConfigurationError(f"the header {name!r} is set by the transport; leave it out")
        self.fields = encode_headers({**own, **given})
        self.head = b"%b %b HTTP/1.1\r\n%bContent-Length: " % (
            method.encode(),
            self.target.encode("ascii"),
            self.fields,
        )

    def __repr__(self) -> str:
        return f"Endpoint({self.method} {self.origin.name})"


@final
class HttpRequest:
    """A body for an endpoint."""

    __slots__ = ("body", "endpoint")

    def __init__(self, endpoint: Endpoint, body: bytes = b"") -> None:
        self.endpoint = endpoint
        self.body = body

    def __repr__(self) -> str:
        return f"HttpRequest({self.endpoint!r}, {len(self.body)} bytes)"


@final
class HttpResponse:
    """An answer, whole.

    Attributes:
        status: The HTTP status.
        headers: By lower-case name; several of one name are joined by ", ".
        body: Unpacked if it was compressed.
    """

    __slots__ = ("body", "headers", "status")

    def __init__(self, status: int, headers: Mapping[str, str], body: bytes) -> None:
        self.status = status
        self.headers = headers
        self.body = body

    def __repr__(self) -> str:
        return f"HttpResponse({self.status}, {len(self.body)} bytes)"
