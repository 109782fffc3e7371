"""Parts of OpenAI-shaped requests and answers: completions, tool calls, usage. Functions from dicts to values."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, cast

from telic._optional import load
from telic.data import Completion, Message, Usage
from telic.errors import ConfigurationError, ContentFilterError, LMError, LMInvalidRequestError
from telic.lm.wire._dialect import Place, failure

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_FINISH: Final[Mapping[str, str]] = {
    "stop": "stop",
    "eos": "stop",
    "end_turn": "stop",
    "length": "length",
    "max_tokens": "length",
    "model_length": "length",
    "tool_calls": "tool_calls",
    "function_call": "tool_calls",
    "content_filter": "content_filter",
}


def read_completion(choice: dict[str, Any]) -> Completion:
    message: dict[str, Any] | None = choice.get("message")
    if message is None:
        text = choice.get("text")
        if not isinstance(text, str):
            raise TypeError("a choice without message or text")
        return Completion(
            text, finish_reason(choice.get("finish_reason"), False), None, (), choice.get("logprobs")
        )
    content = message.get("content")
    if content is None:
        content = message.get("refusal") or ""
    calls: list[dict[str, Any]] = message.get("tool_calls") or []
    reasoning = message.get("reasoning_content") or message.get("reasoning")
    return Completion(
        content if isinstance(content, str) else join_parts(content),
        finish_reason(choice.get("finish_reason"), bool(calls)),
        reasoning if isinstance(reasoning, str) else None,
        tuple(read_tool_call(call) for call in calls) if calls else (),
        choice.get("logprobs"),
    )


def finish_reason(given: Any, has_calls: bool) -> str:
    if given is None:
        return "tool_calls" if has_calls else "stop"
    return _FINISH.get(given, str(given))


def join_parts(content: Any) -> str:
    if content is None or isinstance(content, str):
        return content or ""
    return "".join(part.get("text") or "" for part in content if part.get("type") in ("text", "output_text"))


def read_tool_call(call: dict[str, Any]) -> dict[str, Any]:
    function: dict[str, Any] = call.get("function") or {}
    return {
        "id": call.get("id"),
        "name": function.get("name") or "",
        "arguments": read_arguments(function.get("arguments")),
    }


def read_arguments(arguments: Any) -> Any:
    """Return a tool call's arguments as an object; text that is no JSON object stays text, for the caller to repair."""
    if not isinstance(arguments, str):
        return {} if arguments is None else arguments
    if not arguments.strip():
        return {}
    try:
        return load("orjson").loads(arguments)
    except ValueError:
        return arguments


def read_usage(usage: Any) -> Usage:
    """Return the figures of an OpenAI-shaped `usage`; absent ones are 0. A price is taken where the server names it."""
    if not isinstance(usage, dict):
        return Usage(calls=1)
    figures = cast("dict[str, Any]", usage)
    prompt: dict[str, Any] = figures.get("prompt_tokens_details") or {}
    output: dict[str, Any] = figures.get("completion_tokens_details") or {}
    cost = figures.get("cost")
    return Usage(
        figures.get("prompt_tokens") or 0,
        figures.get("completion_tokens") or 0,
        prompt.get("cached_tokens") or figures.get("prompt_cache_hit_tokens") or 0,
        output.get("reasoning_tokens") or 0,
        float(cost) if isinstance(cost, (int, float)) else None,
        1,
    )


def schema_format(model: type) -> dict[str, Any]:
    """Return a pydantic model as `response_format`.

    Raises:
        ConfigurationError: The class is no pydantic model.
    """
    make = getattr(model, "model_json_schema", None)
    if make is None:
        raise ConfigurationError(f"response_format={model!r} is no pydantic model; pass one, or a dict")
    return {"type": "json_schema", "json_schema": {"name": model.__name__, "schema": make(), "strict": True}}


def as_prompt(messages: Sequence[Message]) -> str:
    return "\n\n".join(_only_text(message["content"]) for message in messages)


def _only_text(content: Any) -> str:
    for part in content if isinstance(content, list) else ():  # pyright: ignore[reportUnknownVariableType]
        if part.get("type") != "text":  # pyright: ignore[reportUnknownMemberType]
            raise LMInvalidRequestError(
                f"plain completions take text only, and the message has a part of type {part.get('type')!r}; use "  # pyright: ignore[reportUnknownMemberType]
                "model_type='chat', or another LM for it"
            )
    return join_parts(content)


def inner_failure(place: Place, body: Mapping[str, Any], headers: Mapping[str, str]) -> LMError:
    """Return the failure that a 200 (or a stream) carries in its body; some gateways answer so."""
    error = body["error"]
    code = cast("dict[str, Any]", error).get("code") if isinstance(error, dict) else None
    status = code if isinstance(code, int) and 400 <= code < 600 else 500
    return failure(place, status, headers, load("orjson").dumps(body))


def refuse_filtered(place: Place, completions: Sequence[Completion]) -> None:
    """Raise if nothing but withheld completions came.

    Raises:
        ContentFilterError: The provider withheld all of them.
    """
    if all(completion.finish_reason == "content_filter" for completion in completions):
        raise ContentFilterError(
            f"{place} withheld the answer (finish_reason content_filter); change the prompt",
            model=place.model,
            provider=place.provider,
            status=200,
            code="content_filter",
        )
