"""Running the tools of agents: with a limit of time, watched by callbacks, and with words for what goes wrong.

A tool that takes too long is left behind: an async one is cancelled, a plain one goes on in a thread of its own that
nobody waits for, since Python cannot stop it. What a tool raises is an observation, said without traceback; only what
no further step can mend (a spent budget, no LM) ends the run, and so do interrupts.
"""

from __future__ import annotations

import contextvars
import threading
from collections.abc import Callable, Generator, Mapping, Sequence
from typing import Any, Final, NamedTuple, final

from telic._optional import load
from telic._replay import astep, step
from telic._text import did_you_mean, join_names, truncate
from telic._unset import UNSET
from telic.errors import ENDS_A_RUN, NotConfiguredError, ToolError
from telic.execution import run_coroutine
from telic.modules._flow import Effect, Gather, UseTool
from telic.tracing import aobserved, observed
from telic.types import Tool

FATAL: Final = (*ENDS_A_RUN, NotConfiguredError)
"""What no further step can mend: it ends the run, also when a tool raises it."""
_MAX_ERROR_CHARS: Final = 500


class Asked(NamedTuple):
    """A call that an LM asks for."""

    name: str
    args: Mapping[str, Any]


@final
class ToolRun:
    """The effect of calling a tool with arguments that were checked; callbacks are told.

    Args:
        tool: The tool.
        arguments: By name.
        timeout_s: For tools that have no limit of their own; None: as long as it takes.

    Raises:
        TimeoutError: The tool did not answer in time.
    """

    __slots__ = ("arguments", "timeout_s", "tool")

    def __init__(self, tool: Tool, arguments: Mapping[str, Any], timeout_s: float | None = None) -> None:
        self.tool = tool
        self.arguments = arguments
        self.timeout_s = timeout_s if tool.timeout is None else tool.timeout

    def run(self) -> Any:
        """Call it in this thread, or, with a limit of time, in another one; an async one is run to its end."""
        given = dict(self.arguments)
        return (
            self._told(given) if self._is_program else step(self.tool.func, given, lambda: self._told(given))
        )

    def _told(self, given: dict[str, Any]) -> Any:
        return observed("tool", self.tool, {"kwargs": given}, self._run)

    async def arun(self) -> Any:
        """Await it; a plain one runs in a worker thread, or, with a limit of time, in one of its own."""
        given = dict(self.arguments)
        if self._is_program:
            return await self._atold(given)
        return await astep(self.tool.func, given, lambda: self._atold(given))

    async def _atold(self, given: dict[str, Any]) -> Any:
        return await aobserved("tool", self.tool, {"kwargs": given}, self._arun)

    @property
    def _is_program(self) -> bool:
        """Whether an assertion that lets the caller run again finds steps of the tool's own to replay."""
        return hasattr(self.tool.func, "acall") and hasattr(self.tool.func, "forward")

    def _run(self) -> Any:
        effect = UseTool(self.tool.func, self.arguments, replayed=False)
        if self.timeout_s is None:
            return effect.run()
        if self.tool.is_async:
            return run_coroutine(self._awaited(self.timeout_s))
        work = _Work(effect.run)
        work.start()
        if not work.done.wait(self.timeout_s):
            raise _late(self.timeout_s)
        return work.result()

    async def _arun(self) -> Any:
        if self.timeout_s is None:
            return await UseTool(self.tool.func, self.arguments, replayed=False).arun()
        if self.tool.is_async or hasattr(self.tool.func, "acall"):
            return await self._awaited(self.timeout_s)
        asyncio = load("asyncio")
        rung: Any = asyncio.Event()
        loop = asyncio.get_running_loop()
        effect = UseTool(self.tool.func, self.arguments, replayed=False)
        work = _Work(effect.run, lambda: _ring(loop, rung))
        work.start()
        try:
            await asyncio.wait_for(rung.wait(), self.timeout_s)
        except TimeoutError:
            raise _late(self.timeout_s) from None
        return work.result()

    async def _awaited(self, seconds: float) -> Any:
        limit = load("asyncio").timeout(seconds)
        try:
            async with limit:
                return await UseTool(self.tool.func, self.arguments, replayed=False).arun()
        except TimeoutError:
            if limit.expired():
                raise _late(seconds) from None
            raise  # the tool's own


