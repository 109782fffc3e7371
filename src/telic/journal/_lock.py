"""One writer for each run: a lock file that the operating system holds, with who holds it inside.

The lock goes with the process, however it ends, so a killed run can be resumed at once.
"""

from __future__ import annotations

import json
import os
import socket
import sys
import time
from pathlib import Path
from typing import Any, Final, final

from telic._optional import load
from telic.errors import JournalError, RunLockedError

NAME: Final = "lock"
_LOOKS: Final = 5  # who only looks whether it is locked holds it for a moment
_LOOK_S: Final = 0.02
_FAR: Final = 1 << 30  # Windows locks bytes: one far behind what is written


@final
class RunLock:
    """The lock on a run's folder; taken when it is made.

    Raises:
        RunLockedError: Somebody else has it.
        JournalError: The file cannot be made.
    """

    def __init__(self, folder: Path) -> None:
        path = folder / NAME
        try:
            self._fd: int = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        except OSError as error:
            raise _unwritten(folder, error) from error
        if not any(_take(self._fd) or time.sleep(_LOOK_S) for _ in range(_LOOKS)):
            holder = read_holder(folder)
            os.close(self._fd)
            raise _locked(folder, holder)
        text = json.dumps({"pid": os.getpid(), "host": socket.gethostname()}).encode()
        try:
            os.ftruncate(self._fd, 0)
            os.write(self._fd, text)
        except OSError as error:  # no room even for that
            os.close(self._fd)
            raise _unwritten(folder, error) from error

    def release(self) -> None:
        """Let others in; once is enough."""
        if self._fd >= 0:
            os.ftruncate(self._fd, 0)
            os.close(self._fd)
            self._fd = -1


def read_holder(folder: Path) -> dict[str, Any]:
    """Return `pid` and `host` as the lock file names them; {} where it names nobody."""
    try:
        found = json.loads((folder / NAME).read_bytes())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}  # pyright: ignore[reportUnknownVariableType]


def is_locked(folder: Path) -> bool:
    """Return whether somebody works on the run now."""
    try:
        fd = os.open(folder / NAME, os.O_RDWR)
    except OSError:
        return False
    try:
        return not _take(fd)
    finally:
        os.close(fd)


def _take(fd: int) -> bool:
    try:
        if sys.platform == "win32":
            os.lseek(fd, _FAR, os.SEEK_SET)
            load("msvcrt").locking(fd, 2, 1)  # LK_NBLCK
            os.lseek(fd, 0, os.SEEK_SET)
        else:
            fcntl = load("fcntl")
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _unwritten(folder: Path, error: OSError) -> JournalError:
    return JournalError(
        f"{str(folder)!r} cannot be written to: {error.strerror or error}; choose another run_dir",
        folder=str(folder),
    )


def _locked(folder: Path, holder: dict[str, Any]) -> RunLockedError:
    pid, host = holder.get("pid"), holder.get("host", "")
    known = "" if pid is None else f" (process {pid} on {host!r})"
    return RunLockedError(
        f"another run works in {str(folder)!r}{known}: wait for it, or choose another run_dir",
        folder=str(folder),
        pid=pid if isinstance(pid, int) else None,
        host=str(host),
    )
