"""Code in another process: a session that is begun when it is needed, and found again after it was lost.

The process speaks JSON lines over its standard input and output. A request is `{"code", "variables", "tools"}`. What
comes back is any number of `{"print": text}` and `{"call", "args", "kwargs"}`, each call answered by `{"value"}` or
`{"raise": [name, words]}`, and then `{"value"}` or `{"error", "line", "source"}`. Whatever else comes ends the process.
"""

from __future__ import annotations

import json
import os
import queue
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO, Any, Final, Self, cast, final

from telic.errors import InterpreterError
from telic.protocols import Execution
from telic.sandbox._host import HostCalls
from telic.sandbox._limits import Limits, Printed
from telic.sandbox._plain import clean, plain
from telic.sandbox._processes import end_all
from telic.sandbox._words import ENDED, out_of_memory, timed_out, with_place
from telic.tracing import observed

_MAX_LINE: Final = 64 * 1024 * 1024
_MAX_WAITING: Final = 4
"""How many lines wait to be read; a process that writes more waits, and is ended when its time is over."""


@final
class Session:
    """A process that runs code for one caller at a time.

    Args:
        start: Begins the process.
        limits: Of each execution.
    """

    def __init__(self, start: Callable[[], Process], limits: Limits) -> None:
        self._start = start
        self._limits = limits
        self.started: Process | None = None
        self._left = False  # it was closed while code was about to run, or ran
        self._lock = threading.Lock()  # held while code runs

    def execute(
        self,
        owner: Any,
        code: str,
        variables: Mapping[str, Any] | None,
        tools: Mapping[str, Callable[..., Any]] | None,
    ) -> Execution:
        """Run code for the interpreter `owner`; see `telic.protocols.Interpreter`."""
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
        self._left = False
        try:
            if self.started is None:
                observed("interpreter_startup", owner, {}, self._begin)
            ran = self._run(text, code, calls)
        except BaseException:
            self.end()
            raise
        finally:
            self._lock.release()
        calls.raise_if_stopped()
        return ran if calls.stopped_by is None else ran._replace(error="")

    def close(self, owner: Any) -> None:
        """End the process of `owner` with all that it started, also while another thread executes in it."""
        if not self._lock.acquire(blocking=False):
            self._left = True
            if (started := self.started) is not None:
                started.kill()
            return  # the thread that executes finds its session gone, and clears up
        try:
            if self.started is not None:
                observed("interpreter_shutdown", owner, {}, self.end)
        finally:
            self._lock.release()

    def end(self) -> None:
        """End the process, by whoever executes in it."""
        started, self.started = self.started, None
        if started is not None:
            started.end()

    def _begin(self) -> None:
        self.started = self._start()

    def _run(self, request: str, code: str, calls: HostCalls) -> Execution:
        """Send the code, serve its calls, and return what came of it."""
        started = cast("Process", self.started)
        if self._left:
            return self._lost(ENDED, Printed(0))
        printed = started.begin(request, self._limits.max_output_chars)
        deadline = time.monotonic() + self._limits.max_seconds
        while True:
            try:
                message = started.receive(deadline)
            except queue.Empty:
                return self._lost(timed_out(self._limits.max_seconds), printed)
            if message is None:
                return self._lost(ENDED, printed)
            if "call" not in message:
                break
            called = time.monotonic()
            started.send(_answered(message, calls))
            deadline += time.monotonic() - called
        output = started.output(printed)
        if "error" in message:
            said = str(message["error"])
            if said.startswith("MemoryError"):
                said = out_of_memory(self._limits.max_memory_mb)
            return Execution(output, error=with_place(said, code, message.get("line"), message.get("source")))
        try:
            return Execution(output, plain(message.get("value"), self._limits.max_chars))
        except ValueError as error:
            return Execution(output, error=f"ValueError: the last line's value cannot be shown: {error}")

    def _lost(self, error: str, printed: Printed) -> Execution:
        """Clear up after a process that is gone or has to go."""
        assert self.started is not None
        self.started.kill()
        output = self.started.output(printed)
        self.end()
        return Execution(output, error=error, lost=True)


