"""OpenAI-shaped messages and options, rewritten for Anthropic's Messages API. Pure."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final, cast

from telic._optional import load
from telic.errors import ConfigurationError, LMInvalidRequestError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from telic.data import Message

DEFAULT_MAX_TOKENS: Final = 4096  # the API wants one; all models take this
_CACHE_FROM_CHARACTERS: Final = 4096  # about 1,024 tokens: shorter prefixes are not kept by the provider
_THINKING_TOKENS: Final[Mapping[str, int]] = {"minimal": 1024, "low": 1024, "medium": 4096, "high": 16384}
_UNSUPPORTED: Final = frozenset(
    {
        "seed",
        "logprobs",
        "top_logprobs",
        "logit_bias",
        "frequency_penalty",
        "presence_penalty",
        "response_format",
    }
)
_DATA_URL = re.compile(r"data:([\w.+-]+/[\w.+-]+);base64,(.*)", re.DOTALL)


def rewrite_options(options: dict[str, Any], payload: dict[str, Any], model: str) -> None:
    for name in _UNSUPPORTED & options.keys():
        raise ConfigurationError(f"anthropic/{model} has no option {name!r}; leave it out")
    stop = options.pop("stop", None)
    if stop is not None:
        payload["stop_sequences"] = [stop] if isinstance(stop, str) else list(stop)
    limit = options.pop("max_completion_tokens", None)
    if limit is not None:
        options.setdefault("max_tokens", limit)
    tools = options.pop("tools", None)
    if tools:
        payload["tools"] = [_tool(tool) for tool in tools]
    choice = _tool_choice(options.pop("tool_choice", None), options.pop("parallel_tool_calls", None))
    if choice is not None and tools:
        payload["tool_choice"] = choice
    effort = options.pop("reasoning_effort", None)
    if effort is not None and effort != "none" and "thinking" not in options:
        if effort not in _THINKING_TOKENS:
            raise ConfigurationError(f"reasoning_effort={effort!r}; use one of {', '.join(_THINKING_TOKENS)}")
        budget = _THINKING_TOKENS[effort]
        options["thinking"] = {"type": "enabled", "budget_tokens": budget}
        options["max_tokens"] = max(
            options.get("max_tokens", DEFAULT_MAX_TOKENS), budget + DEFAULT_MAX_TOKENS
        )
    thinking = options.get("thinking")
    thinks = isinstance(thinking, dict) and cast("dict[str, Any]", thinking).get("type") == "enabled"
    if thinks and options.get("temperature", 1) != 1:
        raise ConfigurationError(
            f"anthropic/{model} takes no temperature but 1 while it thinks, not {options['temperature']!r}; "
            "leave temperature or thinking out"
        )
    user = options.pop("user", None)
    if user is not None:
        payload["metadata"] = {"user_id": user}
    payload.update(options)


def _tool(tool: dict[str, Any]) -> dict[str, Any]:
    function = tool.get("function")
    if function is None:
        return tool  # already in Anthropic's shape: a server tool
    rewritten = {"name": function["name"], "input_schema": function.get("parameters") or {"type": "object"}}
    if function.get("description"):
        rewritten["description"] = function["description"]
    return rewritten


def _tool_choice(choice: Any, parallel: Any) -> dict[str, Any] | None:
    names = {"auto": "auto", "required": "any", "none": "none"}
    rewritten: dict[str, Any] | None = None
    if isinstance(choice, str):
        rewritten = {"type": names.get(choice, choice)}
    elif isinstance(choice, dict):
        given = cast("dict[str, Any]", choice)
        rewritten = {"type": "tool", "name": given["function"]["name"]} if "function" in given else given
    if parallel is False:
        rewritten = {
            **({"type": "auto"} if rewritten is None else rewritten),
            "disable_parallel_tool_use": True,
        }
    return rewritten


def split_messages(
    messages: Sequence[Message], prefix: int
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Return system blocks and turns, with cache marks.

    A mark stands at the end of a long shared prefix, and at the end of a conversation that goes on behind it (an
    agent's turns): the next call begins with all of this one.
    """
    system: list[dict[str, Any]] = []
    turns: list[dict[str, Any]] = []
    length, goes_on = 0, False
    for index, message in enumerate(messages):
        role = message["role"]
        blocks = _blocks(message)
        length += sum(len(str(block.get("text", block.get("content", "")))) for block in blocks)
        goes_on = goes_on or (index >= prefix and role == "assistant")
        ends = index == prefix - 1 or (index == len(messages) - 1 and prefix > 0 and goes_on)
        if ends and blocks and length >= _CACHE_FROM_CHARACTERS:
            blocks[-1] = {**blocks[-1], "cache_control": {"type": "ephemeral"}}
        if role in ("system", "developer"):
            system.extend(blocks)
            continue
        speaker = "assistant" if role == "assistant" else "user"
        if turns and turns[-1]["role"] == speaker:
            turns[-1]["content"].extend(blocks)
        else:
            turns.append({"role": speaker, "content": blocks})
    return system, turns


