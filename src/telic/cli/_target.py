"""What the command line names by strings: programs, metrics, optimizers, LMs, files.

Code is imported only because the user of the command line named it; the current folder is searched first, as with
`python -m`.
"""

from __future__ import annotations

import importlib
import inspect
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from telic._text import did_you_mean, join_names
from telic.datasets import load_examples
from telic.errors import ConfigurationError
from telic.evaluate import check_path
from telic.lm import LM
from telic.modules import Module, Predict
from telic.recipes import METRICS, Project, Steps, is_project
from telic.signatures import Signature, SignatureMeta

if TYPE_CHECKING:
    from telic.data import Example


def load_program(name: str) -> Any:
    """Return the program that `name` names.

    Args:
        name: A signature ("question -> answer"), a folder with `program.py`, a `.toml` file with steps, or
            "module:attribute": a `Module` (class or instance), a `Signature` class, or any callable.

    Raises:
        ConfigurationError: It cannot be imported, made, or used as a program.
    """
    if is_project(name):
        return Project(name).program()
    if "->" in name:
        return Predict(name)
    found = load_object(name, "program")
    if isinstance(found, SignatureMeta):
        return Predict(cast("type[Signature]", found))
    if isinstance(found, str) and "->" in found:
        return Predict(found)
    if isinstance(found, type):
        try:
            found = found()
        except TypeError as error:
            raise ConfigurationError(
                f"{name!r} cannot be made without arguments ({error}); name an instance instead"
            ) from error
    if not callable(found):
        raise ConfigurationError(f"{name!r} is {found!r}, which is no program")
    return found


def load_module(name: str) -> Module:
    """Return the program that `name` names, which must be a `Module`, as optimizers need.

    Raises:
        ConfigurationError: As `load_program`, or it is a plain function.
    """
    program = load_program(name)
    if not isinstance(program, Module):
        raise ConfigurationError(f"{name!r} is a {type(program).__name__}; compiling needs a telic.Module")
    return program


def project_of(name: str) -> Project | None:
    """Return what a folder or a TOML file brings beside its program; None for other names of programs."""
    return Project(name) if is_project(name) else None


def project_rows(project: Project | None, part: str, program: Any) -> list[Example] | None:
    """Return the rows that a project names, "train", "val" or "test"; None where it names none."""
    return (
        None
        if project is None
        else project.rows(part, [name for name, needed in input_names(program).items() if needed])
    )


def missing_option(name: str, project: Project | None) -> ConfigurationError:
    """Return the error that asks for an option that nothing else says."""
    told = "" if project is None else f"; {project.name!r} says none"
    return ConfigurationError(f"{name} is needed{told}")


def load_metric(name: str) -> Callable[..., Any]:
    """Return a metric: one of `METRICS`, or "module:function".

    Raises:
        ConfigurationError: There is none of that name.
    """
    if name in METRICS:
        return METRICS[name]
    if ":" not in name:
        raise ConfigurationError(
            f"unknown metric {name!r}{did_you_mean(name, METRICS)}; use {join_names(METRICS, 'or')}, or module:function"
        )
    found = load_object(name, "metric")
    if not callable(found):
        raise ConfigurationError(f"the metric {name!r} is {found!r}, which cannot be called")
    return found


def load_object(name: str, what: str) -> Any:
    """Return "module:attribute"; the attribute may have dots.

    Raises:
        ConfigurationError: The form is wrong, the import fails, or the attribute is missing.
    """
    module_name, colon, path = name.partition(":")
    if not colon or not module_name or not path:
        raise ConfigurationError(f"the {what} {name!r} must be written as module:attribute")
    if "" not in sys.path and str(Path.cwd()) not in sys.path:
        sys.path.insert(0, str(Path.cwd()))
    try:
        found: Any = importlib.import_module(module_name)
    except Exception as error:
        raise ConfigurationError(
            f"the module {module_name!r} of the {what} cannot be imported: {type(error).__name__}: {error}"
        ) from error
    for part in path.split("."):
        if not hasattr(found, part):
            raise ConfigurationError(f"{module_name!r} has no {path!r}{did_you_mean(part, dir(found))}")
        found = getattr(found, part)
    return found


def load_rows(path: Path, inputs: str | None, program: Any) -> list[Example]:
    """Read examples whose inputs are those named, or else the columns that are inputs of the program.

    Raises:
        DatasetError: The file cannot be read.
        ConfigurationError: Inputs were not named, and cannot be told from the program or are not in the file.
    """
    if inputs is not None:
        return load_examples(path, inputs)
    rows = load_examples(path)
    columns = list(rows[0].keys())
    taken = input_names(program)
    missing = [name for name, required in taken.items() if required and name not in columns]
    if missing:
        raise ConfigurationError(
            f"the program takes the input {missing[0]!r}, and {str(path)!r} has no such column"
            f"{did_you_mean(missing[0], columns)}; it has {join_names(columns)}; rename a column, or say which are "
            "inputs: --inputs a,b"
        )
    names = [name for name in taken if name in columns]
    if not names:
        raise ConfigurationError(
            f"which of the columns {join_names(columns)} of {str(path)!r} are inputs? say so: --inputs a,b"
        )
    return [row.with_inputs(*names) for row in rows]


def input_names(program: Any) -> dict[str, bool]:
    """Return what a program takes by name, and whether it needs it; empty where that cannot be told.

    These are the parameters of `forward` (or of the function); where those are open, the inputs of the one predictor.
    """
    if isinstance(program, Steps):
        return dict.fromkeys(program.input_names, True)
    function = program
    if isinstance(program, Module):
        function = program.aforward if type(program).forward is Module.forward else program.forward
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):  # some callables of C have none
        parameters = ()
    named = {
        p.name: p.default is p.empty
        for p in parameters
        if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)
    }
    predictors = program.predictors() if isinstance(program, Module) and not named else []
    if len(predictors) != 1:
        return named
    return {name: field.required for name, field in predictors[0].signature.input_fields.items()}


def load_lm(name: str | None, **options: Any) -> LM | None:
    """Return `LM(name)`, or None for none."""
    return None if name is None else LM(name, **options)


def read_options(pairs: Sequence[str]) -> dict[str, Any]:
    """Return "name=value" pairs as options; a value is JSON where it parses as such, else text.

    Raises:
        ConfigurationError: A pair has no "=".
    """
    options: dict[str, Any] = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals or not name:
            raise ConfigurationError(f"--option {pair!r} must be written as name=value")
        try:
            options[name.strip().replace("-", "_")] = json.loads(value)
        except json.JSONDecodeError:
            options[name.strip().replace("-", "_")] = value
    return options


def check_out(path: Path, endings: Sequence[str]) -> Path:
    """Return `path` when a file can be written there; its folder is made.

    Raises:
        ConfigurationError: It cannot, or the file's name ends otherwise than in `endings`.
    """
    if path.suffix.lower() not in endings:
        raise ConfigurationError(f"--out {str(path)!r} must end in {join_names(endings, 'or')}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigurationError(
            f"--out {str(path)!r}: its folder cannot be made: {error.strerror or error}"
        ) from error
    return check_path(path, "--out")