class SessionInterpreter:
    """What the interpreters have in common that run code in a `Session`: all but how its process begins."""

    _share_on_copy = True
    _session: Session

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
        return self._session.execute(self, code, variables, tools)

    def close(self) -> None:
        """End the session with all processes that it started, also while another thread executes in it."""
        self._session.close(self)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def __del__(self) -> None:
        if getattr(self, "_session", None) is not None:
            self._session.end()


@final
class Process:
    """A process that runs, and the folder that it works in.

    Args:
        argv: Makes the command line, from a file into which the process may write what code prints.
        env: Environment variables beside PATH, HOME, TMPDIR and LANG.

    Raises:
        InterpreterError: It cannot be started.
    """

    def __init__(self, argv: Callable[[Path], Sequence[str]], env: Mapping[str, str]) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="telic-python-")
        home = self._folder.name
        self._file = Path(home) / ".output"
        bare = {"PATH": os.defpath, "HOME": home, "TMPDIR": home, "LANG": "C.UTF-8"}
        if os.name == "nt":
            bare["SYSTEMROOT"] = os.environ.get("SYSTEMROOT", "")
        command = list(argv(self._file))
        try:
            self.process = subprocess.Popen(  # noqa: S603  what the user of the interpreter asked for
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                cwd=home,
                env={**bare, **env},
                start_new_session=True,
            )
        except OSError as error:
            self._folder.cleanup()
            raise InterpreterError(f"the interpreter {command[0]!r} could not be started: {error}") from error
        self._printed = Printed(0)
        self._lines: queue.Queue[bytes] = queue.Queue(_MAX_WAITING)
        threading.Thread(target=_listen, args=(self.process.stdout, self._lines), daemon=True).start()

    def begin(self, request: str, max_chars: int) -> Printed:
        """Send code; return where what it prints is gathered."""
        self._printed = Printed(max_chars)
        self.send(request)
        return self._printed

    def send(self, text: str) -> None:
        """Send one line."""
        stdin = cast("IO[bytes]", self.process.stdin)
        try:
            stdin.write(text.encode("utf-8", "replace") + b"\n")
            stdin.flush()
        except OSError:  # it is gone; `receive` says so
            pass

    def receive(self, deadline: float) -> dict[str, Any] | None:
        """Return the next message that is no print, or None where the process is gone or speaks nonsense.

        Raises:
            queue.Empty: The time is over, by the monotonic clock.
        """
        while True:
            line = self._lines.get(timeout=max(deadline - time.monotonic(), 0.0))
            try:
                message = json.loads(line) if line else None
            except (ValueError, RecursionError):
                return None
            if not isinstance(message, dict):
                return None
            if "print" not in message:
                return cast("dict[str, Any]", message)
            if time.monotonic() > deadline:
                raise queue.Empty
            self._printed("stdout", str(cast("dict[str, Any]", message)["print"]))

    def output(self, printed: Printed) -> str:
        """Return what was printed, cut: by messages, or into the file."""
        try:
            size = self._file.stat().st_size
            with self._file.open("rb") as file:
                kept = file.read(printed.limit)
        except OSError:  # there is none: all came by messages
            return printed.text()
        text = kept.decode("utf-8", "replace")
        return f"{text}… (+{size - len(kept)} characters)" if size > len(kept) else text

    def kill(self) -> None:
        """End the process with all that it started."""
        end_all(self.process)

    def end(self) -> None:
        """End the process and clear its folder away."""
        end_all(self.process)
        while True:  # a listener that waits to hand a line over can end
            try:
                self._lines.get_nowait()
            except queue.Empty:
                break
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                try:
                    pipe.close()
                except OSError:
                    pass
        self._folder.cleanup()


def _listen(stdout: IO[bytes], lines: queue.Queue[bytes]) -> None:
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
