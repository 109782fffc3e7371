"""From "provider/model" to a client.

A prefix names a factory: those of the wire dialects and of the embedded LM are in a table here, others come from
`register_client` or from entry points in the group `telic.clients` of installed packages. An entry point is looked up
only for a prefix that is not known otherwise. Making a client opens no connection.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final, NamedTuple, final

from telic._optional import load
from telic._text import nearest
from telic.errors import ConfigurationError, NotConfiguredError, UnknownProviderError
from telic.protocols import Client, Delta

if TYPE_CHECKING:
    from telic.data import Request, Response

ENTRY_POINTS: Final = "telic.clients"


class ClientSpec(NamedTuple):
    """What a factory makes a client from."""

    provider: str
    """The prefix."""
    name: str
    """The model's name without the prefix."""
    model_type: str = "chat"
    api_key: str | None = None
    """None: the provider's environment variable, or none at all."""
    base_url: str | None = None
    """None: the provider's own."""
    timeout_s: float = 600.0
    """For the whole call, retries and waits included."""
    num_retries: int = 3
    headers: Mapping[str, str] = {}
    """Sent with every request, beside the client's own."""
    batch: bool = False
    """Through the provider's batch service."""

    @property
    def model(self) -> str:
        """As the user gave it."""
        return f"{self.provider}/{self.name}"

    def __repr__(self) -> str:
        return f"ClientSpec({self.model!r}, base_url={self.base_url!r})"  # never the key


Factory = Callable[[ClientSpec], Client]

_BUILTIN: Final[Mapping[str, str]] = {
    "telic": "telic.lm._embedded:embedded_client",
    "local": "telic.lm._local:local_client",
    "litellm": "telic.lm._litellm:litellm_client",
    "any-llm": "telic.lm._any_llm:any_llm_client",
}
"""Prefixes of ours, and where their factories are: modules that are loaded when a client is made."""
_WIRE: Final = "telic.lm.wire._client:wire_client"

_registered: dict[str, Factory] = {}


def register_client(prefix: str, factory: Factory, *, replace: bool = False) -> None:
    """Make `LM("prefix/model")` use `factory`, in this process.

    Args:
        prefix: What stands before the first slash.
        factory: Takes a `ClientSpec`, returns a `telic.protocols.Client`; called at an LM's first call.
        replace: Take the place of a prefix that is known already.

    Raises:
        ConfigurationError: The prefix is empty, has a slash, or is taken.
    """
    if not prefix or "/" in prefix:
        raise ConfigurationError(f"register_client({prefix!r}): a prefix is a word without a slash")
    if not callable(factory):
        raise ConfigurationError(f"register_client({prefix!r}): the factory {factory!r} cannot be called")
    if not replace and (prefix in _registered or _place_of(prefix) is not None):
        raise ConfigurationError(
            f"register_client({prefix!r}): the prefix is taken; pass replace=True to take it over"
        )
    _registered[prefix] = factory


def split_model(model: Any) -> tuple[str, str]:
    """Return prefix and name of "provider/model", both known to be usable.

    Raises:
        UnknownProviderError: No client goes by that prefix; the message says what to write instead.
    """
    if not isinstance(model, str) or not model.strip("/ "):
        raise ConfigurationError(f"LM({model!r}): the model is a str such as 'openai/gpt-5-mini'")
    provider, slash, name = model.partition("/")
    if slash and name and _is_known(provider):
        return provider, name
    known = sorted({*_registered, *_BUILTIN, *_wire_prefixes()})
    if slash and name:
        near = nearest(provider, known, likeness=0.75)
        fact = f"{provider!r} is no provider that is known here" + (
            f" (did you mean {near!r}?)" if near is not None else ""
        )
    else:
        guess = _provider_of(model)
        fact = "a model is named 'provider/model'" + (f" (did you mean '{guess}/{model}'?)" if guess else "")
    raise UnknownProviderError(
        f"LM({model!r}): {fact}. Known: {', '.join(known)}. For any server that speaks OpenAI's protocol (vLLM, "
        f"SGLang, llama.cpp …) write LM('openai/{model}', base_url='http://host:port/v1')"
    )


def is_model(model: Any) -> bool:
    """Whether a client goes by the prefix of "provider/model"."""
    provider, slash, name = str(model).partition("/")
    return bool(slash and name) and _is_known(provider)


def has_batches(model: str) -> bool:
    """Whether calls of "provider/model" can go through a batch service of OpenAI's kind."""
    provider = model.partition("/")[0]
    known = provider not in _registered and provider in _wire_prefixes()
    return known and not provider.startswith(("anthropic", "azure"))


def client_for(spec: ClientSpec) -> Client:
    """Return a new client for `spec`.

    Raises:
        MissingExtraError: The client needs a package that is not installed.
        UnknownProviderError: The prefix is not known.
    """
    factory = _registered.get(spec.provider)
    if factory is None:
        place = _place_of(spec.provider)
        factory = _located(place) if place is not None else _from_entry_point(spec.provider)
    if factory is None:
        raise UnknownProviderError(f"{spec.provider!r} is no provider that is known here")
    try:
        return factory(spec)
    except NotConfiguredError as error:
        if spec.api_key is not None:
            raise
        return WithoutKey(error, factory(spec._replace(api_key="none")))


def endpoint_of(client: Client) -> str:
    """Return where a client's answers come from, for cache keys: its `endpoint`, or its class."""
    endpoint = getattr(client, "endpoint", None)
    if endpoint is not None:
        return str(endpoint)
    kind = type(client)
    return f"python:{kind.__module__}.{kind.__qualname__}"


@final
class WithoutKey:
    """Stands for a client that lacks only its key: kept answers can be used, a call says what is missing.

    Args:
        error: Raised by every call.
        like: The client as it would be with a key.
    """

    def __init__(self, error: NotConfiguredError, like: Client) -> None:
        self._error = error
        self.endpoint = endpoint_of(like)
        self.capabilities = like.capabilities

    def complete(self, request: Request) -> Response:
        """Raise the error."""
        raise self._error

    async def acomplete(self, request: Request) -> Response:
        """Raise the error."""
        raise self._error

    def stream(self, request: Request) -> Iterator[Delta]:
        """Raise the error."""
        raise self._error

    def astream(self, request: Request) -> AsyncIterator[Delta]:
        """Raise the error."""
        raise self._error


def _wire_prefixes() -> frozenset[str]:
    """Return the prefixes of the wire dialects; programs whose LMs are all in-process never load that table."""
    return load("telic.lm.wire._hosts").PREFIXES


def _place_of(provider: str) -> str | None:
    place = _BUILTIN.get(provider)
    return _WIRE if place is None and provider in _wire_prefixes() else place


def _is_known(provider: str) -> bool:
    return provider in _registered or _place_of(provider) is not None or _entry_point(provider) is not None


def _located(place: str) -> Factory:
    module, _, name = place.partition(":")
    return getattr(load(module), name)


def _entry_point(provider: str) -> Any:
    found = load("importlib.metadata").entry_points(group=ENTRY_POINTS, name=provider)
    return next(iter(found), None)


def _from_entry_point(provider: str) -> Factory | None:
    entry = _entry_point(provider)
    if entry is None:
        return None
    factory = _registered[provider] = entry.load()  # the user's installed package, named by its own metadata
    return factory


def _provider_of(model: str) -> str | None:
    """Return the provider that a bare model name is known from."""
    starts = {"gpt": "openai", "o1": "openai", "o3": "openai", "o4": "openai", "claude": "anthropic"}
    return next((provider for start, provider in starts.items() if model.startswith(start)), None)
