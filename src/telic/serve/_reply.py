"""Responses as OpenAI's clients expect them: one object, or chunks."""

from __future__ import annotations

import json
import time
import uuid
from typing import TYPE_CHECKING, Any, final

if TYPE_CHECKING:
    from collections.abc import Iterator

    from telic.data import Completion, Response, Usage
    from telic.protocols import Delta


@final
class Replies:
    """Writes the reply to one request.

    Args:
        model: The model's name.
    """

    def __init__(self, model: str) -> None:
        self._base = {"id": f"chatcmpl-{uuid.uuid4().hex}", "created": int(time.time()), "model": model}
        self._begun: set[int] = set()
        self._streamed: set[int] = set()

    def whole(self, response: Response) -> dict[str, Any]:
        """Return the reply as one object."""
        choices = [
            {"index": i, "message": _message(c), "finish_reason": c.finish_reason, "logprobs": c.logprobs}
            for i, c in enumerate(response.completions)
        ]
        return {
            **self._base,
            "object": "chat.completion",
            "choices": choices,
            "usage": _usage(response.usage),
        }

    def chunks(self, delta: Delta, *, usage: bool) -> Iterator[dict[str, Any]]:
        """Yield the chunks of a piece of the reply.

        Args:
            delta: The piece; the last one has the whole response.
            usage: A last chunk tells the usage.
        """
        if delta.text:
            yield self._chunk(delta.index, {"content": delta.text})
            self._streamed.add(delta.index)
        if delta.response is None:
            return
        for i, completion in enumerate(delta.response.completions):
            rest: dict[str, Any] = {}
            if completion.text and i not in self._streamed:
                rest["content"] = completion.text
            if completion.tool_calls:
                rest["tool_calls"] = [{"index": n, **call} for n, call in enumerate(_calls(completion))]
            if rest or i not in self._begun or completion.logprobs:
                yield self._chunk(i, rest, logprobs=completion.logprobs)
            yield self._chunk(i, {}, completion.finish_reason)
        if usage:
            yield {**self._frame(), "choices": [], "usage": _usage(delta.response.usage)}

    def _frame(self) -> dict[str, Any]:
        return {**self._base, "object": "chat.completion.chunk"}

    def _chunk(
        self, index: int, delta: dict[str, Any], finish_reason: str | None = None, logprobs: Any = None
    ) -> dict[str, Any]:
        if index not in self._begun:
            self._begun.add(index)
            delta = {"role": "assistant", "content": "", **delta}
        choice = {"index": index, "delta": delta, "finish_reason": finish_reason, "logprobs": logprobs}
        return {**self._frame(), "choices": [choice]}


def event(value: Any) -> bytes:
    """Return a value as one server-sent event."""
    return (
        b"data: "
        + (value if isinstance(value, bytes) else json.dumps(value, ensure_ascii=False).encode())
        + b"\n\n"
    )


def _message(completion: Completion) -> dict[str, Any]:
    message: dict[str, Any] = {"role": "assistant", "content": completion.text, "refusal": None}
    if completion.tool_calls:
        message |= {"content": completion.text or None, "tool_calls": _calls(completion)}
    if completion.reasoning is not None:
        message["reasoning_content"] = completion.reasoning
    return message


def _calls(completion: Completion) -> list[dict[str, Any]]:
    made: list[dict[str, Any]] = []
    for number, call in enumerate(completion.tool_calls):
        arguments: Any = call.get("arguments") or {}
        text = arguments if isinstance(arguments, str) else json.dumps(arguments, ensure_ascii=False)
        function = {"name": call["name"], "arguments": text}
        made.append({"id": call.get("id") or f"call_{number}", "type": "function", "function": function})
    return made


def _usage(usage: Usage) -> dict[str, Any]:
    return {
        "prompt_tokens": usage.input_tokens,
        "completion_tokens": usage.output_tokens,
        "total_tokens": usage.total_tokens,
        "prompt_tokens_details": {"cached_tokens": usage.cached_input_tokens},
    }
