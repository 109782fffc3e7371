"""`load`: a saved state into a program of the user's own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from telic.errors import StateError

if TYPE_CHECKING:
    import os

    from telic.modules._module import Module

ModuleT = TypeVar("ModuleT", bound="Module")


def load(path: str | os.PathLike[str], program: ModuleT | None = None, **unsupported: Any) -> ModuleT:
    """Load a saved state into `program` and return it; the same as `program.load(path)`.

    Args:
        path: The JSON file.
        program: A program of the shape that was saved.

    Raises:
        StateError: No program is given: a file holds no code, so that loading one can run none. Or as `Module.load`.
    """
    if program is None or unsupported:
        raise StateError(
            "telic saves a program's state, not its code; make the program in code and load into it: "
            f"telic.load({str(path)!r}, MyProgram()), or MyProgram().load({str(path)!r})"
        )
    return program.load(path)
