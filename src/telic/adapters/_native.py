"""A provider's own function calling: tools go into the request, calls are read back, and neither is in the prompt.

A signature with an input of `Tool`s and an output of `ToolCalls` is rendered without these two fields where the LM
declares function calling and the adapter is to use it. The choice is made before the call, from what is declared: an LM
that does not declare it is shown both fields as text. What the LM says beside its calls is read as the other outputs; a
reply without calls is read as any reply, and its calls are an empty `ToolCalls`.
"""

from __future__ import annotations

import typing
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol, cast, final

from telic._text import join_names
from telic.adapters._annotations import bare_annotation, holds, union_members
from telic.adapters._describe import INCOMPLETE, NOT_SUPPLIED, list_fields
from telic.adapters._markers import has_markers
from telic.adapters._native_calls import assistant_turns, calls_of
from telic.adapters._reading import without_thoughts
from telic.adapters._turns import past_turns
from telic.adapters._values import value_text
from telic.errors import AdapterParseError, InputError
from telic.protocols import Capabilities
from telic.signatures import default_instructions
from telic.types import Reasoning, Tool, ToolCalls

if TYPE_CHECKING:
    from telic.adapters._turns import Content
    from telic.data import Completion, Message

_NOTHING_NATIVE: Final = Capabilities()
_AGAIN: Final = "Respond again, with calls of the tools that are needed."


class Prompter(Protocol):
    """What is asked of an adapter here: the parts of its messages."""

    parallel_tool_calls: bool | None

    @property
    def name(self) -> str: ...
    def plan(self, signature: Any, demos: Sequence[Any] = (), capabilities: Capabilities = ...) -> Any: ...
    def histories(self, signature: Any) -> tuple[str, ...]: ...
    def format_task_description(self, signature: Any) -> str: ...
    def format_conversation_history(
        self, signature: Any, history_field_name: str, inputs: Mapping[str, Any]
    ) -> list[Message]: ...
    def format_user_message_content(
        self,
        signature: Any,
        inputs: Mapping[str, Any],
        prefix: str = "",
        suffix: str = "",
        main_request: bool = False,
    ) -> Content: ...
    def format_assistant_message_content(
        self, signature: Any, outputs: Mapping[str, Any], missing_field_message: str | None = None
    ) -> str: ...


Turns = Callable[[Mapping[str, Any]], "list[Message]"]
CallOptions = Callable[[Mapping[str, Any]], Mapping[str, Any]]
Read = Callable[["Completion", "Mapping[str, Any] | None"], "dict[str, Any]"]