def _blocks(message: Message) -> list[dict[str, Any]]:
    content = message["content"]
    if message["role"] == "tool":
        inner = content if isinstance(content, str) else [_part(part) for part in content or ()]
        return [{"type": "tool_result", "tool_use_id": message.get("tool_call_id"), "content": inner}]
    if isinstance(content, str):
        blocks = [{"type": "text", "text": content}] if content else []
    else:  # blank text between two pictures is refused by the API
        blocks = [_part(part) for part in content or () if part.get("type") != "text" or part["text"].strip()]
    for call in message.get("tool_calls") or ():
        blocks.append(_tool_use(call))
    return blocks


def _tool_use(call: dict[str, Any]) -> dict[str, Any]:
    function: dict[str, Any] = call.get("function") or call
    arguments: Any = function.get("arguments") or {}
    if isinstance(arguments, str):
        arguments = load("orjson").loads(arguments)
    return {"type": "tool_use", "id": call.get("id"), "name": function["name"], "input": arguments}


def _part(part: dict[str, Any]) -> dict[str, Any]:
    kind = part.get("type")
    if kind == "image_url":
        image = part["image_url"]
        return {"type": "image", "source": _source(image if isinstance(image, str) else image["url"])}
    if kind == "file":
        return _document(part["file"])
    if kind == "input_audio":
        raise LMInvalidRequestError(
            "Anthropic's models take no audio, and the message has a part of type 'input_audio'; use another LM for "
            "it, or give its transcript",
            provider="anthropic",
        )
    return part


def _document(file: dict[str, Any]) -> dict[str, Any]:
    """Return a file as a document: by its id, its address, its bytes (a PDF), or its text.

    Raises:
        LMInvalidRequestError: It is of a media type that the API does not read, or has a name alone.
    """
    name = file.get("filename")
    titled = {} if name is None else {"title": name}
    if file.get("file_id") is not None:
        return {"type": "document", "source": {"type": "file", "file_id": file["file_id"]}, **titled}
    if file.get("file_data") is None:
        raise LMInvalidRequestError(
            f"the file {name!r} has neither data nor an id, which Anthropic's models need",
            provider="anthropic",
        )
    source = _source(file["file_data"])
    mime: str = source.get("media_type", "")
    if source["type"] == "base64" and mime.startswith("image/"):
        return {"type": "image", "source": source}
    if source["type"] == "base64" and mime != "application/pdf":
        source = {"type": "text", "media_type": "text/plain", "data": _text_of(source["data"], mime, name)}
    return {"type": "document", "source": source, **titled}


def _text_of(data: str, mime: str, name: Any) -> str:
    try:
        return load("base64").b64decode(data).decode("utf-8")
    except ValueError as error:
        raise LMInvalidRequestError(
            f"the file {name!r} is {mime}, and Anthropic's models read PDF, pictures and text in UTF-8; convert it "
            f"first ({error})",
            provider="anthropic",
        ) from error


def _source(url: str) -> dict[str, Any]:
    data = _DATA_URL.fullmatch(url)
    if data is None:
        return {"type": "url", "url": url}
    return {"type": "base64", "media_type": data.group(1), "data": data.group(2)}
