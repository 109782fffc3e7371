"""`MontyInterpreter`: a sandbox, by pydantic-monty, a Python of its own written in Rust.

Covered: code has no files, no network, no processes, no environment variables, no host objects and no way to import
what is installed here; it runs in a process of its own without environment, whose loss harms nothing. An execution ends
at `max_seconds` of its own running time, and is killed a second later if it does not; memory ends at `max_memory_mb`;
what it prints is cut; recursion is bounded. All that it can reach are the `tools` of the call, `max_calls` times, and
plain data. `sleep` returns at once.

Not covered: what a tool does with hostile arguments is the tool's affair, and so is how long it takes. CPU time is
shared with everybody. Code can read the clock. A fault in pydantic-monty itself would put the code into a process with
this user's rights (no seccomp, no container around it). The worker may write a line to standard error when it dies.

The session is a process, begun by the first `execute` in some 5 ms; names stay until `close`, a limit or a crash.
"""

from __future__ import annotations

import os
import signal
import sysconfig
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, ClassVar, Self, final

from telic._optional import load, require
from telic.errors import InterpreterError, MissingExtraError
from telic.protocols import Execution
from telic.sandbox._host import HostCalls
from telic.sandbox._limits import Limits, Printed
from telic.sandbox._plain import clean, plain
from telic.sandbox._words import ENDED, explained, with_place
from telic.tracing import observed

_LIMITS = ("TimeoutError: feed time limit", "MemoryError: memory limit", "MemoryError: the worker")


