"""Compressed bodies: gzip in any number of members, and deflate, as zlib wraps it or bare, as some servers send it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, final

from telic._optional import load
from telic.errors import LMResponseError

if TYPE_CHECKING:
    from collections.abc import Mapping

_BY_HEADER: Final = 47  # 32 + 15: gzip or zlib, whichever its header says
_BARE: Final = -15


def unpacker_for(headers: Mapping[str, str], where: str, limit: int) -> Unpacker | None:
    """Return what unpacks a body with these headers, or None where it is as it is.

    Raises:
        LMResponseError: It is compressed in a way that was not asked for.
    """
    encoding = headers.get("content-encoding", "").strip().lower()
    if encoding in ("", "identity"):
        return None
    if encoding not in ("gzip", "x-gzip", "deflate"):
        raise LMResponseError(f"{where} sent an answer compressed as {encoding!r}, which was not asked for")
    return Unpacker(where, limit, may_be_bare=encoding == "deflate")


@final
class Unpacker:
    """Unpacks one body, in pieces.

    Args:
        where: Who sent it, for errors.
        limit: How many bytes may come of it.
        may_be_bare: It may be deflate without a header.
    """

    __slots__ = ("_inner", "_left", "_limit", "_may_be_bare", "_where")

    def __init__(self, where: str, limit: int, *, may_be_bare: bool) -> None:
        self._where = where
        self._may_be_bare = may_be_bare
        self._limit = self._left = limit
        self._inner: Any = None

    def feed(self, data: bytes) -> bytes:
        """Return what a piece unpacks to, which may be nothing yet.

        Raises:
            LMResponseError: The compression is broken, or there is more than the limit in it.
        """
        zlib = load("zlib")
        parts: list[bytes] = []
        while data:
            inner = self._inner
            if inner is None or (inner.eof and data[0] == 0x1F):  # the first member, or one more
                bare = self._may_be_bare and data[0] != 0x1F and data[0] & 0x0F != 8
                inner = self._inner = zlib.decompressobj(_BARE if bare else _BY_HEADER)
            elif inner.eof:
                break  # padding behind the last member
            try:
                part = inner.decompress(data, self._left + 1)
            except zlib.error as error:
                raise LMResponseError(
                    f"{self._where} sent a body whose compression is broken: {error}"
                ) from error
            self._left -= len(part)
            if self._left < 0:
                raise LMResponseError(
                    f"{self._where} sent an answer of more than {self._limit:,} bytes when unpacked; refused"
                )
            parts.append(part)
            data = inner.unused_data
        return b"".join(parts)

    def finish(self) -> None:
        """Check that the body ended where its compression does; an empty one has none.

        Raises:
            LMResponseError: It does not.
        """
        if self._inner is not None and not self._inner.eof:
            raise LMResponseError(f"{self._where} sent a compressed body that is cut")
