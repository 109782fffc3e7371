"""Whose calls these are: the role, and the predictor by a name that holds for all copies of its program.

Optimizers run many copies of a program, so a predictor goes by its path in the program that was called. Proposers and
judges are programs of the optimizer's or the metric's own, where a path says little: they go by their signature, its
name or, where it has none, its fields.
"""

from __future__ import annotations

from typing import Any, Final, final

from telic.context import get as setting

_OF_THE_PROGRAM: Final = ("task", "teacher")
_MOST: Final = 1024  # names kept; then they are looked up again


@final
class Callers:
    """The names of predictors that ask; safe to use from any thread."""

    def __init__(self) -> None:
        self._known: dict[tuple[int, bool], tuple[Any, str]] = {}  # the predictor: its id is that of no other

    def present(self) -> tuple[str, str]:
        """Return the role in force, and the name of the predictor that is being called; "": none is."""
        role: str = setting("role")
        callers: tuple[Any, ...] = setting("caller")
        if not callers:
            return role, ""
        asking, by_path = callers[-1], role in _OF_THE_PROGRAM
        known = self._known.get((id(asking), by_path))
        if known is not None:
            return role, known[1]
        name = _name(callers[0], asking, by_path)
        if len(self._known) >= _MOST:
            self._known.clear()
        self._known[id(asking), by_path] = (asking, name)
        return role, name


def _name(program: Any, asking: Any, by_path: bool) -> str:
    if by_path:
        for path, predictor in program.named_predictors():
            if predictor is asking:
                return path
    signature = getattr(asking, "signature", None)
    if signature is None:
        return type(asking).__name__
    if signature.__name__ != "StringSignature":
        return signature.__name__
    return f"{', '.join(signature.input_fields)} -> {', '.join(signature.output_fields)}"
