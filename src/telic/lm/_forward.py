"""Answers in OpenAI's shape, object or dict, to a `Response`; and from a `Response` back to what `lm(…)` returns."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, cast

from telic.data import Completion, Response
from telic.errors import LMResponseError
from telic.lm._usage import usage_from


def response_from(answer: Any, model: str) -> Response:
    """Return the `Response` that an in-process LM's answer stands for.

    Args:
        answer: An OpenAI-shaped object or dict with `choices`; a `Response`; a text; or a list of texts.
        model: Who answered, for messages.

    Raises:
        LMResponseError: It is none of these, or has no choices.
    """
    try:
        choices = answer.choices  # the usual form first: this stands in the path of every in-process call
    except AttributeError:
        return _other_form(answer, model)
    if not choices:
        raise LMResponseError(f"the LM {model!r} gave an answer without choices", model=model)
    return Response(
        tuple([_completion(choice) for choice in choices]),
        usage_from(getattr(answer, "usage", None)),
        getattr(answer, "model", None) or model,
        getattr(answer, "id", None),
        False,
        answer,
    )


def _other_form(answer: Any, model: str) -> Response:
    if isinstance(answer, Response):
        return answer
    if isinstance(answer, str):
        return Response((Completion(answer),), usage_from(None), model)
    if isinstance(answer, (list, tuple)):
        return _from_list(cast("list[Any]", answer), model)
    if isinstance(answer, Mapping):
        return _from_dict(cast("Mapping[str, Any]", answer), model)
    raise _not_understood(answer, model)


def _completion(choice: Any) -> Completion:
    message = getattr(choice, "message", None)
    if message is None:
        if isinstance(choice, Mapping):
            return _completion_from_dict(cast("Mapping[str, Any]", choice))
        return Completion(
            choice.text or "", getattr(choice, "finish_reason", None) or "stop"
        )  # the text form
    calls = getattr(message, "tool_calls", None)
    return Completion(
        message.content or "",
        getattr(choice, "finish_reason", None) or "stop",
        getattr(message, "reasoning_content", None),
        tuple([tool_call(call) for call in calls]) if calls else (),
        getattr(choice, "logprobs", None),
    )


def _completion_from_dict(choice: Mapping[str, Any]) -> Completion:
    finish = choice.get("finish_reason") or "stop"
    message = choice.get("message")
    if message is None:
        return Completion(choice.get("text") or "", finish)
    if not isinstance(message, Mapping):
        return _completion(_Choice(message, finish, choice.get("logprobs")))
    fields = cast("Mapping[str, Any]", message)
    calls: Any = fields.get("tool_calls") or ()
    return Completion(
        fields.get("content") or "",
        finish,
        fields.get("reasoning_content"),
        tuple([tool_call(call) for call in calls]),
        choice.get("logprobs"),
    )


class _Choice:
    """A dict's choice whose message is an object."""

    __slots__ = ("finish_reason", "logprobs", "message")

    def __init__(self, message: Any, finish_reason: str, logprobs: Any) -> None:
        self.message = message
        self.finish_reason = finish_reason
        self.logprobs = logprobs


def tool_call(call: Any) -> Mapping[str, Any]:
    """Return `{"id", "name", "arguments": {…}}` from OpenAI's nested form, or a call that is in our form already."""
    function = _part(call, "function")
    source = call if function is None else function
    arguments = _part(source, "arguments")
    if isinstance(arguments, str):
        arguments = _loads(arguments)
    return {"id": _part(call, "id"), "name": _part(source, "name"), "arguments": arguments}


def _loads(text: str) -> Any:
    """Return the parsed arguments, or the text as it is: what it lacks is for the reader of the call to say."""
    try:
        return json.loads(text) if text else {}
    except ValueError:
        return text


def _part(holder: Any, name: str) -> Any:
    return (
        cast("Mapping[str, Any]", holder).get(name)
        if isinstance(holder, Mapping)
        else getattr(holder, name, None)
    )


def _from_dict(answer: Mapping[str, Any], model: str) -> Response:
    choices: Any = answer.get("choices")
    if choices is None and isinstance(answer.get("text"), str):
        return Response((_completion_from_dict(answer),), usage_from(answer.get("usage")), model)
    if not choices:
        raise LMResponseError(f"the LM {model!r} gave an answer without choices: {answer!r}", model=model)
    return Response(
        tuple([_completion(choice) for choice in choices]),
        usage_from(answer.get("usage")),
        answer.get("model") or model,
        answer.get("id"),
        False,
        answer,
    )


def _from_list(answers: list[Any], model: str) -> Response:
    completions: list[Completion] = []
    for answer in answers:
        if isinstance(answer, str):
            completions.append(Completion(answer))
        elif isinstance(answer, Completion):
            completions.append(answer)
        elif isinstance(answer, Mapping) and "text" in answer:
            completions.append(_completion_from_dict(cast("Mapping[str, Any]", answer)))
        else:
            raise _not_understood(answer, model)
    if not completions:
        raise LMResponseError(f"the LM {model!r} gave an empty list", model=model)
    return Response(tuple(completions), usage_from(None), model)


def _not_understood(answer: Any, model: str) -> LMResponseError:
    return LMResponseError(
        f"the LM {model!r} gave {type(answer).__name__} ({answer!r:.200}); expected an object or dict with `choices` "
        "as OpenAI's chat completions have them, a text, a list of texts, or a Response",
        model=model,
    )


def outputs_of(response: Response) -> list[str | dict[str, Any]]:
    """Return one item for each completion: its text, or a dict with the text where there is more than text.

    Keys of a dict: `text`, and of `reasoning_content`, `logprobs`, `tool_calls` those that are there.
    """
    plain = all(not (c.reasoning or c.tool_calls or c.logprobs) for c in response.completions)
    if plain:
        return [completion.text for completion in response.completions]
    return [_with_extras(completion) for completion in response.completions]


def _with_extras(completion: Completion) -> dict[str, Any]:
    extras: dict[str, Any] = {"text": completion.text}
    if completion.reasoning:
        extras["reasoning_content"] = completion.reasoning
    if completion.logprobs is not None:
        extras["logprobs"] = completion.logprobs
    if completion.tool_calls:
        extras["tool_calls"] = [dict(call) for call in completion.tool_calls]
    return extras
