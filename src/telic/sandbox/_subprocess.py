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

import json
import os
import queue
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO, Any, Final, Self, cast, final

from telic.errors import InterpreterError
from telic.protocols import Execution
from telic.sandbox._host import HostCalls
from telic.sandbox._limits import Limits
from telic.sandbox._plain import clean, plain
from telic.sandbox._processes import end_all
from telic.sandbox._words import ENDED, out_of_memory, timed_out, with_place

_CHILD: Final = Path(__file__).with_name("_child.py")
_MAX_LINE: Final = 64 * 1024 * 1024
_MAX_FILE: Final = 256 * 1024 * 1024


@final
class SubprocessInterpreter:
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

    _share_on_copy = True

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
        self._started: _Started | None = None
        self._lock = threading.Lock()

    def execute(
        self,
        code: str,
        variables: Mapping[str, Any] | None = None,
        tools: Mapping[str, Callable[..., Any]] | None = None,
    ) -> Execution:
        """Run code; see `telic.protocols.Interpreter`.

        Raises:
            InterpreterError: The process cannot be started, is in use by another thread, or a variable does not fit.
            BudgetExceeded: Raised by a tool; so are the other errors that no code can mend, and Ctrl-C.
        """
        calls = HostCalls(tools, self._limits.max_calls, self._limits.max_chars)
        try:
            bound = plain(dict(variables or {}), self._limits.max_chars)
            text = json.dumps(
                {"code": clean(code), "variables": bound, "tools": calls.names()}, default=_json
            )
        except (ValueError, TypeError) as error:
            raise InterpreterError(f"a variable cannot go into the interpreter: {error}") from error
        if not self._lock.acquire(blocking=False):
            raise InterpreterError(
                "this interpreter is executing code for another caller: a session is for one at a time; "
                "use interpreter.fresh() for another one"
            )
        try:
            ran = self._run(text, code, calls)
        except BaseException:
            self._end()
            raise
        finally:
            self._lock.release()
        calls.raise_if_stopped()
        return ran if calls.stopped_by is None else ran._replace(error="")

    def fresh(self) -> SubprocessInterpreter:
        """Return another one with the same limits and no state."""
        return SubprocessInterpreter(**self._limits._asdict(), env=self._env, python=self._python)

    def close(self) -> None:
        """End the session with all processes that it started, also while another thread executes in it."""
        if not self._lock.acquire(blocking=False):
            if (started := self._started) is not None:
                started.kill()
            return  # the thread that executes finds its session gone, and clears up
        try:
            self._end()
        finally:
            self._lock.release()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def __del__(self) -> None:
        if getattr(self, "_started", None) is not None:
            self._end()

    def __repr__(self) -> str:
        return f"SubprocessInterpreter({', '.join(f'{k}={v!r}' for k, v in self._limits._asdict().items())})"

    def _run(self, request: str, code: str, calls: HostCalls) -> Execution:
        """Send the code, serve its calls, and return what came of it."""
        if self._started is None:
            self._started = _Started(self._python, self._env, self._limits)
        started = self._started
        started.send(request)
        deadline = time.monotonic() + self._limits.max_seconds
        while True:
            try:
                message = started.receive(deadline - time.monotonic())
            except queue.Empty:
                return self._lost(timed_out(self._limits.max_seconds))
            if message is None:
                return self._lost(ENDED)
            if "call" not in message:
                break
            called = time.monotonic()
            started.send(_answered(message, calls))
            deadline += time.monotonic() - called
        output = started.output(self._limits)
        if "error" in message:
            said = str(message["error"])
            if said.startswith("MemoryError"):
                said = out_of_memory(self._limits.max_memory_mb)
            return Execution(output, error=with_place(said, code, message.get("line"), message.get("source")))
        try:
            return Execution(output, plain(message.get("value"), self._limits.max_chars))
        except ValueError as error:
            return Execution(output, error=f"ValueError: the last line's value cannot be shown: {error}")

    def _lost(self, error: str) -> Execution:
        """Clear up after a process that is gone or has to go."""
        assert self._started is not None
        self._started.kill()
        output = self._started.output(self._limits)
        self._end()
        return Execution(output, error=error, lost=True)

    def _end(self) -> None:
        started, self._started = self._started, None
        if started is not None:
            started.end()


