"""OpenAI's chat completions (and plain completions), which most servers speak; see `_hosts` for the list.

Options go through under their own names, so what a server knows and telic does not still works; only what is known to
be impossible is refused. Reasoning models of OpenAI's (o1, o3, o4, gpt-5…) get `max_completion_tokens` for
`max_tokens`, and a temperature other than 1 is refused before the call instead of by the server.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final, cast, final

from telic._http import Endpoint, HttpRequest, HttpResponse
from telic._optional import load
from telic.data import Completion, Message, Request, Response, Usage
from telic.errors import (
    ConfigurationError,
    ContentFilterError,
    LMError,
    LMResponseError,
    LMTransportError,
    UnknownProviderError,
)
from telic.lm._dialect import dump_json, excerpt, load_json
from telic.lm._failure import Place, failure
from telic.lm._hosts import ALIASES, HOSTS, find_host, resolve_access
from telic._text import did_you_mean
from telic.protocols import Capabilities, Delta

_REASONING = re.compile(r"(?:o[1345]|gpt-5)(?!.*-chat)(?:$|[-.:])")
_JSON_ONLY = re.compile(r"gpt-3\.5|gpt-4(?:$|-)|chatgpt-|o1-(?:mini|preview)")
_SCHEMA = re.compile(r"gpt-4o|gpt-4\.\d|gpt-[5-9]|o[1345](?:$|-)|ft:gpt-4o")
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


@final
class OpenAIDialect:
    """One model at one OpenAI-compatible endpoint.

    Args:
        prefix: A key of `HOSTS` or an alias.
        model: The name that the server knows.
        api_key: None: from the environment. "": none.
        base_url: None: from the environment, else the host's own.
        model_type: "chat", or "text" for plain completions.
        api_version: Azure's `api-version`; with it the deployment's own path is used.
        extra_headers: Sent with every request.

    Raises:
        UnknownProviderError: No host has this prefix.
        NotConfiguredError: The host needs a key and there is none.
        ConfigurationError: A URL or header that cannot be sent, or another `model_type`.
    """

    def __init__(
        self,
        prefix: str,
        model: str,
        *,
        api_key: str | None = None,
        base_url: str | None = None,
        model_type: str = "chat",
        api_version: str | None = None,
        extra_headers: Mapping[str, str] | None = None,
    ) -> None:
        host = find_host(prefix)
        if host is None:
            raise UnknownProviderError(
                f"no client is called {prefix!r}{did_you_mean(prefix, (*HOSTS, *ALIASES))}; for a server of your own "
                f'use LM("openai/{model}", base_url=…)'
            )
        if model_type not in ("chat", "text"):
            raise ConfigurationError(
                f"model_type={model_type!r} is not known{did_you_mean(model_type, ('chat', 'text'))}; "
                "use 'chat' or 'text'"
            )
        access = resolve_access(prefix, host, model, api_key, base_url)
        self.provider = ALIASES.get(prefix, prefix)
        self.model = model
        self._host = host
        self._is_text = model_type == "text" or prefix == "text-completion-openai"
        self._is_reasoning = self.provider in ("openai", "azure") and _REASONING.match(model) is not None
        self._url = self._locate(access.base_url, api_version)
        self._headers = {"Content-Type": "application/json", **self._authorize(access.api_key)}
        self._headers.update({} if extra_headers is None else extra_headers)
        self._endpoints: dict[tuple[Any, ...], Endpoint] = {}
        self.endpoint = self._endpoint(None, stream=False)
        self.native_n = host.native_n
        self.capabilities = self._find_capabilities(access.is_default)
        self.key_hash = hashlib.sha256(access.api_key.encode()).hexdigest()[:16]
        hint = f"check {host.key_env[0]} or api_key" if host.key_env else "check api_key"
        self._place = Place(self.provider, model, self.endpoint.origin.name, access.api_key, hint)

    def encode(self, request: Request, *, stream: bool = False, n: int | None = None) -> HttpRequest:
        """See `Dialect.encode`."""
        payload: dict[str, Any] = {"model": self.model}
        if self._is_text:
            payload["prompt"] = _as_prompt(request.messages)
        else:
            payload["messages"] = request.messages
        extra_headers: Mapping[str, str] | None = None
        extra_body: Mapping[str, Any] | None = None
        for name, value in request.options.items():
            if value is None:
                continue
            if name == "extra_headers":
                extra_headers = value
            elif name == "extra_body":
                extra_body = value
            else:
                payload[name] = value
        if n is not None:
            payload["n"] = n
        if payload.get("n") == 1:
            del payload["n"]
        self._adjust(payload)
        if stream:
            payload["stream"] = True
            if self._host.stream_usage:
                payload.setdefault("stream_options", {"include_usage": True})
        if extra_body is not None:
            payload.update(extra_body)
        endpoint = self.endpoint if not stream and extra_headers is None else self._endpoint(extra_headers, stream=stream)
        return HttpRequest(endpoint, dump_json(payload, model=self.model))

    def decode(self, response: HttpResponse) -> Response:
        """See `Dialect.decode`."""
        if not 200 <= response.status < 300:
            raise self.decode_error(response.status, response.headers, response.body)
        try:
            body = load_json(response, where=str(self._place))
            if "choices" not in body and body.get("error"):
                raise self._inner_failure(body, response.headers)
            choices = body.get("choices")
            if not isinstance(choices, list) or not choices:
                raise LMResponseError(
                    f"{self._place} answered without choices: {excerpt(response.body)}; is base_url a chat API?",
                    status=response.status,
                )
            completions = tuple(_completion(choice) for choice in cast("list[Any]", choices))
        except LMError as error:
            error.model, error.provider = self.model, self.provider
            raise
        except (TypeError, AttributeError, ValueError) as error:
            raise LMResponseError(
                f"{self._place} answered in a shape that the protocol does not have: {excerpt(response.body)}",
                model=self.model,
                provider=self.provider,
                status=response.status,
            ) from error
        self._refuse_filtered(completions)
        return Response(completions, read_usage(body.get("usage")), body.get("model") or self.model, body.get("id"))

    def decode_error(self, status: int, headers: Mapping[str, str], body: bytes) -> LMError:
        """See `Dialect.decode_error`."""
        return failure(self._place, status, headers, body)

    def open_stream(self) -> OpenAIStream:
        """See `Dialect.open_stream`."""
        return OpenAIStream(self)

    def _inner_failure(self, body: dict[str, Any], headers: Mapping[str, str]) -> LMError:
        """Return the failure that a 200 (or a stream) carries in its body; some gateways do that."""
        error = body["error"]
        code = cast("dict[str, Any]", error).get("code") if isinstance(error, dict) else None
        status = code if isinstance(code, int) and 400 <= code < 600 else 500
        return failure(self._place, status, headers, load("orjson").dumps(body))

    def _refuse_filtered(self, completions: Sequence[Completion]) -> None:
        if all(completion.finish_reason == "content_filter" for completion in completions):
            raise ContentFilterError(
                f"{self._place} withheld the answer (finish_reason content_filter); change the prompt",
                model=self.model,
                provider=self.provider,
                status=200,
                code="content_filter",
            )

    def _adjust(self, payload: dict[str, Any]) -> None:
        response_format = payload.get("response_format")
        if isinstance(response_format, type):
            payload["response_format"] = schema_format(response_format)
        if self.provider == "mistral" and "seed" in payload:
            payload["random_seed"] = payload.pop("seed")
        if not self._is_reasoning:
            return
        if "max_tokens" in payload:
            payload.setdefault("max_completion_tokens", payload.pop("max_tokens"))
        temperature = payload.get("temperature")
        if temperature is not None and temperature != 1 and payload.get("reasoning_effort") != "none":
            raise ConfigurationError(
                f"{self.model!r} is a reasoning model and takes no temperature but 1, not {temperature!r}; "
                "leave temperature out, or use a model without reasoning"
            )

    def _locate(self, base: str, api_version: str | None) -> str:
        path = "completions" if self._is_text else "chat/completions"
        if self.provider != "azure":
            return f"{base}/{path}"
        if api_version is not None:
            return f"{base}/openai/deployments/{self.model}/{path}?api-version={api_version}"
        return f"{base}/{path}" if base.endswith("/v1") else f"{base}/openai/v1/{path}"

    def _authorize(self, key: str) -> dict[str, str]:
        if not key:
            return {}
        return {"api-key": key} if self.provider == "azure" else {"Authorization": f"Bearer {key}"}

    def _endpoint(self, extra: Mapping[str, str] | None, *, stream: bool) -> Endpoint:
        key = (stream, *(() if extra is None else sorted(extra.items())))
        endpoint = self._endpoints.get(key)
        if endpoint is None:
            headers = {**self._headers, **({} if extra is None else extra)}
            if stream:
                headers["Accept"] = "text/event-stream"
            endpoint = Endpoint(self._url, headers, compress=not stream)
            if len(self._endpoints) < 64:
                self._endpoints[key] = endpoint
        return endpoint

    def _find_capabilities(self, is_default: bool) -> Capabilities:
        name = self.model.rpartition("/")[2]
        if self._is_text:
            return Capabilities()
        schema = self._host.response_schema
        if self.provider in ("openai", "azure"):
            # A server behind another address may be anything: only names that are OpenAI's own count there.
            schema = _SCHEMA.match(name) is not None or (is_default and _JSON_ONLY.match(name) is None)
        reasoning = self._is_reasoning or "reason" in name or name.startswith(("o3", "o4", "deepseek-r1"))
        return Capabilities(schema, self._host.json_object, function_calling=True, reasoning=reasoning)


@final
class OpenAIStream:
    """Reads one streamed chat completion."""

    def __init__(self, dialect: OpenAIDialect) -> None:
        self._dialect = dialect
        self._text: dict[int, list[str]] = {}
        self._reasoning: dict[int, list[str]] = {}
        self._calls: dict[int, dict[int, dict[str, Any]]] = {}
        self._finish: dict[int, str] = {}
        self._usage: Any = None
        self._id: str | None = None
        self._model = dialect.model
        self._ended = False

    def feed(self, name: bytes, data: bytes) -> list[Delta]:
        """See `StreamDecoder.feed`."""
        if data == b"[DONE]":
            self._ended = True
            return []
        try:
            event: dict[str, Any] = load("orjson").loads(data)
            if event.get("error"):
                raise self._dialect._inner_failure(event, {})  # pyright: ignore[reportPrivateUsage]
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
                f"{self._dialect.provider}/{self._dialect.model} sent a stream event that cannot be read: {excerpt(data)}",
                model=self._dialect.model,
                provider=self._dialect.provider,
            ) from error
        return deltas

    def finish(self) -> Response:
        """See `StreamDecoder.finish`."""
        if not self._finish and not self._ended:
            raise LMTransportError(
                f"{self._dialect.provider}/{self._dialect.model}: the stream ended before the answer did; try again",
                model=self._dialect.model,
                provider=self._dialect.provider,
            )
        indexes = sorted({*self._text, *self._finish, *self._calls}) or [0]
        completions = tuple(self._completion(index) for index in indexes)
        self._dialect._refuse_filtered(completions)  # pyright: ignore[reportPrivateUsage]
        return Response(completions, read_usage(self._usage), self._model, self._id)

    def _take(self, choice: dict[str, Any], deltas: list[Delta]) -> None:
        index: int = choice.get("index") or 0
        delta: dict[str, Any] = choice.get("delta") or {}
        text = delta.get("content") if "content" in delta else choice.get("text")
        reasoning = delta.get("reasoning_content") or delta.get("reasoning") or ""
        if text or reasoning:
            text = _join_parts(text)
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
        call = calls.setdefault(piece.get("index") or 0, {"id": None, "function": {"name": "", "arguments": ""}})
        call["id"] = piece.get("id") or call["id"]
        function: dict[str, Any] = piece.get("function") or {}
        call["function"]["name"] += function.get("name") or ""
        call["function"]["arguments"] += function.get("arguments") or ""

    def _completion(self, index: int) -> Completion:
        calls = self._calls.get(index, {})
        reasoning = "".join(self._reasoning.get(index, ()))
        return Completion(
            "".join(self._text.get(index, ())),
            _finish_reason(self._finish.get(index), bool(calls)),
            reasoning or None,
            tuple(_tool_call(calls[key]) for key in sorted(calls)),
        )


def _completion(choice: dict[str, Any]) -> Completion:
    message: dict[str, Any] | None = choice.get("message")
    if message is None:
        text = choice.get("text")
        if not isinstance(text, str):
            raise TypeError("a choice without message or text")
        return Completion(text, _finish_reason(choice.get("finish_reason"), False), None, (), choice.get("logprobs"))
    content = message.get("content")
    if content is None:
        content = message.get("refusal") or ""
    calls: list[dict[str, Any]] = message.get("tool_calls") or []
    reasoning = message.get("reasoning_content") or message.get("reasoning")
    return Completion(
        content if isinstance(content, str) else _join_parts(content),
        _finish_reason(choice.get("finish_reason"), bool(calls)),
        reasoning if isinstance(reasoning, str) else None,
        tuple(_tool_call(call) for call in calls) if calls else (),
        choice.get("logprobs"),
    )


def _finish_reason(given: Any, has_calls: bool) -> str:
    if given is None:
        return "tool_calls" if has_calls else "stop"
    return _FINISH.get(given, str(given))


def _join_parts(content: Any) -> str:
    if content is None or isinstance(content, str):
        return content or ""
    return "".join(part.get("text") or "" for part in content if part.get("type") in ("text", "output_text"))


def _tool_call(call: dict[str, Any]) -> dict[str, Any]:
    function: dict[str, Any] = call.get("function") or {}
    return {"id": call.get("id"), "name": function.get("name") or "", "arguments": read_arguments(function.get("arguments"))}


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


def _as_prompt(messages: Sequence[Message]) -> str:
    return "\n\n".join(_join_parts(message["content"]) for message in messages)
