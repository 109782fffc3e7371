"""`SubprocessInterpreter`: a Python of this machine in a process of its own, for code that is TRUSTED. No sandbox.

Code can read and write the files of this user, use the network, start programs and import all that is installed. It is
for code of one's own, or for machines that are walled off themselves (a container without secrets and network).

Covered, so that mistakes stay small: a process of its own with an environment that holds nothing of the host's (no
keys, no tokens; what `env` gives), in an empty folder of its own; ended at `max_seconds` together with all that it
started; memory of each process by RLIMIT_AS and files by RLIMIT_FSIZE (Linux; macOS has no limit of memory, Windows has
neither); what is printed is cut; the answer is JSON, never a pickle. It dies when the host dies.

Not covered: everything else. In particular, the host's files and its loopback network, `/proc` of other processes of
the same user, the number of processes until the time is over, and on systems that are not Linux processes that left
their group.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Final, final

from telic.sandbox._limits import Limits
from telic.sandbox._session import Process, Session, SessionInterpreter

_CHILD: Final = Path(__file__).with_name("_child.py")
_MAX_FILE: Final = 256 * 1024 * 1024


@final
class SubprocessInterpreter(SessionInterpreter):
    r"""Runs trusted Python in a process of its own: all of Python, and no walls.

    Args:
        max_seconds: Time of one execution by the clock; time in `tools` does not count.
        max_memory_mb: Memory of each process of the session, in MB of 1,048,576 bytes.
        max_output_chars: How much of what is printed is kept; the rest is counted.
        max_calls: How often one execution may call `tools`, all of them together.
        env: Environment variables of the process; they are all that it has, but for PATH, HOME, TMPDIR and LANG.
        python: The interpreter; None: the one that runs this.

    Raises:
        ConfigurationError: A limit that cannot hold.

    `tools` take and return JSON data. One execution at a time; a copy of a program shares it. Cost: no LM calls.

    Example:
        >>> with SubprocessInterpreter() as python:
        ...     python.execute("import statistics\nstatistics.mean(values)", {"values": [1, 2, 6]}).value
        3
    """

    def __init__(
        self,
        *,
        max_seconds: float = 30.0,
        max_memory_mb: int = 2_048,
        max_output_chars: int = 100_000,
        max_calls: int = 1_000,
        env: Mapping[str, str] | None = None,
        python: str | os.PathLike[str] | None = None,
    ) -> None:
        self._limits = Limits(max_seconds, max_memory_mb, max_output_chars, max_calls).checked(
            "SubprocessInterpreter"
        )
        self._env = dict(env or {})
        self._python = sys.executable if python is None else os.fspath(python)
        # No method of this object: the session would hold it, and neither would end with its last user.
        self._session = Session(partial(_start, self._python, self._env, self._limits), self._limits)

    def fresh(self) -> SubprocessInterpreter:
        """Return another one with the same limits and no state."""
        return SubprocessInterpreter(**self._limits._asdict(), env=self._env, python=self._python)

    def __repr__(self) -> str:
        return f"SubprocessInterpreter({', '.join(f'{k}={v!r}' for k, v in self._limits._asdict().items())})"


def _start(python: str, env: Mapping[str, str], limits: Limits) -> Process:
    sizes = (str(limits.max_memory_mb * 1024 * 1024), str(_MAX_FILE))
    return Process(lambda file: (python, "-I", "-X", "utf8", str(_CHILD), str(file), *sizes), env)
