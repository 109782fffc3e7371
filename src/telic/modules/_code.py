"""Running LM-written code inside of a flow: what `ProgramOfThought`, `CodeAct` and `RLM` share.

A call of a program has an interpreter of its own, closed at its end, so that calls in other threads never see its
names. Tools that code calls are checked as those of `ReAct` are, and callbacks are told of them. Under `acall` code
runs in a worker thread, and async tools on the loop of the caller.
"""

from __future__ import annotations

import builtins
import keyword
import re
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, Final, cast, final

from telic._optional import load
from telic._text import truncate
from telic.context import get as setting
from telic.errors import ConfigurationError, ToolError
from telic.execution import run_in_thread
from telic.modules._react_tools import ToolRun
from telic.protocols import Execution, Interpreter
from telic.sandbox import Finish, MontyInterpreter
from telic.tracing import begin, finish, observed
from telic.types import Tool

if TYPE_CHECKING:
    from telic._cancel import CancelScope

_FENCE: Final = re.compile(
    r"^[ \t]*(`{3,}|~{3,})[ \t]*([^\n`]*)\n(.*?)(?:^[ \t]*\1[ \t]*$|\Z)", re.DOTALL | re.MULTILINE
)
_PYTHON: Final = ("python", "py", "python3", "")
_ASSIGNED: Final = re.compile(r"([A-Za-z_]\w*)\s*(?::[^=\n]+)?=(?!=)")

InterpreterLike = Interpreter | Callable[[], Interpreter] | None


def checked_interpreter(interpreter: Any, factory: Any, owner: str) -> Callable[[], Interpreter]:
    """Return what makes an interpreter for each call of a program.

    Args:
        interpreter: An interpreter, whose `fresh()` is used; a class or function that makes one; None: what the setting
            `interpreter_factory` says at the call, else the sandbox.
        factory: The same under DSPy's name.
        owner: The module that asks.

    Raises:
        ConfigurationError: It is none of these, or both are given.
    """
    if interpreter is not None and factory is not None:
        raise ConfigurationError(
            f"{owner}: interpreter and interpreter_factory are one option under two names; give one"
        )
    given = factory if interpreter is None else interpreter
    return _configured if given is None else _factory(given, owner)


def _configured() -> Interpreter:
    given = setting("interpreter_factory")
    return MontyInterpreter() if given is None else _factory(given, "the setting interpreter_factory")()


def _factory(given: Any, owner: str) -> Callable[[], Interpreter]:
    if not isinstance(given, type) and hasattr(given, "fresh") and hasattr(given, "execute"):
        return cast("Interpreter", given).fresh
    if callable(given):
        return cast("Callable[[], Interpreter]", given)
    raise ConfigurationError(
        f"{owner}: interpreter must be an interpreter (with execute, fresh and close) or a function that makes one, "
        f"got {given!r}"
    )


@contextmanager
def opened(make: Callable[[], Interpreter], owner: str) -> Generator[Interpreter]:
    """Make an interpreter for one call of a program, and close it at the end."""
    interpreter = make()
    if not hasattr(interpreter, "execute") or not hasattr(interpreter, "close"):
        raise ConfigurationError(
            f"{owner}: the interpreter's factory made {interpreter!r}, which has no execute and close"
        )
    try:
        yield interpreter
    finally:
        interpreter.close()


