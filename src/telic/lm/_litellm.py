"""The factory behind "litellm/…": any provider that LiteLLM knows, one plain call at a time.

Caching, limits, retries and prices are ours; LiteLLM's own retries and cache are off.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, final

from telic._optional import require
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
)
from telic.lm._foreign import ForeignClient
from telic.protocols import Capabilities, Client

if TYPE_CHECKING:
    from collections.abc import Mapping

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
    library = require("litellm", extra="litellm", purpose=f"the LM {spec.model!r}")
    return LiteLLMClient(spec, library, "litellm")


@final
class LiteLLMClient(ForeignClient):
    """One model through LiteLLM; its name is LiteLLM's own ("bedrock/…")."""

    @property
    def capabilities(self) -> Capabilities:
        """As LiteLLM's tables have it."""
        known, name = self._library, self._spec.name
        return Capabilities(
            response_schema=bool(known.supports_response_schema(model=name)),
            function_calling=bool(known.supports_function_calling(model=name)),
            reasoning=bool(known.supports_reasoning(model=name)),
        )

    def _named(self, options: Mapping[str, Any]) -> dict[str, Any]:
        spec = self._spec
        named: dict[str, Any] = {
            "model": spec.name,
            "timeout": spec.timeout_s,
            "num_retries": spec.num_retries,
            "caching": False,
            **options,
        }
        if spec.headers:
            named["extra_headers"] = dict(spec.headers)
        return named

    def _typed(self, error: Exception) -> Exception:
        """Return our error for LiteLLM's; what is not known comes back as it is."""
        for kind in type(error).__mro__:
            ours = _ERRORS.get(kind.__name__)
            if ours is not None:
                status = getattr(error, "status_code", None)
                return ours(
                    f"{self._spec.model!r}: {error}",
                    model=self._spec.model,
                    provider=self._spec.provider,
                    status=status if isinstance(status, int) else None,
                )
        return error
