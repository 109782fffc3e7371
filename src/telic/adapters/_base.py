"""`Adapter`: what all prompt formats share: the order of messages, the choice of demos, the plan.

The order is: system, incomplete demos, complete demos, the turns of a `History` input, the inputs. An adapter says how
a field's block looks, how outputs are written and how they are read; everything is a pure function of its arguments.

Subclasses may override `format_system_message`, `format_field_description`, `format_field_structure`,
`format_task_description`, `format_demos`, `format_user_message_content`, `format_assistant_message_content`,
`user_message_output_requirements`, `parse` and even `format`; `plan` looks for that and then calls them, at the cost of
the compiled path they replace. What is derived from a signature is kept per adapter object while the signature lives.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from telic.adapters._annotations import split_histories
from telic.adapters._channels import NATIVE_TYPES, Channels
from telic.adapters._delta_choice import deltas_of
from telic.adapters._describe import INCOMPLETE, NOT_SUPPLIED, indent_instructions, list_fields, placeholder
from telic.adapters._guard import MARKERS
from telic.adapters._layout import Layout
from telic.adapters._markers import opening
from telic.adapters._native import native_plan
from telic.adapters._parser import ReplyParser
from telic.adapters._plan import Parse, Plan, RenderTurns
from telic.adapters._turns import Block, Content, UserTurn, history_turns, output_text
from telic.data import Completion, Message
from telic.errors import AdapterParseError, ConfigurationError, TruncatedReplyError
from telic.protocols import Capabilities, RenderPlan

if TYPE_CHECKING:
    from telic.adapters._deltas import Deltas
    from telic.adapters._guard import Guard
    from telic.adapters._reading import Reader
    from telic.signatures import FieldInfo

_NOTHING_NATIVE = Capabilities()
_NATIVE = "the types that LMs answer with beside their text are Citations and Reasoning; name these, or leave it out"
_FALLBACK = (
    "a second paid call is never made silently; leave it out: a JSON reply is read as it is, and `max_retries` says "
    "how often to ask again"
)


class Adapter:
    """The base of prompt formats.

    Args:
        callbacks: Told when predictors have this adapter render messages and parse replies.
        use_native_function_calling: True: the tools of a signature with an input of `Tool`s and an output of
            `ToolCalls` go into the request of LMs that declare function calling, and calls are read back. False: all
            fields travel as text. None: as the format does it by itself, True for `JSONAdapter` alone.
        native_response_types: The output types that LMs which declare it may answer with beside their text; None: all
            that there are, `Citations` and `Reasoning`.
        parallel_tool_calls: Sent with tools where it is not None: whether the LM may call several at once.

    The other arguments are those of DSPy's adapters, for programs that pass them. Each asks for something that is done
    elsewhere or not at all, so only None, False and empty are accepted.

    Raises:
        ConfigurationError: An argument asks for something; the message says what to do instead.
    """

    _layouts: WeakKeyDictionary[Any, Layout] | None = None
    callbacks: Sequence[Any] = ()
    use_native_function_calling: bool | None = None
    parallel_tool_calls: bool | None = None
    native_response_types: Sequence[type] = NATIVE_TYPES
    _native_by_itself = False

    def __init__(
        self,
        callbacks: Sequence[Any] | None = None,
        use_native_function_calling: bool | None = None,
        native_response_types: Sequence[type] | None = None,
        use_json_adapter_fallback: bool = False,
        parallel_tool_calls: bool | None = None,
    ) -> None:
        for option, given, instead in (
            ("native_response_types", set(native_response_types or ()) - set(NATIVE_TYPES), _NATIVE),
            ("use_json_adapter_fallback", use_json_adapter_fallback, _FALLBACK),
        ):
            if given:
                raise ConfigurationError(f"{type(self).__name__}({option}={given!r}): {instead}")
        if callbacks:
            self.callbacks = list(callbacks)
        self.use_native_function_calling = use_native_function_calling
        self.parallel_tool_calls = parallel_tool_calls
        if native_response_types is not None:
            self.native_response_types = tuple(native_response_types)

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name != "_layouts"}

    # What a format says of itself

    def reader(self) -> Reader:
        """Return what finds the raw values of output fields in a reply; not needed where `parse` is overridden.

        Raises:
            ConfigurationError: The class defines neither this nor `parse`.
        """
        raise ConfigurationError(
            f"{self.name} can write prompts and not read replies: define `parse(signature, completion)` in it"
        )

    def user_message_output_requirements(self, signature: Any) -> str:
        """Return the sentence that ends the last user turn: "Respond with …"."""
        del signature
        return "Respond with the output fields, in the form that was asked for."

    def block(self, field: FieldInfo) -> Block:
        """Return what stands before and after a field's value: a marker line, and nothing."""
        return Block(field, opening(field.name), "")

    def guard(self, signature: Any) -> Guard:
        """Return what hides the openings and closings of blocks inside values."""
        del signature
        return MARKERS

    def response_options(self, signature: Any, capabilities: Capabilities) -> Mapping[str, Any]:
        """Return generation options that make the LM keep to this format."""
        del signature, capabilities
        return {}

    # The interface

    def histories(self, signature: Any) -> tuple[str, ...]:
        """Return the names of the inputs that are earlier turns, not part of the last one."""
        return self._layout(signature).histories

    @property
    def name(self) -> str:
        """The format's name, for errors and reports."""
        return type(self).__name__

    def plan(
        self, signature: Any, demos: Sequence[Any] = (), capabilities: Capabilities = _NOTHING_NATIVE
    ) -> RenderPlan:
        """Return the prompt of a predictor state, with everything but the inputs rendered.

        Args:
            signature: The signature.
            demos: Examples, predictions or dicts of field values. Those without any input or any output are left out.
            capabilities: What the LM does natively.

        Cost: no LM call; about 20 µs and 5 µs a demo, once per state. The plan's own calls take some µs each.
        """
        asked = self.use_native_function_calling
        if capabilities.function_calling and (self._native_by_itself if asked is None else asked):
            native = native_plan(self, signature, demos, capabilities)
            if native is not None:
                return native
        if not self._overrides("format"):
            return self._plan(signature, demos, capabilities)

        def turns(inputs: Mapping[str, Any]) -> list[Message]:
            return self.format(signature, demos, inputs)

        options = self.response_options(signature, capabilities)
        return Plan((), options, turns, self._parse_function(signature), self._again(signature))

    def format(self, signature: Any, demos: Sequence[Any], inputs: Mapping[str, Any]) -> list[Message]:
        """Return all messages of one call.

        Raises:
            InputError: An input without a default has no value.
        """
        return self._plan(signature, demos, _NOTHING_NATIVE).render(inputs)

    def parse(self, signature: Any, completion: str | Completion) -> dict[str, Any]:
        """Return the output fields of a reply, typed and validated.

        Raises:
            TruncatedReplyError: `completion` says that it was cut, and its fields are incomplete.
            AdapterParseError: A field is missing or does not fit its type.
        """
        reply = completion if isinstance(completion, Completion) else Completion(completion)
        return self._layout(signature).parser.parse(reply, signature)

    def deltas(self, signature: Any, capabilities: Capabilities = _NOTHING_NATIVE) -> Deltas | None:
        """Return how replies are read while they are written; None: only whole, as where `parse` is overridden.

        Args:
            signature: The signature.
            capabilities: What the LM does natively.
        """
        if type(self).parse is not Adapter.parse:
            return None
        layout = self._layout(signature)
        deltas = deltas_of(self.reader(), layout.outputs, layout.parser.coercers, layout.guard.restore)
        if deltas is None or not capabilities.reasoning_text:
            return deltas
        return deltas._replace(
            thoughts=Channels(signature, capabilities, self.native_response_types, self.name).thinking
        )

    # The parts of messages, in DSPy's names

    def format_system_message(self, signature: Any) -> str:
        """Return the system message."""
        return "\n\n".join(
            (
                self.format_field_description(signature),
                self.format_field_structure(signature),
                self.format_task_description(signature),
            )
        )

    def format_field_description(self, signature: Any) -> str:
        """Return the lists of input and output fields."""
        inputs, _ = split_histories(signature)
        outputs = signature.output_fields.values()
        return f"Input fields:\n{list_fields(inputs)}\n\nOutput fields:\n{list_fields(outputs)}"

    def format_field_structure(self, signature: Any) -> str:
        """Return the part of the system message that shows the form of messages: one block a field."""
        inputs, _ = split_histories(signature)
        return self._form((*inputs, *signature.output_fields.values()))

    def format_task_description(self, signature: Any) -> str:
        """Return the signature's instructions."""
        return f"Your objective:\n{indent_instructions(signature.instructions)}"

    def format_user_message_content(
        self,
        signature: Any,
        inputs: Mapping[str, Any],
        prefix: str = "",
        suffix: str = "",
        main_request: bool = False,
    ) -> Content:
        """Return a user turn: text, or parts where a value has parts.

        Args:
            signature: The signature.
            inputs: Values by field name; missing ones are left out.
            prefix: Text before the first field.
            suffix: Text after all.
            main_request: True: the turn ends with what the reply must look like.
        """
        layout = self._layout(signature)
        ending = f"\n\n{layout.request}" if main_request else ""
        before = f"{prefix}\n\n" if prefix else ""
        return layout.turn.partial(
            inputs, before=before, ending=f"{ending}\n\n{suffix}" if suffix else ending, absent=""
        )

    def format_assistant_message_content(
        self, signature: Any, outputs: Mapping[str, Any], missing_field_message: str | None = None
    ) -> str:
        """Return an assistant turn that holds `outputs`, as a reply should look.

        Args:
            signature: The signature.
            outputs: Values by field name.
            missing_field_message: What stands for a missing value; None: "Not supplied …".
        """
        missing = NOT_SUPPLIED if missing_field_message is None else missing_field_message
        guard = self._layout(signature).guard
        return "\n\n".join(
            self.block(field).around(output_text(outputs[name], field, guard) if name in outputs else missing)
            for name, field in signature.output_fields.items()
        )

    def format_demos(self, signature: Any, demos: Sequence[Any]) -> list[Message]:
        """Return the demos as pairs of turns, incomplete ones first; what a demo's `History` holds goes before it."""
        layout = self._layout(signature)
        messages: list[Message] = []
        kept: tuple[list[tuple[Any, dict[str, Any]]], list[tuple[Any, dict[str, Any]]]] = ([], [])
        for demo in demos:
            given = layout.given(demo)
            if any(f.name in given for f in layout.inputs) and any(f.name in given for f in layout.outputs):
                is_whole = len(given) == len(layout.inputs) + len(layout.outputs)
                kept[is_whole].append((demo, given))
        for incomplete, chosen in zip((INCOMPLETE, ""), kept, strict=True):
            for demo, given in chosen:
                for name in layout.histories:
                    messages += self.format_conversation_history(signature, name, demo)
                messages += self._demo_turns(signature, layout, given, incomplete)
        return messages

    def format_conversation_history(
        self, signature: Any, history_field_name: str, inputs: Mapping[str, Any]
    ) -> list[Message]:
        """Return the turns of the `History` in `inputs[history_field_name]`."""
        layout = self._layout(signature)
        names = frozenset(f.name for f in layout.inputs), frozenset(f.name for f in layout.outputs)
        return history_turns(
            inputs.get(history_field_name),
            layout.turn,
            lambda past: self.format_assistant_message_content(signature, past, NOT_SUPPLIED),
            names,
            layout.guard,
        )

    # Inside

    def _form(self, fields: Iterable[FieldInfo]) -> str:
        """Return blocks that show the form of fields, outputs with a note of what they must look like."""
        blocks = (self.block(field).around(placeholder(field)) for field in fields)
        return "\n\n".join(("Every message follows this form:", *blocks))

    def _plan(self, signature: Any, demos: Sequence[Any], capabilities: Capabilities) -> Plan:
        beside = Channels(signature, capabilities, self.native_response_types, self.name)
        shown = beside.shown
        layout = self._layout(shown)
        system: Message = {"role": "system", "content": layout.system}
        return Plan(
            (system, *self.format_demos(shown, demos)),
            self.response_options(shown, capabilities),
            self._turns_function(shown, layout, documents=beside.documents),
            beside.read(self._parse_function(shown), layout.turn),
            self._again(shown),
        )

    def _turns_function(self, signature: Any, layout: Layout, *, documents: bool = False) -> RenderTurns:
        ending = f"\n\n{layout.request}"
        content = (layout.turn.with_documents() if documents else layout.turn).content
        if self._overrides("format_user_message_content"):

            def content(inputs: Mapping[str, Any], ending: str = "") -> Content:
                return self.format_user_message_content(signature, inputs, main_request=True)

        if not layout.histories:
            return lambda inputs: [{"role": "user", "content": content(inputs, ending)}]

        def turns(inputs: Mapping[str, Any]) -> list[Message]:
            messages: list[Message] = []
            for name in layout.histories:
                messages += self.format_conversation_history(signature, name, inputs)
            return [*messages, {"role": "user", "content": content(inputs, ending)}]

        return turns

    def _parse_function(self, signature: Any) -> Parse:
        if not self._overrides("parse"):
            parse = self._layout(signature).parser.parse
            return lambda completion, inputs: parse(completion, signature, inputs)

        def overridden(completion: Completion, inputs: Mapping[str, Any] | None) -> dict[str, Any]:
            del inputs
            try:
                return self.parse(signature, completion.text)
            except AdapterParseError as error:
                if completion.finish_reason != "length":
                    raise
                raise TruncatedReplyError(
                    f"{self.name}: the reply was cut at max_tokens and does not parse; give the LM a larger one",
                    adapter_name=self.name,
                    signature=signature,
                    lm_response=completion.text,
                ) from error

        return overridden

    def _demo_turns(
        self, signature: Any, layout: Layout, given: Mapping[str, Any], incomplete: str
    ) -> list[Message]:
        if self._overrides("format_user_message_content"):
            content = self.format_user_message_content(signature, given, prefix=incomplete)
        else:
            before = f"{incomplete}\n\n" if incomplete else ""
            content = layout.turn.partial(given, before=before, absent=NOT_SUPPLIED)
        reply = self.format_assistant_message_content(signature, given, NOT_SUPPLIED)
        return [{"role": "user", "content": content}, {"role": "assistant", "content": reply}]

    def _again(self, signature: Any) -> str:
        sentence = self.user_message_output_requirements(signature)
        return f"Respond again{sentence.removeprefix('Respond')}"

    def _layout(self, signature: Any) -> Layout:
        layouts = self._layouts
        if layouts is None:  # made here, as subclasses may have an `__init__` of their own
            layouts = self._layouts = WeakKeyDictionary()
        layout = layouts.get(signature)
        if layout is None:
            layout = layouts[signature] = self._new_layout(signature)
        return layout

    def _new_layout(self, signature: Any) -> Layout:
        guard = self.guard(signature)
        inputs, histories = split_histories(signature)
        outputs = tuple(signature.output_fields.values())
        return Layout(
            guard,
            inputs,
            outputs,
            histories,
            UserTurn([self.block(field) for field in inputs], guard),
            ReplyParser(self.name, outputs, self.reader(), guard.restore),
            self.format_system_message(signature),
            self.user_message_output_requirements(signature),
        )

    def _overrides(self, method: str) -> bool:
        """Return whether a method comes from outside this package."""
        return not getattr(type(self), method).__module__.startswith(f"{__package__}.")
