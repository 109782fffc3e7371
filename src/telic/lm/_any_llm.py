"""The factory behind "any-llm/provider/model": providers that any-llm knows, by the official packages of each."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, final

from telic._optional import require
from telic.context import get as setting
from telic.errors import LMError, RequestsForbiddenError
from telic.lm._forward import response_from
from telic.protocols import Capabilities, Client, Delta

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from telic.data import Request, Response
    from telic.lm._registry import ClientSpec


def any_llm_client(spec: ClientSpec) -> Client:
    """Return a client that calls any-llm.

    Raises:
        MissingExtraError: any-llm is not installed.
    """
    return AnyLLMClient(spec, require("any_llm", extra="any-llm", purpose=f"the LM {spec.model!r}"))


@final
class AnyLLMClient:
    """One model through any-llm.

    Args:
        spec: `name` is "provider/model".
        any_llm: The module.
    """

    def __init__(self, spec: ClientSpec, any_llm: Any) -> None:
        self._spec = spec
        self._any_llm = any_llm
        self.endpoint = spec.base_url if spec.base_url is not None else "any-llm"

    @property
    def capabilities(self) -> Capabilities:
        """Nothing is assumed."""
        return Capabilities()

    def complete(self, request: Request) -> Response:
        """Return the answer to one request."""
        arguments = self._arguments(request)
        try:
            return response_from(self._any_llm.completion(**arguments), self._spec.model)
        except Exception as error:
            raise self._typed(error) from error

    async def acomplete(self, request: Request) -> Response:
        """Same as `complete`, for tasks."""
        arguments = self._arguments(request)
        try:
            return response_from(await self._any_llm.acompletion(**arguments), self._spec.model)
        except Exception as error:
            raise self._typed(error) from error

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
        provider, _, name = spec.name.partition("/")
        arguments: dict[str, Any] = {
            "model": name,
            "provider": provider,
            "messages": list(request.messages),
            **request.options,
        }
        places = {"api_key": spec.api_key, "api_base": spec.base_url}
        arguments |= {name: value for name, value in places.items() if value is not None}
        return arguments

    def _typed(self, error: Exception) -> Exception:
        """Return an `LMError` that names the model; the provider's own is its cause."""
        if isinstance(error, LMError):
            return error
        return LMError(
            f"{self._spec.model!r}: {type(error).__name__}: {error}",
            model=self._spec.model,
            provider="any-llm",
        )