def _late(seconds: float) -> TimeoutError:
    return TimeoutError(f"no answer within {seconds:g} seconds")


def _ring(loop: Any, rung: Any) -> None:
    try:
        loop.call_soon_threadsafe(rung.set)
    except RuntimeError:
        return  # the loop was closed meanwhile: nobody waits


@final
class _Work:
    """A call in a thread of its own, in a copy of the present context."""

    def __init__(self, function: Callable[[], Any], when_done: Callable[[], None] = lambda: None) -> None:
        self.done = threading.Event()
        self._function = function
        self._when_done = when_done
        self._carried = contextvars.copy_context()
        self._value: Any = None
        self._error: BaseException | None = None

    def start(self) -> None:
        """Begin; a daemon: the process does not wait for it at its end."""
        threading.Thread(target=self._run, name="telic-tool", daemon=True).start()

    def result(self) -> Any:
        """Return what came of it, or raise it."""
        if self._error is not None:
            raise self._error
        return self._value

    def _run(self) -> None:
        try:
            self._value = self._carried.run(self._function)
        except BaseException as error:  # noqa: BLE001  carried over to whoever waits
            self._error = error
        self.done.set()
        self._when_done()


def observe(
    tools: Mapping[str, Tool], calls: Sequence[Asked], timeout_s: float | None
) -> Generator[Effect, Any, list[Any]]:
    """Run the calls of one turn, several at once, and return what each gave, or what went wrong, in their order.

    Raises:
        BudgetExceeded: Also where a tool raises it; so is NotConfiguredError.
    """
    seen: list[Any] = [_refusal(tools, call) for call in calls]
    waiting = [at for at, refused in enumerate(seen) if refused is UNSET]
    runs: list[Effect] = []
    for at in list(waiting):
        tool = tools[calls[at].name]
        try:
            runs.append(ToolRun(tool, tool.check(calls[at].args), timeout_s))
        except ToolError as error:
            seen[at] = f"Error: {error}."
            waiting.remove(at)
    if len(runs) == 1:
        seen[waiting[0]] = yield from _observe_one(runs[0], calls[waiting[0]].name)
    elif runs:
        results = yield Gather(runs, keep_errors=True)
        for at, result in zip(waiting, results, strict=True):
            if isinstance(result, BaseException):
                if isinstance(result, FATAL) or not isinstance(result, Exception):
                    raise result
                result = in_words(result, calls[at].name)
            seen[at] = result
    return seen


def _observe_one(run: Effect, name: str) -> Generator[Effect, Any, Any]:
    try:
        return (yield run)
    except FATAL:
        raise
    except Exception as error:  # noqa: BLE001  the user's code: the LM is told, without traceback
        return in_words(error, name)


def _refusal(tools: Mapping[str, Tool], call: Asked) -> Any:
    """Return what the LM is told of a tool that is not there, or UNSET where it is."""
    if call.name in tools:
        return UNSET
    shown = truncate(call.name, 80)
    near = did_you_mean(shown, tools) or "."
    return f"Error: there is no tool {shown!r}{near} The tools are {join_names(tools)}."


def in_words(error: Exception, name: str) -> str:
    """Return what an LM is told of a call that failed."""
    if isinstance(error, ToolError):
        return f"Error: {error}."
    try:
        said = str(error)
    except Exception:  # noqa: BLE001  an error that cannot even say what it is
        said = ""
    return f"Error: {name} failed with {type(error).__name__}: {truncate(said, _MAX_ERROR_CHARS)}"
