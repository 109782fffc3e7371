"""Ending a process with all that it started.

On POSIX the process leads a session of its own, and its group is killed. On Linux, where it also adopts what its
children leave behind, its descendants are looked up first, so that one that left the group is found too.
"""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path


def end_all(process: subprocess.Popen[bytes]) -> None:
    """Kill a process that leads a session, and its descendants, and wait for it."""
    if process.poll() is None:
        if os.name == "posix":
            _signal_group(process.pid, signal.SIGSTOP)  # so that none starts while they are counted
            for _ in range(10):
                found = descendants(process.pid)
                for pid in found:
                    _signal(pid, signal.SIGKILL)
                if not found:
                    break
            _signal_group(process.pid, signal.SIGKILL)
        process.kill()
    elif os.name == "posix":
        _signal_group(process.pid, signal.SIGKILL)
    process.wait()


def descendants(pid: int) -> list[int]:
    """Return the living processes below `pid`, as Linux tells them; elsewhere none."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            fields = (entry / "stat").read_text().rpartition(")")[2].split()
        except (OSError, UnicodeDecodeError):  # it ended meanwhile
            continue
        if fields[0] != "Z":
            children.setdefault(int(fields[1]), []).append(int(entry.name))
    found: list[int] = []
    waiting = [pid]
    while waiting:
        below = children.get(waiting.pop(), [])
        found += below
        waiting += below
    return found


def _signal(pid: int, number: int) -> None:
    try:
        os.kill(pid, number)
    except (ProcessLookupError, PermissionError):
        pass


def _signal_group(pid: int, number: int) -> None:
    try:
        os.killpg(pid, number)
    except (ProcessLookupError, PermissionError):
        pass
