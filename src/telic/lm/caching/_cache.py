"""The response cache: a memory tier over a disk tier, keyed by what was asked, of whom.

One `Cache` serves the process; `configure_cache` replaces it, and `cache` stands for whichever it is. Modes:

    on           read and write
    off          neither
    read         use what is there, keep nothing new
    write        keep what is new, use nothing: refreshes entries
    replay-only  use what is there; what is not there is a `CacheMissError`, never a call

Values are immutable: hits share nothing that a caller could change. Keys hold the endpoint and the sample index
(`_key`), values are JSON (`_codec`). Nothing is imported, opened or created before it is needed.
"""

from __future__ import annotations

import atexit
import os
import sys
import threading
from typing import TYPE_CHECKING, Any, Final, Literal, final, get_args

from telic._optional import load
from telic._text import did_you_mean
from telic.context import get as get_setting
from telic.data import Response
from telic.errors import ConfigurationError
from telic.lm.caching._codec import decode, encode_response, encode_value
from telic.lm.caching._key import value_key
from telic.lm.caching._memory import MemoryTier
from telic.lm.caching._store import DiskStore

if TYPE_CHECKING:
    from collections.abc import Sequence

CacheMode = Literal["on", "off", "read", "write", "replay-only"]
MODES: Final[tuple[str, ...]] = get_args(CacheMode)

MEMORY_BYTES: Final = 256 * 1024**2
DISK_BYTES: Final = 10 * 1000**3


@final
class Cache:
    """Replies by key, in memory and on disk; all methods may be called from any thread.

    Args:
        folder: Where the file is kept; None: no disk tier.
        memory_max_bytes: What the memory tier may take, about; 0: no memory tier.
        memory_max_entries: How many entries it may hold, about; None: only bytes count.
        disk_size_limit_bytes: Beyond this the entries unused for longest go; None: no limit.
        mode: See the module.

    Example:
        >>> store = Cache(None)
        >>> store.put({"question": "1+1"}, {"answer": 2})
        >>> store.get({"question": "1+1"}), store.get({"question": "1+2"})
        ({'answer': 2}, None)
    """

    __slots__ = ("disk", "memory", "mode", "readable", "writable")

    def __init__(
        self,
        folder: str | None,
        *,
        memory_max_bytes: int = MEMORY_BYTES,
        memory_max_entries: int | None = None,
        disk_size_limit_bytes: int | None = DISK_BYTES,
        mode: CacheMode = "on",
    ) -> None:
        if mode not in MODES:
            raise ConfigurationError(
                f"unknown cache mode {mode!r}{did_you_mean(str(mode), MODES)}; one of: {', '.join(MODES)}"
            )
        for name, size in (
            ("memory_max_bytes", memory_max_bytes),
            ("disk_size_limit_bytes", disk_size_limit_bytes),
        ):
            if size is not None and size < 0:
                raise ConfigurationError(f"{name} is {size!r}; it is a number of bytes, 0 or more")
        self.mode = mode
        self.readable = mode in ("on", "read", "replay-only")
        self.writable = mode in ("on", "write")
        has_memory = memory_max_bytes > 0 and memory_max_entries != 0 and mode != "off"
        self.memory = MemoryTier(memory_max_bytes, memory_max_entries) if has_memory else None
        self.disk = (
            DiskStore(folder, limit_bytes=disk_size_limit_bytes, read_only=not self.writable)
            if folder is not None and mode != "off"
            else None
        )

    def get(self, request: Any) -> Any:
        """Return what was kept, or None.

        Args:
            request: A key (bytes), or any JSON-able value, whose key is taken.

        Returns:
            A `Response` marked as cached, or a fresh copy of the value that was put.
        """
        key = request if type(request) is bytes else value_key(request)
        memory = self.memory
        if memory is not None:
            held = memory.get(key)
            if held is not None:
                return held if type(held) is Response else decode(held)
        if self.disk is None:
            return None
        blob = self.disk.get(key)
        if blob is None:
            return None
        try:
            value = decode(blob)
        except Exception:  # noqa: BLE001  (a damaged row is a miss; it is replaced by the next answer)
            return None
        if memory is not None:
            self._remember(memory, key, value, blob)
        return value

    def get_response(self, key: bytes) -> Response | None:
        """Return the response under `key`, or None; what others put there by hand is not taken for one."""
        found = self.get(key)
        return found if type(found) is Response else None

    def put(self, request: Any, value: Any) -> None:
        """Keep `value` (a `Response`, or anything JSON-able) under a key or a JSON-able request.

        Raises:
            TypeError: The value is not JSON-able.
        """
        key = request if type(request) is bytes else value_key(request)
        blob = (
            encode_response(value)
            if type(value) is Response
            else encode_value(value, squeeze=self.disk is not None)  # memory alone: speed before size
        )
        if self.memory is not None:
            self._remember(self.memory, key, value, blob)
        if self.disk is not None:
            self.disk.put(key, blob)

    @staticmethod
    def _remember(memory: MemoryTier, key: bytes, value: Any, blob: bytes) -> None:
        if type(value) is Response and not any(
            c.tool_calls or c.logprobs or c.citations for c in value.completions
        ):
            if not value.cached or value.raw is not None:
                value = value._replace(cached=True, raw=None)
            size = 500 + sum(
                len(c.text) + (len(c.reasoning) if c.reasoning else 0) for c in value.completions
            )
            memory.put(key, value, size)
        else:
            memory.put(key, blob, len(blob))

    def cache_key(self, request: Any) -> str:
        """Return the key of a JSON-able request as hex digits."""
        return value_key(request).hex()

    def reset_memory_cache(self) -> None:
        """Drop the memory tier's entries; the disk keeps its own."""
        if self.memory is not None:
            self.memory.clear()

    def flush(self) -> None:
        """Return when all that was put is on disk."""
        if self.disk is not None:
            self.disk.flush()

    def close(self) -> None:
        """Write what waits and close the file; the next use opens it again."""
        if self.disk is not None:
            self.disk.close()

    def after_fork(self) -> None:
        """Leave locks, threads and connections to the parent process."""
        if self.memory is not None:
            self.memory.after_fork()
        if self.disk is not None:
            self.disk.after_fork()


