"""`DenoInterpreter`: all of Python in a sandbox, by Pyodide (CPython as WebAssembly) in Deno.

Covered: Deno lets the process read the folder of Pyodide and this one, and nothing else: no other files, no network, no
processes, no environment variables; its own environment is empty but for PATH, HOME, TMPDIR and LANG. The files that
code sees are Pyodide's own, in memory. Memory of Python ends at `max_memory_mb`. An execution ends at `max_seconds` by
the clock, with the process. What it prints is cut; a process that floods its host waits until its time is over. Values
cross as JSON, and nothing is unpickled. All else that code can reach are the `tools` of the call, `max_calls` times.

Not covered: what tools do; CPU time until `max_seconds`, which is shared with everybody; memory of JavaScript, to which
code can find a way, beyond V8's own limit of 256 MB for its objects (its buffers are not counted there); the clock.
A fault in Deno's permissions or in V8 would put code into a process with this user's rights. Code that ends itself
early may leave a line behind that is taken for the answer to the next code of the same session: a session is for the
code of one call.

It takes seconds to begin, so it is for code that needs what `MontyInterpreter` lacks.
"""

from __future__ import annotations

import os
import queue
import time
from functools import partial
from pathlib import Path
from typing import Final, final

from telic._optional import require
from telic.errors import ConfigurationError, InterpreterError
from telic.sandbox._limits import Limits
from telic.sandbox._session import Process, Session, SessionInterpreter

_HERE: Final = Path(__file__).parent
_NEEDED: Final = (
    "pyodide.mjs",
    "pyodide.asm.js",
    "pyodide.asm.wasm",
    "python_stdlib.zip",
    "pyodide-lock.json",
)
_START_SECONDS: Final = 120.0
_PAGES_PER_MB: Final = 16
_MIN_MEMORY_MB: Final = 64


@final
class DenoInterpreter(SessionInterpreter):
    """Runs all of Python between walls; needs Deno (the extra `deno`) and Pyodide's files.

    Args:
        pyodide: The folder of the npm package `pyodide` (0.29 is what this was tried with), such as `npm pack pyodide`
            and `tar` make it. Nothing is ever downloaded from here.
        max_seconds: Time of one execution by the clock; time in `tools` and to begin does not count.
        max_memory_mb: Memory of Python, in MB of 1,048,576 bytes; 64 or more.
        max_output_chars: How much of what is printed is kept; the rest is counted.
        max_calls: How often one execution may call `tools`, all of them together.
        deno: The program; None: the one of the package `deno`. `PATH` is not asked.

    Raises:
        MissingExtraError: Deno is not installed; `pip install 'telic[deno]'`.
        ConfigurationError: The folder lacks Pyodide's files, or a limit cannot hold.

    The standard library is there, and no other package. `tools` take and return JSON data. One execution at a time; a
    copy of a program shares it. Cost: no LM calls; some 3 seconds of CPU time to begin a session.
    """

    def __init__(
        self,
        pyodide: str | os.PathLike[str],
        *,
        max_seconds: float = 30.0,
        max_memory_mb: int = 512,
        max_output_chars: int = 100_000,
        max_calls: int = 1_000,
        deno: str | os.PathLike[str] | None = None,
    ) -> None:
        limits = Limits(max_seconds, max_memory_mb, max_output_chars, max_calls).checked("DenoInterpreter")
        if max_memory_mb < _MIN_MEMORY_MB:
            raise ConfigurationError(
                f"DenoInterpreter: max_memory_mb must be {_MIN_MEMORY_MB} or more, got {max_memory_mb!r}: Python alone "
                "takes that"
            )
        self._limits = limits
        self._pyodide = _checked_folder(Path(pyodide))
        self._deno = _program() if deno is None else os.fspath(deno)
        # No method of this object: the session would hold it, and neither would end with its last user.
        self._session = Session(partial(_start, self._deno, self._pyodide, limits), limits)

    def fresh(self) -> DenoInterpreter:
        """Return another one with the same limits and no state."""
        return DenoInterpreter(self._pyodide, **self._limits._asdict(), deno=self._deno)

    def __repr__(self) -> str:
        limits = ", ".join(f"{name}={value!r}" for name, value in self._limits._asdict().items())
        return f"DenoInterpreter({str(self._pyodide)!r}, {limits})"


def _checked_folder(folder: Path) -> Path:
    folder = folder.resolve()
    missing = [name for name in _NEEDED if not (folder / name).is_file()]
    if missing:
        raise ConfigurationError(
            f"DenoInterpreter: {str(folder)!r} is not the folder of the npm package 'pyodide': it has no "
            f"{missing[0]!r}; get it with `npm pack pyodide@0.29.4` and unpack it"
        )
    if "," in str(folder):
        raise ConfigurationError(
            f"DenoInterpreter: Deno takes no folder with a comma in its name: {str(folder)!r}"
        )
    return folder


def _program() -> str:
    return str(require("deno", extra="deno", purpose="DenoInterpreter").find_deno_bin())


def _start(deno: str, pyodide: Path, limits: Limits) -> Process:
    """Begin a process, and wait until Python runs in it."""
    flags = f"--wasm-max-mem-pages={limits.max_memory_mb * _PAGES_PER_MB},--max-old-space-size=256"
    command = (
        *(deno, "run", "--quiet", "--no-prompt"),
        *("--no-remote", "--no-npm", "--no-config", "--no-lock", "--cached-only"),
        *(f"--allow-read={pyodide},{_HERE}", f"--v8-flags={flags}"),
        *(str(_HERE / "_deno.js"), str(pyodide), str(_HERE)),
    )
    process = Process(lambda file: command, {"NO_COLOR": "1", "DENO_NO_UPDATE_CHECK": "1"})
    try:
        message = process.receive(time.monotonic() + _START_SECONDS)
    except queue.Empty:
        message = {"failed": f"it did not begin in {_START_SECONDS:g} s"}
    except BaseException:
        process.end()
        raise
    if message is None or "ready" not in message:
        process.end()
        why = "it ended at once" if message is None else str(message.get("failed", "it says nonsense"))
        raise InterpreterError(f"{deno!r} could not begin Pyodide from {str(pyodide)!r}: {why}")
    return process
