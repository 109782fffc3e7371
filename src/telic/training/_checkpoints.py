"""Checkpoints of a training: folders that are there whole or not at all, without pickle.

    checkpoint-000040/weights.safetensors, adam.safetensors, state.json (step, and the digests of the other two)

A folder is written under another name and moved into place. One whose files do not have their digests (a disk that lost
what it had promised) counts as not there. The last two are kept.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

from telic._optional import load
from telic.errors import TrainingError
from telic.training._files import written_whole

KEPT: Final = 2
_NAME: Final = re.compile(r"checkpoint-(\d{6,})")
_PARTS: Final = ("weights", "adam")


class Checkpoint(NamedTuple):
    """Where a training stood."""

    step: int
    """Updates that were made."""
    folder: Path
    tensors: dict[str, dict[str, Any]]
    """"weights": what is trained; "adam": the optimizer's moments."""


def write_checkpoint(folder: Path, step: int, tensors: Mapping[str, Mapping[str, Any]]) -> Path:
    """Write where a training stands, and forget what is older than the last two.

    Raises:
        OSError: It cannot be written; earlier checkpoints are untouched.
    """
    place = folder / f"checkpoint-{step:06d}"
    beside = folder / f".{place.name}"
    shutil.rmtree(beside, ignore_errors=True)
    try:
        beside.mkdir()
        digests: dict[str, str] = {}
        for part in _PARTS:
            data: bytes = load("safetensors.torch").save(dict(tensors[part]))
            digests[part] = hashlib.sha256(data).hexdigest()
            written_whole(beside / f"{part}.safetensors", data)
        written_whole(beside / "state.json", json.dumps({"step": step, "sha256": digests}).encode())
        shutil.rmtree(place, ignore_errors=True)
        beside.rename(place)
    except BaseException:
        shutil.rmtree(beside, ignore_errors=True)
        raise
    for old in checkpoints(folder)[:-KEPT]:
        shutil.rmtree(old, ignore_errors=True)
    return place


def checkpoints(folder: Path) -> list[Path]:
    """Return the checkpoints of a folder, oldest first."""
    return sorted(path for path in folder.glob("checkpoint-*") if _NAME.fullmatch(path.name))


def last_checkpoint(folder: Path) -> Checkpoint | None:
    """Return the last checkpoint that is whole; None: there is none."""
    for place in reversed(checkpoints(folder)):
        found = read_checkpoint(place)
        if found is not None:
            return found
    return None


def read_checkpoint(place: Path) -> Checkpoint | None:
    """Return the checkpoint of a folder; None: it is not whole."""
    try:
        state = json.loads((place / "state.json").read_bytes())
        tensors: dict[str, dict[str, Any]] = {}
        for part in _PARTS:
            data = (place / f"{part}.safetensors").read_bytes()
            if hashlib.sha256(data).hexdigest() != state["sha256"][part]:
                return None
            tensors[part] = load("safetensors.torch").load(data)
        return Checkpoint(int(state["step"]), place, tensors)
    except (OSError, ValueError, KeyError, TypeError):
        return None


def refuse_unwritten(what: str, error: OSError, folder: Path) -> TrainingError:
    """Return the error of something that could not be written."""
    last = checkpoints(folder)
    kept = f"the last good checkpoint is {str(last[-1])!r}" if last else "no checkpoint was written yet"
    return TrainingError(
        f"{what} cannot be written ({error.strerror or error}); {kept}. Make room, and run the same again: it goes on "
        "from there",
        folder=str(folder),
        checkpoint=str(last[-1]) if last else None,
    )
