"""Anthropic's Messages API.

OpenAI-shaped messages and options are rewritten: system turns go out of the list, equal neighbours are joined, tools
and tool results change shape. The part of a prompt that a predictor's calls share (`Request.prefix`) is marked for
the provider's prompt cache when it is long enough to be kept. Options that the API does not have are refused.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any, Final, cast, final

from telic._http import Endpoint, HttpRequest, HttpResponse
from telic.data import Completion, Request, Response, Usage
from telic.errors import ContentFilterError, LMError, LMResponseError, LMTransportError, NotConfiguredError
from telic.lm.wire._anthropic_request import DEFAULT_MAX_TOKENS, rewrite_options, split_messages
from telic.lm.wire._dialect import Place, dump_json, excerpt, failure, load_json, read_json
from telic.lm.wire._hosts import from_environment
from telic.lm.wire._openai_reply import read_arguments
from telic.protocols import Capabilities, Delta

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

BASE_URL: Final = "https://api.anthropic.com"
VERSION: Final = "2023-06-01"
_FINISH: Final[Mapping[str, str]] = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "pause_turn": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_calls",
    "refusal": "content_filter",
}
_STATUS: Final[Mapping[str, int]] = {
    "invalid_request_error": 400,
    "authentication_error": 401,
    "billing_error": 402,
    "permission_error": 403,
    "not_found_error": 404,
    "request_too_large": 413,
    "rate_limit_error": 429,
    "timeout_error": 504,
    "overloaded_error": 529,
}


@final
class AnthropicDialect:
    """One Claude model.

    Args:
        model: The name that the API knows.
        api_key: None: from ANTHROPIC_API_KEY.
        base_url: None: from ANTHROPIC_BASE_URL, else the API's own.
        extra_headers: Sent with every request (`anthropic-beta` …).

    Raises:
        NotConfiguredError: No key, and the address is Anthropic's own.
        ConfigurationError: A URL or header that cannot be sent.
    """

    provider = "anthropic"
    native_n = False

    def __init__(
        self,
        model: str,
        *,
        api_key: str | None = None,
        base_url: str | None = None,
        extra_headers: Mapping[str, str] | None = None,
    ) -> None:
        base = (
            base_url
            if base_url is not None
            else from_environment(("ANTHROPIC_BASE_URL", "ANTHROPIC_API_BASE"))
        )
        is_default = not base
        base = (base or BASE_URL).rstrip("/").removesuffix("/messages").removesuffix("/v1")
        key = (api_key if api_key is not None else from_environment(("ANTHROPIC_API_KEY",))).strip()
        if not key and is_default:
            raise NotConfiguredError(
                f"anthropic/{model} needs a key; set the environment variable ANTHROPIC_API_KEY, or pass api_key=…"
            )
        self.model = model
        headers = {"Content-Type": "application/json", "anthropic-version": VERSION}
        if key:
            headers["x-api-key"] = key
        headers.update({} if extra_headers is None else extra_headers)
        self._url = f"{base}/v1/messages"
        self._headers = headers
        self.endpoint = Endpoint(self._url, headers)
        self._stream_endpoint = Endpoint(
            self._url, {**headers, "Accept": "text/event-stream"}, compress=False
        )
        self.capabilities = Capabilities(function_calling=True, reasoning=True, citations=True)
        self.key_hash = hashlib.sha256(key.encode()).hexdigest()[:16]
        secrets = (key, *(() if extra_headers is None else extra_headers.values()))
        self._place = Place(
            "anthropic", model, self.endpoint.origin.name, secrets, "check ANTHROPIC_API_KEY or api_key"
        )

    def encode(self, request: Request, *, stream: bool = False, n: int | None = None) -> HttpRequest:
        """See `Dialect.encode`."""
        system, messages = split_messages(request.messages, request.prefix)
        payload: dict[str, Any] = {
            "model": self.model,
            "messages": messages,
            "max_tokens": DEFAULT_MAX_TOKENS,
        }
        if system:
            payload["system"] = system
        options = {name: value for name, value in request.options.items() if value is not None}
        extra_headers = options.pop("extra_headers", None)
        extra_body = options.pop("extra_body", None)
        options.pop("n", None)
        rewrite_options(options, payload, self.model)
        if stream:
            payload["stream"] = True
        if extra_body is not None:
            payload.update(extra_body)
        endpoint = self._stream_endpoint if stream else self.endpoint
        if extra_headers is not None:
            endpoint = Endpoint(self._url, {**self._headers, **extra_headers}, compress=not stream)
        return HttpRequest(endpoint, dump_json(payload, model=self.model))

    def decode(self, response: HttpResponse) -> Response:
        """See `Dialect.decode`."""
        if not 200 <= response.status < 300:
            raise self.decode_error(response.status, response.headers, response.body)
        try:
            body = load_json(response, where=str(self._place))
            blocks = body.get("content")
            if not isinstance(blocks, list):
                raise LMResponseError(
                    f"{self._place} answered without content: {excerpt(response.body)}", status=200
                )
            return self.build(
                cast("list[dict[str, Any]]", blocks),
                body.get("stop_reason"),
                body.get("usage"),
                body.get("id"),
            )
        except LMError as error:
            error.model, error.provider = self.model, self.provider
            raise
        except (TypeError, AttributeError, ValueError, KeyError) as error:
            raise LMResponseError(
                f"{self._place} answered in a shape that the protocol does not have: {excerpt(response.body)}",
                model=self.model,
                provider=self.provider,
                status=response.status,
            ) from error

    def decode_error(self, status: int, headers: Mapping[str, str], body: bytes) -> LMError:
        """See `Dialect.decode_error`."""
        return failure(self._place, status, headers, body)

    def open_stream(self) -> AnthropicStream:
        """See `Dialect.open_stream`."""
        return AnthropicStream(self)

    def build(self, blocks: Sequence[Mapping[str, Any]], stop: Any, usage: Any, id_: Any) -> Response:
        """Return the answer made of content blocks.

        Raises:
            ContentFilterError: The model's safeguards ended the answer.
        """
        text = "".join(block["text"] for block in blocks if block.get("type") == "text")
        citations: tuple[dict[str, Any], ...] = tuple(
            {**citation, "supported_text": block["text"]}
            for block in blocks
            if block.get("type") == "text"
            for citation in block.get("citations") or ()
        )
        thinking = "".join(block.get("thinking") or "" for block in blocks if block.get("type") == "thinking")
        calls: tuple[dict[str, Any], ...] = tuple(
            {"id": block.get("id"), "name": block["name"], "arguments": block.get("input") or {}}
            for block in blocks
            if block.get("type") == "tool_use"
        )
        finish = _FINISH.get(stop or "end_turn", str(stop))
        if finish == "content_filter":
            raise ContentFilterError(
                f"{self._place} withheld the answer (stop_reason refusal); change the prompt",
                model=self.model,
                provider=self.provider,
                status=200,
                code="refusal",
            )
        completion = Completion(text, finish, thinking or None, calls, None, citations)
        return Response((completion,), _usage(usage), self.model, id_)

    def stream_failure(self, data: bytes) -> LMError:
        """Return the error that an `error` event stands for."""
        event: dict[str, Any] = read_json(data)
        error: dict[str, Any] = event.get("error") or {}
        return failure(self._place, _STATUS.get(str(error.get("type")), 500), {}, data)


@final
class AnthropicStream:
    """Reads one streamed message."""

    def __init__(self, dialect: AnthropicDialect) -> None:
        self._dialect = dialect
        self._blocks: dict[int, dict[str, Any]] = {}
        self._input: dict[int, list[str]] = {}
        self._usage: dict[str, Any] = {}
        self._stop: Any = None
        self._id: Any = None
        self._ended = False

    def feed(self, name: bytes, data: bytes) -> list[Delta]:
        """See `StreamDecoder.feed`."""
        try:
            event: dict[str, Any] = read_json(data)
            kind = event.get("type")
            if kind == "error":
                raise self._dialect.stream_failure(data)
            if kind == "content_block_delta":
                return self._take(event["index"], event["delta"])
            if kind == "content_block_start":
                self._blocks[event["index"]] = dict(event["content_block"])
            elif kind == "message_start":
                self._id = event["message"].get("id")
                self._usage.update(event["message"].get("usage") or {})
            elif kind == "message_delta":
                self._stop = event["delta"].get("stop_reason")
                self._usage.update(event.get("usage") or {})
            elif kind == "message_stop":
                self._ended = True
        except (ValueError, TypeError, AttributeError, KeyError) as error:
            raise LMResponseError(
                f"anthropic/{self._dialect.model} sent a stream event that cannot be read: {excerpt(data)}",
                model=self._dialect.model,
                provider="anthropic",
            ) from error
        return []

    def finish(self) -> Response:
        """See `StreamDecoder.finish`."""
        if not self._ended and self._stop is None:
            raise LMTransportError(
                f"anthropic/{self._dialect.model}: the stream ended before the answer did; try again",
                model=self._dialect.model,
                provider="anthropic",
            )
        for index, pieces in self._input.items():
            self._blocks[index]["input"] = read_arguments("".join(pieces))
        blocks = [self._blocks[index] for index in sorted(self._blocks)]
        return self._dialect.build(blocks, self._stop, self._usage, self._id)

    def _take(self, index: int, delta: dict[str, Any]) -> list[Delta]:
        block = self._blocks[index]
        kind = delta["type"]
        if kind == "text_delta":
            block["text"] = block.get("text", "") + delta["text"]
            return [Delta(delta["text"])]
        if kind == "thinking_delta":
            block["thinking"] = block.get("thinking", "") + delta["thinking"]
            return [Delta("", delta["thinking"])]
        if kind == "input_json_delta":
            self._input.setdefault(index, []).append(delta["partial_json"])
        elif kind == "citations_delta":
            block["citations"] = [*(block.get("citations") or ()), delta["citation"]]
        return []


def _usage(usage: Any) -> Usage:
    if not isinstance(usage, dict):
        return Usage(calls=1)
    figures = cast("dict[str, Any]", usage)
    cached: int = figures.get("cache_read_input_tokens") or 0
    written: int = figures.get("cache_creation_input_tokens") or 0
    fresh: int = figures.get("input_tokens") or 0
    return Usage(fresh + cached + written, figures.get("output_tokens") or 0, cached, 0, None, 1)
