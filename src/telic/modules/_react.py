"""`ReAct`: think, call a tool, look at what came back, and again until the answer is known.

One predictor (`react`) chooses the next step from the inputs and the trajectory so far, one (`extract`) writes the
outputs from both at the end. The trajectory travels as text in an input field, so that every LM can be an agent, and
demos show whole trajectories. What goes wrong in a step (an unknown tool, wrong arguments, a tool that raises) is its
observation: the LM sees it and may do better.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, Final, Generic, TypeVar, cast, final, overload

from telic._optional import load
from telic._text import did_you_mean, join_names, truncate
from telic.data import Prediction
from telic.errors import (
    AdapterParseError,
    BudgetExceeded,
    ConfigurationError,
    ContextWindowExceededError,
    InputError,
    NotConfiguredError,
    ToolError,
)
from telic.modules._chain_of_thought import ChainOfThought
from telic.modules._flow import Call, Effect, Flow, UseTool
from telic.modules._inputs import positional_error
from telic.modules._module import FlowModule
from telic.modules._predict import Predict
from telic.modules._value_text import labelled, value_text
from telic.signatures import InputField, OutputField, ensure_signature, make_signature
from telic.tracing import begin, finish
from telic.types import Tool

if TYPE_CHECKING:
    from telic.signatures import FieldInfo

S = TypeVar("S")

FINISH = "finish"
_FATAL = (BudgetExceeded, NotConfiguredError)
"""What no further step can mend: it ends the run, also when a tool raises it."""
_MAX_DROPS = 3
_KEYS_A_STEP = 4
_MAX_ERROR_CHARS = 500


@final
class _LooseArguments:
    """Reads what LMs write for "no arguments" (nothing, None, null, []) and JSON inside of quotes, as pydantic does."""

    __slots__ = ()

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> Any:
        core = load("pydantic_core.core_schema")
        return core.no_info_before_validator_function(_arguments, handler(source))


def _arguments(value: Any) -> Any:
    if isinstance(value, str):
        text = value.strip()
        if text.lower() in ("", "none", "null", "n/a"):
            return {}
        try:
            value = load("json").loads(text)
        except ValueError:
            return value
    return {} if value is None or value == [] else value


_ARGUMENTS: Final = Annotated[dict[str, Any], _LooseArguments()]


@final
class ToolRun:
    """The effect of calling a tool with arguments that were checked; callbacks are told."""

    __slots__ = ("arguments", "tool")

    def __init__(self, tool: Tool, arguments: Mapping[str, Any]) -> None:
        self.tool = tool
        self.arguments = arguments

    def run(self) -> Any:
        """Call it in this thread; an async one is run to its end."""
        call = begin("tool", self.tool, dict(self.arguments))
        try:
            result = UseTool(self.tool.func, self.arguments).run()
        except BaseException as error:
            finish(call, None, error)
            raise
        finish(call, result)
        return result

    async def arun(self) -> Any:
        """Await it; a plain one runs in a worker thread."""
        call = begin("tool", self.tool, dict(self.arguments))
        try:
            result = await UseTool(self.tool.func, self.arguments).arun()
        except BaseException as error:
            finish(call, None, error)
            raise
        finish(call, result)
        return result


class ReAct(FlowModule, Generic[S]):
    """Answer with the help of tools, step by step.

    Args:
        signature: As for `Predict`; neither an input nor an output may be called `trajectory`.
        tools: Functions, sync or async, or `Tool`s; none may be called `finish`.
        max_iters: How many steps at most; `program(…, max_iters=…)` changes one call.
        max_observation_chars: How much of what a tool returns the LM gets to see; the rest is counted, not shown.
        callbacks: Told of this module's calls.

    Returns:
        The outputs, `reasoning`, and `trajectory`: a dict with `thought_i`, `tool_name_i`, `tool_args_i` and
        `observation_i` for each step i from 0, the observation as the tool returned it (or the text of what went
        wrong). All steps stand there, also those that no longer fitted into the prompt.

    Raises:
        ContextWindowExceededError: The prompt does not fit, not even without its oldest steps.
        AdapterParseError: The final answer could not be read.
        BudgetExceeded: Also where a tool raises it; so is NotConfiguredError.

    A reply for a step that cannot be read, after the predictor's own re-asks, ends the steps; the answer is then taken
    from what is known. Where a prompt exceeds the context, the oldest step is left out (override
    `truncate_trajectory`), at most 3 times for one call. This module speaks to LMs in text alone, for now: the tools of
    a provider's own function calling are not used, and one step calls one tool.

    Programs may be tools, but what is inside of a tool is no part of this program: to have it learned, saved and given
    LMs with the rest, keep it as an attribute of a module of your own too.

    Cost: at most `max_iters + 1` LM calls, and the predictors' re-asks.
    Source: Yao et al. 2023, arXiv 2210.03629. Deviations: the trajectory is an input field of typed steps instead of
    a continued text; a second predictor writes the answer; no worked examples are given unless demos are set.

    Example:
        >>> from telic.testing import ScriptedLM
        >>> def population(city: str) -> int:
        ...     '''Look up how many people live in a city.'''
        ...     return {"Rome": 2_700_000}[city]
        >>> lm = ScriptedLM([
        ...     {"next_thought": "Look it up.", "next_tool_name": "population", "next_tool_args": {"city": "Rome"}},
        ...     {"next_thought": "Known.", "next_tool_name": "finish", "next_tool_args": {}},
        ...     {"reasoning": "It is told.", "answer": "2.7 million"},
        ... ])
        >>> found = ReAct("question -> answer", tools=[population])(question="How many Romans are there?", lm=lm)
        >>> found.answer, found.trajectory["observation_0"]
        ('2.7 million', 2700000)
    """

    react: Predict[Any]
    extract: ChainOfThought[Any]

    @overload
    def __init__(
        self: ReAct[Prediction],
        signature: str,
        tools: Sequence[Callable[..., Any]],
        max_iters: int = 20,
        *,
        max_observation_chars: int = 10_000,
        callbacks: Sequence[Any] | None = None,
    ) -> None: ...
    @overload
    def __init__(
        self,
        signature: type[S],
        tools: Sequence[Callable[..., Any]],
        max_iters: int = 20,
        *,
        max_observation_chars: int = 10_000,
        callbacks: Sequence[Any] | None = None,
    ) -> None: ...
    def __init__(
        self,
        signature: Any,
        tools: Sequence[Callable[..., Any]],
        max_iters: int = 20,
        *,
        max_observation_chars: int = 10_000,
        callbacks: Sequence[Any] | None = None,
    ) -> None:
        self.signature = ensure_signature(signature)
        self.max_iters = _checked_count(max_iters, "max_iters")
        self.max_observation_chars = _checked_count(max_observation_chars, "max_observation_chars")
        if "trajectory" in self.signature.fields:
            raise ConfigurationError(
                "ReAct keeps its steps in a field called 'trajectory'; rename that field of the signature"
            )
        self.tools = _by_name(tools)
        outputs = join_names(self.signature.output_fields)
        self.tools[FINISH] = Tool(
            _finish,
            name=FINISH,
            desc=f"End the steps: the trajectory holds all that is needed for {outputs}.",
        )
        self.react = Predict(_step_signature(self.signature, self.tools))
        self.extract = ChainOfThought(self.signature.append("trajectory", InputField(), str))
        if callbacks:
            self.callbacks = list(callbacks)

    if TYPE_CHECKING:

        def __call__(self, *args: Any, **inputs: Any) -> S: ...
        async def acall(self, *args: Any, **inputs: Any) -> S: ...

    def flow(self, *args: Any, **inputs: Any) -> Flow[Any]:
        """Take steps until `finish`, then write the outputs."""
        if args:
            raise positional_error(self.signature, len(args))
        if "trajectory" in inputs:
            raise InputError("the trajectory of a ReAct begins empty; it is no input")
        steps = self.max_iters
        if "max_iters" in inputs and "max_iters" not in self.signature.input_fields:
            steps = _checked_count(inputs.pop("max_iters"), "max_iters")
        record = _Record(self)
        for _ in range(steps):
            try:
                choice = yield from self._ask(self.react, inputs, record)
            except AdapterParseError as error:
                load("logging").getLogger("telic").warning(
                    "ReAct ends its steps early: step %d could not be read (%s)", record.count, error
                )
                break
            name = _bare_name(choice.next_tool_name)
            arguments: dict[str, Any] = choice.next_tool_args
            observation = yield from self._observe(name, arguments)
            record.add(choice.next_thought, name, arguments, observation)
            if name == FINISH:
                break
        answer = yield from self._ask(self.extract, inputs, record)
        return Prediction.of({"trajectory": record.trajectory, **dict(answer.items())})

    def _observe(self, name: str, arguments: Mapping[str, Any]) -> Generator[Effect, Any, Any]:
        """Return what the tool returned, or what went wrong in words for the LM."""
        tool = self.tools.get(name)
        if tool is None:
            shown = truncate(name, 80)
            near = did_you_mean(shown, self.tools) or "."
            return f"Error: there is no tool {shown!r}{near} The tools are {join_names(self.tools)}."
        try:
            return (yield ToolRun(tool, tool.check(arguments)))
        except _FATAL:
            raise
        except ToolError as error:
            return f"Error: {error}."
        except Exception as error:  # noqa: BLE001  the user's code: the LM is told, without traceback
            said = truncate(str(error), _MAX_ERROR_CHARS)
            return f"Error: {name} failed with {type(error).__name__}: {said}"

    def _ask(self, predictor: Any, inputs: Mapping[str, Any], record: _Record) -> Generator[Effect, Any, Any]:
        """Call a predictor; leave out the oldest steps where the prompt is too long."""
        dropped = 0
        while True:
            try:
                return (yield Call(predictor, **inputs, trajectory=self.format_trajectory(record.shown)))
            except ContextWindowExceededError as error:
                left = len(record.shown) // _KEYS_A_STEP
                if left and dropped < _MAX_DROPS:
                    record.shown = self.truncate_trajectory(dict(record.shown))
                    dropped += 1
                    continue
                raise ContextWindowExceededError(
                    f"the prompt of ReAct does not fit into the context of {error.model or 'the LM'}, with the "
                    f"{dropped} oldest of its steps left out and {left} kept; set a lower max_observation_chars "
                    f"(now {self.max_observation_chars}), or override truncate_trajectory",
                    model=error.model,
                    provider=error.provider,
                    status=error.status,
                    code=error.code,
                    request_id=error.request_id,
                ) from error

    def truncate_trajectory(self, trajectory: dict[str, str]) -> dict[str, str]:
        """Return a trajectory that is shorter in the prompt: without its oldest step. Made to be overridden.

        Args:
            trajectory: The texts shown, by key (`thought_0`, `tool_name_0`, `tool_args_0`, `observation_0` …).
        """
        return dict(list(trajectory.items())[_KEYS_A_STEP:])

    def format_trajectory(self, trajectory: Mapping[str, str]) -> str:
        """Return the steps as they stand in the prompt: one line a key, later lines of a text indented."""
        return "\n".join(labelled(key, text) for key, text in trajectory.items())


@final
class _Record:
    """The steps of one call: all of them as values, and as texts those that are shown."""

    __slots__ = ("_limit", "count", "shown", "trajectory")

    def __init__(self, agent: ReAct[Any]) -> None:
        self._limit = agent.max_observation_chars
        self.count = 0
        self.trajectory: dict[str, Any] = {}
        self.shown: dict[str, str] = {}

    def add(self, thought: str, name: str, arguments: dict[str, Any], observation: Any) -> None:
        """Note a step."""
        number = self.count
        self.count += 1
        values = {"thought": thought, "tool_name": name, "tool_args": arguments, "observation": observation}
        for key, value in values.items():
            self.trajectory[f"{key}_{number}"] = value
            self.shown[f"{key}_{number}"] = value_text(value, self._limit)


def _finish() -> str:
    return "Completed."


def _bare_name(name: str) -> str:
    """Return the name of a tool without what LMs put around it: quotes, a call's brackets."""
    return name.strip().partition("(")[0].strip(" \t`'\".")


