"""The factory behind "litellm/…": any provider that LiteLLM knows, one plain call at a time.

Caching, limits, retries and prices are ours; LiteLLM's own retries and cache are off.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, final

from telic._optional import require
from telic.context import get as setting
from telic.errors import (
    ContentFilterError,
    ContextWindowExceededError,
    LMAuthError,
    LMError,
    LMInvalidRequestError,
    LMRateLimitError,
    LMServerError,
    LMTimeoutError,
    LMTransportError,
    LMUnsupportedModelError,
    RequestsForbiddenError,
)
from telic.lm._forward import response_from
from telic.protocols import Capabilities, Client, Delta

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, Mapping

    from telic.data import Request, Response
    from telic.lm._registry import ClientSpec

_ERRORS: Final[Mapping[str, type[LMError]]] = {
    "AuthenticationError": LMAuthError,
    "PermissionDeniedError": LMAuthError,
    "RateLimitError": LMRateLimitError,
    "Timeout": LMTimeoutError,
    "APIConnectionError": LMTransportError,
    "NotFoundError": LMUnsupportedModelError,
    "ContextWindowExceededError": ContextWindowExceededError,
    "ContentPolicyViolationError": ContentFilterError,
    "BadRequestError": LMInvalidRequestError,
    "UnprocessableEntityError": LMInvalidRequestError,
    "InternalServerError": LMServerError,
    "ServiceUnavailableError": LMServerError,
    "APIError": LMServerError,
}
"""LiteLLM's exceptions by the name of their class."""


def litellm_client(spec: ClientSpec) -> Client:
    """Return a client that calls LiteLLM.

    Raises:
        MissingExtraError: LiteLLM is not installed.
    """
    return LiteLLMClient(spec, require("litellm", extra="litellm", purpose=f"the LM {spec.model!r}"))


@final
class LiteLLMClient:
    """One model through LiteLLM.

    Args:
        spec: `name` is LiteLLM's own name of the model ("bedrock/…").
        litellm: The module.
    """

    def __init__(self, spec: ClientSpec, litellm: Any) -> None:
        self._spec = spec
        self._litellm = litellm
        self.endpoint = spec.base_url if spec.base_url is not None else "litellm"

    @property
    def capabilities(self) -> Capabilities:
        """As LiteLLM's tables have it."""
        known = self._litellm
        return Capabilities(
            response_schema=bool(known.supports_response_schema(model=self._spec.name)),
            function_calling=bool(known.supports_function_calling(model=self._spec.name)),
            reasoning=bool(known.supports_reasoning(model=self._spec.name)),
        )

    def complete(self, request: Request) -> Response:
        """Return the answer to one request."""
        arguments = self._arguments(request)
        try:
            return response_from(self._litellm.completion(**arguments), self._spec.model)
        except Exception as error:
            raise _typed(error, self._spec) from error

    async def acomplete(self, request: Request) -> Response:
        """Same as `complete`, for tasks."""
        arguments = self._arguments(request)
        try:
            return response_from(await self._litellm.acompletion(**arguments), self._spec.model)
        except Exception as error:
            raise _typed(error, self._spec) from error

    def stream(self, request: Request) -> Iterator[Delta]:
        """Yield the answer in one piece."""
        response = self.complete(request)
        yield Delta(response.text, response=response)

    async def astream(self, request: Request) -> AsyncIterator[Delta]:
        """Same as `stream`, for tasks."""
        response = await self.acomplete(request)
        yield Delta(response.text, response=response)

    def _arguments(self, request: Request) -> dict[str, Any]:
        spec = self._spec
        if setting("forbid_requests"):
            raise RequestsForbiddenError(f"a real request to {spec.model!r} where requests are forbidden")
        arguments: dict[str, Any] = {
            "model": spec.name,
            "messages": list(request.messages),
            "timeout": spec.timeout_s,
            "num_retries": spec.num_retries,
            "caching": False,
            **request.options,
        }
        places = {"api_key": spec.api_key, "api_base": spec.base_url}
        arguments |= {name: value for name, value in places.items() if value is not None}
        if spec.headers:
            arguments["extra_headers"] = dict(spec.headers)
        return arguments


def _typed(error: Exception, spec: ClientSpec) -> Exception:
    """Return our error for LiteLLM's; what is not known comes back as it is."""
    for kind in type(error).__mro__:
        ours = _ERRORS.get(kind.__name__)
        if ours is not None:
            status = getattr(error, "status_code", None)
            return ours(
                f"{spec.model!r}: {error}",
                model=spec.model,
                provider=spec.provider,
                status=status if isinstance(status, int) else None,
            )
    return error
