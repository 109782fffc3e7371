"""`telic export`: a compiled program as a Python package, or as plain prompts."""

from __future__ import annotations

import inspect
import sys
from pathlib import Path

from rich.console import Console

from telic.cli import _target
from telic.errors import ConfigurationError
from telic.modules import Module
from telic.recipes import Origin, Project, export_package, export_prompts
from telic.signatures import SignatureMeta


def run(name: str, out: Path, package: str | None, state: Path | None, as_prompts: bool) -> None:
    """Write it and say where.

    Raises:
        TelicError: The program cannot be made, its source cannot be read, or the folder cannot be written.
    """
    project = _target.project_of(name)
    program = _target.load_module(name) if project is None else project.program()
    if state is not None:
        program.load(state)
    console = Console()
    if as_prompts:
        for file in export_prompts(program, out):
            console.print(str(file), soft_wrap=True, highlight=False)
        return
    origin = _of_name(name) if project is None else project.origin()
    made = export_package(program, origin, out, name=package)
    console.print(f"{made}: from {made.name} import run", soft_wrap=True, highlight=False)
    if state is None and not _has_learned(program, project):
        console.print(
            "nothing was learned yet: it is the program as it is written", soft_wrap=True, highlight=False
        )


def _has_learned(program: Module, project: Project | None) -> bool:
    return (project is not None and project.state.exists()) or any(one.demos for one in program.predictors())


def _of_name(name: str) -> Origin:
    """Return the source of "module:attribute", or of a signature string."""
    if "->" in name:
        return Origin(f"import telic\n\nprogram = telic.Predict({name!r})\n", "_program.program")
    module_name, _, path = name.partition(":")
    found, module = _target.load_object(name, "program"), sys.modules[module_name]
    try:
        source = inspect.getsource(module)
    except (OSError, TypeError) as error:
        raise ConfigurationError(f"the source of {module_name!r} cannot be read: {error}") from error
    make = f"_program.{path}"
    if isinstance(found, (SignatureMeta, str)):
        make = f"telic.Predict({make})"
    elif isinstance(found, type):
        make = f"{make}()"
    return Origin(source, make, (), str(module.__file__))
