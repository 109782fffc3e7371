"""A client beside a tape: where a cassette is in force, it answers or records what the client would be sent.

The setting `cassette` holds it (`telic.testing.cassette` sets it for a block); the response cache stands aside then.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any, final

from telic.context import get as get_setting
from telic.data import Request, Response
from telic.lm._registry import endpoint_of
from telic.protocols import Capabilities, Client, Delta


@final
class Taped:
    """A client that leaves the process, and the tape of the block that a call is made in.

    Args:
        client: The client.
        model: "provider/model", as it stands on tapes.
    """

    remote = True

    def __init__(self, client: Client, model: str) -> None:
        self._client = client
        self._model = model
        self.endpoint = endpoint_of(client)

    @property
    def capabilities(self) -> Capabilities:
        """The client's."""
        return self._client.capabilities

    def complete(self, request: Request) -> Response:
        """Return the tape's answer, or the client's."""
        tape = get_setting("cassette")
        if tape is None:
            return self._client.complete(request)
        return tape.complete(self._model, request, self._client.complete)

    async def acomplete(self, request: Request) -> Response:
        """Same as `complete`, for tasks."""
        tape = get_setting("cassette")
        if tape is None:
            return await self._client.acomplete(request)
        return await tape.acomplete(self._model, request, self._client.acomplete)

    def stream(self, request: Request) -> Iterator[Delta]:
        """Yield the client's pieces; from a tape the answer comes in one piece."""
        if get_setting("cassette") is None:
            yield from self._client.stream(request)
        else:
            response = self.complete(request)
            yield Delta(response.text, response=response)

    async def astream(self, request: Request) -> AsyncIterator[Delta]:
        """Same as `stream`, for tasks."""
        if get_setting("cassette") is None:
            deltas: Any = self._client.astream(request)
            try:
                async for delta in deltas:
                    yield delta
            finally:
                if hasattr(deltas, "aclose"):
                    await deltas.aclose()
        else:
            response = await self.acomplete(request)
            yield Delta(response.text, response=response)
