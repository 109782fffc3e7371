"""What `streamify` yields beside predictions, and who words the status messages; DSPy's names."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, final

from telic.context import get as setting
from telic.tracing import BaseCallback


@dataclass
class StreamResponse:
    """Text that an output field has got."""

    predict_name: str
    """The predictor's path in the program."""
    signature_field_name: str
    chunk: str
    is_last_chunk: bool
    """The field is complete; this chunk may be empty."""
    is_void: bool = False
    """What came of this field in this call does not hold, as where a reply is asked for again. The chunk is empty."""


@dataclass
class StatusMessage:
    """What the program is doing, in words for its user."""

    message: str


class StatusMessageProvider:
    """Words the status messages of a streamed program. Subclass it; a method that returns None or "" says nothing.

    By default only tools are told of.
    """

    def tool_start_status_message(self, instance: Any, inputs: dict[str, Any]) -> str | None:
        """A tool is about to be called."""
        del inputs
        return f"Using the tool {instance.name} …"

    def tool_end_status_message(self, outputs: Any) -> str | None:
        """A tool has answered, or failed: `outputs` is None then."""
        del outputs
        return "The tool has answered; reading what it found …"

    def module_start_status_message(self, instance: Any, inputs: dict[str, Any]) -> str | None:
        """A module is about to be called."""

    def module_end_status_message(self, outputs: Any) -> str | None:
        """A module has returned."""

    def lm_start_status_message(self, instance: Any, inputs: dict[str, Any]) -> str | None:
        """An LM is about to be called."""

    def lm_end_status_message(self, outputs: Any) -> str | None:
        """An LM has answered."""


@final
class StatusCallback(BaseCallback):
    """Puts a provider's messages into the stream of the program that runs.

    Args:
        provider: Words them.
    """

    def __init__(self, provider: StatusMessageProvider) -> None:
        self._provider = provider
        self._silent: set[str] = set()  # calls of ReAct's own tool, which only ends its steps

    def on_tool_start(self, call_id: str, instance: Any, inputs: dict[str, Any]) -> None:
        """Say that a tool is called."""
        if getattr(instance, "name", None) == "finish":
            self._silent.add(call_id)
        else:
            _say(self._provider.tool_start_status_message(instance, inputs))

    def on_tool_end(self, call_id: str, outputs: Any | None, exception: BaseException | None = None) -> None:
        """Say that it has answered."""
        if call_id in self._silent:
            self._silent.discard(call_id)
        else:
            _say(self._provider.tool_end_status_message(outputs))

    def on_module_start(self, call_id: str, instance: Any, inputs: dict[str, Any]) -> None:
        """Say that a module is called."""
        _say(self._provider.module_start_status_message(instance, inputs))

    def on_module_end(
        self, call_id: str, outputs: Any | None, exception: BaseException | None = None
    ) -> None:
        """Say that it has returned."""
        _say(self._provider.module_end_status_message(outputs))

    def on_lm_start(self, call_id: str, instance: Any, inputs: dict[str, Any]) -> None:
        """Say that an LM is called."""
        _say(self._provider.lm_start_status_message(instance, inputs))

    def on_lm_end(self, call_id: str, outputs: Any | None, exception: BaseException | None = None) -> None:
        """Say that it has answered."""
        _say(self._provider.lm_end_status_message(outputs))


def _say(message: str | None) -> None:
    emitter = setting("send_stream")
    if message and emitter is not None:
        emitter.emit(StatusMessage(message))


class _Part:
    """Attributes of one level of a chunk."""

    def __init__(self, **attributes: Any) -> None:
        self.__dict__.update(attributes)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.__dict__!r})"


@final
class StreamChunk(_Part):
    """A piece of an LM's reply in the shape of OpenAI's chunks: `chunk.choices[0].delta.content`."""

    def __init__(self, text: str, reasoning: str, path: str) -> None:
        delta = _Part(role="assistant", content=text, reasoning_content=reasoning or None)
        super().__init__(
            object="chat.completion.chunk",
            choices=[_Part(index=0, delta=delta, finish_reason=None)],
            predict_name=path,
        )

    def json(self) -> str:
        """Return it as JSON text."""
        return json.dumps(self, default=vars)
