"""`export_package`: a compiled program as a small Python package that others import.

    OUT/pyproject.toml, requirements.txt, README.md
    OUT/NAME/__init__.py     `run(…)`, typed, and `program()`
    OUT/NAME/_program.py     the program's source, as it was
    OUT/NAME/state.json      what was learned; and the index or documents, where the program retrieves

The package holds source and state, never an LM, a key or an address: who imports it configures the LM. It is written
whole or not at all.
"""

from __future__ import annotations

import keyword
import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from telic._version import VERSION
from telic.errors import ConfigurationError
from telic.modules import Module
from telic.recipes._export_text import entry_text, page_text, project_text
from telic.recipes._requirements import check_imports, requirements_of


class Origin(NamedTuple):
    """Where a program comes from, and how it is made again."""

    source: str
    """The text of `_program.py`."""
    make: str
    """The expression that makes the program from it; `_program` is that module."""
    files: tuple[Path, ...] = ()
    """Files and folders that stand beside it."""
    place: str = ""
    """What to call the source in messages."""


def export_package(
    program: Module, origin: Origin, out: str | os.PathLike[str], *, name: str | None = None
) -> Path:
    """Write a package.

    Args:
        program: What is exported: its state is saved with the source.
        origin: Its source.
        out: The folder; it must be new or empty.
        name: Of the package; None: that of the folder.

    Returns:
        The folder of the package itself.

    Raises:
        ConfigurationError: The folder is not empty or cannot be written, the name cannot be imported, or the source
            imports files of its own folder, which would not come along.
    """
    folder = Path(out)
    called = folder.resolve().name.replace("-", "_") if name is None else name
    if not called.isidentifier() or keyword.iskeyword(called):
        raise ConfigurationError(f"a package cannot be called {called!r}; name it: --name letters_and_digits")
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ConfigurationError(f"{str(folder)!r} is there already and not empty; name another folder")
    check_imports(origin.source, origin.place)
    needs = requirements_of(origin.source)

    def write(top: Path) -> None:
        package = top / called
        package.mkdir()
        for file in origin.files:
            copy: Callable[..., Any] = shutil.copytree if file.is_dir() else shutil.copy2
            copy(file, package / file.name)
        program.save(package / "state.json")
        texts = {
            package / "_program.py": origin.source,
            package / "__init__.py": entry_text(called, program, origin.make),
            package / "py.typed": "",
            top / "requirements.txt": "".join(f"{need}\n" for need in needs),
            top / "pyproject.toml": project_text(called, needs, VERSION),
            top / "README.md": page_text(called, program, needs),
        }
        for path, text in texts.items():
            path.write_text(text, encoding="utf-8")

    written_whole(folder, write)
    return folder / called


def written_whole(folder: Path, write: Callable[[Path], None]) -> None:
    """Let `write` fill a folder that appears only when all of it is there.

    Raises:
        ConfigurationError: It cannot be written.
    """
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        staging = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
        try:
            write(staging)
            staging.chmod(0o755)
            if folder.exists():
                folder.rmdir()
            staging.rename(folder)
        finally:
            shutil.rmtree(staging, ignore_errors=True)
    except OSError as error:
        raise ConfigurationError(
            f"{str(folder)!r} cannot be written: {error.strerror or error}; name another folder"
        ) from error
