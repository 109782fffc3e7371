"""What runs in the other process: runs code, keeps its names, asks the host for its functions.

It stands alone: the standard library, and no telic. It speaks the JSON lines of `_session`; nothing is ever unpickled.
`SubprocessInterpreter` starts it as a program (`main`): the pipes are those that were its standard input and output,
and what code prints, and what programs that it starts print, goes to a file. `DenoInterpreter` loads it into Pyodide,
and calls `serve` for each line.
"""

from __future__ import annotations

import ast
import builtins
import ctypes
import io
import json
import os
import queue
import sys
import threading
import traceback
from collections.abc import Callable
from typing import Any

try:
    import resource
except ImportError:  # Windows
    resource = None

SUBREAPER = 36
SOURCE = "<code>"
CHUNK = 8192


class Host:
    """The other side of the pipes."""

    def __init__(self, output: str) -> None:
        self.requests = os.fdopen(os.dup(0), "rb")
        self.replies = os.fdopen(os.dup(1), "wb")
        null, printed = (
            os.open(os.devnull, os.O_RDONLY),
            os.open(output, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600),
        )
        os.dup2(null, 0)
        os.dup2(printed, 1)
        os.dup2(printed, 2)
        self.lines: queue.SimpleQueue[bytes] = queue.SimpleQueue()
        self.main = threading.get_ident()
        threading.Thread(target=self.listen, daemon=True).start()

    def listen(self) -> None:
        """Take requests in; without a host there is nothing to live for."""
        for line in self.requests:
            self.lines.put(line)
        os._exit(1)

    def receive(self) -> Any:
        return json.loads(self.lines.get())

    def send(self, message: dict[str, Any]) -> None:
        self.replies.write(json.dumps(message).encode() + b"\n")
        self.replies.flush()

    def function(self, name: str) -> Any:
        """Return what code calls in the place of a function of the host."""

        def call(*args: Any, **kwargs: Any) -> Any:
            if threading.get_ident() != self.main:
                raise RuntimeError(f"{name} can be called from the main thread alone")
            self.replies.write(asking(name, args, kwargs).encode("utf-8", "replace") + b"\n")
            self.replies.flush()
            return answered(self.receive())

        call.__name__ = name
        return call


def asking(name: str, args: Any, kwargs: Any) -> str:
    """Return the line that calls a function of the host."""
    try:
        return json.dumps({"call": name, "args": args, "kwargs": kwargs}, default=repr)
    except (TypeError, ValueError, RecursionError) as error:
        raise TypeError(f"{name} takes plain data: {error}") from None


def answered(answer: dict[str, Any]) -> Any:
    """Return what the host's function returned, or raise what it raised."""
    if "raise" in answer:
        kind, said = answer["raise"]
        raise built_in(kind)(said)
    return answer["value"]


def built_in(kind: str) -> type[BaseException]:
    """Return the exception class of a name; what is none of Python's own is a RuntimeError."""
    found = getattr(builtins, kind, RuntimeError)
    return found if isinstance(found, type) and issubclass(found, BaseException) else RuntimeError


def run(code: str, names: dict[str, Any]) -> dict[str, Any]:
    """Run code; return the value of its last line, or what went wrong and where."""
    try:
        tree = ast.parse(code, SOURCE)
        last: Any = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
        exec(compile(tree, SOURCE, "exec"), names)  # noqa: S102
        ended = None if last is None else compile(ast.Expression(last.value), SOURCE, "eval")
        value = None if ended is None else eval(ended, names)  # noqa: S307
    except SyntaxError as error:
        return {"error": f"{type(error).__name__}: {error.msg}", "line": error.lineno, "source": error.text}
    except BaseException as error:  # noqa: BLE001  told to the host
        return {"error": said(error), **place(error, code)}
    return {"value": data(value)}


def said(error: BaseException) -> str:
    """Return an error in one line; its own words may fail, as all that code made may."""
    try:
        words = str(error)
    except Exception:  # noqa: BLE001
        words = ""
    name = type(error).__name__
    return f"{name}: {words}" if words else name


