"""A predictor's call that somebody watches: callbacks hear of rendering and parsing, a stream of the reply as it comes.

Calls that nobody watches pass none of this.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, final

from telic.context import get as setting
from telic.tracing import begin, finish

if TYPE_CHECKING:
    from telic.data import Completion, Message
    from telic.modules._plan_cache import PreparedPlan
    from telic.streaming import Emitter
    from telic.streaming._tap import Tap


def watched(predictor: Any, entry: PreparedPlan, lm: Any) -> tuple[PreparedPlan, Any]:
    """Return the plan and the LM of one call, with all who watch between.

    Args:
        predictor: Whose call it is.
        entry: Its plan.
        lm: What it asks.
    """
    emitter: Emitter | None = setting("send_stream")
    tap = None if emitter is None else emitter.tap(predictor, entry.adapter, entry.signature, lm)
    return entry.with_plan(WatchedPlan(entry, tap)), lm if tap is None else tap


@final
class WatchedPlan:
    """A plan that tells of what it does; satisfies `telic.protocols.RenderPlan`.

    Args:
        entry: The plan, and the state that it was made for.
        tap: The stream's, or None.
    """

    def __init__(self, entry: PreparedPlan, tap: Tap | None) -> None:
        self._entry = entry
        self._plan = entry.plan
        self._tap = tap
        self._refused: tuple[Completion, Exception] | None = None

    @property
    def prefix(self) -> tuple[Message, ...]:
        """The plan's."""
        return self._plan.prefix

    @property
    def options(self) -> Mapping[str, Any]:
        """The plan's."""
        return self._plan.options

    def __getattr__(self, name: str) -> Any:
        return getattr(self._plan, name)  # what only some plans have

    def render(self, inputs: Mapping[str, Any]) -> list[Message]:
        """Return all messages, telling callbacks."""
        entry = self._entry
        told = {"signature": entry.signature, "demos": entry.demos, "inputs": dict(inputs)}
        call = begin("adapter_format", entry.adapter, told)
        try:
            messages: list[Message] = self._plan.render(inputs)
        except BaseException as error:
            finish(call, None, error)
            raise
        finish(call, messages)
        return messages

    def parse(self, completion: Completion, inputs: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Return the output fields, telling callbacks and the stream. A reply that was refused is refused again."""
        if self._refused is not None and self._refused[0] is completion:
            raise self._refused[1]
        entry = self._entry
        call = begin(
            "adapter_parse", entry.adapter, {"signature": entry.signature, "completion": completion.text}
        )
        try:
            values: dict[str, Any] = self._plan.parse(completion, inputs)
        except Exception as error:
            finish(call, None, error)
            self._refused = completion, error
            if self._tap is not None:
                self._tap.failed(error)
            raise
        finish(call, values)
        return values

    def reask(self, completion: Completion, error: Exception) -> list[Message]:
        """The plan's."""
        return self._plan.reask(completion, error)