def _checked_count(value: Any, name: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ConfigurationError(f"ReAct: {name} must be a whole number of 1 or more, got {value!r}")
    return value


def _by_name(tools: Sequence[Callable[..., Any]]) -> dict[str, Tool]:
    if callable(tools) or isinstance(tools, (str, Mapping)):
        raise ConfigurationError(f"ReAct takes a list of tools, got {tools!r}")
    named: dict[str, Tool] = {}
    for function in tools:
        tool = function if isinstance(function, Tool) else Tool(function)
        if tool.name in named or tool.name == FINISH:
            owner = "ReAct's own" if tool.name == FINISH else "another one's"
            raise ConfigurationError(
                f"the name of the tool {tool.name!r} is {owner}; give it another one with Tool(…, name='…')"
            )
        named[tool.name] = tool
    return named


def _step_signature(signature: Any, tools: Mapping[str, Tool]) -> Any:
    """Return what `react` is asked: the inputs and the trajectory, for a thought and a tool's call."""
    names = join_names(tools, "or")
    fields: dict[str, FieldInfo | tuple[Any, Any]] = {
        **signature.input_fields,
        "trajectory": (str, InputField()),
        "next_thought": (str, OutputField()),
        "next_tool_name": (str, OutputField(desc=f"one of {names}")),
        "next_tool_args": (_ARGUMENTS, OutputField()),
    }
    listed = "\n".join(f"- {_told(tool)}" for tool in tools.values())
    inputs, outputs = join_names(signature.input_fields), join_names(signature.output_fields)
    text = (
        f"{signature.instructions}\n\n"
        f"Work in steps toward {outputs}. You are given {inputs}, and in `trajectory` the steps so far with what the "
        "tools answered. Say in `next_thought` what is known and what is missing, and choose the next call: the tool "
        "in `next_tool_name`, its arguments by name in `next_tool_args`. What it answers is the next observation. Once "
        f"the trajectory holds all that is needed, call `{FINISH}`.\n\n"
        f"Tools:\n{listed}"
    )
    return make_signature(cast("Any", fields), text, signature_name=f"{signature.__name__}Step")


def _told(tool: Tool) -> str:
    about = " ".join(tool.desc.split())
    return f"`{tool.name}`{f': {about}' if about else ''} Arguments: {value_text(tool.args)}"
