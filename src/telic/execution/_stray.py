"""Cancellations that nobody asked for: a program awaited something that was cancelled elsewhere.

`asyncio.CancelledError` is no `Exception`, since it ends the task that was cancelled. Where the task was not, it is a
failure of the code that let it out, and must not end a whole run over many items.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, Final, final

from telic.errors import ProgramError

if TYPE_CHECKING:
    from types import TracebackType


@final
class _StrayCancellations:
    """A block around code of the user's: a stray cancellation comes out as a `ProgramError`."""

    __slots__ = ()

    def __enter__(self) -> None:
        return None

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None and not isinstance(error, Exception) and _is_stray(error):
            raise ProgramError("something that it awaited was cancelled (asyncio.CancelledError)") from error


def _is_stray(error: BaseException) -> bool:
    asyncio: Any = sys.modules.get("asyncio")
    if asyncio is None or not isinstance(error, asyncio.CancelledError):
        return False
    task = None if asyncio._get_running_loop() is None else asyncio.current_task()
    return task is None or not task.cancelling()


stray_cancellations: Final = _StrayCancellations()
