"""Reads a streamed chat completion of the OpenAI dialect, event by event."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, final

from telic.data import Completion, Response
from telic.errors import LMResponseError, LMTransportError
from telic.lm.wire._dialect import excerpt, read_json
from telic.lm.wire._openai_reply import (
    finish_reason,
    inner_failure,
    join_parts,
    read_tool_call,
    read_usage,
    refuse_filtered,
)
from telic.protocols import Delta

if TYPE_CHECKING:
    from telic.lm.wire._dialect import Place


@final
class OpenAIStream:
    """Reads one streamed chat completion."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self._text: dict[int, list[str]] = {}
        self._reasoning: dict[int, list[str]] = {}
        self._calls: dict[int, dict[int, dict[str, Any]]] = {}
        self._finish: dict[int, str] = {}
        self._usage: Any = None
        self._id: str | None = None
        self._model = place.model
        self._ended = False

    def feed(self, name: bytes, data: bytes) -> list[Delta]:
        """See `StreamDecoder.feed`."""
        if data == b"[DONE]":
            self._ended = True
            return []
        try:
            event: dict[str, Any] = read_json(data)
            if event.get("error"):
                raise inner_failure(self._place, event, {})
            usage = event.get("usage")
            if usage:
                self._usage = usage
            if self._id is None:
                self._id = event.get("id")
                self._model = event.get("model") or self._model
            deltas: list[Delta] = []
            for choice in event.get("choices") or ():
                self._take(choice, deltas)
        except (ValueError, TypeError, AttributeError, KeyError) as error:
            raise LMResponseError(
                f"{self._place} sent a stream event that cannot be read: {excerpt(data)}",
                model=self._place.model,
                provider=self._place.provider,
            ) from error
        return deltas

    def finish(self) -> Response:
        """See `StreamDecoder.finish`."""
        if not self._finish and not self._ended:
            raise LMTransportError(
                f"{self._place}: the stream ended before the answer did; try again",
                model=self._place.model,
                provider=self._place.provider,
            )
        indexes = sorted({*self._text, *self._finish, *self._calls}) or [0]
        completions = tuple(self._completion(index) for index in indexes)
        refuse_filtered(self._place, completions)
        return Response(completions, read_usage(self._usage), self._model, self._id)

    def _take(self, choice: dict[str, Any], deltas: list[Delta]) -> None:
        index: int = choice.get("index") or 0
        delta: dict[str, Any] = choice.get("delta") or {}
        text = delta.get("content") if "content" in delta else choice.get("text")
        reasoning = delta.get("reasoning_content") or delta.get("reasoning") or ""
        if text or reasoning:
            text = join_parts(text)
            if text:
                self._text.setdefault(index, []).append(text)
            if reasoning:
                self._reasoning.setdefault(index, []).append(reasoning)
            deltas.append(Delta(text, reasoning, index))
        for call in delta.get("tool_calls") or ():
            self._take_call(index, call)
        if choice.get("finish_reason"):
            self._finish[index] = choice["finish_reason"]

    def _take_call(self, index: int, piece: dict[str, Any]) -> None:
        calls = self._calls.setdefault(index, {})
        call = calls.setdefault(
            piece.get("index") or 0, {"id": None, "function": {"name": "", "arguments": ""}}
        )
        call["id"] = piece.get("id") or call["id"]
        function: dict[str, Any] = piece.get("function") or {}
        call["function"]["name"] += function.get("name") or ""
        call["function"]["arguments"] += function.get("arguments") or ""

    def _completion(self, index: int) -> Completion:
        calls = self._calls.get(index, {})
        reasoning = "".join(self._reasoning.get(index, ()))
        return Completion(
            "".join(self._text.get(index, ())),
            finish_reason(self._finish.get(index), bool(calls)),
            reasoning or None,
            tuple(read_tool_call(calls[key]) for key in sorted(calls)),
        )
