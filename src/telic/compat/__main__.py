"""`python -m telic.compat script.py …`: run a script that imports dspy, with telic in its place."""

from __future__ import annotations

import runpy
import sys
from pathlib import Path

from telic.compat._install import install

USAGE = (
    "usage: python -m telic.compat SCRIPT [ARGUMENT …]   or   python -m telic.compat -m MODULE [ARGUMENT …]\n"
)


def main() -> None:
    """Run the script or module named on the command line, as Python itself would."""
    arguments = sys.argv[1:]
    as_module = arguments[:1] == ["-m"]
    if len(arguments) < 1 + as_module:
        sys.stderr.write(USAGE)
        sys.exit(2)
    install()
    sys.argv = arguments[1:] if as_module else arguments
    if as_module:
        runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
    else:
        sys.path[0] = str(Path(sys.argv[0]).resolve().parent)
        runpy.run_path(sys.argv[0], run_name="__main__")


if __name__ == "__main__":
    main()
