"""Native calls of tools as values: out of a reply, and back into a conversation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from telic._hash import content_key
from telic._text import truncate
from telic.adapters._objects import read_json
from telic.errors import AdapterParseError, TruncatedReplyError
from telic.types import ToolCall, ToolCalls

if TYPE_CHECKING:
    from telic.data import Completion, Message

NO_RESULT: Final = "The result is left out of this example."


def calls_of(completion: Completion, signature: Any, adapter_name: str) -> ToolCalls | None:
    """Return the calls of a completion, or None where it has none.

    Raises:
        TruncatedReplyError: It was cut within one.
        AdapterParseError: The arguments of one are no JSON object.
    """
    if not completion.tool_calls:
        return None
    calls: list[ToolCall] = []
    problems: list[str] = []
    for call in completion.tool_calls:
        try:
            calls.append(ToolCall.of(_repaired(call)))
        except ValueError as error:
            problems.append(str(error))
    if not problems:
        return ToolCalls(calls)
    cut = completion.finish_reason == "length"
    kind = TruncatedReplyError if cut else AdapterParseError
    advice = "give the LM a larger max_tokens" if cut else "raise `max_retries` if it is a rare slip"
    raise kind(
        f"{adapter_name}: the calls of tools for {getattr(signature, '__name__', '')!r} could not be used: "
        f"{truncate('; '.join(problems), 600)}; {advice}",
        adapter_name=adapter_name,
        signature=signature,
        lm_response=completion.text,
        problems=tuple(problems),
    )


def _repaired(call: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a call with arguments that came as broken JSON mended, as outputs are, but never such as were cut."""
    written = call.get("arguments")
    if not isinstance(written, str):
        return call
    try:
        value, is_whole = read_json(written)
    except ValueError:
        return call
    is_closed = written.rstrip().endswith("}") and written.count("{") == written.count("}")
    return {**call, "arguments": value} if isinstance(value, dict) and (is_whole or is_closed) else call


def assistant_turns(
    said: str | None, calls: Sequence[ToolCall], label: str, results: Sequence[str] | None = None
) -> list[Message]:
    """Return what an LM said and called in one turn, and a message with the result of each call.

    Args:
        said: Its text.
        calls: Its calls.
        label: Tells this turn from others of the conversation; ids are made of it, since providers differ in what ids
            they take, and all take nine letters and digits.
        results: What each call gave; None: that it is left out.
    """
    if not calls:
        return [{"role": "assistant", "content": said if said is not None else ""}]
    ids = [content_key([label, at])[:9] for at in range(len(calls))]
    asked = [ToolCall(call.name, call.args, id).to_openai() for call, id in zip(calls, ids, strict=True)]
    turns: list[Message] = [{"role": "assistant", "content": said or None, "tool_calls": asked}]
    for at, id in enumerate(ids):
        text = results[at] if results is not None and at < len(results) else NO_RESULT
        turns.append({"role": "tool", "tool_call_id": id, "content": text})
    return turns
