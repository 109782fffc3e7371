"""Embeddings of an OpenAI-compatible server, asked as its LMs are.

A request for embeddings differs from one for a chat in what is written and read alone, so it is a dialect of
`telic.lm.wire`: its client brings connections, the limiter, retries and the deadline, and `Paid` before it the budget,
usage and price. The texts ride as the request's messages, and the vectors as the response's `raw`.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence
from typing import Any, NoReturn, cast, final

from telic._http import Endpoint, HttpRequest, HttpResponse
from telic._optional import load
from telic._text import did_you_mean
from telic.data import Request, Response, Usage
from telic.errors import LMError, LMResponseError, UnknownProviderError
from telic.lm.wire._dialect import Place, dump_json, excerpt, failure, load_json
from telic.lm.wire._hosts import ALIASES, HOSTS, find_host, resolve_access
from telic.protocols import Capabilities


@final
class EmbeddingDialect:
    """One embedding model at one endpoint; see `telic.lm.wire._dialect.Dialect`.

    Args:
        prefix: A key of `HOSTS` or an alias.
        model: The name that the server knows.
        api_key: None: from the environment. "": none.
        base_url: None: from the environment, else the host's own.
        headers: Sent with every request.

    Raises:
        UnknownProviderError: No host has this prefix.
        NotConfiguredError: The host needs a key and there is none.
        ConfigurationError: A URL or header that cannot be sent.
    """

    native_n = True
    capabilities = Capabilities()

    def __init__(
        self,
        prefix: str,
        model: str,
        *,
        api_key: str | None,
        base_url: str | None,
        headers: Mapping[str, str],
    ) -> None:
        host = find_host(prefix)
        if host is None:
            raise UnknownProviderError(
                f"no embedding endpoint is called {prefix!r}{did_you_mean(prefix, (*HOSTS, *ALIASES))}; for a server "
                f'of your own use Embedder("openai/{model}", base_url=…), for a model in this process '
                f'Embedder("sentence-transformers/{model}") or a function that takes texts'
            )
        access = resolve_access(prefix, host, model, api_key, base_url)
        self.provider = ALIASES.get(prefix, prefix)
        self.model = model
        base, _, query = access.base_url.partition("?")
        azure = self.provider == "azure"
        base = f"{base}/openai/v1" if azure and not base.endswith("/v1") else base
        key = access.api_key
        own = {} if not key else {"api-key": key} if azure else {"Authorization": f"Bearer {key}"}
        self.endpoint = Endpoint(
            f"{base}/embeddings{'?' + query if query else ''}",
            {"Content-Type": "application/json", **own, **headers},
        )
        self.key_hash = hashlib.sha256(key.encode()).hexdigest()[:16]
        self._packed = self.provider == "openai" and access.is_default
        hint = f"check {host.key_env[0]} or api_key" if host.key_env else "check api_key"
        self._place = Place(self.provider, model, self.endpoint.origin.name, (key, *headers.values()), hint)

    def encode(self, request: Request, *, stream: bool = False, n: int | None = None) -> HttpRequest:
        """Return the HTTP request for texts, which stand in `request.messages`."""
        del stream, n
        payload: dict[str, Any] = {
            "model": self.model,
            "input": list(cast("Sequence[Any]", request.messages)),
        }
        if self._packed:
            payload["encoding_format"] = "base64"  # a third of the bytes, and none of the parsing
        payload.update(request.options)
        return HttpRequest(self.endpoint, dump_json(payload, model=self.model))

    def decode(self, response: HttpResponse) -> Response:
        """Return the vectors in `raw`, in the order of the texts.

        Raises:
            LMError: The one that fits the status and the body.
        """
        if not 200 <= response.status < 300:
            raise self.decode_error(response.status, response.headers, response.body)
        try:
            body = load_json(response, where=str(self._place))
            rows = sorted(
                enumerate(cast("list[dict[str, Any]]", body["data"])),
                key=lambda item: item[1].get("index", item[0]),
            )
            vectors = [_unpacked(row["embedding"]) for _, row in rows]
            used = cast("dict[str, Any]", body.get("usage") or {})
            tokens = used.get("prompt_tokens", 0)
        except LMError as error:
            error.model, error.provider = self.model, self.provider
            raise
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            raise LMResponseError(
                f"{self._place} answered without embeddings: {excerpt(response.body)}; is base_url an API for them?",
                model=self.model,
                provider=self.provider,
                status=response.status,
            ) from error
        usage = Usage(tokens if isinstance(tokens, int) else 0, 0, calls=1)
        return Response((), usage, self.model, raw=vectors)

    def decode_error(self, status: int, headers: Mapping[str, str], body: bytes) -> LMError:
        """Return the error that an answer with `status` stands for."""
        return failure(self._place, status, headers, body)

    def open_stream(self) -> NoReturn:
        """Embeddings do not stream."""
        raise NotImplementedError("embeddings do not stream")


def _unpacked(embedding: Any) -> Any:
    """Return one vector as float32; servers send numbers, or the bytes of float32 as base64."""
    np: Any = load("numpy")
    if isinstance(embedding, str):
        return np.frombuffer(base64.b64decode(embedding), dtype="<f4")
    return np.asarray(embedding, dtype=np.float32)
