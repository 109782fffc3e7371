"""What a failure of a command looks like: one line on standard error, and exit code 2 (130 where it was Ctrl-C)."""

from __future__ import annotations

import sys
from typing import Any, NoReturn

import typer

from telic._optional import load
from telic.errors import TelicError


def guarded(module: str, *arguments: Any) -> None:
    """Run a command, which is the `run` of a module that is loaded now; what goes wrong is one line."""
    try:
        load(module).run(*arguments)
    except KeyboardInterrupt as error:
        fail(str(error) or "interrupted", 130)
    except TelicError as error:
        hint = "; here: --lm provider/model" if str(error).startswith("no LM is configured") else ""
        fail(f"{type(error).__name__}: {error}{hint}", 2)


def fail(message: str, code: int) -> NoReturn:
    """End with a message."""
    sys.stderr.write(f"telic: {message}\n")
    raise typer.Exit(code)
