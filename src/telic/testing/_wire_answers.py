"""Right answers of LM servers, whole and streamed, for `FaultServer`."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping


def openai_answer(text: str, asked: Mapping[str, Any], *, chat: bool) -> dict[str, Any]:
    """Return a completion with `n` choices."""
    choices: list[dict[str, Any]] = []
    for index in range(asked.get("n") or 1):
        content: dict[str, Any] = (
            {"message": {"role": "assistant", "content": text}} if chat else {"text": text}
        )
        choices.append({"index": index, **content, "finish_reason": "stop"})
    tokens = len(text.split())
    return {
        "id": "chatcmpl-fault",
        "object": "chat.completion" if chat else "text_completion",
        "created": int(time.time()),
        "model": asked.get("model", "model"),
        "choices": choices,
        "usage": {"prompt_tokens": 10, "completion_tokens": tokens, "total_tokens": 10 + tokens},
    }


def anthropic_answer(text: str, asked: Mapping[str, Any]) -> dict[str, Any]:
    """Return a message."""
    return {
        "id": "msg_fault",
        "type": "message",
        "role": "assistant",
        "model": asked.get("model", "model"),
        "content": [{"type": "text", "text": text}],
        "stop_reason": "end_turn",
        "usage": {"input_tokens": 10, "output_tokens": len(text.split())},
    }


def stream_answer(path: str, answer: Any) -> bytes:
    """Return the answer as server-sent events, one word each, in a chunked body."""
    events = _anthropic_events(answer) if path.endswith("/messages") else _openai_events(answer)
    chunks = b"".join(b"%x\r\n%b\r\n" % (len(event), event) for event in events)
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
    return head + chunks + b"0\r\n\r\n"


def _openai_events(answer: Any) -> list[bytes]:
    choice = answer["choices"][0]
    message: dict[str, Any] = choice.get("message", {})
    text: str | None = message["content"] if message else choice["text"]
    events: list[Any] = [
        {"choices": [{"index": 0, "delta": {"content": word}}]} for word in _words(text or "")
    ]
    for at, call in enumerate(message.get("tool_calls") or ()):
        # The name first, then the arguments in two pieces.
        written: str = call["function"]["arguments"]
        half = len(written) // 2
        pieces: list[dict[str, Any]] = [
            {**call, "function": {**call["function"], "arguments": written[:half]}}
        ]
        pieces.append({"function": {"arguments": written[half:]}})
        events += [
            {"choices": [{"index": 0, "delta": {"tool_calls": [{"index": at, **piece}]}}]} for piece in pieces
        ]
    events.append({"choices": [{"index": 0, "delta": {}, "finish_reason": choice.get("finish_reason")}]})
    events.append({"choices": [], "usage": answer["usage"]})
    head = {"id": answer.get("id"), "model": answer.get("model")}
    return [*(f"data: {json.dumps({**head, **event})}\n\n".encode() for event in events), b"data: [DONE]\n\n"]


def _anthropic_events(answer: Any) -> list[bytes]:
    events: list[dict[str, Any]] = [
        {"type": "message_start", "message": {"id": answer["id"], "usage": {"input_tokens": 10}}},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
    ]
    events.extend(
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": word}}
        for word in _words(answer["content"][0]["text"])
    )
    events.append({"type": "content_block_stop", "index": 0})
    events.append(
        {"type": "message_delta", "delta": {"stop_reason": answer["stop_reason"]}, "usage": answer["usage"]}
    )
    events.append({"type": "message_stop"})
    return [f"event: {event['type']}\ndata: {json.dumps(event)}\n\n".encode() for event in events]


def _words(text: str) -> list[str]:
    words = text.split(" ")
    return [word if index == 0 else f" {word}" for index, word in enumerate(words)]
