"""`LM`: a model by its name, with its options, cache, limits and history.

    lm = LM("openai/gpt-5-mini", temperature=0.7)
    lm("Say hello")                                      # ['Hello!']
    LM("openai/qwen3", base_url="http://localhost:8000/v1")      # any server that speaks OpenAI's protocol

The client is found by the prefix (`_registry`) and made at the first call; what is above it is in `_base` and
`_chokepoint`, the same for every LM.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self, cast

from telic._optional import load
from telic._text import did_you_mean
from telic.context import get as get_setting
from telic.data import Request
from telic.errors import ConfigurationError
from telic.execution import run_coroutine, run_in_thread
from telic.lm._base import SECRETS, BaseLM
from telic.lm._inner import ForwardClient, Nobody
from telic.lm._options import check_options, shows_reasoning
from telic.lm._registry import ClientSpec, client_for, endpoint_of, has_batches, is_model, split_model
from telic.lm._stream import astream_through, stream_through
from telic.lm._tape import Taped

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence

    from telic.lm._chokepoint import Completes
    from telic.protocols import Capabilities, Client, Delta

MODEL_TYPES = ("chat", "text", "responses")
_OF_THE_CLIENT = frozenset((
    "model", "model_type", "api_key", "base_url", "timeout", "num_retries", "headers", "client", "batch",
))  # fmt: skip
_ELSEWHERE: Mapping[str, str] = {
    "provider": "the prefix of the model names it, or pass client=",
    "engine": "pass an object with `complete` and `acomplete` as client=",
    "async_engine": "pass an object with `complete` and `acomplete` as client=",
    "finetuning_model": "finetuning takes it from the optimizer",
    "prompt_cache": "write the provider's own cache marks into the messages",
    "use_developer_role": "write messages with the role 'developer' yourself",
    "launch_kwargs": "pass them to launch()",
    "train_kwargs": "finetuning takes them from the optimizer",
}
"""Arguments that DSPy's LM has, and where the thing is here; None, False, {} and "auto" are let through."""


