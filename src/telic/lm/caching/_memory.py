"""The memory tier: two generations of a dict, bounded in bytes, read without a lock.

New and recently used entries live in the young generation. When that holds half of the limit, it becomes the old one,
and the old one is dropped: what was not asked for since then is gone. That is nearly LRU, and a hit in the young
generation changes nothing, so any number of threads read at the speed of a dict.
"""

from __future__ import annotations

import threading
from typing import Any, Final, final

ENTRY_OVERHEAD_BYTES: Final = 160  # key, dict slot and object headers


@final
class MemoryTier:
    """Values by key, the least recently used dropped; values must be immutable.

    Args:
        max_bytes: What all values together may take, about.
        max_entries: How many there may be, about; None: only bytes count.
    """

    __slots__ = ("_bytes", "_lock", "_max_bytes", "_max_entries", "_old", "_young")

    def __init__(self, max_bytes: int, max_entries: int | None = None) -> None:
        self._max_bytes = max_bytes // 2
        self._max_entries = None if max_entries is None else (max_entries + 1) // 2
        self._young: dict[bytes, tuple[Any, int]] = {}
        self._old: dict[bytes, tuple[Any, int]] = {}
        self._bytes = 0  # of the young generation
        self._lock = threading.Lock()  # protects changes of the three above; reads need none

    def get(self, key: bytes) -> Any:
        """Return the value, or None."""
        found = self._young.get(key)
        if found is not None:
            return found[0]
        found = self._old.get(key)
        if found is None:
            return None
        self.put(key, *found)
        return found[0]

    def put(self, key: bytes, value: Any, size_bytes: int) -> None:
        """Keep a value that takes `size_bytes`; one larger than a quarter of the limit is not kept."""
        if size_bytes > self._max_bytes // 2:
            return
        with self._lock:
            young = self._young
            before = young.get(key)
            young[key] = (value, size_bytes)
            self._bytes += size_bytes + (ENTRY_OVERHEAD_BYTES if before is None else -before[1])
            if self._bytes > self._max_bytes or (
                self._max_entries is not None and len(young) > self._max_entries
            ):
                self._old, self._young, self._bytes = young, {}, 0

    def after_fork(self) -> None:
        """Take a lock of our own: a thread of the parent may have held the one before."""
        self._lock = threading.Lock()

    def clear(self) -> None:
        """Drop everything."""
        with self._lock:
            self._young, self._old, self._bytes = {}, {}, 0

    def __len__(self) -> int:
        return len(self._young.keys() | self._old.keys())
