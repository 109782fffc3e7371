"""Weights on this machine that a saved program calls: named from the file's folder where they lie in it.

So a folder that holds a program and its weights can be moved, zipped and handed on. A name that leads out of the folder
of its file, by `..` or by a link, is refused: what is loaded is what lies there.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from pathlib import Path, PurePosixPath
from typing import Final

from telic.errors import StateError

_LOCAL: Final = "local/"


def folder_of(model: str) -> Path | None:
    """Return the folder of a model's weights; None: it is elsewhere, or there is none."""
    if not model.startswith(_LOCAL):
        return None
    path = Path(model.removeprefix(_LOCAL)).expanduser()
    return path.resolve() if path.is_dir() else None


def beside(model: str, home: Path) -> str | None:
    """Return a model's name as seen from a folder that its weights lie in; None: they do not."""
    path, home = folder_of(model), home.resolve()
    if path is None or not path.is_relative_to(home):
        return None
    return _LOCAL + path.relative_to(home).as_posix()


def found(model: str, home: Path | None, where: str) -> str:
    """Return the name of a model whose weights lie in a folder.

    Args:
        model: As `beside` wrote it.
        home: The folder of the file that was read; None: it was none.
        where: What to call it in errors.

    Raises:
        StateError: It leads out of the folder.
    """
    name = model.removeprefix(_LOCAL)
    if home is None:
        raise StateError(
            f"the lm of {where}, {model!r}, is named from the folder of its file; read it by program.load(path)"
        )
    home, plain = home.resolve(), PurePosixPath(name)
    within = (
        model.startswith(_LOCAL) and "\0" not in name and not plain.is_absolute() and ".." not in plain.parts
    )
    path = (home / plain).resolve() if within else home
    if not within or not path.is_relative_to(home):
        raise StateError(
            f"the lm of {where}, {model!r}, leads out of {str(home)!r}, where a saved program's own weights lie; if "
            "the weights are yours, set the program's LM in code"
        )
    return f"{_LOCAL}{path}"


def copied(models: Iterable[str], file: Path) -> dict[str, str]:
    """Copy weights beside a file, unless they are there already; return their names as seen from its folder.

    Raises:
        StateError: They cannot be copied.
    """
    made: dict[str, str] = {}
    store = file.parent / f"{file.stem}-weights"
    for model in dict.fromkeys(models):
        path = folder_of(model)
        if path is None or beside(model, file.parent) is not None:
            continue
        place = store / f"{len(made)}-{path.parent.name if path.name == 'weights' else path.name}"
        fresh = store / f".{place.name}"
        try:
            shutil.rmtree(fresh, ignore_errors=True)
            shutil.copytree(
                path, fresh, ignore=shutil.ignore_patterns(".*")
            )  # without what a kill left half written
            shutil.rmtree(place, ignore_errors=True)
            fresh.rename(place)
        except OSError as error:
            shutil.rmtree(fresh, ignore_errors=True)
            raise StateError(
                f"the weights in {str(path)!r} cannot be copied to {str(place)!r}: {error.strerror or error}; make "
                "room, or save without weights='copy'"
            ) from error
        made[model] = f"{_LOCAL}{store.name}/{place.name}"
    return made
