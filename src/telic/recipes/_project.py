"""`Project`: what a command line names when it names a folder with `program.py`, or a TOML file with steps.

It knows the program, and what `telic run`, `telic eval` and `telic compile` need beside it, so that these commands take
the name alone. A folder's `program.py` is code, and runs because the user named the folder; a TOML file names no code.
"""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, final

from telic._hash import content_key
from telic._text import did_you_mean, join_names
from telic.budget import Budget
from telic.data import Example
from telic.datasets import load_examples
from telic.datasets.classification import label_match
from telic.errors import ConfigurationError
from telic.evaluate import answer_exact_match, answer_passage_match
from telic.modules import Module
from telic.recipes._export import Origin
from telic.recipes._folder import INDEX, PROGRAM, SETTINGS, STATE
from telic.recipes._measures import answer_score, exact_match, judged_answer, record_f1
from telic.recipes._rows import Parts, cut
from telic.recipes._steps import declared
from telic.recipes._toml import TomlFile

METRICS: Final[dict[str, Callable[..., Any]]] = {
    "answer_score": answer_score, "judged_answer": judged_answer, "label_match": label_match, "record_f1": record_f1,
    "exact_match": exact_match,
    "answer_exact_match": answer_exact_match, "answer_passage_match": answer_passage_match,
}  # fmt: skip
_TOP: Final = {"lm": str, "metric": str, "inputs": list, "corpus": dict, "steps": list, "data": dict, "compile": dict,
               "budget": dict}  # fmt: skip
_DATA: Final = {"train": str, "val": str, "test": str, "rows": str, "seed": int}
_COMPILE: Final = {"optimizer": str, "options": dict}
_BUDGET: Final = {"usd": float, "calls": int, "tokens": int, "seconds": float}


def is_project(name: str) -> bool:
    """Return whether a name is that of a folder with a program in it, or of a TOML file."""
    return name.endswith(".toml") or (Path(name) / PROGRAM).is_file()


