"""Types that a signature string names and a caller has: DSPy finds them, telic asks for `custom_types`.

Once `install` has made `import dspy` mean telic, strings are read as DSPy reads them: a name that telic does not know
is looked for among the variables of the functions and modules that are being run, innermost first. Only types are
taken, and nothing is imported. What a string borrowed depends on where it stood, so that such signatures are not kept.
"""

from __future__ import annotations

import sys
import typing
from collections.abc import Iterator, Mapping
from types import FrameType, UnionType
from typing import Any, final

from telic.signatures import SCOPE, known_names


def read_callers() -> None:
    """Let signature strings of this process find types in the variables of their callers."""
    SCOPE.types = CallerTypes


@final
class CallerTypes(Mapping[str, Any]):
    """The types that callers have, by name; found when a string asks for one, and kept for that string."""

    def __init__(self) -> None:
        self._known = frozenset(known_names())
        self._found: dict[str, Any] = {}

    def __getitem__(self, name: str) -> Any:
        if name in self._known:  # no variable of a caller's changes what `str` means
            raise KeyError(name)
        if name not in self._found:
            self._found[name] = _of_callers(name)
        return self._found[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._found)

    def __len__(self) -> int:
        return len(self._found)

    def __bool__(self) -> bool:
        return True


def _of_callers(name: str) -> Any:
    frame: FrameType | None = sys._getframe(1)  # pyright: ignore[reportPrivateUsage]
    while frame is not None:
        if not _is_own(frame.f_globals.get("__name__", "")):
            for variables in (frame.f_locals, frame.f_globals):
                if _is_type(variables.get(name)):
                    return variables[name]
        frame = frame.f_back
    raise KeyError(name)


def _is_own(module: str) -> bool:
    return module == "telic" or module.startswith("telic.")


def _is_type(value: Any) -> bool:
    return isinstance(value, (type, UnionType)) or typing.get_origin(value) is not None
