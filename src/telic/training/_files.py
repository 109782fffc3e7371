"""Files that are there whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path


def written_whole(path: Path, data: bytes) -> None:
    """Write a file beside its place and move it there; a crash leaves the old one, or none.

    Raises:
        OSError: It cannot be written; what was begun is removed.
    """
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with beside.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
    except BaseException:
        beside.unlink(missing_ok=True)
        raise
