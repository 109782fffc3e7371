"""OpenAI's chat completions (and plain completions), which most servers speak; see `_hosts` for the list.

Options go through under their own names, so what a server knows and telic does not still works; only what is known to
be impossible is refused. Reasoning models of OpenAI's (o1, o3, o4, gpt-5…) get `max_completion_tokens` for
`max_tokens`, and a temperature other than 1 is refused before the call instead of by the server.
"""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING, Any, cast, final

from telic._http import Endpoint, HttpRequest, HttpResponse
from telic._text import did_you_mean
from telic.data import Request, Response
from telic.errors import ConfigurationError, LMError, LMResponseError, UnknownProviderError
from telic.lm.wire._dialect import Place, dump_json, excerpt, failure, load_json
from telic.lm.wire._hosts import ALIASES, HOSTS, find_host, from_environment, resolve_access
from telic.lm.wire._openai_reply import (
    as_prompt,
    inner_failure,
    read_completion,
    read_usage,
    refuse_filtered,
    schema_format,
)
from telic.lm.wire._openai_stream import OpenAIStream
from telic.protocols import Capabilities

if TYPE_CHECKING:
    from collections.abc import Mapping

_REASONING = re.compile(r"(?:o[1345]|gpt-5)(?!.*-chat)(?:$|[-.:])")
_JSON_ONLY = re.compile(r"gpt-3\.5|gpt-4(?:$|-)|chatgpt-|o1-(?:mini|preview)")
_SCHEMA = re.compile(r"gpt-4o|gpt-4\.\d|gpt-[5-9]|o[1345](?:$|-)|ft:gpt-4o")