def default_folder() -> str:
    """Return where the cache is kept: TELIC_CACHE_DIR, DSPY_CACHEDIR, or the platform's place for caches."""
    for name in ("TELIC_CACHE_DIR", "DSPY_CACHEDIR"):
        if folder := os.environ.get(name):
            return folder
    if sys.platform == "win32":
        base = os.environ.get("LOCALAPPDATA") or os.path.expanduser("~/AppData/Local")
    elif sys.platform == "darwin":
        base = os.path.expanduser("~/Library/Caches")
    else:
        base = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    return os.path.join(base, "telic")


_OFF: Final = Cache(None, mode="off")
_current: Cache | None = None
_lock = threading.Lock()  # protects the making and replacing of `_current`


def current_cache() -> Cache:
    """Return the cache of this process, made now if it was not before; where a cassette plays, one that is off."""
    if get_setting("cassette") is not None:
        return _OFF
    return _current if _current is not None else _install(None)


def replays_only() -> bool:
    """Return whether the cache of this process is in replay-only mode; makes none."""
    return _current is not None and _current.mode == "replay-only"


@final
class CurrentCache:
    """The cache of this process, whichever `configure_cache` made last: `cache.get(…)`, or `cache()` for itself."""

    __slots__ = ()

    def __call__(self) -> Cache:
        return current_cache()

    def get(self, request: Any) -> Any:
        """Same as `Cache.get`."""
        return current_cache().get(request)

    def put(self, request: Any, value: Any) -> None:
        """Same as `Cache.put`."""
        current_cache().put(request, value)

    def cache_key(self, request: Any) -> str:
        """Same as `Cache.cache_key`."""
        return current_cache().cache_key(request)

    def reset_memory_cache(self) -> None:
        """Same as `Cache.reset_memory_cache`."""
        current_cache().reset_memory_cache()

    def flush(self) -> None:
        """Same as `Cache.flush`."""
        current_cache().flush()


cache: Final = CurrentCache()


def configure_cache(
    enable_disk_cache: bool = True,
    enable_memory_cache: bool = True,
    disk_cache_dir: str | os.PathLike[str] | None = None,
    disk_size_limit_bytes: int | None = DISK_BYTES,
    memory_max_entries: int | None = None,
    *,
    memory_max_bytes: int = MEMORY_BYTES,
    mode: CacheMode = "on",
    restrict_pickle: bool = True,
    safe_types: Sequence[type] | None = None,
) -> Cache:
    """Replace the cache of this process and return the new one; nothing is opened or created yet.

    Args:
        enable_disk_cache: Keep replies in a file.
        enable_memory_cache: Keep replies in memory.
        disk_cache_dir: The folder; None: TELIC_CACHE_DIR, DSPY_CACHEDIR or the platform's place for caches.
        disk_size_limit_bytes: Beyond this the entries unused for longest go; None: no limit.
        memory_max_entries: How many entries memory may hold, about; None: only bytes count.
        memory_max_bytes: What the memory tier may take, about.
        mode: "on", "off", "read", "write" (keep, but use nothing) or "replay-only" (never send a call).
        restrict_pickle: Accepted for programs that set it; nothing is ever pickled here.
        safe_types: Likewise without effect.

    Raises:
        ConfigurationError: An unknown mode or an impossible size.
    """
    del restrict_pickle, safe_types
    folder = None
    if enable_disk_cache:
        folder = default_folder() if disk_cache_dir is None else os.fspath(disk_cache_dir)
    return _install(
        Cache(
            folder,
            memory_max_bytes=memory_max_bytes if enable_memory_cache else 0,
            memory_max_entries=memory_max_entries,
            disk_size_limit_bytes=disk_size_limit_bytes,
            mode=mode,
        )
    )


def _install(new: Cache | None) -> Cache:
    """Put `new` in the place of the current cache; None: keep the current one, or make the default one."""
    global _current  # noqa: PLW0603  the one cache of the process
    with _lock:
        before = _current
        if new is None:
            if before is not None:
                return before
            new = Cache(default_folder())
        _current = new
    if before is not None:
        before.close()
    return new


def _at_exit() -> None:
    if _current is not None:
        _current.close()


def _after_fork() -> None:
    global _lock  # noqa: PLW0603  the parent may have held the old one
    _lock = threading.Lock()
    if _current is not None:
        _current.after_fork()
    util: Any = sys.modules.get("multiprocessing.util")
    if util is not None:  # it forgets its finalizers first, and then calls this
        util.register_after_fork(_at_exit, _finish_with_child)


def _finish_with_child(_: object = None) -> None:
    """Write what waits when this process ends as a child of `multiprocessing`, which leaves out `atexit`."""
    process: Any = sys.modules.get("multiprocessing.process")
    if process is not None and process.parent_process() is not None:
        load("multiprocessing.util").Finalize(None, _at_exit, exitpriority=1)


atexit.register(_at_exit)
_finish_with_child()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