@final
class MontyInterpreter:
    r"""Runs Python that an LM wrote in a sandbox.

    Args:
        max_seconds: Running time of one execution; time in `tools` does not count.
        max_memory_mb: Memory of the code's values, in MB of 1,048,576 bytes. One value that goes in or comes out may
            have an eighth of it as characters.
        max_output_chars: How much of what is printed is kept; the rest is counted.
        max_calls: How often one execution may call `tools`, all of them together.
        binary_path: The `monty` program; None: the one that was installed with the package. Neither `PATH` nor
            `MONTY_BIN` is asked.

    Raises:
        MissingExtraError: pydantic-monty is not installed; `pip install 'telic[sandbox]'`.
        ConfigurationError: A limit that cannot hold.

    One execution at a time; a copy of a program shares it. Cost: no LM calls.

    Example:
        >>> with MontyInterpreter() as python:
        ...     _ = python.execute("total = a + b", {"a": 20, "b": 22})
        ...     python.execute("print(total)").output, python.execute("open('/etc/passwd')").error
        ('42\n', "PermissionError: Permission denied: '/etc/passwd'. There are no files here.")
    """

    _share_on_copy = True
    _process: ClassVar[int] = 0
    """The process that runs interpreters; its forked children cannot."""

    def __init__(
        self,
        *,
        max_seconds: float = 10.0,
        max_memory_mb: int = 256,
        max_output_chars: int = 100_000,
        max_calls: int = 1_000,
        binary_path: str | os.PathLike[str] | None = None,
    ) -> None:
        self._limits = Limits(max_seconds, max_memory_mb, max_output_chars, max_calls).checked(
            "MontyInterpreter"
        )
        self._engine: Any = require("pydantic_monty", extra="sandbox", purpose="MontyInterpreter")
        self._binary = _binary() if binary_path is None else Path(binary_path)
        self._pool: Any = None
        self._session: Any = None
        self._worker: int | None = None
        self._left = False  # it was closed while code was about to run, or ran
        self._lock = threading.Lock()

    def execute(
        self,
        code: str,
        variables: Mapping[str, Any] | None = None,
        tools: Mapping[str, Callable[..., Any]] | None = None,
    ) -> Execution:
        """Run code; see `telic.protocols.Interpreter`.

        Raises:
            InterpreterError: The sandbox cannot be started, is in use by another thread, or a variable does not fit.
            BudgetExceeded: Raised by a tool; so are the other errors that no code can mend, and Ctrl-C.
        """
        calls = HostCalls(tools, self._limits.max_calls, self._limits.max_chars)
        bound = self._checked(variables)
        if not self._lock.acquire(blocking=False):
            raise InterpreterError(
                "this interpreter is executing code for another caller: a session is for one at a time; "
                "use interpreter.fresh() for another one"
            )
        self._left = False
        try:
            ran = self._run(code, bound, calls)
        finally:
            self._lock.release()
        calls.raise_if_stopped()
        return ran if calls.stopped_by is None else ran._replace(error="")

    def fresh(self) -> MontyInterpreter:
        """Return another one with the same limits and no state."""
        return MontyInterpreter(**self._limits._asdict(), binary_path=self._binary)

    def close(self) -> None:
        """End the session; code that another thread executes in it is killed."""
        if not self._lock.acquire(blocking=False):
            self._left = True
            worker = self._worker
            if worker is not None:
                _kill(worker)
            return  # the thread that executes finds its session gone, and clears up
        try:
            if self._is_open():
                observed("interpreter_shutdown", self, {}, self._end)
            else:
                self._end()
        finally:
            self._lock.release()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def __del__(self) -> None:
        if getattr(self, "_pool", None) is not None:
            self._end()

    def __repr__(self) -> str:
        return f"MontyInterpreter({', '.join(f'{k}={v!r}' for k, v in self._limits._asdict().items())})"

    # One execution

    def _checked(self, variables: Mapping[str, Any] | None) -> dict[str, Any]:
        bound: dict[str, Any] = {}
        for name, value in (variables or {}).items():
            try:
                bound[name] = plain(value, self._limits.max_chars)
            except ValueError as error:
                raise InterpreterError(
                    f"the variable {name!r} cannot go into the interpreter: {error}; max_memory_mb is "
                    f"{self._limits.max_memory_mb}"
                ) from error
        return bound

    def _run(self, code: str, variables: dict[str, Any], calls: HostCalls) -> Execution:
        if not self._is_open():
            observed("interpreter_startup", self, {}, self._begin)
        session = self._session
        if self._left:
            self._end()
            return Execution(error=ENDED, lost=True)
        printed = Printed(self._limits.max_output_chars)
        engine = self._engine
        try:
            value = session.feed_run(
                _readable(code), inputs=variables, external_lookup=calls.bound(), print_callback=printed
            )
            return Execution(printed.text(), plain(_seen(value, engine), self._limits.max_chars))
        except engine.MontyCrashedError:
            self._end()
            return Execution(printed.text(), error=ENDED, lost=True)
        except engine.MontyError as error:
            said = self._error(error, code)
            return Execution(printed.text(), error=said, lost=self._session is None)
        except (ValueError, RecursionError) as error:  # of what the last line gives
            said = "it is nested too deep" if isinstance(error, RecursionError) else str(error)
            return Execution(
                printed.text(), error=f"ValueError: the last line's value cannot be shown: {said}"
            )

    def _error(self, error: Any, code: str) -> str:
        limits = self._limits
        said: str = error.display("type-msg") if hasattr(error, "traceback") else str(error)
        frames: list[Any] = error.traceback() if hasattr(error, "traceback") else []
        if said.startswith(_LIMITS) or self._session.worker_pid is None:
            self._end()  # stopped in the midst of an operation: what is left is not to be trusted, or full
        told = explained(said, code, max_seconds=limits.max_seconds, max_memory_mb=limits.max_memory_mb)
        if not frames or told.startswith(("SyntaxError", "IndentationError")):
            return told
        return with_place(told, code, frames[-1].line, frames[-1].source_line)

    # The session

    def _is_open(self) -> bool:
        return self._session is not None and self._process_is_this()

    def _begin(self) -> None:
        limits = self._limits
        if not self._process_is_this():
            raise InterpreterError(
                "pydantic-monty does not run in a forked child of a process that has used it; start the child with "
                "multiprocessing's 'spawn' method"
            )
        MontyInterpreter._process = os.getpid()
        try:
            self._pool = self._engine.Monty(binary_path=self._binary, min_processes=1, max_processes=1)
            self._pool.__enter__()
            session = self._pool.checkout(
                limits={
                    "max_feed_duration_secs": limits.max_seconds,
                    "max_memory": limits.max_memory_mb * 1024 * 1024,
                    "max_suspensions": limits.max_calls * 50
                    + 1_000,  # of a session; HostCalls counts executions
                },
                os_policy={"sleep": "zero"},
            )
            session.__enter__()
        except Exception as error:
            self._end()
            raise InterpreterError(
                f"the sandbox could not be started from {str(self._binary)!r}: {error}"
            ) from error
        self._session = session
        self._worker = session.worker_pid

    def _process_is_this(self) -> bool:
        return MontyInterpreter._process in (0, os.getpid())

    def _end(self) -> None:
        pool, session = self._pool, self._session
        self._pool = self._session = self._worker = None
        if not self._process_is_this():
            return  # the session is the parent's
        for opened in (session, pool):
            if opened is not None:
                try:
                    opened.__exit__(None, None, None)
                except (self._engine.MontyError, RuntimeError):  # it is gone already
                    pass


def _seen(value: Any, engine: Any) -> Any:
    """Return what stands for an object of the sandbox's own: its class and fields in words."""
    if isinstance(value, engine.MontyClassProxy):
        return f"{value.name}({', '.join(f'{k}={v!r}' for k, v in value.attributes.items())})"
    return value


def _readable(code: str) -> str:
    code = clean(code)
    return code if code.strip() else "pass"  # variables are bound with the first statement


def _binary() -> Path:
    """Return the program that was installed with the package, wherever the environment keeps programs.

    Raises:
        MissingExtraError: It is not there.
    """
    name = "monty.exe" if os.name == "nt" else "monty"
    known = Path(sysconfig.get_path("scripts")) / name
    if known.is_file():
        return known
    metadata = load("importlib.metadata")
    try:
        files = metadata.files("pydantic-monty-runtime") or ()
    except metadata.PackageNotFoundError:
        files = ()
    for file in files:
        if file.name == name and Path(file.locate()).is_file():
            return Path(file.locate()).resolve()
    raise MissingExtraError(
        "MontyInterpreter needs the program 'monty' of the package 'pydantic-monty-runtime', which is not installed; "
        "run: pip install 'telic[sandbox]'"
    )


def _kill(worker: int) -> None:
    try:
        os.kill(worker, signal.SIGKILL if hasattr(signal, "SIGKILL") else signal.SIGTERM)
    except ProcessLookupError:
        pass