@final
class OpenAIDialect:
    """One model at one OpenAI-compatible endpoint.

    Args:
        prefix: A key of `HOSTS` or an alias.
        model: The name that the server knows.
        api_key: None: from the environment. "": none.
        base_url: None: from the environment, else the host's own.
        model_type: "chat", or "text" for plain completions.
        api_version: Azure's `api-version`; with it (or the option, or AZURE_API_VERSION) the deployment's own path
            is used.
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
        self.is_text = model_type == "text" or prefix == "text-completion-openai"
        self._is_reasoning = self.provider in ("openai", "azure") and _REASONING.match(model) is not None
        self._base_url = access.base_url
        version = from_environment(("AZURE_API_VERSION",)) if api_version is None else api_version
        self._api_version = version if self.provider == "azure" else ""
        self._headers = {"Content-Type": "application/json", **self._authorize(access.api_key)}
        self._headers.update({} if extra_headers is None else extra_headers)
        self._endpoints: dict[tuple[Any, ...], Endpoint] = {}
        self.endpoint = self._endpoint(None, None, stream=False)
        self.native_n = host.native_n
        self.capabilities = self._find_capabilities(access.is_default)
        self.key_hash = hashlib.sha256(access.api_key.encode()).hexdigest()[:16]
        hint = f"check {host.key_env[0]} or api_key" if host.key_env else "check api_key"
        secrets = (access.api_key, *(() if extra_headers is None else extra_headers.values()))
        self._place = Place(self.provider, model, self.endpoint.origin.name, secrets, hint)

    def beside(self, path: str, method: str, content_type: str) -> Endpoint:
        """Return the endpoint of another service of this server: its path behind the base URL, with the same key."""
        base, _, query = self._base_url.partition("?")
        headers = {name: value for name, value in self._headers.items() if name.lower() != "content-type"}
        if content_type:
            headers["Content-Type"] = content_type
        if query:
            path += ("&" if "?" in path else "?") + query
        return Endpoint(f"{base}/{path}", headers, method=method)

    def encode(self, request: Request, *, stream: bool = False, n: int | None = None) -> HttpRequest:
        """See `Dialect.encode`."""
        payload: dict[str, Any] = {"model": self.model}
        if self.is_text:
            payload["prompt"] = as_prompt(request.messages)
        else:
            payload["messages"] = request.messages
        payload.update((name, value) for name, value in request.options.items() if value is not None)
        if n is not None:
            payload["n"] = n
        if payload.get("n") == 1:
            del payload["n"]
        self._adjust(payload)
        if stream:
            payload["stream"] = True
            if self._host.stream_usage:
                payload.setdefault("stream_options", {"include_usage": True})
        endpoint = self.endpoint
        if stream or "extra_headers" in payload or "api_version" in payload:
            extra_headers, version = payload.pop("extra_headers", None), None
            if self.provider == "azure":
                version = payload.pop("api_version", None)
            endpoint = self._endpoint(extra_headers, version, stream=stream)
        if "extra_body" in payload:
            payload.update(payload.pop("extra_body"))
        return HttpRequest(endpoint, dump_json(payload, model=self.model))

    def decode(self, response: HttpResponse) -> Response:
        """See `Dialect.decode`."""
        if not 200 <= response.status < 300:
            raise self.decode_error(response.status, response.headers, response.body)
        try:
            body = load_json(response, where=str(self._place))
            if "choices" not in body and body.get("error"):
                raise inner_failure(self._place, body, response.headers)
            choices = body.get("choices")
            if not isinstance(choices, list) or not choices:
                raise LMResponseError(
                    f"{self._place} answered without choices: {excerpt(response.body)}; is base_url a chat API?",
                    status=response.status,
                )
            completions = tuple(read_completion(choice) for choice in cast("list[Any]", choices))
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
        refuse_filtered(self._place, completions)
        return Response(
            completions, read_usage(body.get("usage")), body.get("model") or self.model, body.get("id")
        )

    def decode_error(self, status: int, headers: Mapping[str, str], body: bytes) -> LMError:
        """See `Dialect.decode_error`."""
        return failure(self._place, status, headers, body)

    def open_stream(self) -> OpenAIStream:
        """See `Dialect.open_stream`."""
        return OpenAIStream(self._place)

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

    def _locate(self, api_version: str) -> str:
        base, _, query = self._base_url.partition("?")
        url = self._path_of(base, api_version)
        return url + ("&" if "?" in url else "?") + query if query else url

    def _path_of(self, base: str, api_version: str) -> str:
        path = "completions" if self.is_text else "chat/completions"
        if self.provider != "azure":
            return f"{base}/{path}"
        if api_version:
            return f"{base}/openai/deployments/{self.model}/{path}?api-version={api_version}"
        return f"{base}/{path}" if base.endswith("/v1") else f"{base}/openai/v1/{path}"

    def _authorize(self, key: str) -> dict[str, str]:
        if not key:
            return {}
        return {"api-key": key} if self.provider == "azure" else {"Authorization": f"Bearer {key}"}

    def _endpoint(
        self, extra: Mapping[str, str] | None, api_version: str | None, *, stream: bool
    ) -> Endpoint:
        version = self._api_version if api_version is None else api_version
        key = (stream, version, *(() if extra is None else sorted(extra.items())))
        endpoint = self._endpoints.get(key)
        if endpoint is None:
            headers = {**self._headers, **({} if extra is None else extra)}
            if stream:
                headers["Accept"] = "text/event-stream"
            endpoint = Endpoint(self._locate(version), headers, compress=not stream)
            if len(self._endpoints) < 64:
                self._endpoints[key] = endpoint
        return endpoint

    def _find_capabilities(self, is_default: bool) -> Capabilities:
        name = self.model.rpartition("/")[2]
        if self.is_text:
            return Capabilities()
        schema, tools = self._host.response_schema, self._host.function_calling
        if self.provider in ("openai", "azure"):
            # A server behind another address may be anything: only names that are OpenAI's own count there.
            schema = _SCHEMA.match(name) is not None or (is_default and _JSON_ONLY.match(name) is None)
            tools = is_default or schema or _JSON_ONLY.match(name) is not None
        if self.provider in ("deepseek", "moonshot") and ("reason" in name or "think" in name):
            tools = False  # they want their reasoning back with each call
        reasoning = self._is_reasoning or "reason" in name or name.startswith(("o3", "o4", "deepseek-r1"))
        return Capabilities(schema, self._host.json_object, function_calling=tools, reasoning=reasoning)