class LM(BaseLM):
    """A model of a provider, a server or this process, by name.

    Args:
        model: "provider/model": "openai/gpt-5-mini", "anthropic/claude-haiku-4-5", "telic/tiny" ….
        model_type: "chat", "text" or "responses".
        temperature: None: the provider's default.
        max_tokens: None: the provider's default.
        cache: Keep answers and reuse them; `sample=` and `rollout_id=` ask for other draws.
        callbacks: Told of this LM's calls, beside those of the settings.
        num_retries: How often a call is sent again after a failure that may pass.
        timeout: Seconds for the whole call, retries and waits included.
        api_key: None: the provider's environment variable, as it is at the first call. A function is called before
            each call and returns the key: for tokens that expire, and for a key for each tenant.
        base_url: Where the server is; None: the provider's own. `api_base` is the same.
        headers: Sent with every request.
        client: An object with `complete` and `acomplete` that is used in place of the one the prefix names.
        batch: Send calls through the provider's batch service: cheaper, and answered within a day. What waits at the
            same time goes together, so let many rows run at once; `timeout` is for each request to the service.
        **options: Generation options for every call; unknown ones go to the provider as they are.

    Raises:
        UnknownProviderError: No client goes by the prefix.
        ConfigurationError: A name is a slip of a known one, or a size is impossible.
    """

    def __init__(
        self,
        model: str,
        model_type: str = "chat",
        temperature: float | None = None,
        max_tokens: int | None = None,
        cache: bool = True,
        callbacks: Sequence[Any] | None = None,
        num_retries: int = 3,
        *,
        timeout: float = 600.0,
        api_key: str | Callable[[], str] | None = None,
        base_url: str | None = None,
        api_base: str | None = None,
        headers: Mapping[str, str] | None = None,
        client: Client | None = None,
        batch: bool = False,
        **options: Any,
    ) -> None:
        place = f"LM({model!r})"
        if client is None and not self._answers_itself():
            split_model(model)
        if model_type not in MODEL_TYPES:
            near = did_you_mean(str(model_type), MODEL_TYPES)
            raise ConfigurationError(
                f"{place}: model_type is {model_type!r}{near}; one of {', '.join(MODEL_TYPES)}"
            )
        if not isinstance(cache, bool):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise ConfigurationError(
                f"{place}: cache is {cache!r}; True or False (modes belong to configure_cache)"
            )
        if isinstance(num_retries, bool) or not isinstance(num_retries, int) or num_retries < 0:  # pyright: ignore[reportUnnecessaryIsInstance]
            raise ConfigurationError(f"{place}: num_retries is {num_retries!r}; a whole number, 0 or more")
        if isinstance(timeout, bool) or not isinstance(timeout, (int, float)) or not timeout > 0:  # pyright: ignore[reportUnnecessaryIsInstance]
            raise ConfigurationError(
                f"{place}: timeout is {timeout!r}; seconds for the whole call, more than 0"
            )
        if api_key is not None and not isinstance(api_key, str) and not callable(api_key):  # pyright: ignore[reportUnnecessaryComparison]
            raise ConfigurationError(
                f"{place}: api_key is a {type(api_key).__name__}; a str, or a function that returns one"
            )
        if base_url is not None and api_base is not None and base_url != api_base:
            raise ConfigurationError(f"{place}: base_url and api_base are the same thing; give one")
        for name, instead in _ELSEWHERE.items():
            if options.pop(name, None) not in (None, False, {}, "auto"):
                raise ConfigurationError(f"{place}: {name}= is not taken; {instead}")
        if batch and (client is not None or not has_batches(model)):
            raise ConfigurationError(
                f"{place}: batch=True works with batch endpoints as OpenAI has them (/files, /batches); leave it out"
            )
        super().__init__(model, model_type, temperature, max_tokens, cache, callbacks, num_retries, **options)
        check_options(self.kwargs, place)
        self.timeout = timeout
        self.api_key = api_key
        self.base_url = base_url if base_url is not None else api_base
        self.headers: Mapping[str, str] = {} if headers is None else headers
        self.client = client
        self.batch = batch
        self._made: Client | None = None

    @property
    def capabilities(self) -> Capabilities:
        """What the model can do natively, as its client knows it, with the options of this LM."""
        known = self._client().capabilities
        if known.reasoning and not known.reasoning_text and shows_reasoning(self.model, self.kwargs):
            return known._replace(reasoning_text=True)
        return known

    def forward(self, prompt: str | None = None, messages: list[Any] | None = None, **options: Any) -> Any:
        """Return the whole `Response` to a prompt or messages, through cache, budget and history.

        A subclass may define its own, which then answers every call, behind cache and budget; there, `super().forward`
        asks the server.
        """
        request = _as_request(prompt, messages, options)
        if not self._is_overridden():
            return self.complete(request)
        if type(self).forward is LM.forward:
            return run_coroutine(self.aforward(prompt, messages, **options))
        return self._client().complete(request)

    async def aforward(
        self, prompt: str | None = None, messages: list[Any] | None = None, **options: Any
    ) -> Any:
        """Same as `forward`, for tasks."""
        request = _as_request(prompt, messages, options)
        if not self._is_overridden():
            return await self.acomplete(request)
        if type(self).aforward is LM.aforward:
            return await run_in_thread(self.forward, prompt, messages, **options)
        return await self._client().acomplete(request)

    def _is_overridden(self) -> bool:
        """Whether a subclass answers calls itself."""
        kind = type(self)
        return kind.forward is not LM.forward or kind.aforward is not LM.aforward

    def _answers_itself(self) -> bool:
        """Whether a subclass may never ask what its model's name stands for, so that any name will do."""
        return self._is_overridden() or self._has_own_call or self._has_own_acall

    def stream(self, request: Request) -> Iterator[Delta]:
        """Yield the answer in pieces as they come, the last one with the whole response; kept answers in one piece."""
        # What a run keeps is whole answers, and a subclass may answer itself.
        if get_setting("run") is not None or self._answers_itself():
            return super().stream(request)
        final = self._final(request)
        paid, cached = self._stack()
        use_cache = self._uses_cache(final)
        return stream_through(self._client(), paid, cached, final, use_cache, self._record, self._begin)

    def astream(self, request: Request) -> AsyncIterator[Delta]:
        """Same as `stream`, for tasks."""
        if get_setting("run") is not None or self._answers_itself():
            return super().astream(request)
        final = self._final(request)
        paid, cached = self._stack()
        use_cache = self._uses_cache(final)
        return astream_through(self._client(), paid, cached, final, use_cache, self._record, self._begin)

    def close(self) -> None:
        """Let go of what the client holds: the weights of a local model, for all LMs that share them here.

        The next call loads them again. Clients that hold nothing are left as they are.
        """
        close = getattr(self._made, "close", None)
        if close is not None:
            close()
        if self.launched:
            self._made = self._paid = self._cached = None

    @property
    def launched(self) -> bool:
        """Whether a server that `launch` started answers in place of this process."""
        return hasattr(self._made, "healthy")

    def launch(self, launch_kwargs: Mapping[str, Any] | None = None, **options: Any) -> Self:
        """Serve this machine's model by an existing server, and ask it there from now on; `kill` ends that.

        The server listens on this machine alone and ends with this process, however that ends. Copies of this LM made
        before are as they were.

        Args:
            launch_kwargs: As in DSPy; or each by its name:
            **options: `server` ("vllm", "transformers" or "telic"), `port`, `timeout_s` until it must answer, `options`
                (more words of its command line), `command` (one of your own, with {port}, {model} and {name}).

        Raises:
            ConfigurationError: The model is not one of this machine, or an option cannot work.
            MissingExtraError: vLLM is not installed, in this environment or on the path.
            LMServerError: The server ended before it answered; with its last words.
            LMTimeoutError: It did not answer in time, and was ended.
        """
        asked = {**({} if launch_kwargs is None else launch_kwargs), **options}
        served = load("telic.lm._served").launched(self._spec(), asked)
        self.close()
        self._made, self._paid, self._cached = served, None, None
        return self

    def kill(self, launch_kwargs: Mapping[str, Any] | None = None) -> None:
        """End the server that `launch` started; the model runs in this process again. Without one, nothing happens."""
        if self.launched:
            self.close()

    def __getstate__(self) -> dict[str, Any]:
        """For other processes; see `BaseLM`.

        Raises:
            ConfigurationError: A server answers that `launch` started: it is this process's, and other processes would
                each load the model themselves.
        """
        if self.launched:
            url = getattr(self._made, "base_url", "")
            raise ConfigurationError(
                f"LM {self.model!r} is answered by a server that this process launched, and cannot be sent to others; "
                f"give them LM('openai/NAME', base_url={url!r}), with a NAME of {url}/models"
            )
        return super().__getstate__()

    def _uses_cache(self, request: Request) -> bool:
        return self.cache if request.cache is None else request.cache

    def _defaults(self) -> Mapping[str, Any]:
        return self.kwargs

    def _client(self) -> Client:
        if self._made is None:
            made = self.client if self.client is not None else self._new_client()
            self._made = Taped(made, self.model) if getattr(made, "remote", True) else made
        return self._made

    def _new_client(self) -> Client:
        if self._answers_itself() and not is_model(self.model):
            return cast("Client", Nobody(self.model))
        return (
            load("telic.lm._rotating").RotatingClient(self.api_key, self._spec())
            if callable(self.api_key)
            else client_for(self._spec())
        )

    def __setattr__(self, name: str, value: Any) -> None:
        made = self.__dict__.get("_made") if name in _OF_THE_CLIENT else None
        changed = made is not None and not self.launched and self.__dict__.get(name) != value
        object.__setattr__(self, name, value)
        if changed:  # the next call is made with it
            self.__dict__.update(_made=None, _paid=None, _cached=None)

    def _spec(self) -> ClientSpec:
        provider, name = split_model(self.model)
        key = None if callable(self.api_key) else self.api_key
        return ClientSpec(
            provider, name, self.model_type, key, self.base_url, float(self.timeout), self.num_retries,
            self.headers, self.batch,
        )  # fmt: skip

    def _make_client(self) -> tuple[Completes, str, bool]:
        client = self._client()
        if self._is_overridden():
            kind = type(self)
            identity = f"{endpoint_of(client)} by {kind.__module__}.{kind.__qualname__}"
            return ForwardClient(self), identity, getattr(client, "remote", True)
        return client, endpoint_of(client), getattr(client, "remote", not self.model.startswith("telic/"))

    def copy(self, **changes: Any) -> Self:
        """Return an LM like this one with some things changed, and a history of its own.

        The client, with its connections and limits, is shared unless something changes that it is made of.

        Args:
            **changes: Anything that `LM` takes.
        """
        if "api_base" in changes:
            changes["base_url"] = changes.pop("api_base")
        new = super().copy(**changes)
        if _OF_THE_CLIENT & changes.keys():
            new._made = None  # of the same class
            if new.client is None and not new._answers_itself():
                split_model(new.model)
        return new

    @classmethod
    def load_state(cls, state: Mapping[str, Any], **here: Any) -> Self:
        """Return the LM that `dump_state` described.

        Args:
            state: From a file. Keys and endpoints in it are not used: where calls go is never a file's decision.
            **here: What this program adds: `api_key=`, `base_url=`, `client=` ….
        """
        known = {
            name: value
            for name, value in state.items()
            if name not in SECRETS and name not in _ELSEWHERE and not name.startswith("_")
        }
        return cast("Callable[..., Self]", cls)(**{**known, **here})


def _as_request(prompt: str | None, messages: list[Any] | None, options: dict[str, Any]) -> Request:
    turns: list[Any] = messages if messages is not None else [{"role": "user", "content": prompt}]
    return Request(turns, options, cache=options.pop("cache", None))
