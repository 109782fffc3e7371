"""What goes wrong in code, said to the LM that wrote it: Python's own words, and what this interpreter lacks."""

from __future__ import annotations

import ast
import re
from typing import Final

MODULES: Final = (
    "asyncio base64 binascii bisect collections copy csv dataclasses datetime decimal functools hashlib itertools json "
    "math random re time typing unicodedata"
)
LACKS: Final = (
    "This interpreter has no class inheritance, no yield, no del, no properties, class methods or static methods, no "
    f"files and no network; the modules it has are {', '.join(MODULES.split())}."
)
ENDED: Final = "The interpreter was ended: the code is too much for it. The names that were defined are gone."
_MAX_PARSED_CHARS: Final = 20_000
_SHORT_LINES: Final = 5
_UNSUPPORTED: Final = re.compile(
    r"NotImplementedError: The monty syntax parser does not yet support (.*)", re.DOTALL
)
_ABSENT: Final = re.compile(
    r"NameError: name '(input|globals|locals|vars|dir|exit|quit|super|classmethod|staticmethod|compile|callable|"
    r"issubclass|bytearray|memoryview|__import__|breakpoint|help)' is not defined"
)


def explained(said: str, code: str, *, max_seconds: float, max_memory_mb: int) -> str:
    """Return the error of a piece of code in words that help to mend it.

    Args:
        said: The engine's `Type: message`.
        code: The code.
        max_seconds: The limit that held.
        max_memory_mb: The limit that held.
    """
    if said.startswith("SyntaxError"):
        return _python_words(code) or said
    if unsupported := _UNSUPPORTED.match(said):
        return f"NotImplementedError: {unsupported[1]} cannot be used here. {LACKS}"
    if said.startswith(("ModuleNotFoundError", "NotImplementedError: Wildcard")) or _ABSENT.match(said):
        return f"{said}. {LACKS}"
    if said.startswith("PermissionError"):
        return f"{said}. There are no files here."
    if said.startswith("TimeoutError: feed time limit"):
        return timed_out(max_seconds)
    if said.startswith(("MemoryError: memory limit", "MemoryError: the worker")):
        return f"{out_of_memory(max_memory_mb)}. The names that were defined are gone."
    return said


def timed_out(seconds: float) -> str:
    """Return what is said of code that took too long."""
    return (
        f"TimeoutError: the code was stopped after {seconds:g} seconds. The names that were defined are gone."
    )


def out_of_memory(megabytes: int) -> str:
    """Return what is said of code that took too much memory."""
    return f"MemoryError: the code needs more than {megabytes} MB"


def with_place(said: str, code: str, line: int | None, source: str | None) -> str:
    """Return an error with the line that it came from, where the code is long enough to lose it in."""
    if line is None or not source or code.strip().count("\n") < _SHORT_LINES:
        return said
    return f"{said}\nin line {line}: {source.strip().splitlines()[0]}"


def _python_words(code: str) -> str:
    """Return what Python says of code that it cannot read; "" where it can, or where the code is long."""
    if len(code) > _MAX_PARSED_CHARS:
        return ""
    try:
        ast.parse(code)
    except SyntaxError as error:
        return with_place(f"{type(error).__name__}: {error.msg}", code, error.lineno, error.text)
    except (ValueError, RecursionError, MemoryError):  # NUL characters, or nested too deep
        return ""
    return ""
