"""Calling work off from another thread: what a cancelled task is to asyncio, for plain code.

Whoever starts work that somebody may leave opens a scope and puts it into the setting `cancel_scope`; threads of the
library carry it on. Cancelling the scope ends the HTTP calls made in it at once, and lets none begin: they raise
`Cancelled`, which is no `Exception`, so that code that handles errors does not stop it. Python cannot interrupt other
blocking code; it ends at its next call of an LM.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import final


class Cancelled(BaseException):
    """The work was called off: nobody waits for its result any more."""


@final
class CancelScope:
    """Work that can be called off as a whole. Safe to use from any thread.

    Example:
        >>> scope, told = CancelScope(), []
        >>> scope.add("call", lambda: told.append("stop"))
        >>> scope.cancel()
        >>> told, scope.cancelled
        (['stop'], True)
    """

    __slots__ = ("_hooks", "_lock", "cancelled")

    def __init__(self) -> None:
        self._lock = threading.Lock()  # protects `_hooks`: none is added after the scope was cancelled
        self._hooks: dict[object, Callable[[], object]] = {}
        self.cancelled = False

    def add(self, key: object, stop: Callable[[], object]) -> None:
        """Have `stop()` called when the scope is cancelled, from the thread that cancels it.

        Raises:
            Cancelled: It is cancelled already.
        """
        with self._lock:
            if not self.cancelled:
                self._hooks[key] = stop
                return
        raise Cancelled("the work was called off")

    def discard(self, key: object) -> None:
        """Forget what was added under this key."""
        with self._lock:
            self._hooks.pop(key, None)

    def check(self) -> None:
        """Raise `Cancelled` where the scope is cancelled."""
        if self.cancelled:
            raise Cancelled("the work was called off")

    def cancel(self) -> None:
        """Call the work off. Idempotent."""
        with self._lock:
            self.cancelled = True
            hooks, self._hooks = self._hooks, {}
        for stop in hooks.values():
            stop()
