"""`ReAct`: think, call a tool, look at what came back, and again until the answer is known.

One predictor (`react`) chooses the next step from the inputs and the trajectory so far, one (`extract`) writes the
outputs from both at the end. The trajectory travels as text in an input field, so that every LM can be an agent, and
demos show whole trajectories; an LM that calls tools natively sees the same steps as messages (`_react_native`). What
goes wrong in a step (an unknown tool, wrong arguments, a tool that raises or hangs) is its observation: the LM sees it
and may do better.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, Final, NamedTuple, cast, final

from telic._counts import checked_count
from telic._optional import load
from telic._text import join_names
from telic.data import Prediction
from telic.errors import (
    AdapterParseError,
    ConfigurationError,
    ContextWindowExceededError,
    InputError,
    ProgramError,
)
from telic.modules._chain_of_thought import ChainOfThought
from telic.modules._flow import Call, Effect, Flow
from telic.modules._inputs import positional_error
from telic.modules._predict import Predict
from telic.modules._react_context import overflows
from telic.modules._react_native import FINISH, StepPredict, StepWords, native_instructions
from telic.modules._react_record import Record, count_turns, past_turns, trajectory_text, without_oldest
from telic.modules._react_tools import Asked, observe
from telic.modules._strategy import S, Strategy
from telic.modules._value_text import value_text
from telic.signatures import InputField, OutputField, ensure_signature, make_signature
from telic.types import Tool, checked_timeout

if TYPE_CHECKING:
    from telic.signatures import FieldInfo


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


class Ended(NamedTuple):
    """What came of a run, and why its steps ended: "finish", "max_iters" or "parse_error"."""

    prediction: Prediction
    reason: str


class ReAct(Strategy[S]):
    """Answer with the help of tools, step by step.

    Args:
        signature: As for `Predict`; neither an input nor an output may be called `trajectory`.
        tools: Functions, sync or async, or `Tool`s; none may be called `finish`.
        max_iters: How many steps at most; `program(…, max_iters=…)` changes one call.
        native: How tools are called. False: as fields of text. True: by the LM's own function calling, whatever it
            declares. None: natively where the LM declares it, unless it shows its reasoning (servers want that back,
            and a trajectory does not keep it) or the adapter was made with `use_native_function_calling=False`.
        tool_timeout: Seconds that a tool may take which has no `timeout` of its own; None: as long as it takes.
        max_observation_chars: How much of what a tool returns the LM gets to see; the rest is counted, not shown.
        callbacks: Told of this module's calls.

    Returns:
        The outputs, `reasoning`, and `trajectory`: a dict with `thought_i`, `tool_name_i`, `tool_args_i` and
        `observation_i` for each step i from 0, the observation as the tool returned it (or the text of what went
        wrong). All steps stand there, also those that no longer fitted into the prompt. Of several calls in one turn,
        only the first has a `thought_i`.

    Raises:
        ContextWindowExceededError: The prompt does not fit, not even without its oldest steps.
        AdapterParseError: The final answer could not be read.
        BudgetExceeded: Also where a tool raises it; so is NotConfiguredError.

    Natively, an LM may call several tools in one turn: they run at once (in threads, or as tasks), and are observed in
    their order. One predictor serves both ways, so what was learned with one LM holds with another.

    A reply for a step that cannot be read, after the predictor's own re-asks, ends the steps, and so does `max_iters`;
    the answer is then taken from what is known. Where a prompt exceeds the context, the oldest steps are left out
    (override `truncate_trajectory`): before the call where the LM declares the size of its context and the prompt is
    plainly longer, else after a refusal, first one step, then twice as many each time.

    Pictures, recordings and files that a tool returns, alone or in a list, are seen by the LM behind the steps.

    In a conversation (an input of type `History`), the answers of earlier turns are told to the steps as well.

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

    def __init__(
        self,
        signature: str | type[S],
        tools: Sequence[Callable[..., Any]],
        max_iters: int = 20,
        *,
        native: bool | None = None,
        tool_timeout: float | None = None,
        max_observation_chars: int = 10_000,
        callbacks: Sequence[Any] | None = None,
    ) -> None:
        self.signature = ensure_signature(signature)
        self.max_iters = checked_count(max_iters, "ReAct: max_iters")
        self.max_observation_chars = checked_count(max_observation_chars, "ReAct: max_observation_chars")
        self.tool_timeout = checked_timeout(tool_timeout, "ReAct: tool_timeout")
        if native is not None and not isinstance(native, bool):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise ConfigurationError(f"ReAct: native must be True, False or None, got {native!r}")
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
        step = _step_signature(self.signature, self.tools)
        words = StepWords(step.instructions, native_instructions(self.signature))
        self.react = StepPredict(step, list(self.tools.values()), native, words)
        self.extract = ChainOfThought(self.signature.append("trajectory", InputField(), str))
        if callbacks:
            self.callbacks = list(callbacks)

    def flow(self, *args: Any, **inputs: Any) -> Flow[Any]:
        """Take steps until `finish`, then write the outputs."""
        return (yield from self._run(args, inputs)).prediction

    def _run(self, args: tuple[Any, ...], inputs: dict[str, Any]) -> Generator[Effect, Any, Ended]:
        if args:
            raise positional_error(self.signature, len(args))
        if "trajectory" in inputs:
            raise InputError("the trajectory of a ReAct begins empty; it is no input")
        steps = self.max_iters
        if "max_iters" in inputs and "max_iters" not in self.signature.input_fields:
            steps = checked_count(inputs.pop("max_iters"), "ReAct: max_iters")
        record = Record(self)
        reason = yield from self._take_steps(past_turns(self.signature, inputs), record, steps)
        answer = yield from self._ask(self.extract, inputs, record)
        found = Prediction.of({"trajectory": record.trajectory, **dict(answer.items())})
        return Ended(found, reason)

    def _take_steps(
        self, inputs: Mapping[str, Any], record: Record, steps: int
    ) -> Generator[Effect, Any, str]:
        """Take at most so many steps, and return why they ended: "finish", "max_iters" or "parse_error"."""
        for _ in range(steps):
            try:
                choice = yield from self._ask(self.react, inputs, record)
            except AdapterParseError as error:
                load("logging").getLogger("telic").warning(
                    "ReAct ends its steps early: step %d could not be read (%s)", record.count, error
                )
                return "parse_error"
            calls = _calls_of(choice)
            observations = yield from observe(self.tools, calls, self.tool_timeout)
            for at, (call, observation) in enumerate(zip(calls, observations, strict=True)):
                record.add(None if at else choice.next_thought, call.name, call.args, observation)
            if any(call.name == FINISH for call in calls):
                return FINISH
        return "max_iters"

    def _ask(self, predictor: Any, inputs: Mapping[str, Any], record: Record) -> Generator[Effect, Any, Any]:
        """Call a predictor; leave out the oldest steps where the prompt is too long."""
        step = 1
        while True:
            told = {**inputs, "trajectory": record.told(self.format_trajectory(record.shown))}
            if overflows(predictor, told) and self._drop(record, 1):
                continue
            try:
                return (yield Call(predictor, **told))
            except ContextWindowExceededError as error:
                if self._drop(record, step):
                    step *= 2
                    continue
                raise ContextWindowExceededError(
                    f"the prompt of ReAct does not fit into the context of {error.model or 'the LM'}, with the "
                    f"{record.dropped} oldest of its steps left out and {count_turns(record.shown)} kept; set a lower "
                    f"max_observation_chars (now {self.max_observation_chars}), or override truncate_trajectory",
                    model=error.model,
                    provider=error.provider,
                    status=error.status,
                    code=error.code,
                    request_id=error.request_id,
                ) from error

    def _drop(self, record: Record, steps: int) -> bool:
        """Leave out so many of the oldest steps; return whether the prompt is shorter for it."""
        before = len(self.format_trajectory(record.shown))
        for _ in range(steps):
            if not record.shown:
                break
            shorter = self.truncate_trajectory(dict(record.shown))
            if not isinstance(shorter, dict):  # pyright: ignore[reportUnnecessaryIsInstance]
                raise ProgramError(
                    f"{type(self).__name__}.truncate_trajectory must return the steps that are left, as a dict of "
                    f"texts by key; it returned {shorter!r}"
                )
            record.drop(shorter)
        return len(self.format_trajectory(record.shown)) < before

    def truncate_trajectory(self, trajectory: dict[str, str]) -> dict[str, str]:
        """Return a trajectory that is shorter in the prompt: without its oldest step. Made to be overridden.

        Args:
            trajectory: The texts shown, by key (`thought_0`, `tool_name_0`, `tool_args_0`, `observation_0` …).
        """
        return without_oldest(trajectory)

    def format_trajectory(self, trajectory: Mapping[str, str]) -> str:
        """Return the steps as they stand in the prompt: one line a key, later lines of a text indented."""
        return trajectory_text(trajectory)


def _calls_of(choice: Any) -> list[Asked]:
    """Return the calls of a step: the one that was written, or all that were made natively."""
    if "tool_calls" not in choice:
        return [Asked(_bare_name(choice.next_tool_name), choice.next_tool_args)]
    return [Asked(_bare_name(call.name), call.args) for call in choice.tool_calls]


def _finish() -> str:
    return "Completed."


def _bare_name(name: str) -> str:
    """Return the name of a tool without what LMs put around it: quotes, a call's brackets."""
    return name.strip().partition("(")[0].strip(" \t`'\".")


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
