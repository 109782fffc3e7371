"""Reading and writing the JSON file of a saved program."""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path
from typing import Any

from telic._optional import load
from telic.errors import StateError, StateNotFoundError


def checked_path(path: Any) -> Path:
    """Return `path` if a saved program can be there.

    Raises:
        StateError: It is a folder or names a pickle, which telic neither reads nor writes.
    """
    file = Path(path)
    if file.suffix in (".pkl", ".pickle"):
        raise StateError(
            f"{str(file)!r} is a pickle: loading one runs whatever code it holds, so telic neither reads nor writes "
            "them. Save the program as JSON (with DSPy: program.save('program.json')) and load that"
        )
    if file.is_dir():
        raise StateError(
            f"{str(file)!r} is a folder, as DSPy saves whole programs in (by pickle); telic keeps a program's state "
            "in one JSON file, and loads it into the program made by your own code"
        )
    return file


def write(file: Path, state: dict[str, Any]) -> None:
    """Write `state` as JSON with an indent of 2, whole or not at all.

    Raises:
        StateError: The file cannot be written.
    """
    data = _encoded(state)
    temporary = ""
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(prefix=f".{file.name}.", dir=file.parent)
        with os.fdopen(handle, "wb") as out:
            out.write(data)
        mode = file.stat().st_mode & 0o777 if file.exists() else 0o666 & ~_umask()
        os.chmod(temporary, mode)
        os.replace(temporary, file)
    except OSError as error:
        if temporary and os.path.exists(temporary):
            os.unlink(temporary)
        raise StateError(
            f"the program cannot be saved to {str(file)!r}: {error.strerror or error}; choose another path"
        ) from error


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def _encoded(state: dict[str, Any]) -> bytes:
    """Return the JSON bytes; text that UTF-8 cannot hold, and numbers that JSON has not, take the slow way."""
    orjson = load("orjson")
    try:
        return orjson.dumps(state, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)
    except orjson.JSONEncodeError:
        return (json.dumps(state, indent=2) + "\n").encode()


def read(file: Path) -> Any:
    """Return the content of a JSON file.

    Raises:
        StateNotFoundError: There is no such file.
        StateError: It cannot be read, or is no JSON.
    """
    try:
        data = file.read_bytes()
    except FileNotFoundError as error:
        raise StateNotFoundError(f"there is no file {str(file)!r}{_siblings(file)}") from error
    except OSError as error:
        raise StateError(f"{str(file)!r} cannot be read: {error.strerror or error}") from error
    try:
        return load("orjson").loads(data)
    except ValueError:
        pass
    try:
        return json.loads(data)
    except (ValueError, RecursionError) as error:
        raise StateError(f"{str(file)!r} is no saved program: it is not JSON ({error})") from error


def _siblings(file: Path) -> str:
    try:
        found = sorted(other.name for other in file.parent.glob("*.json"))
    except OSError:
        return ""
    return f"; {str(file.parent)!r} has {', '.join(found[:5])}" if found else ""
