"""The disk tier: one SQLite file, shared by all threads and processes.

Rows are appended in the order they came, with an index on the key: pages stay full, which a table ordered by hashes
would not be. Writes are collected and committed together, at the latest `LINGER_S` after they came, by a thread that
lives only while there is something to write; `close` and the end of the process write the rest, so a `kill -9` loses
what came in the last few milliseconds. WAL with `synchronous=NORMAL`: a crash of the machine can lose the last commits,
never the file.

Any failure (corrupt, full, locked, read-only, not ours, written by a newer telic) is told once, in one warning, and
from then on the disk is left alone: a run never stops because of its cache. Nothing is opened before the first use, and
nothing is created before the first write.
"""

from __future__ import annotations

import os
import sys
import threading
import time
import warnings
from contextlib import suppress
from functools import cache
from queue import SimpleQueue
from typing import Any, Final, final

from telic._optional import load

FILE_NAME: Final = "telic-cache.sqlite3"
APPLICATION_ID: Final = 0x74656C63  # "telc"
SCHEMA_VERSION: Final = 1
LINGER_S: Final = 0.01
BUSY_S: Final = 5.0  # how long another process may hold the file before we do without it
BATCH_ROWS: Final = 512  # as many waiting rows are written by the thread that adds one more
MAX_READERS: Final = (
    4  # connections that read; under the GIL more are no faster, and 512 threads need no 512 files
)
_CHUNKS: Final = (128, 16, 1)  # rows of one INSERT: few different statements, and few releases of the GIL
_INSERTS: Final = {n: "REPLACE INTO entries VALUES " + ",".join(["(?,?,?)"] * n) for n in _CHUNKS}  # noqa: S608  only marks
_DAY_S: Final = 86_400

_SCHEMA: Final = f"""
BEGIN IMMEDIATE;
CREATE TABLE IF NOT EXISTS entries(key BLOB NOT NULL, used INTEGER NOT NULL, value BLOB NOT NULL);
CREATE UNIQUE INDEX IF NOT EXISTS entries_by_key ON entries(key);
PRAGMA application_id = {APPLICATION_ID};
PRAGMA user_version = {SCHEMA_VERSION};
COMMIT;
"""


class CacheWarning(UserWarning):
    """The response cache cannot use its file; the run goes on without it."""


class _Unusable(Exception):
    """The file cannot be used; the message says why and what to do."""


