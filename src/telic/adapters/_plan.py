"""`Plan`: a predictor's prompt with all that does not depend on the inputs already rendered."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, cast, final

from telic.data import Completion, Message

RenderTurns = Callable[[Mapping[str, Any]], list[Message]]
Parse = Callable[[Completion, Mapping[str, Any] | None], dict[str, Any]]


@final
class Plan:
    """What `Adapter.plan` returns; satisfies `telic.protocols.RenderPlan`.

    Immutable: one plan serves all calls of a predictor state, from any thread. The messages of the prefix are shared by
    all rendered prompts and never to be changed.
    """

    __slots__ = ("_again", "_options", "_parse", "_prefix", "_turns")

    def __init__(
        self,
        prefix: tuple[Message, ...],
        options: Mapping[str, Any],
        turns: RenderTurns,
        parse: Parse,
        again: str,
    ) -> None:
        """Store the parts.

        Args:
            prefix: System message and demos.
            options: Generation options that the format needs.
            turns: Renders what follows the prefix: the turns of a `History`, and the inputs.
            parse: Reads a completion, the answer to the given inputs.
            again: The sentence that asks for all output fields again.
        """
        self._prefix = prefix
        self._options = options
        self._turns = turns
        self._parse = parse
        self._again = again

    @property
    def prefix(self) -> tuple[Message, ...]:
        """System message and demos."""
        return self._prefix

    @property
    def options(self) -> Mapping[str, Any]:
        """Generation options that the format needs; what the user set goes before them."""
        return self._options

    def render(self, inputs: Mapping[str, Any]) -> list[Message]:
        """Return all messages for these inputs. Pure.

        Raises:
            InputError: An input without a default has no value.
        """
        return [*self._prefix, *self._turns(inputs)]

    def parse(self, completion: Completion, inputs: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Return the output fields, typed and validated, in signature order. Pure.

        Args:
            completion: The reply.
            inputs: What was asked, for validators of the signature that look at it; without it they see None.

        Raises:
            TruncatedReplyError: The reply was cut and its fields are incomplete.
            AdapterParseError: A field is missing or does not fit its type, after all repair that costs nothing.
        """
        return self._parse(completion, inputs)

    def reask(self, completion: Completion, error: Exception) -> list[Message]:
        """Return the turns that continue the conversation: the reply as it was, and what was wrong with it.

        Cost: none here; sending them is one more LM call.
        """
        problems = cast("tuple[str, ...]", getattr(error, "problems", ())) or (str(error),)
        text = f"The reply could not be used: {'; '.join(problems)}.\n\n{self._again}"
        user: Message = {"role": "user", "content": text}
        # Servers refuse an assistant turn without text.
        return (
            [{"role": "assistant", "content": completion.text}, user] if completion.text.strip() else [user]
        )

    def __repr__(self) -> str:
        return f"Plan({len(self._prefix)} messages before the inputs, options={dict(self._options)!r})"
