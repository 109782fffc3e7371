"""`ForeignClient`: what clients have in common that call another library, which has providers and a wire of its own."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any

from telic.context import get as setting
from telic.errors import RequestsForbiddenError
from telic.lm._forward import response_from
from telic.protocols import Delta

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, Mapping

    from telic.data import Request, Response
    from telic.lm._registry import ClientSpec


class ForeignClient(ABC):
    """One model through a library with `completion(…)` and `acompletion(…)` in OpenAI's form.

    Args:
        spec: What the user named; `name` is the library's own name of the model.
        library: The module.
        name: The endpoint, where the user gave none.
    """

    def __init__(self, spec: ClientSpec, library: Any, name: str) -> None:
        self._spec = spec
        self._library = library
        self.endpoint = spec.base_url if spec.base_url is not None else name

    def complete(self, request: Request) -> Response:
        """Return the answer to one request."""
        arguments = self._arguments(request)
        try:
            return response_from(self._library.completion(**arguments), self._spec.model)
        except Exception as error:
            raise self._typed(error) from error

    async def acomplete(self, request: Request) -> Response:
        """Same as `complete`, for tasks."""
        arguments = self._arguments(request)
        try:
            return response_from(await self._library.acompletion(**arguments), self._spec.model)
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
        places = {"api_key": spec.api_key, "api_base": spec.base_url}
        return {
            "messages": list(request.messages),
            **self._named(request.options),
            **{name: value for name, value in places.items() if value is not None},
        }

    @abstractmethod
    def _named(self, options: Mapping[str, Any]) -> dict[str, Any]:
        """Return the options of a call, with the name of the model and what else the library is told with each."""

    @abstractmethod
    def _typed(self, error: Exception) -> Exception:
        """Return what is raised for an error of the library."""
