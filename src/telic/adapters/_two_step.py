"""`TwoStepAdapter`: one LM answers in its own words, a second one reads the output fields out of the answer.

For models that reason well and keep to a form badly. The adapter itself asks nobody: its plan says which reply
needs the second step (`second_step`), and the predictor makes that call, with the same budget, retries and history as
its own. Demos show their outputs in sections, as `ChatAdapter` does; a reply that follows them is read as it is, and
costs no second call.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, final

from telic.adapters._channels import Channels
from telic.adapters._chat import ChatAdapter
from telic.adapters._describe import prompt_name
from telic.adapters._markers import has_markers, read_markers
from telic.errors import AdapterParseError, ConfigurationError
from telic.protocols import Capabilities, RenderPlan
from telic.signatures import InputField, make_signature

if TYPE_CHECKING:
    from telic.adapters._plan import Parse
    from telic.adapters._reading import Reader
    from telic.adapters._turns import UserTurn
    from telic.data import Completion, Message

_NOTHING_NATIVE = Capabilities()
_TASK = (
    "The reply is an answer to a task. Write what it says as the output fields, in its own words where these are text. "
    "Add nothing that it does not say."
)


class SecondStep(NamedTuple):
    """The call that reads a reply."""

    lm: Any
    plan: Any
    inputs: Mapping[str, Any]


class TwoStepAdapter(ChatAdapter):
    """Asks for an answer in free text, and has another LM find the fields in it.

    Args:
        extraction_model: The LM of the second step; a small one does.
        **options: As for `Adapter`.

    Raises:
        ConfigurationError: `extraction_model` is no LM.

    Cost: two LM calls for each completion in free text, the second by `extraction_model`; plus `max_retries` of these.

    Example:
        >>> from telic.signatures import Signature
        >>> from telic.testing import DummyLM
        >>> adapter = TwoStepAdapter(DummyLM([{"answer": "4"}]))
        >>> print(adapter.format(Signature("question -> answer"), [], {"question": "2+2?"})[1]["content"])
        [[ ## question ## ]]
        2+2?
        <BLANKLINE>
        Respond in your own words; say all that the output fields ask for: `answer` (str).
    """

    def __init__(self, extraction_model: Any, **options: Any) -> None:
        if isinstance(extraction_model, type) or not callable(getattr(extraction_model, "complete", None)):
            raise ConfigurationError(
                f"{type(self).__name__}: extraction_model is {extraction_model!r}, which is no LM; pass telic.LM(…)"
            )
        super().__init__(**options)
        self.extraction_model = extraction_model

    def reader(self) -> Reader:
        """Return the reader of sections, for replies that have them."""
        return read_markers

    def plan(
        self, signature: Any, demos: Sequence[Any] = (), capabilities: Capabilities = _NOTHING_NATIVE
    ) -> TwoStepPlan:
        """Return the prompt of a predictor state, and how its replies are read; see `Adapter.plan`."""
        # All outputs are found in the answer's words: calls of tools, citations and reasoning like any other.
        in_words = capabilities._replace(function_calling=False, citations=False, reasoning_text=False)
        first = super().plan(signature, demos, in_words)
        return TwoStepPlan(first, SecondPlan(self.extraction_model, signature, self._layout(signature).turn))

    def deltas(self, signature: Any, capabilities: Capabilities = _NOTHING_NATIVE) -> None:
        """Return None: the fields are known when the second step is done."""
        del signature, capabilities

    def format_field_structure(self, signature: Any) -> str:
        """Return what is said of the form of the answer: that it is free."""
        del signature
        return "The answer is free text. Another reader will take the output fields from it."

    def user_message_output_requirements(self, signature: Any) -> str:
        """Return the sentence that ends the last user turn."""
        fields = signature.output_fields.values()
        names = ", ".join(f"`{field.name}` ({prompt_name(field.annotation)})" for field in fields)
        return f"Respond in your own words; say all that the output fields ask for: {names}."


@final
class SecondPlan:
    """What the second step asks, for one signature; satisfies `telic.protocols.RenderPlan`.

    The fields are those of the first step, and so are the validators that its outputs pass.
    """

    __slots__ = ("_name", "_plan", "_read", "_signature", "lm")

    def __init__(self, lm: Any, signature: Any, turn: UserTurn) -> None:
        names = (f"reply{'_' * count}" for count in range(len(signature.output_fields) + 1))
        self._name = next(name for name in names if name not in signature.output_fields)
        fields = {name: (field.annotation, field) for name, field in signature.output_fields.items()}
        asked = make_signature({self._name: (str, InputField()), **fields}, _TASK)
        self._plan: RenderPlan = ChatAdapter().plan(asked, (), getattr(lm, "capabilities", _NOTHING_NATIVE))
        self._signature = signature
        # Citations are looked up in the documents of the first step.
        beside = Channels(signature, _NOTHING_NATIVE, (), "TwoStepAdapter")
        self._read: Parse = beside.read(self._plan.parse, turn)
        self.lm = lm

    @property
    def prefix(self) -> tuple[Message, ...]:
        """The system message."""
        return self._plan.prefix

    @property
    def options(self) -> Mapping[str, Any]:
        """Generation options."""
        return self._plan.options

    def given(self, completion: Completion, inputs: Mapping[str, Any] | None) -> Mapping[str, Any]:
        """Return the inputs of the second step, those of the first among them for validators."""
        return {**({} if inputs is None else inputs), self._name: completion.text}

    def render(self, inputs: Mapping[str, Any]) -> list[Message]:
        """Return all messages."""
        return self._plan.render({self._name: inputs[self._name]})

    def parse(self, completion: Completion, inputs: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Return the output fields of the first step."""
        return self._signature.check_outputs(self._read(completion, inputs), inputs)

    def reask(self, completion: Completion, error: Exception) -> list[Message]:
        """Return the turns that ask the second LM again."""
        return self._plan.reask(completion, error)


@final
class TwoStepPlan:
    """A plan whose replies may need a second LM; satisfies `telic.protocols.RenderPlan`."""

    __slots__ = ("_first", "_second")

    def __init__(self, first: RenderPlan, second: SecondPlan) -> None:
        self._first = first
        self._second = second

    @property
    def prefix(self) -> tuple[Message, ...]:
        """System message and demos."""
        return self._first.prefix

    @property
    def options(self) -> Mapping[str, Any]:
        """Generation options that the format needs."""
        return self._first.options

    def render(self, inputs: Mapping[str, Any]) -> list[Message]:
        """Return all messages of the first step."""
        return self._first.render(inputs)

    def second_step(self, completion: Completion, inputs: Mapping[str, Any] | None) -> SecondStep | None:
        """Return the call that finds the fields in a reply that `parse` could not use; None where there is no text."""
        if not completion.text.strip():
            return None
        return SecondStep(self._second.lm, self._second, self._second.given(completion, inputs))

    def parse(self, completion: Completion, inputs: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Return the output fields of a reply that holds them in sections.

        Raises:
            AdapterParseError: It is free text, for the second step, or its sections cannot be used.
        """
        if completion.finish_reason != "length" and not has_markers(completion.text):
            raise AdapterParseError(
                "TwoStepAdapter: the reply is free text; a predictor has extraction_model read it",
                adapter_name="TwoStepAdapter",
                lm_response=completion.text,
                problems=("the output fields were not found in it",),
            )
        return self._first.parse(completion, inputs)

    def reask(self, completion: Completion, error: Exception) -> list[Message]:
        """Return the turns that ask the first LM again."""
        return self._first.reask(completion, error)
