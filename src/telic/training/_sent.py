"""`SentClient`: weights in training, as other processes ask them: what is trained travels, the base is opened there.

    client = sent_client(network, name="local/PATH", adaptation=…, place="run/self")
    lm = LM("local/PATH", client=client)                # picklable; answers wherever it is

A process that is asked opens the base as the trainer did, lays what was trained over it (of LoRA the narrow matrices
alone), and keeps it: the next step's weights are laid over the same base. So both compute the same, by the same code.
It keeps what one training works with; another training's are let go of. A base of the hub is loaded there; one in a
folder must lie there under the same path, with the same files.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any, Final, NamedTuple, final

from telic._optional import load
from telic.errors import ConfigurationError
from telic.lm._registry import endpoint_of
from telic.training._open import open_trainable

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from telic.data import Request, Response
    from telic.protocols import Capabilities, Client, Delta
    from telic.training._trainable import Adaptation, Trainable


class Source(NamedTuple):
    """How a network is opened, and which it is."""

    model: str
    """"local/PATH-or-hub-id", "telic/tiny"."""
    adaptation: Adaptation
    device: str | None
    dtype: str | None
    training: str
    """Which training: a process keeps the networks of one."""
    name: str
    """Which of its networks."""


@final
class SentClient:
    """A client that can be sent to other processes. Make it by `sent_client`.

    Args:
        source: How the network is opened.
        identity: Of the base, as the trainer has it.
        endpoint: Of the trained weights.
        capabilities: What the model can do.
        state: What was trained, as the bytes of a safetensors file, in an array: executors send these without copies.
    """

    remote: Final = False
    """Calls stay on the machine: replay-only mode lets them through."""

    def __init__(
        self, source: Source, identity: str, endpoint: str, capabilities: Capabilities, state: Any
    ) -> None:
        self.model = source.model.partition("/")[2]
        self.endpoint = endpoint
        self.capabilities = capabilities
        self._source, self._identity, self._state = source, identity, state

    def open(self) -> Client:
        """Return the client of this process, with these weights.

        Raises:
            ConfigurationError: The base is another one here, or does not fit into memory.
            MissingExtraError: torch, transformers or peft is not installed here.
            LMUnsupportedModelError: There is no such base here.
        """
        return _held_client(self._source, self._identity, self.endpoint, self._state)

    def complete(self, request: Request) -> Response:
        """Return the answer to `request`; see `open`."""
        return self.open().complete(request)

    async def acomplete(self, request: Request) -> Response:
        """Same as `complete`, for tasks."""
        opened = await load("asyncio").to_thread(self.open)
        return await opened.acomplete(request)

    def stream(self, request: Request) -> Iterator[Delta]:
        """Yield pieces of text as they are generated, and last the whole response."""
        yield from self.open().stream(request)

    async def astream(self, request: Request) -> AsyncIterator[Delta]:
        """Same as `stream`, for tasks."""
        opened = await load("asyncio").to_thread(self.open)
        async for piece in opened.astream(request):
            yield piece


def sent_client(network: Trainable, source: Source) -> SentClient:
    """Return a client of the present weights of a network that can be sent to other processes."""
    here = network.client()
    body = load("safetensors.torch").save(network.state())
    array = load("numpy").frombuffer(body, dtype="uint8")
    return SentClient(source, network.identity, endpoint_of(here), here.capabilities, array)


class _Held(NamedTuple):
    network: Trainable
    client: Client
    endpoint: str


_lock = threading.Lock()  # protects the table, and the networks in it while they get other weights
_held: dict[Source, _Held] = {}


def _held_client(source: Source, identity: str, endpoint: str, state: Any) -> Client:
    with _lock:
        held = _held.get(source)
        if held is not None and held.endpoint == endpoint:
            return held.client
        for other in [one for one in _held if one.training != source.training]:
            del _held[other]
        if held is None:
            network = open_trainable(
                source.model, source.adaptation, device=source.device, dtype=source.dtype
            )
            if network.identity != identity:
                raise ConfigurationError(
                    f"the weights of {source.model!r} are others in this process ({network.identity!r}) than where "
                    f"they are trained ({identity!r}); share the folder, or copy it"
                )
        else:
            network = held.network
        network.load_state(load("safetensors.torch").load(state.tobytes()))
        _held[source] = _Held(network, network.client(), endpoint)
        return _held[source].client