@final
class NativePlan:
    """A plan whose request carries tools; satisfies `telic.protocols.RenderPlan`.

    Args:
        prefix: System message and demos.
        turns: Renders what follows the prefix.
        call_options: The generation options of one call, from its inputs: `tools`.
        parse: Reads a completion.
        again: The sentence that asks again for a reply that could not be used.
    """

    __slots__ = ("_again", "_parse", "_prefix", "_turns", "call_options")

    def __init__(
        self, prefix: Sequence[Message], turns: Turns, call_options: CallOptions, parse: Read, again: str
    ) -> None:
        self._prefix = tuple(prefix)
        self._turns = turns
        self._parse = parse
        self._again = again
        self.call_options = call_options

    @property
    def prefix(self) -> tuple[Message, ...]:
        """System message and demos."""
        return self._prefix

    @property
    def options(self) -> Mapping[str, Any]:
        """None: what a call needs depends on its inputs, see `call_options`."""
        return {}

    def render(self, inputs: Mapping[str, Any]) -> list[Message]:
        """Return all messages for these inputs."""
        return [*self._prefix, *self._turns(inputs)]

    def parse(self, completion: Completion, inputs: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Return the output fields, the calls among them."""
        return self._parse(completion, inputs)

    def reask(self, completion: Completion, error: Exception) -> list[Message]:
        """Return the turns that say what was wrong; calls are told in words, since none of them was run."""
        problems = cast("tuple[str, ...]", getattr(error, "problems", ())) or (str(error),)
        text = f"The reply could not be used: {'; '.join(problems)}.\n\n{self._again}"
        user: Message = {"role": "user", "content": text}
        said = completion.text
        return [{"role": "assistant", "content": said}, user] if said.strip() else [user]


class NativeFields(NamedTuple):
    """The two fields of a signature that travel outside of the prompt."""

    tools: str
    calls: str


def native_fields(signature: Any) -> NativeFields | None:
    """Return the input of tools and the output of calls, or None where a signature has not exactly one of each."""
    tools = [f.name for f in signature.input_fields.values() if _holds_tools(f.annotation)]
    calls = [f.name for f in signature.output_fields.values() if holds(f.annotation, ToolCalls)]
    return NativeFields(tools[0], calls[0]) if len(tools) == len(calls) == 1 else None


def _holds_tools(annotation: Any) -> bool:
    """Return whether a value is a `Tool` or a sequence of them, or may be."""
    bare = bare_annotation(annotation)
    members = union_members(bare)
    if members:
        return any(_holds_tools(member) for member in members)
    if typing.get_origin(bare) in (list, tuple, Sequence):
        return any(_holds_tools(member) for member in typing.get_args(bare))
    return holds(bare, Tool)


def native_plan(
    adapter: Prompter, signature: Any, demos: Sequence[Any], capabilities: Capabilities
) -> NativePlan | None:
    """Return the plan of a signature whose tools travel in the request, or None where it has no such fields."""
    fields = native_fields(signature)
    if fields is None:
        return None
    rest = _without(signature, fields)
    others = capabilities._replace(function_calling=False)
    prompt = bare_prompt(adapter, rest, others)
    shown = [
        turn
        for number, demo in enumerate(demos)
        for turn in _demo_turns(adapter, rest, fields.calls, demo, f"demo {number}")
    ]
    read = adapter.plan(rest, (), others).parse

    def options(inputs: Mapping[str, Any]) -> Mapping[str, Any]:
        return tool_options(inputs.get(fields.tools), adapter.parallel_tool_calls)

    def parse(completion: Completion, inputs: Mapping[str, Any] | None) -> dict[str, Any]:
        calls = calls_of(completion, signature, adapter.name)
        if calls is None:
            values: dict[str, Any] = read(completion, inputs) if rest.output_fields else {}
            calls = None if signature.output_fields[fields.calls].optional else ToolCalls()
        else:
            values = _said(completion, inputs, rest, read)
        values[fields.calls] = calls
        return signature.check_outputs({name: values[name] for name in signature.output_fields}, inputs)

    def turns(inputs: Mapping[str, Any]) -> list[Message]:
        past = {
            name: _with_calls(inputs[name], fields.calls, rest)
            for name in adapter.histories(rest)
            if inputs.get(name) is not None
        }
        return prompt.turns({**inputs, **past})

    return NativePlan((*prompt.prefix, *shown), turns, options, parse, _AGAIN)


def _without(signature: Any, fields: NativeFields) -> Any:
    """Return the signature without the two fields, also in instructions that nobody wrote."""
    rest = signature.delete(fields.tools).delete(fields.calls)
    if signature.instructions != default_instructions(signature.input_fields, signature.output_fields):
        return rest
    if rest.output_fields:
        return rest.with_instructions(default_instructions(rest.input_fields, rest.output_fields))
    return rest.with_instructions(f"Given {join_names(rest.input_fields)}, call the tools that are needed.")


class BarePrompt(NamedTuple):
    """The messages of a signature, some or all of whose outputs are not written as fields."""

    prefix: tuple[Message, ...]
    turns: Turns


def bare_prompt(adapter: Prompter, rest: Any, capabilities: Capabilities = _NOTHING_NATIVE) -> BarePrompt:
    """Return how an adapter shows a signature; one without outputs says nothing of the form of the reply.

    Args:
        adapter: Whose blocks the inputs stand in.
        rest: The signature, without the fields that travel outside of the prompt.
        capabilities: What else the LM does natively.
    """
    if rest.output_fields:
        plan = adapter.plan(rest, (), capabilities)
        before = len(plan.prefix)

        def after(inputs: Mapping[str, Any]) -> list[Message]:
            return plan.render(inputs)[before:]

        return BarePrompt(plan.prefix, after)
    histories = adapter.histories(rest)
    listed = list_fields(f for f in rest.input_fields.values() if f.name not in histories)
    system = f"Input fields:\n{listed}\n\n{adapter.format_task_description(rest)}"

    def turns(inputs: Mapping[str, Any]) -> list[Message]:
        messages: list[Message] = []
        for name in histories:
            messages += adapter.format_conversation_history(rest, name, inputs)
        content = adapter.format_user_message_content(rest, with_defaults(rest, inputs))
        return [*messages, {"role": "user", "content": content}]

    return BarePrompt(({"role": "system", "content": system},), turns)


def with_defaults(signature: Any, inputs: Mapping[str, Any]) -> dict[str, Any]:
    """Return the inputs of a signature, defaults filled in.

    Raises:
        InputError: One that has none is missing.
    """
    given = dict(inputs)
    for name, field in signature.input_fields.items():
        if name not in given:
            if field.required:
                raise InputError(
                    f"the prompt needs a value for the input {name!r}; give it, or declare a default"
                )
            given[name] = field.get_default() if field.has_default else None
    return given


def tool_options(tools: Any, parallel: bool | None) -> Mapping[str, Any]:
    """Return the generation options that tell an LM of tools; none for no tools, which servers refuse."""
    given: list[Any] = []
    if isinstance(tools, (list, tuple)):
        given = list(cast("Sequence[Any]", tools))
    elif tools is not None:
        given = [tools]
    if not given:
        return {}
    options: dict[str, Any] = {"tools": [Tool.of(tool).to_openai() for tool in given]}
    return options if parallel is None else {**options, "parallel_tool_calls": parallel}


def _with_calls(history: Any, calls_name: str, rest: Any) -> list[Any]:
    """Return the turns of a history, those with calls written as messages: `tool_call_results` has their results."""
    turns: list[Any] = []
    for number, turn in enumerate(past_turns(history)):
        calls = turn.get(calls_name)
        if calls is None:
            turns.append(turn)
            continue
        asked = {name: turn[name] for name in rest.input_fields if name in turn}
        said = "\n".join(
            value_text(turn[n], as_str=True)[0] for n in rest.output_fields if turn.get(n) is not None
        )
        given = turn.get("tool_call_results")
        results = None if given is None else [value_text(result, as_str=False)[0] for result in given]
        turns += [asked] if asked else []
        turns += assistant_turns(said, list(ToolCalls.of(calls)), f"turn {number}", results)
    return turns


def _said(completion: Completion, inputs: Mapping[str, Any] | None, rest: Any, read: Read) -> dict[str, Any]:
    """Return the outputs beside the calls, as far as the LM gave them: few do, and the calls are what counts.

    What is missing is its default; without one it is "" for text and None for anything else. Words without the marks of
    the format are the first output that is text, and a `Reasoning` is what came in the channel of that name.
    """
    text = without_thoughts(completion.text).strip()
    try:
        values = read(completion, inputs) if rest.output_fields and text else {}
    except AdapterParseError as error:
        values = dict(error.parsed_result)
    unmarked = text if not values and not has_markers(text) else ""
    for name, field in rest.output_fields.items():
        if name in values:
            continue
        is_text = bare_annotation(field.annotation) is str
        if holds(field.annotation, Reasoning):
            values[name] = Reasoning(completion.reasoning or "")
        elif is_text and unmarked:
            values[name], unmarked = unmarked, ""
        else:
            values[name] = field.get_default() if field.has_default else "" if is_text else None
    return values


def _demo_turns(adapter: Prompter, rest: Any, calls_name: str, demo: Any, label: str) -> list[Message]:
    """Return a demo as turns: its inputs, what was said and called, and a result for each call, as servers want it."""
    inputs = {name: demo[name] for name in rest.input_fields if demo.get(name) is not None}
    outputs = {name: demo[name] for name in rest.output_fields if demo.get(name) is not None}
    calls = demo.get(calls_name)
    if not inputs or (calls is None and not outputs):
        return []
    whole = len(inputs) == len(rest.input_fields) and calls is not None
    user = adapter.format_user_message_content(rest, inputs, prefix="" if whole else INCOMPLETE)
    said = adapter.format_assistant_message_content(rest, outputs, NOT_SUPPLIED) if outputs else None
    return [
        {"role": "user", "content": user},
        *assistant_turns(said, [] if calls is None else list(ToolCalls.of(calls)), label),
    ]
