"""Where runs live when nobody says: a folder for each under the user's data directory."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

from telic.errors import JournalError
from telic.journal._lock import is_locked

if TYPE_CHECKING:
    from collections.abc import Callable

JOURNAL: Final = "journal.jsonl"
REPLIES: Final = "replies.jsonl"
CANDIDATES: Final = "candidates"
START: Final = "start.json"
"""The program as it was given."""
_OURS: Final = ("lock", REPLIES, CANDIDATES, START, "command.json")
"""What a run may have written before its journal."""


def runs_folder() -> Path:
    """Return where runs are kept: TELIC_DATA_DIR/runs, or the platform's place for a user's data."""
    if folder := os.environ.get("TELIC_DATA_DIR"):
        base = Path(folder)
    elif sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA") or "~/AppData/Local").expanduser() / "telic"
    elif sys.platform == "darwin":
        base = Path("~/Library/Application Support/telic").expanduser()
    else:
        base = Path(os.environ.get("XDG_DATA_HOME") or "~/.local/share").expanduser() / "telic"
    return base / "runs"


def list_runs(folder: Path | None = None) -> list[Path]:
    """Return the folders of runs, the newest last."""
    base = runs_folder() if folder is None else folder
    try:
        found = [path for path in base.iterdir() if (path / JOURNAL).is_file()]
    except OSError:
        return []
    return sorted(found, key=lambda path: ((path / JOURNAL).stat().st_mtime, path.name))


def find_run(name: str | os.PathLike[str]) -> Path:
    """Return the folder of a run by its path, or by its name (or the beginning of it) among the user's runs.

    Raises:
        JournalError: There is none, or several begin so.
    """
    path = Path(name)
    if (path / JOURNAL).is_file():
        return path
    known = {found.name: found for found in list_runs()}
    text = str(name)
    fits = [text] if text in known else [other for other in known if other.startswith(text)]
    if len(fits) == 1:
        return known[fits[0]]
    if fits:
        raise JournalError(f"several runs are called {text!r}…: {', '.join(fits[-5:])}; name one of them")
    there = f"; the newest are {', '.join(list(known)[-5:])}" if known else ""
    raise JournalError(f"{text!r} is no run: it has no {JOURNAL}{there}", folder=text)


def new_folder(name: str, is_killed: Callable[[Path], bool]) -> Path:
    """Return the folder for a run of this name: that of one that was killed, to go on with, or a new one.

    Args:
        name: What it is of, with a digest of all that it depends on.
        is_killed: Says whether the run in a folder ended without an end.
    """
    base = runs_folder()
    number = 1
    while (base / f"{name}-{number}").exists():
        number += 1
    last = base / f"{name}-{number - 1}"
    if number > 1 and not is_locked(last) and is_killed(last):
        return last
    return base / f"{name}-{number}"


def make_folder(folder: Path) -> None:
    """Make a run's folder, or see that it is one.

    Raises:
        JournalError: It cannot be used, or is a folder of other things.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        foreign = not (folder / JOURNAL).exists() and any(path.name not in _OURS for path in folder.iterdir())
    except OSError as error:
        raise JournalError(
            f"the run_dir {str(folder)!r} cannot be used: {error.strerror or error}; choose another one",
            folder=str(folder),
        ) from error
    if foreign:
        raise JournalError(
            f"the run_dir {str(folder)!r} has other files in it and no run; choose an empty or a new folder",
            folder=str(folder),
        )
