"""An index on disk: a folder of plain arrays and one `index.json` that says what they are.

`index.json` is written last, under another name and then renamed: a folder without it is unfinished, and what a killed
build left there is continued. It names the format, the kind of index, the corpus and the embedder by fingerprint, and
the size of every file, so that a cut file is refused when it is opened, without reading it. One process writes at a
time: the writer holds the file `lock`, which the system frees when the process dies.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Final, NamedTuple, Self, TypeVar, final

from telic._optional import load
from telic.errors import StoredIndexError

T = TypeVar("T")

FORMAT: Final = 1
HEADER: Final = "index.json"
LOCK: Final = "lock"


class Header(NamedTuple):
    """What `index.json` says."""

    kind: str
    """"bm25" or "dense"."""
    passages: int
    corpus: str
    """The fingerprint of the corpus."""
    settings: Mapping[str, Any]
    """What the index was built with, as JSON data; another setting is another index."""
    files: Mapping[str, int]
    """The size of each file in bytes."""
    notes: Mapping[str, Any] = {}
    """What was measured when it was built."""


def read_header(folder: Path, kind: str) -> Header:
    """Return the header of the finished index in `folder`, its files checked by their sizes.

    Raises:
        StoredIndexError: There is none, it is of another kind or a newer format, or a file is missing or cut.
    """
    where = repr(str(folder))
    try:
        data: Any = load("orjson").loads((folder / HEADER).read_bytes())
        header = Header(
            data["kind"], data["passages"], data["corpus"], data["settings"], data["files"], data["notes"]
        )
        version = data["telic_index"]
        kinds = {"kind": str, "passages": int, "corpus": str, "settings": dict, "files": dict, "notes": dict}
        for name, expected in kinds.items():
            if not isinstance(data[name], expected):
                raise TypeError(f"{name!r} is {type(data[name]).__name__}, not {expected.__name__}")
    except FileNotFoundError:
        raise StoredIndexError(f"there is no finished index in {where}", folder=str(folder)) from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise StoredIndexError(
            f"{HEADER} in {where} is no index of telic's, or is damaged ({type(error).__name__}: {error})",
            folder=str(folder),
        ) from error
    if version != FORMAT:
        raise StoredIndexError(
            f"the index in {where} has format {version!r}, and this telic reads {FORMAT}; build it again, or upgrade",
            folder=str(folder),
        )
    if header.kind != kind:
        raise StoredIndexError(
            f"the index in {where} is of kind {header.kind!r}, not {kind!r}; open it as what it is",
            folder=str(folder),
        )
    for name, size in header.files.items():
        found = (folder / name).stat().st_size if (folder / name).is_file() else -1
        if found != size:
            what = "is missing" if found < 0 else f"has {found:,} bytes and should have {size:,}"
            raise StoredIndexError(
                f"the index in {where} is cut: {name} {what}; delete the folder and build it again",
                folder=str(folder),
            )
    return header


def entry(values: Mapping[str, Any], name: str, kind: type[T], folder: Path) -> T:
    """Return one of the header's settings or notes.

    Raises:
        StoredIndexError: It is not there, or of another type.
    """
    value = values.get(name)
    if not isinstance(value, kind):
        raise StoredIndexError(
            f"{HEADER} in {str(folder)!r} is damaged: {name!r} is {value!r}, and should be {kind.__name__}; build the "
            "index again",
            folder=str(folder),
        )
    return value


def has_header(folder: Path) -> bool:
    """Return whether there is a finished index, of any kind."""
    return (folder / HEADER).is_file()


def write_header(folder: Path, header: Header) -> None:
    """Write `index.json`, which makes the index a finished one; `header.files` is filled in from the disk."""
    sizes = {name: (folder / name).stat().st_size for name in header.files}
    data = {"telic_index": FORMAT, **header._asdict(), "files": sizes}
    write_whole(folder / HEADER, load("orjson").dumps(data, option=load("orjson").OPT_INDENT_2))


def write_whole(path: Path, data: bytes) -> None:
    """Write a file so that a reader sees the old or the new one, never half."""
    temporary = path.with_name(f"{path.name}.{os.getpid()}.part")
    with temporary.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


def check_same(folder: Path, header: Header, corpus: str, passages: int, settings: Mapping[str, Any]) -> None:
    """Refuse an index that was built for something else.

    Raises:
        StoredIndexError: Names what differs.
    """
    faults: list[str] = []
    if header.corpus != corpus:
        faults.append(f"it has another corpus ({header.passages:,} passages; given were {passages:,})")
    faults += [
        f"{name} was {header.settings.get(name)!r} and is now {value!r}"
        for name, value in settings.items()
        if header.settings.get(name) != value
    ]
    if faults:
        raise StoredIndexError(
            f"the index in {str(folder)!r} was built for something else: {'; '.join(faults)}. Name another folder, or "
            "delete this one to build it anew",
            folder=str(folder),
        )


@final
class WriterLock:
    """The right to write an index: `with WriterLock(folder): …`. The folder is made.

    Raises:
        StoredIndexError: Another process has it (named where it can be), or the folder cannot be written.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._file: Any = None

    def __enter__(self) -> Self:
        where = str(self._folder)
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            file = (self._folder / LOCK).open("a+", encoding="utf-8")
        except OSError as error:
            raise StoredIndexError(
                f"the folder {where!r} cannot be written: {error.strerror or error}; name another",
                folder=where,
            ) from error
        try:
            _hold(file)
        except OSError:
            file.seek(0)
            holder = file.read(200).strip()
            file.close()
            raise StoredIndexError(
                f"the index in {where!r} is being written by another process{f' ({holder})' if holder else ''}; wait "
                "for it, or name another folder",
                folder=where,
            ) from None
        file.truncate(0)
        file.write(f"process {os.getpid()} on {socket.gethostname()}")
        file.flush()
        self._file = file
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        file, self._file = self._file, None
        if file is not None:
            file.truncate(0)
            file.close()


def _hold(file: Any) -> None:
    if os.name == "nt":
        windows = load("msvcrt")
        file.seek(4096)  # locked bytes cannot be read, and what stands at 0 is for reading
        windows.locking(file.fileno(), windows.LK_NBLCK, 1)
        return
    unix = load("fcntl")
    unix.flock(file.fileno(), unix.LOCK_EX | unix.LOCK_NB)


@contextmanager
def replacing(folder: Path) -> Generator[Path]:
    """Give a folder to write a finished index into, which then takes the place of what is in `folder`, if anything.

    Whoever has the index that was there open goes on with it: its files are replaced, not written over. Killed in
    between, the folder has the old index, or one without a header, which is refused.

    Raises:
        StoredIndexError: The folder is being written, or cannot be written.
    """
    with WriterLock(folder):
        staging = folder / f"saving.{os.getpid()}"
        try:
            staging.mkdir()
            yield staging
            (folder / HEADER).unlink(missing_ok=True)
            files = sorted(staging.iterdir(), key=lambda file: file.name == HEADER)  # the header comes last
            for file in files:
                file.replace(folder / file.name)
        except OSError as error:
            raise StoredIndexError(
                f"the index cannot be written to {str(folder)!r}: {error.strerror or error}",
                folder=str(folder),
            ) from error
        finally:
            load("shutil").rmtree(staging, ignore_errors=True)
