"""A client whose key changes while it is used: `LM("openai/m", api_key=function)` asks the function before each call.

Short-lived tokens, keys that a vault rotates, a key for each tenant: what gives the key is the program's, and may
look at its context. Clients share the process's connections, so one more for a new key costs microseconds; those used
last are kept.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, final

from telic.errors import ConfigurationError
from telic.lm._registry import ClientSpec, client_for, endpoint_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

    from telic.data import Request, Response
    from telic.protocols import Client, Delta

_KEPT: Final = 64


@final
class RotatingClient:
    """Answers each call by the client of the present key.

    Args:
        key: Gives it; called before each call, so it keeps what is slow to get itself.
        spec: What else clients are made of.
    """

    def __init__(self, key: Callable[[], str], spec: ClientSpec) -> None:
        self._key = key
        self._spec = spec
        self._clients: dict[str, Client] = {}
        like = client_for(spec._replace(api_key="none"))
        self.endpoint = endpoint_of(like)
        self.capabilities = like.capabilities

    def complete(self, request: Request) -> Response:
        """Return the answer."""
        return self._client().complete(request)

    async def acomplete(self, request: Request) -> Response:
        """Return the answer."""
        return await self._client().acomplete(request)

    def stream(self, request: Request) -> Iterator[Delta]:
        """Return the pieces of the answer."""
        return self._client().stream(request)

    def astream(self, request: Request) -> AsyncIterator[Delta]:
        """Return the pieces of the answer."""
        return self._client().astream(request)

    def _client(self) -> Client:
        key = self._key()
        if not isinstance(key, str) or not key.strip():  # pyright: ignore[reportUnnecessaryIsInstance]
            raise ConfigurationError(
                f"LM({self._spec.model!r}): the function given as api_key returned {type(key).__name__} "
                "without a key in it; it returns the key as str"
            )
        client = self._clients.pop(key, None) or client_for(self._spec._replace(api_key=key))
        self._clients[key] = client  # behind those not used since
        while len(self._clients) > _KEPT:
            self._clients.pop(next(iter(self._clients)), None)  # another thread may be at it
        return client
