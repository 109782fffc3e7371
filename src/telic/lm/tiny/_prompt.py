"""From messages to tokens: the chat template of the embedded models.

Each turn is a role's token and its text; an assistant's turn ends with a token of its own. Tools stand behind the
system text, one line each, and a call of a tool is a token, the tool's name, and its arguments as JSON.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from telic.errors import LMInvalidRequestError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from telic.data import Message
    from telic.lm.tiny._tokenizer import Tokenizer

_SYSTEM, _USER, _ASSISTANT, _END = 1, 2, 3, 4
_ROLES: Final = {
    "system": _SYSTEM,
    "developer": _SYSTEM,
    "user": _USER,
    "tool": _USER,
    "assistant": _ASSISTANT,
}


def prompt_tokens(
    tokenizer: Tokenizer, messages: Sequence[Message], tools: Sequence[Mapping[str, Any]] = ()
) -> list[int]:
    """Return the tokens of a prompt, up to and with the role of the answer.

    Args:
        tokenizer: The model's.
        messages: The turns.
        tools: Function specifications in OpenAI's shape.

    Raises:
        LMInvalidRequestError: There is no message, a role is unknown, or a part is no text; or the model has no tokens
            for tools.
    """
    if not messages:
        raise LMInvalidRequestError("there are no messages; an LM answers to one at least", provider="telic")
    ids: list[int] = []
    told = [*tokenizer.encode_cached("\n".join(map(_line, tools)))] if tools else []
    if tools:
        told = [_special(tokenizer, "<tools>"), *told]
    for at, message in enumerate(messages):
        role = _ROLES.get(message["role"])
        if role is None:
            raise LMInvalidRequestError(
                f"unknown role {message['role']!r}; roles are: {', '.join(_ROLES)}", provider="telic"
            )
        if told and at == 0 and role != _SYSTEM:
            ids += [_SYSTEM, *told]
        if message["role"] == "tool":
            role = tokenizer.special("<tool>") or _USER
        ids += [role, *tokenizer.encode_cached(_text(message))]
        if told and at == 0 and role == _SYSTEM:
            ids += told
        for call in message.get("tool_calls", ()):
            ids += [_special(tokenizer, "<call>"), *tokenizer.encode_cached(_call_text(call))]
        if role == _ASSISTANT:
            ids.append(_END)
    ids.append(_ASSISTANT)
    return ids


def _special(tokenizer: Tokenizer, name: str) -> int:
    token = tokenizer.special(name)
    if token is None:
        raise LMInvalidRequestError(
            "these weights were trained without tools; use an adapter that writes tools as text, or another LM",
            provider="telic",
        )
    return token


def tool_names(tools: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the names of function specifications.

    Raises:
        LMInvalidRequestError: One has no name.
    """
    names = [tool.get("function", tool).get("name") for tool in tools]
    if not all(isinstance(name, str) and name for name in names):
        raise LMInvalidRequestError(
            f"every tool needs a name, as in {{'type': 'function', 'function': {{'name': …}}}}; got {list(tools)!r}",
            provider="telic",
        )
    return [str(name) for name in names]


def _line(tool: Mapping[str, Any]) -> str:
    """Return `name(arg: type, arg: type): description`."""
    function: Mapping[str, Any] = tool.get("function", tool)
    schema: Mapping[str, Any] = function.get("parameters") or {}
    properties: Mapping[str, Mapping[str, Any]] = schema.get("properties") or {}
    arguments = ", ".join(f"{name}: {about.get('type', 'any')}" for name, about in properties.items())
    described = " ".join(str(function.get("description") or "").split())
    return f"{function['name']}({arguments})" + (f": {described}" if described else "")


def _call_text(call: Mapping[str, Any]) -> str:
    function: Mapping[str, Any] = call.get("function", call)
    arguments: Any = function.get("arguments") or {}
    text = arguments if isinstance(arguments, str) else json.dumps(arguments, ensure_ascii=False)
    return f"{function['name']}\n{text}"


def _text(message: Message) -> str:
    content = message["content"]
    if content is None or isinstance(content, str):
        return content or ""
    for part in content:
        if part.get("type") != "text":
            raise LMInvalidRequestError(
                f"the embedded LM reads text only, and the message has a part of type {part.get('type')!r}; "
                "use another LM for it",
                provider="telic",
            )
    return "".join(str(part["text"]) for part in content)


def tool_calls(
    text: str, starts: Sequence[int], known: Sequence[str]
) -> tuple[str, tuple[dict[str, Any], ...]]:
    """Return an answer's text without its calls, and the calls.

    Args:
        text: The whole text.
        starts: Where calls begin in it.
        known: The names of the tools.

    A call of no known tool, or one whose arguments are no JSON object, is left where it is, as text.
    """
    plain = text[: starts[0]] if starts else text
    calls: list[dict[str, Any]] = []
    for at, start in enumerate(starts):
        piece = text[start : starts[at + 1] if at + 1 < len(starts) else len(text)]
        name, _, written = piece.partition("\n")
        try:
            arguments: Any = json.loads(written)
        except ValueError:
            arguments = None
        if name.strip() in known and isinstance(arguments, dict):
            calls.append({"id": f"call_{at}", "name": name.strip(), "arguments": arguments})
        else:
            plain += piece
    return plain.strip() if calls else plain, tuple(calls)