@final
class DiskStore:
    """Blobs by 16-byte key in `folder/telic-cache.sqlite3`.

    Args:
        folder: Where the file is, or will be at the first write.
        limit_bytes: Beyond this the entries not used for longest are removed; None: no limit.
        read_only: Never write, also no notes of use: a file on a read-only medium works.
    """

    def __init__(self, folder: str, *, limit_bytes: int | None = None, read_only: bool = False) -> None:
        self.path = os.path.join(os.path.abspath(os.path.expanduser(folder)), FILE_NAME)
        self._limit_bytes = limit_bytes
        self._read_only = read_only
        self._failed = False
        self._notice: str | None = None  # a failure that nobody was told of yet
        self._reset()

    def _reset(self) -> None:
        self._writer: Any = None
        self._readers: SimpleQueue[Any] = SimpleQueue()  # idle connections; None: one not yet opened
        for _ in range(MAX_READERS):
            self._readers.put(None)
        self._waiting: dict[bytes, bytes] = {}  # not yet written
        self._writing: dict[bytes, bytes] = {}  # being written now
        self._touched: set[bytes] = set()  # read, and not noted as used today
        self._lock = threading.Lock()  # protects the three above and `_flusher`
        self._write_lock = threading.Lock()  # one thread at a time uses `_writer`
        self._flusher: threading.Thread | None = None
        self._since_check = 0  # rows written since the size was looked at
        self._today = int(time.time()) // _DAY_S

    # reading

    def get(self, key: bytes) -> bytes | None:
        """Return the blob, or None; a failure of the file is a miss."""
        blob = self._waiting.get(key)
        if blob is None:
            blob = self._writing.get(key)
        if blob is not None or self._failed:
            return blob
        row = None
        reader = self._readers.get()
        try:
            if reader is None:
                reader = self._open_reader()
            if reader is not None:
                row = reader.execute("SELECT value, used FROM entries WHERE key = ?", (key,)).fetchone()
        except Exception as error:  # noqa: BLE001  (whatever the file does, the answer is "not here")
            self._fail(error)
        finally:
            self._readers.put(reader)
        if row is None:
            self._tell()
            return None
        if row[1] != self._today and not self._read_only:
            self._note_use(key)
        return row[0]

    def _note_use(self, key: bytes) -> None:
        with self._lock:
            self._touched.add(key)
            full = len(self._touched) >= 8 * BATCH_ROWS
        if full:
            self.flush()

    def _open_reader(self) -> Any:
        if not os.path.exists(self.path):
            return None
        if not self._read_only:
            reader = self._connect("mode=rw")
        else:
            try:
                reader = self._connect("mode=ro")
                reader.execute("SELECT 1 FROM sqlite_master").fetchone()
            except load("sqlite3").OperationalError:  # WAL needs a writable folder, unless nobody writes
                reader = self._connect("immutable=1")
        if self._check_schema(reader):
            return reader
        reader.close()  # another process is making the file
        return None

    def _connect(self, how: str) -> Any:
        place: str = load("urllib.parse").quote(self.path.replace(os.sep, "/"))
        uri = f"file:{place if place.startswith('/') else '/' + place}?{how}"
        connection = load("sqlite3").connect(
            uri,
            uri=True,
            timeout=BUSY_S,
            isolation_level=None,
            check_same_thread=False,
            cached_statements=16,
            factory=_connection_class(),
        )
        connection.execute("PRAGMA mmap_size = 1073741824")
        return connection

    def _check_schema(self, connection: Any) -> bool:
        """Return whether the schema is there; an empty file has none yet."""
        connection.execute("BEGIN")  # one look: another process may be making the file just now
        try:
            version, owner, tables = (
                connection.execute(question).fetchone()[0]
                for question in (
                    "PRAGMA user_version",
                    "PRAGMA application_id",
                    "SELECT count(*) FROM sqlite_master",
                )
            )
        finally:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
        if version > SCHEMA_VERSION:
            raise _Unusable(
                f"it was written by a newer telic (format {version}, this one reads {SCHEMA_VERSION}); "
                "upgrade telic, or name another folder in TELIC_CACHE_DIR"
            )
        if owner == APPLICATION_ID:
            return True
        if tables:
            raise _Unusable("it is a database of another program; name another folder in TELIC_CACHE_DIR")
        return False

    # writing

    def put(self, key: bytes, blob: bytes) -> None:
        """Keep a blob; it can be read at once, and is on disk within some milliseconds."""
        if self._failed or self._read_only:
            self._tell()
            return
        with self._lock:
            self._waiting[key] = blob
            full = len(self._waiting) >= BATCH_ROWS
            if not full and self._flusher is None:
                self._flusher = threading.Thread(target=self._flush_soon, name="telic-cache", daemon=True)
                self._flusher.start()
        if full:
            self.flush()
            self._tell()

    def _flush_soon(self) -> None:
        while True:
            time.sleep(LINGER_S)
            self.flush()
            with self._lock:
                if not self._waiting:
                    self._flusher = None
                    return

    def flush(self) -> None:
        """Write what waits; returns when it is committed."""
        with self._write_lock:
            with self._lock:
                rows, self._writing = self._waiting, self._waiting
                touched, self._touched = self._touched, set()
                self._waiting = {}
            try:
                if (rows or touched) and not self._failed and not sys.is_finalizing():
                    self._write(rows, touched)
            except Exception as error:  # noqa: BLE001  (a full or broken disk costs the cache, not the run)
                self._fail(error)
            finally:
                self._writing = {}

    def _write(self, rows: dict[bytes, bytes], touched: set[bytes]) -> None:
        if self._writer is None:
            self._writer = self._open_writer()
        writer = self._writer
        today = self._today = int(time.time()) // _DAY_S
        writer.execute("BEGIN IMMEDIATE")
        try:
            items = list(rows.items())
            start = 0
            for size in _CHUNKS:
                while len(items) - start >= size:
                    flat = [part for key, blob in items[start : start + size] for part in (key, today, blob)]
                    writer.execute(_INSERTS[size], flat)
                    start += size
            if touched:
                writer.executemany(
                    "UPDATE entries SET used = ? WHERE key = ?", [(today, key) for key in touched]
                )
            self._since_check += len(items)
            if self._since_check >= BATCH_ROWS:
                self._since_check = 0
                self._evict(writer)
            writer.execute("COMMIT")
        except BaseException:
            if writer.in_transaction:
                writer.execute("ROLLBACK")
            raise

    def _open_writer(self) -> Any:
        os.makedirs(os.path.dirname(self.path), exist_ok=True)
        writer = self._connect("mode=rwc")
        until = time.monotonic() + BUSY_S
        while not self._prepared(writer):
            if time.monotonic() >= until:
                raise load("sqlite3").OperationalError("database is locked")
            time.sleep(0.01)
        writer.execute("PRAGMA synchronous = NORMAL")
        writer.execute("PRAGMA wal_autocheckpoint = 256")
        writer.execute("PRAGMA journal_size_limit = 1048576")
        return writer

    def _prepared(self, writer: Any) -> bool:
        """Make the schema where there is none; False: another process is at it (SQLite does not wait for that one)."""
        try:
            if not self._check_schema(writer):
                writer.execute("PRAGMA journal_mode = WAL")
                writer.executescript(_SCHEMA)
        except load("sqlite3").OperationalError as error:
            if writer.in_transaction:
                writer.execute("ROLLBACK")
            if "locked" in str(error):
                return False
            raise
        return True

    def _evict(self, writer: Any) -> None:
        """Once the pages in use pass the limit, remove the rows unused for longest, down to nine tenths of it."""
        if self._limit_bytes is None:
            return
        pages, free, size = (
            writer.execute(f"PRAGMA {name}").fetchone()[0]
            for name in ("page_count", "freelist_count", "page_size")
        )
        used_bytes = (pages - free) * size
        if used_bytes <= self._limit_bytes:
            return
        excess = 1 - 0.9 * self._limit_bytes / used_bytes
        writer.execute(
            "DELETE FROM entries WHERE rowid IN (SELECT rowid FROM entries ORDER BY used, rowid "
            "LIMIT (SELECT CAST(count(*) * ? AS INTEGER) + 1 FROM entries))",
            (excess,),
        )

    # ending

    def _fail(self, error: BaseException) -> None:
        """Leave the disk alone from now on; the next call of a user's thread says so."""
        if self._failed:
            return
        self._failed = True
        self._notice = (
            f"the response cache {self.path!r} cannot be used: {_reason(error)}. "
            "This process goes on without the disk cache."
        )
        with self._lock:
            self._waiting = {}
            self._touched = set()

    def _tell(self) -> None:
        notice, self._notice = self._notice, None
        if notice is not None:
            load("logging").getLogger("telic").info(notice)
            warnings.warn(notice, CacheWarning, stacklevel=5)

    def close(self) -> None:
        """Write what waits and close the file; the next use opens it again."""
        self.flush()
        with self._write_lock:
            for _ in range(MAX_READERS):
                reader = self._readers.get()
                if reader is not None:
                    reader.close()
            for _ in range(MAX_READERS):
                self._readers.put(None)
            if self._writer is not None:
                self._writer.close()
                self._writer = None
        self._tell()

    def after_fork(self) -> None:
        """Leave connections, locks and threads to the parent process; what waits is the parent's to write.

        The connections are kept alive here, unused: closing them could unsettle the files of the parent.
        """
        _inherited.extend((self._readers, self._writer))
        self._reset()


_inherited: list[Any] = []


@cache
def _connection_class() -> Any:
    """Return a connection that closes with its store: from 3.13 on, one that is only dropped warns."""
    sqlite3: Any = load("sqlite3")

    class Connection(sqlite3.Connection):
        def __del__(self) -> None:
            with suppress(sqlite3.ProgrammingError):  # it never opened
                self.close()

    return Connection


def _reason(error: BaseException) -> str:
    text = str(error) or type(error).__name__
    if isinstance(error, _Unusable):
        return text
    if "malformed" in text or "not a database" in text:
        return f"{text}; delete the file, and it will be made again"
    if "locked" in text:
        return f"{text}; another process holds it for writing"
    if isinstance(error, PermissionError) or "readonly" in text or "unable to open" in text:
        return f"{text}; is the folder writable? name another in TELIC_CACHE_DIR, or use configure_cache(mode='read')"
    if "full" in text or getattr(error, "errno", None) == 28:
        return f"{text}; make room, or name another folder in TELIC_CACHE_DIR"
    return text