@final
class _Started:
    """A process that runs, and the folder that it works in."""

    def __init__(self, python: str, env: Mapping[str, str], limits: Limits) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="telic-python-")
        home = self._folder.name
        self._printed = Path(home) / ".output"
        bare = {"PATH": os.defpath, "HOME": home, "TMPDIR": home, "LANG": "C.UTF-8"}
        if os.name == "nt":
            bare["SYSTEMROOT"] = os.environ.get("SYSTEMROOT", "")
        arguments = [str(self._printed), str(limits.max_memory_mb * 1024 * 1024), str(_MAX_FILE)]
        try:
            self.process = subprocess.Popen(  # noqa: S603  what the user of this class asked for
                [python, "-I", "-X", "utf8", str(_CHILD), *arguments],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                cwd=home,
                env={**bare, **env},
                start_new_session=True,
            )
        except OSError as error:
            self._folder.cleanup()
            raise InterpreterError(f"the interpreter {python!r} could not be started: {error}") from error
        self._lines: queue.SimpleQueue[bytes] = queue.SimpleQueue()
        threading.Thread(target=_listen, args=(self.process.stdout, self._lines), daemon=True).start()

    def send(self, text: str) -> None:
        stdin = cast("IO[bytes]", self.process.stdin)
        try:
            stdin.write(text.encode("utf-8", "replace") + b"\n")
            stdin.flush()
        except OSError:  # it is gone; `receive` says so
            pass

    def receive(self, seconds: float) -> dict[str, Any] | None:
        """Return the next message, or None where the process is gone or speaks nonsense.

        Raises:
            queue.Empty: The time is over.
        """
        line = self._lines.get(timeout=max(seconds, 0.0))
        try:
            message = json.loads(line) if line else None
        except (ValueError, RecursionError):
            return None
        return cast("dict[str, Any]", message) if isinstance(message, dict) else None

    def output(self, limits: Limits) -> str:
        """Return what was printed, cut."""
        try:
            size = self._printed.stat().st_size
            with self._printed.open("rb") as file:
                kept = file.read(limits.max_output_chars)
        except OSError:
            return ""
        text = kept.decode("utf-8", "replace")
        return f"{text}… (+{size - len(kept)} characters)" if size > len(kept) else text

    def kill(self) -> None:
        end_all(self.process)

    def end(self) -> None:
        end_all(self.process)
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                try:
                    pipe.close()
                except OSError:
                    pass
        self._folder.cleanup()


def _listen(stdout: IO[bytes], lines: queue.SimpleQueue[bytes]) -> None:
    """Take messages in; the empty one is the last."""
    try:
        while line := stdout.readline(_MAX_LINE):
            lines.put(line)
    except (OSError, ValueError):  # closed by `end`
        pass
    lines.put(b"")


def _answered(message: Mapping[str, Any], calls: HostCalls) -> str:
    name, args, kwargs = message.get("call"), message.get("args"), message.get("kwargs")
    try:
        if name not in calls.names() or not isinstance(args, list) or not isinstance(kwargs, dict):
            raise TypeError(f"{name!r} cannot be called so")
        return json.dumps({"value": calls.call(name, args, kwargs)}, default=_json)
    except (Exception, SystemExit) as error:  # noqa: BLE001  told to the code
        return json.dumps({"raise": [type(error).__name__, str(error)]})


def _json(value: Any) -> Any:
    return list(cast("set[Any]", value)) if isinstance(value, (set, frozenset)) else repr(value)
