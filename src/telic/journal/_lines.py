"""One append-only file of JSON lines, each with a checksum: what a crash can break is the last line, and it is healed.

A line is one JSON object whose last member, `crc`, is the CRC-32 (8 hex digits) of the bytes before it, so that any
reader of JSON lines reads the file, and a cut or altered line is known. Each line is handed to the operating system
before `append` returns: killing the process loses none. `sync` makes the file outlive a crash of the machine; whoever
owns the file says when (a run: at most a second later, see `_live`).

A damaged end (torn by a crash) is cut off before the next line is written. A damaged line with good ones after it is
no crash's work: it is refused, with its number.
"""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple, final
from zlib import crc32

from telic._optional import load
from telic.errors import JournalError

_MARK: Final = b',"crc":"'
_TAIL: Final = len(_MARK) + 8 + len(b'"}')  # bytes behind what the checksum covers


class Place(NamedTuple):
    """Where a line stands in its file, in bytes."""

    offset: int
    length: int


def encode(record: Mapping[str, Any]) -> bytes:
    """Return a record as a line.

    Raises:
        TypeError: It holds what JSON does not.
    """
    try:
        body: bytes = load("orjson").dumps(record)
    except TypeError:  # integers over 64 bits and lone surrogates have a JSON form all the same
        body = json.dumps(record, separators=(",", ":")).encode()
    body = body[:-1]
    return b'%b%b%08x"}\n' % (body, _MARK, crc32(body))


def decode(line: bytes) -> dict[str, Any] | None:
    """Return the record of a line (with or without its newline), or None where it is damaged."""
    line = line.rstrip(b"\n")
    body, tail = line[:-_TAIL], line[-_TAIL:]
    if tail[: len(_MARK)] != _MARK or tail[-2:] != b'"}' or tail[len(_MARK) : -2] != b"%08x" % crc32(body):
        return None
    try:
        record = load("orjson").loads(body + b"}")
    except ValueError:
        record = json.loads(body + b"}")
    return record if isinstance(record, dict) else None  # pyright: ignore[reportUnknownVariableType]


def scan(path: Path, visit: Callable[[Place, dict[str, Any]], object]) -> int:
    """Show `visit` the good lines of a file with their places, and return where a torn end begins (or the size).

    Raises:
        JournalError: A line in the middle is damaged, or the file cannot be read.
    """
    offset = good = 0
    damaged: tuple[int, int] | None = None  # number and offset of the first damaged line
    try:
        with path.open("rb") as file:
            for number, line in enumerate(file, 1):
                record = decode(line) if line.endswith(b"\n") else None
                if record is None:
                    damaged = (number, offset) if damaged is None else damaged
                elif damaged is not None:
                    raise JournalError(
                        f"line {damaged[0]} of {str(path)!r} (byte {damaged[1]}) is damaged and lines after it are "
                        "not: the file was altered, or its disk is failing. Restore it, or begin anew in another "
                        "run_dir",
                        folder=str(path.parent),
                    )
                else:
                    visit(Place(offset, len(line)), record)
                    good = offset + len(line)
                offset += len(line)
    except FileNotFoundError:
        return 0
    except OSError as error:
        raise JournalError(
            f"{str(path)!r} cannot be read: {error.strerror or error}", folder=str(path.parent)
        ) from error
    return good


@final
class LinesFile:
    """The file, open for appending; safe to use from any thread.

    Args:
        path: Made if it is not there.
        end: Where the good lines end (from `scan`); what is behind is cut off.

    Raises:
        JournalError: It cannot be opened or written.
    """

    def __init__(self, path: Path, end: int = 0) -> None:
        self.path = path
        self._lock = threading.Lock()  # protects the end, and the order of lines
        self._end = end
        self._dirty = False
        try:
            self._fd: int = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_BINARY", 0), 0o644)
            os.ftruncate(self._fd, end)
            os.lseek(self._fd, end, os.SEEK_SET)
        except OSError as error:
            raise self._failure("opened for writing", error) from error

    def append(self, record: Mapping[str, Any]) -> Place:
        """Write a record behind the others, and return its place.

        Raises:
            JournalError: The disk is full or the file cannot be written; what was there before is whole.
            TypeError: The record holds what JSON does not.
        """
        line = encode(record)
        with self._lock:
            place = Place(self._end, len(line))
            if self._fd < 0:
                raise JournalError(
                    f"{str(self.path)!r} is closed: its run has ended", folder=str(self.path.parent)
                )
            try:
                rest = memoryview(line)
                while rest:
                    rest = rest[os.write(self._fd, rest) :]
            except OSError as error:
                self._take_back()
                raise self._failure("written", error) from error
            self._end += len(line)
            self._dirty = True
        return place

    def _take_back(self) -> None:
        """Cut off half a line; where even that fails, the next opening heals it."""
        try:
            os.ftruncate(self._fd, self._end)
            os.lseek(self._fd, self._end, os.SEEK_SET)
        except OSError:
            pass

    def read(self, place: Place) -> dict[str, Any]:
        """Return the record at a place.

        Raises:
            JournalError: It is no longer there.
        """
        with self._lock:  # one file position for reading and writing, on every system
            if self._fd < 0:
                raise JournalError(
                    f"{str(self.path)!r} is closed: its run has ended", folder=str(self.path.parent)
                )
            os.lseek(self._fd, place.offset, os.SEEK_SET)
            line = os.read(self._fd, place.length)
            os.lseek(self._fd, self._end, os.SEEK_SET)
        record = decode(line)
        if record is None:
            raise JournalError(
                f"the line at byte {place.offset} of {str(self.path)!r} is damaged; begin anew in another run_dir",
                folder=str(self.path.parent),
            )
        return record

    def sync(self) -> None:
        """Make what was written outlive a crash of the machine; nothing to do where nothing was written."""
        with self._lock:
            if not self._dirty or self._fd < 0:
                return
            self._dirty = False
            fd = os.dup(self._fd)
        try:
            os.fsync(fd)  # outside of the lock: writers do not wait for the disk
        except OSError:  # some file systems have no such call; the lines are with the system all the same
            pass
        finally:
            os.close(fd)

    def close(self) -> None:
        """Sync and close; once is enough."""
        self.sync()
        with self._lock:
            if self._fd >= 0:
                os.close(self._fd)
                self._fd = -1

    def _failure(self, what: str, error: OSError) -> JournalError:
        return JournalError(
            f"{str(self.path)!r} cannot be {what}: {error.strerror or error}; make room or choose another run_dir "
            "(what was recorded before is whole, and the same run_dir goes on from there)",
            folder=str(self.path.parent),
        )