def place(error: BaseException, code: str) -> dict[str, Any]:
    lines = [
        line for frame, line in traceback.walk_tb(error.__traceback__) if frame.f_code.co_filename == SOURCE
    ]
    if not lines:
        return {}
    source = code.splitlines()
    return {"line": lines[-1], "source": source[lines[-1] - 1] if lines[-1] <= len(source) else None}


def data(value: Any) -> Any:
    """Return a value as JSON data, or its `repr`."""
    try:
        return json.loads(json.dumps(value, default=repr))
    except Exception:  # noqa: BLE001, S110  the code's own class may raise anything
        pass
    try:
        return repr(value)
    except Exception as error:  # noqa: BLE001
        return f"<{type(value).__name__}: {said(error)}>"


def limit(memory: int, file: int) -> None:
    """Bound this process and all that it starts."""
    if resource is None:
        return
    for kind, most in (
        (resource.RLIMIT_AS, memory),
        (resource.RLIMIT_FSIZE, file),
        (resource.RLIMIT_CORE, 0),
    ):
        hard = resource.getrlimit(kind)[1]
        most = most if hard == resource.RLIM_INFINITY else min(most, hard)
        try:
            resource.setrlimit(kind, (most, most))
        except (OSError, ValueError):  # macOS has no limit of addresses
            pass


def adopt() -> None:
    """Become the parent of what its children leave behind, so that ending this process finds them (Linux)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(SUBREAPER, 1, 0, 0, 0)


def flushed() -> dict[str, Any]:
    """Send off what was printed; return the error of a stream that cannot, which is then replaced by a new one."""
    result: dict[str, Any] = {}
    for name, number in (("stdout", 1), ("stderr", 2)):
        try:
            getattr(sys, name).flush()
        except Exception as error:  # noqa: BLE001  the file is full, or code has closed or replaced the stream
            result = {"error": said(error)}
            setattr(sys, name, os.fdopen(os.dup(number), "w", encoding="utf-8", errors="replace"))
    return result


class Output(io.TextIOBase):
    """What `print` writes to in Pyodide: sent to the host in pieces."""

    def __init__(self, send: Callable[[str], object]) -> None:
        self.send = send
        self.parts: list[str] = []
        self.size = 0

    def writable(self) -> bool:
        return True

    def write(self, text: str) -> int:
        self.parts.append(text)
        self.size += len(text)
        if self.size >= CHUNK:
            self.flush()
        return len(text)

    def flush(self) -> None:
        if self.parts:
            text, self.parts, self.size = "".join(self.parts), [], 0
            self.send(json.dumps({"print": text}))


NAMES: dict[str, Any] = {"__name__": "__main__"}
"""The names of the one session that runs in Pyodide."""


def serve(text: str, send: Callable[[str], object], receive: Callable[[], str]) -> str:
    """Run one request in Pyodide; return its result as a line."""
    request = json.loads(text)
    sys.stdout = sys.stderr = printed = Output(send)

    def function(name: str) -> Any:
        def call(*args: Any, **kwargs: Any) -> Any:
            asked = asking(name, args, kwargs)
            printed.flush()
            send(asked)
            return answered(json.loads(receive()))

        call.__name__ = name
        return call

    functions = {name: function(name) for name in request["tools"]}
    NAMES.update(request["variables"], **functions)
    result = run(request["code"], NAMES)
    forget(functions, NAMES)
    printed.flush()
    return json.dumps(result)


def forget(functions: dict[str, Any], names: dict[str, Any]) -> None:
    """Take the host's functions out of the names again, where code put nothing else there."""
    for name, function in functions.items():
        if names.get(name) is function:
            del names[name]


def main() -> None:
    output, memory, file = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    sys.argv = [""]
    host = Host(output)
    adopt()
    limit(memory, file)
    names: dict[str, Any] = {"__name__": "__main__", "__builtins__": __builtins__}
    while True:
        request = host.receive()
        os.ftruncate(1, 0)
        functions = {name: host.function(name) for name in request["tools"]}
        names.update(request["variables"], **functions)
        result = run(request["code"], names)
        forget(functions, names)
        host.send(flushed() or result)


if __name__ == "__main__":
    main()
