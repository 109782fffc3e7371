"""DSPy's module paths as modules that are made when somebody imports them.

One table says which names each path offers. A path's module holds nothing: a name is looked up in the table when it is
asked for, imported from where telic keeps it, and kept. `telic/__init__` asks `find_old_path` after Python's own
finders found no file.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import MutableSequence, Sequence
from importlib.abc import Loader
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any, final

from telic._names import HOMES, locate
from telic._text import did_you_mean, join_names
from telic.compat._table import OLD_NAMES, PATHS
from telic.errors import ConfigurationError


def find_old_path(name: str) -> ModuleSpec | None:
    """Return how to load `telic.<old path>`, or None where DSPy has no such path either.

    Args:
        name: The full name, as `telic.teleprompt.bootstrap`.
    """
    path = name.partition(".")[2]
    if path in PATHS:
        return ModuleSpec(name, _Loader(), is_package=True, origin="telic.compat")
    return None


def resolve(name: str) -> Any:
    """Return what DSPy's `name` is in telic: an old name, or a public name of telic.

    Raises:
        KeyError: It is neither.
    """
    module, inner = OLD_NAMES[name] if name in OLD_NAMES else locate(name)
    return getattr(importlib.import_module(module), inner)


@final
class OldPath(ModuleType):
    """A module that finds its names in the table."""

    def __getattr__(self, name: str) -> Any:
        if name[:2] == "__":
            raise AttributeError(name)
        offered = self.__dict__["__offers__"]
        if name not in offered and f"{self.__name__.partition('.')[2]}.{name}" in PATHS:
            return importlib.import_module(f"{self.__name__}.{name}")
        if name not in offered:
            old = self.__name__.replace("telic", "dspy", 1)
            raise AttributeError(
                f"module {self.__name__!r} has no {name!r}{did_you_mean(name, offered)}; "
                f"of {old!r}, telic serves {join_names(offered) if offered else 'submodules only'}"
            )
        value = resolve(name)
        setattr(self, name, value)
        return value

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call the function of the path's own name: a real package holds its submodules under their names, so
        `telic.streaming.streamify` is this module once somebody has imported it, and still what one calls.
        """
        return getattr(self, self.__name__.rpartition(".")[2])(*args, **kwargs)

    def __setattr__(self, name: str, value: Any) -> None:
        # The import system pins a submodule on its parent; where both have one name (`dsp.utils.settings`), the
        # name that the path offers wins.
        if not (isinstance(value, ModuleType) and name in self.__dict__["__offers__"]):
            super().__setattr__(name, value)

    def __dir__(self) -> list[str]:
        return sorted({*super().__dir__(), *self.__dict__["__offers__"]})


@final
class _Loader(Loader):
    def create_module(self, spec: ModuleSpec) -> ModuleType:
        module = OldPath(spec.name, f"The names of DSPy's `{spec.name.replace('telic', 'dspy', 1)}`.")
        offers = PATHS[spec.name.partition(".")[2]]
        module.__dict__["__offers__"] = offers
        module.__dict__["__all__"] = list(offers)
        return module

    def exec_module(self, module: ModuleType) -> None:
        """Nothing to run: the names come when they are asked for."""


@final
class Alias:
    """Finds `dspy.<path>`: the very module that `telic.<path>` is, so that no class exists twice."""

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if not name.startswith("dspy."):
            return None
        real = "telic." + name.partition(".")[2]
        try:
            module = importlib.import_module(real)
        except ModuleNotFoundError as error:
            if error.name != real:
                raise
            return None
        return ModuleSpec(name, _AliasLoader(module), is_package=hasattr(module, "__path__"))


@final
class _AliasLoader(Loader):
    def __init__(self, module: ModuleType) -> None:
        self._module = module
        self._spec = module.__spec__

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        return self._module

    def exec_module(self, module: ModuleType) -> None:
        module.__spec__ = self._spec  # the import system has just written the alias over it


@final
class Facade(ModuleType):
    """The module `dspy`: DSPy's old names first, then all of telic."""

    __path__: MutableSequence[str] = []  # noqa: RUF012  a package without files: `Alias` finds what is below

    def __getattr__(self, name: str) -> Any:
        if name in OLD_NAMES and name not in HOMES:
            return resolve(name)
        return getattr(sys.modules["telic"], name)

    def __setattr__(self, name: str, value: Any) -> None:
        if name == "cache":
            raise ConfigurationError(
                "dspy.cache is read only here, and its keys are telic's own: set it up with configure_cache(…), or "
                "pass LM(…, client=…) for answers from somewhere else"
            )
        super().__setattr__(name, value)

    def __dir__(self) -> list[str]:
        return sorted({*dir(sys.modules["telic"]), *(name for name in OLD_NAMES if name not in HOMES)})