@final
class Project:
    """A program with its settings.

    Args:
        name: A folder with `program.py`, or a `.toml` file.

    Attributes:
        lm: The LM that it names, or None.
        metric: How right a prediction is, or None.
        optimizer: The optimizer that it names, or None.
        options: Those of the optimizer.
        state: The file of what was learned.

    Raises:
        ConfigurationError: It is neither, or something in it cannot work; the message names file, line and key.
    """

    def __init__(self, name: str | Path) -> None:
        path = Path(name)
        folder = path.is_dir()
        file = path / SETTINGS if folder else path
        self.name = str(name)
        self._code = path / PROGRAM if folder else None
        self.state = path / STATE if folder else path.with_suffix(".state.json")
        if folder and not (path / PROGRAM).is_file():
            raise ConfigurationError(f"the folder {str(path)!r} has no {PROGRAM}")
        self._file = TomlFile(file) if file.exists() or not folder else None
        self._here = file.parent
        self._parts: Parts | None = None
        self._module: Any = None
        settings = {} if self._file is None else self._checked(self._file)
        self.lm: str | None = settings.get("lm") or None
        asked: dict[str, Any] = settings.get("compile", {})
        self.optimizer: str | None = asked.get("optimizer")
        self.options: dict[str, Any] = asked.get("options", {})
        limits: dict[str, Any] = settings.get("budget", {})
        self.budget = Budget(**limits) if limits else None
        self.metric: Callable[..., Any] | None = (
            METRICS.get(settings.get("metric", "")) or getattr(self._loaded(), "metric", None)
        )  # fmt: skip

    def program(self, *, learned: bool = True) -> Module:
        """Return the program, with what was learned where something was.

        Raises:
            ConfigurationError: It cannot be made.
            StateError: What was learned is of another program.
        """
        if self._code is None and self._file is not None:
            made: Any = declared(self._file)
        else:
            make = getattr(self._loaded(), "make", None)
            if not callable(make):
                raise ConfigurationError(f"{str(self._code)!r} has no function `make` that makes the program")
            made = make()
        if not isinstance(made, Module):
            raise ConfigurationError(
                f"`make` of {str(self._code)!r} made a {type(made).__name__}, no telic.Module"
            )
        return made.load(self.state) if learned and self.state.exists() else made

    def origin(self) -> Origin:
        """Return its source, for `export_package`.

        Raises:
            ConfigurationError: It needs files that do not stand beside it.
        """
        if self._code is not None:
            index = self._code.parent / INDEX
            source = self._code.read_text(encoding="utf-8")
            return Origin(source, "_program.make()", (index,) if index.is_dir() else (), str(self._code))
        path = Path(self.name)
        corpus: dict[str, Any] = {} if self._file is None else self._file.data.get("corpus", {})
        files = [path, *(path.parent / str(corpus[name]) for name in ("documents",) if name in corpus)]
        for file in files[1:]:
            if file.resolve().parent != path.resolve().parent:
                raise ConfigurationError(
                    f"{str(file)!r} does not stand beside {str(path)!r}; only what does can be exported with it"
                )
        source = f"""from pathlib import Path

from telic.recipes import Project

program = Project(Path(__file__).resolve().parent / {path.name!r}).program(learned=False)
"""
        return Origin(source, "_program.program", tuple(files), "")

    def rows(self, part: str, inputs: Any) -> list[Example] | None:
        """Return the rows "train", "val" or "test"; None where none are named.

        Args:
            part: Which.
            inputs: Names of the inputs.

        Raises:
            DatasetError: They cannot be read.
        """
        if self._file is None:
            return None
        data: dict[str, Any] = self._file.data.get("data", {})
        if "rows" in data:
            if self._parts is None:
                found = load_examples(self._here / data["rows"], list(inputs))
                self._parts = cut(found, data.get("seed", 0))
            return {"train": self._parts.trainset, "val": self._parts.valset, "test": self._parts.testset}[
                part
            ]
        return load_examples(self._here / data[part], list(inputs)) if part in data else None

    def _checked(self, file: TomlFile) -> dict[str, Any]:
        settings = file.table((), _TOP)
        data = file.table(("data",), _DATA)
        if "rows" in data and (split := [name for name in ("train", "val", "test") if name in data]):
            raise file.fault(
                ("data", split[0]), "either `rows`, which are cut in three, or train, val and test"
            )
        file.table(("compile",), _COMPILE)
        file.table(("budget",), _BUDGET)
        metric = settings.get("metric")
        if metric is not None and metric not in METRICS:
            raise file.fault(
                ("metric",),
                f"unknown: {metric!r}{did_you_mean(metric, METRICS)}; there are {join_names(METRICS)}. One of your own "
                "is named on the command line: --metric module:function",
            )
        if self._code is None and "steps" not in settings:
            raise file.fault(("steps",), "a program needs steps: [[steps]] with a name and a signature")
        if self._code is not None and "steps" in settings:
            raise file.fault(
                ("steps",), f"the program of this folder is {PROGRAM}; put steps into a file of their own"
            )
        return settings

    def _loaded(self) -> Any:
        """Return the module of `program.py`, run once; None where there is none."""
        if self._code is None or self._module is not None:
            return self._module
        name = f"telic_program_{content_key(str(self._code.resolve()))[:12]}"
        spec = importlib.util.spec_from_file_location(name, self._code)
        if spec is None or spec.loader is None:
            raise ConfigurationError(f"{str(self._code)!r} cannot be loaded")
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module  # signatures and records look their types up there
        try:
            spec.loader.exec_module(module)
        except Exception as error:
            sys.modules.pop(name, None)
            raise ConfigurationError(
                f"{str(self._code)!r} failed: {type(error).__name__}: {error}"
            ) from error
        self._module = module
        return module
