"""`program.py`: the source of a ready-made program, with this user's arguments, index and measure.

The file is the library's own, with the imports that its last lines need put to the others; nothing of it is hidden in
the library, so that the user may change any of it.
"""

from __future__ import annotations

import ast
import inspect
import re
import sys
from typing import Any, NamedTuple

_IGNORED = re.compile(r"  # (pyright: ignore|type: ignore|noqa).*$", re.MULTILINE)
_TAIL = '''

# What follows is of this folder: the program with its settings, and how right an answer is.

HERE = Path(__file__).resolve().parent
{extra}

def make() -> {name}:
    """Return the program as it is written; `telic run`, `telic eval` and `telic compile` load what was learned."""
    return {make}


def load() -> {name}:
    """Return the program with what was learned."""
    return make().load(HERE / "state.json")


metric = {metric}
'''


class ProgramSource(NamedTuple):
    """How `program.py` is written."""

    program: type[Any]
    """The ready-made program."""
    make: str
    """The expression that makes it; `HERE` is its folder."""
    metric: str
    """The measure, a name in `telic.recipes`."""
    imports: tuple[str, ...] = ()
    extra: str = ""
    """Definitions that `make` needs."""

    def text(self) -> str:
        """Return the file."""
        source = _IGNORED.sub("", inspect.getsource(sys.modules[self.program.__module__]))
        lines = source.splitlines()
        last = max(
            node.end_lineno or node.lineno
            for node in ast.parse(source).body
            if isinstance(node, (ast.Import, ast.ImportFrom))
        )
        known = set(lines[:last])
        imports = ["from pathlib import Path", *self.imports, f"from telic.recipes import {self.metric}"]
        lines[last:last] = [line for line in imports if line not in known]
        extra = f"\n{self.extra}\n" if self.extra else ""
        tail = _TAIL.format(name=self.program.__name__, make=self.make, metric=self.metric, extra=extra)
        return "\n".join(lines) + tail