@final
class Execute:
    """The effect of running code.

    Args:
        interpreter: Where.
        code: Python; what stands around it in a reply (fences) is taken off.
        variables: Values by name.
        tools: `Tool`s, which are checked and told to callbacks, and plain functions, which are called as they are.
    """

    __slots__ = ("code", "interpreter", "tools", "variables")

    def __init__(
        self,
        interpreter: Interpreter,
        code: str,
        variables: Mapping[str, Any] | None = None,
        tools: Mapping[str, Callable[..., Any]] | None = None,
    ) -> None:
        self.interpreter = interpreter
        self.code = code
        self.variables = variables
        self.tools = tools or {}

    def run(self) -> Execution:
        """Run it in this thread; where whoever reads the stream of it leaves, the code is killed."""
        return self._execute(None)

    async def arun(self) -> Execution:
        """Run it in a worker thread; cancelled, the code is killed."""
        loop = load("asyncio").get_running_loop()
        try:
            return await run_in_thread(self._execute, loop)
        except BaseException:
            self.interpreter.close()
            raise

    def _execute(self, loop: Any) -> Execution:
        tools = {name: HostTool(f, loop) if isinstance(f, Tool) else f for name, f in self.tools.items()}
        watched = {name: partial(self._call, name, function) for name, function in tools.items()}
        told = {"code": self.code, "variables": self.variables}
        return observed("interpreter_execute", self.interpreter, told, lambda: self._stoppable(watched))

    def _call(self, name: str, function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        """Call a function for the code inside, and tell callbacks; that it ends the code is no failure of it."""
        call = begin(
            "interpreter_tool_call", self.interpreter, {"tool_name": name, "args": args, "kwargs": kwargs}
        )
        try:
            result = function(*args, **kwargs)
        except BaseException as error:
            finish(call, None, None if isinstance(error, Finish) else error)
            raise
        finish(call, result)
        return result

    def _stoppable(self, tools: Mapping[str, Callable[..., Any]]) -> Execution:
        """Run it; the end of the `cancel_scope` that it is in, if any, is its end."""
        scope: CancelScope | None = setting("cancel_scope")
        if scope is None:
            return self.interpreter.execute(self.code, self.variables, tools)
        scope.add(self, self.interpreter.close)
        try:
            done = self.interpreter.execute(self.code, self.variables, tools)
        finally:
            scope.discard(self)
        scope.check()  # code that was killed has no result for the program to go on with
        return done


@final
class HostTool:
    """A tool as code calls it: by position or by name."""

    __slots__ = ("_loop", "_tool")

    def __init__(self, tool: Tool, loop: Any) -> None:
        self._tool = tool
        self._loop = loop

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        tool = self._tool
        names = list(tool.args)
        if len(args) > len(names):
            raise ToolError(
                f"{tool.name} takes at most {len(names)} arguments, and got {len(args)}", tool=tool.name
            )
        given = dict(zip(names, args, strict=False))
        if twice := [name for name in given if name in kwargs]:
            raise ToolError(f"{tool.name} got `{twice[0]}` twice", tool=tool.name)
        run = ToolRun(tool, tool.check({**given, **kwargs}))
        if self._loop is None or not _awaits(tool):
            return run.run()
        return load("asyncio").run_coroutine_threadsafe(run.arun(), self._loop).result()


def _awaits(tool: Tool) -> bool:
    return tool.is_async or hasattr(tool.func, "acall")


def variables_of(signature: Any, inputs: Mapping[str, Any]) -> dict[str, Any]:
    """Return the inputs that code finds under their names: those that do not hide a name of Python's own."""
    return {
        name: inputs[name]
        for name in signature.input_fields
        if name in inputs and not hasattr(builtins, name)
    }


# Code in replies


def code_of(reply: str) -> tuple[str, str]:
    r"""Return the code of a reply, and what is wrong with it ("" where nothing is).

    Blocks marked as Python are taken, else those without a mark, else the reply as it is.

    Example:
        >>> code_of("Here:\n```python\nprint(1)\n```\nIt prints.")
        ('print(1)', '')
    """
    blocks = [(found[2].strip().lower(), found[3]) for found in _FENCE.finditer(reply)]
    if not blocks:
        code = reply.strip("\n").rstrip()
        code = code[1:-1] if re.fullmatch(r"`[^`]*`", code.strip()) else code
        return (code, "") if code.strip() else ("", "There is no code.")
    for mark in ("python", ""):
        chosen = [text for label, text in blocks if (label in _PYTHON and (label != "") == (mark != ""))]
        if chosen:
            code = "\n".join(load("textwrap").dedent(text).rstrip() for text in chosen)
            return (code, "") if code.strip() else ("", "There is no code.")
    return "", f"The code must be Python; it is marked as {truncate(blocks[0][0], 40)!r}."


def assigned_last(code: str) -> str | None:
    """Return the name that the last line gives a value to, if that is all that it does."""
    lines = [line for line in code.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    found = _ASSIGNED.match(lines[-1]) if lines else None
    return found[1] if found and not keyword.iskeyword(found[1]) else None


def shown(ran: Execution, max_chars: int) -> str:
    """Return what code printed and the value of its last line, as an interactive Python would show them."""
    parts = [ran.output.rstrip()] if ran.output.strip() else []
    if ran.value is not None:
        parts.append(_text(ran.value))
    return truncate("\n".join(parts), max_chars)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else str(value)


def functions_in_words(tools: Sequence[Tool]) -> str:
    """Return one line a tool, as code calls it: "- lookup(city: string): what it does"."""
    lines: list[str] = []
    for tool in tools:
        words: Callable[[Any], str] = load("telic.types._tool_schema").in_words
        takes = ", ".join(
            f"{name}: {words(schema)}" + (f" = {schema['default']!r}" if "default" in schema else "")
            for name, schema in tool.args.items()
        )
        about = " ".join(tool.desc.split())
        lines.append(f"- {tool.name}({takes})" + (f": {about}" if about else ""))
    return "\n".join(lines)


def checked_tools(tools: Any, owner: str, taken: Sequence[str] = ()) -> dict[str, Tool]:
    """Return tools by name.

    Raises:
        ConfigurationError: It is no list of tools, or a name is no Python name, is taken, or stands twice.
    """
    if callable(tools) or isinstance(tools, (str, Mapping)):
        raise ConfigurationError(f"{owner} takes a list of tools, got {tools!r}")
    named: dict[str, Tool] = {}
    for function in tools:
        tool = function if isinstance(function, Tool) else Tool(function)
        if not tool.name.isidentifier() or keyword.iskeyword(tool.name):
            raise ConfigurationError(
                f"{owner}: code cannot call a function named {tool.name!r}; give it another name with Tool(…, name='…')"
            )
        if tool.name in named or tool.name in taken:
            raise ConfigurationError(
                f"{owner}: the name {tool.name!r} is taken; give the tool another one with Tool(…, name='…')"
            )
        named[tool.name] = tool
    return named


def refuse_fields(signature: Any, names: Sequence[str], owner: str) -> None:
    """Raise for a field of the signature that has the name of one of the module's own."""
    for name in names:
        if name in signature.fields:
            raise ConfigurationError(
                f"{owner} has a field {name!r} of its own; rename that field of the signature"
            )
