"""ReAct's steps as native tool calls: the same predictor, another way of asking.

The predictor has the fields of a step in text: `trajectory`, for `next_thought`, `next_tool_name` and
`next_tool_args`. Asked natively, the steps so far are messages after the inputs, tools are in the request, the LM's
words are the thought and its call is the tool's name and arguments. So instructions and demos that were learned one way
hold in the other, and a program may change its LM. Where a turn has several calls, the first one stands in the fields,
and all of them in one more, `tool_calls`. A reply without a call is the wish to finish.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, NamedTuple, cast, final

from telic._text import join_names
from telic.adapters import Adapter, ChatAdapter, NativePlan, bare_prompt, calls_of, tool_options, words_deltas
from telic.adapters._reading import without_thoughts
from telic.context import get as setting
from telic.errors import AdapterParseError, ConfigurationError
from telic.modules._plan_cache import PreparedPlan, prepared
from telic.modules._predict import Predict
from telic.modules._react_record import as_messages, messages_of, turn_messages
from telic.protocols import Capabilities
from telic.types import History, Tool, ToolCall, ToolCalls

if TYPE_CHECKING:
    from telic.data import Completion, Message

FINISH: Final = "finish"
STEP_OUTPUTS: Final = ("next_thought", "next_tool_name", "next_tool_args")
_NOT_NATIVE: Final = Capabilities()
_DEFAULT_ADAPTER: Final = ChatAdapter()
_AGAIN: Final = f"Respond again: say what is known and missing, and call a tool, or `{FINISH}`."
_BRIDGE: Final = (
    "Tools are called natively here: your words are `next_thought`, and each call stands for `next_tool_name` and "
    "`next_tool_args`. The steps of `trajectory` so far follow the inputs as messages."
)


def native_instructions(signature: Any) -> str:
    """Return what `react` is told where tools are called natively."""
    outputs = join_names(signature.output_fields)
    return (
        f"{signature.instructions}\n\n"
        f"Work in steps toward {outputs}, with the help of the tools. Say in few words what is known and what is "
        "missing, and call the tools whose answers are needed next: several at once, where none needs what another "
        f"one answers. Once all that is needed for {outputs} is known, call `{FINISH}`."
    )


class StepWords(NamedTuple):
    """What the predictor of steps is told by itself, the text way and natively."""

    text: str
    native: str


@final
class StepPredict(Predict[Any]):
    """The predictor of ReAct's steps.

    Args:
        signature: Inputs and `trajectory`, for `next_thought`, `next_tool_name` and `next_tool_args`.
        tools: All tools, `finish` among them.
        native: True: always call natively. False: never. None: where the LM declares function calling, does not show
            its reasoning, and the adapter was not made with `use_native_function_calling=False`.
        words: Instructions before anything was learned.
    """

    def __init__(self, signature: Any, tools: Sequence[Tool], native: bool | None, words: StepWords) -> None:
        super().__init__(signature)
        self.tools = tuple(tools)
        self.native = native
        self.words = words

    def _prepared(self, signature: Any, demos: Sequence[Any], lm: Any) -> PreparedPlan:
        adapter = setting("adapter")
        if adapter is None:
            adapter = _DEFAULT_ADAPTER
        capabilities = getattr(lm, "capabilities", _NOT_NATIVE)
        if not self._calls_natively(adapter, capabilities):
            return super()._prepared(signature, demos, lm)
        kept = self._plans
        known = (e.adapter for e in kept if isinstance(e.adapter, NativeSteps) and e.adapter.inner is adapter)
        steps = next(known, None) or NativeSteps(adapter, self.tools, self.words)
        entry, plans = prepared(kept, signature, demos, steps, capabilities)
        if plans is not kept:
            self._plans = plans
        return entry

    def _calls_natively(self, adapter: Any, capabilities: Capabilities) -> bool:
        able = isinstance(adapter, Adapter)
        if self.native and not able:
            raise ConfigurationError(
                f"ReAct(native=True) needs an adapter of telic's, to write the inputs, and the one in force is "
                f"{adapter!r}; subclass telic.Adapter, or leave native out"
            )
        if self.native is not None:
            return self.native
        # A server that shows its reasoning wants it back with the calls, and a trajectory does not keep it.
        sure = capabilities.function_calling and not capabilities.reasoning_text
        return able and sure and adapter.use_native_function_calling is not False


@final
class NativeSteps:
    """An adapter around the one in force: it shows and reads a step of ReAct as native calls.

    Args:
        inner: Writes the inputs.
        tools: What can be called.
        words: Instructions before anything was learned.
    """

    def __init__(self, inner: Adapter, tools: Sequence[Tool], words: StepWords) -> None:
        self.inner = inner
        self._tools = tools
        self._words = words

    @property
    def name(self) -> str:
        """The inner adapter's name."""
        return self.inner.name

    def plan(self, signature: Any, demos: Sequence[Any], capabilities: Capabilities) -> Any:
        """Return the plan; a signature that is no step's, or no longer, is shown as text."""
        if not _is_step(signature):
            return self.inner.plan(signature, demos, capabilities)
        told = signature.with_instructions(self._instructions(signature))
        for name in STEP_OUTPUTS:
            told = told.delete(name)
        with_text = bare_prompt(self.inner, told)  # a trajectory of the user's own form stays a field
        rest = told.delete("trajectory")
        prompt = bare_prompt(self.inner, rest)
        shown = [
            turn for number, demo in enumerate(demos) for turn in self._demo(rest, demo, f"demo {number}")
        ]
        by_text = self.inner.plan(signature, (), _NOT_NATIVE).parse
        options = tool_options(self._tools, self.inner.parallel_tool_calls)

        def turns(inputs: Mapping[str, Any]) -> list[Message]:
            inputs = {n: as_messages(v) if isinstance(v, History) else v for n, v in inputs.items()}
            steps = messages_of(str(inputs["trajectory"]), "step")
            if steps is None:
                return with_text.turns(inputs)
            pictures: list[Any] = getattr(inputs["trajectory"], "parts", [])
            seen: list[Message] = [{"role": "user", "content": pictures}] if pictures else []
            return [*prompt.turns(inputs), *steps, *seen]

        def parse(completion: Completion, inputs: Mapping[str, Any] | None) -> dict[str, Any]:
            if not completion.tool_calls and "next_tool_name" in completion.text:
                return by_text(
                    completion, inputs
                )  # it wrote the step out, as demos or instructions showed it
            values = self._read(completion, signature)
            calls = values.pop("tool_calls")
            checked = signature.check_outputs(values, inputs)
            return {**checked, "tool_calls": calls} if len(calls) > 1 else checked

        return NativePlan((*prompt.prefix, *shown), turns, lambda inputs: options, parse, _AGAIN)

    def deltas(self, signature: Any, capabilities: Capabilities) -> Any:
        """Return how replies are read while they are written: words are the thought."""
        if not _is_step(signature):
            return self.inner.deltas(signature, capabilities)
        return words_deltas("next_thought")

    def format(self, signature: Any, demos: Sequence[Any], inputs: Mapping[str, Any]) -> list[Message]:
        """Return all messages of one call."""
        messages: list[Message] = self.plan(signature, demos, _NOT_NATIVE).render(inputs)
        return messages

    def parse(self, signature: Any, completion: str) -> dict[str, Any]:
        """Return the outputs of a step that was written as text."""
        return self.inner.parse(signature, completion)

    def _instructions(self, signature: Any) -> str:
        learned = signature.instructions
        return self._words.native if learned == self._words.text else f"{learned}\n\n{_BRIDGE}"

    def _read(self, completion: Completion, signature: Any) -> dict[str, Any]:
        said = without_thoughts(completion.text).strip()
        calls = calls_of(completion, signature, self.name)
        if calls is None and not said:
            raise AdapterParseError(
                f"{self.name}: the LM neither called a tool nor said anything; raise `max_retries` if that is rare",
                adapter_name=self.name,
                signature=signature,
                lm_response=completion.text,
                problems=("it is empty, without a call",),
            )
        made = ToolCalls([ToolCall(FINISH)]) if calls is None else calls
        first = made.tool_calls[0]
        return {
            "next_thought": said,
            "next_tool_name": first.name,
            "next_tool_args": first.args,
            "tool_calls": made,
        }

    def _demo(self, rest: Any, demo: Any, label: str) -> list[Message]:
        """Return a demo as a conversation: its inputs, the steps before, and the call that was right."""
        inputs = {name: demo[name] for name in rest.input_fields if demo.get(name) is not None}
        name = demo.get("next_tool_name")
        if not inputs or name is None:
            return []
        calls = demo.get("tool_calls")
        given = demo.get("next_tool_args")
        args = cast("dict[str, Any]", given) if isinstance(given, dict) else {}
        made = list(ToolCalls.of([ToolCall(name, args)] if calls is None else calls))
        steps = messages_of(str(demo.get("trajectory", "")), f"{label} step") or []
        user: Message = {"role": "user", "content": self.inner.format_user_message_content(rest, inputs)}
        return [user, *steps, *turn_messages(str(demo.get("next_thought", "")), made, label)]


def _is_step(signature: Any) -> bool:
    return tuple(signature.output_fields) == STEP_OUTPUTS and "trajectory" in signature.input_fields
