"""`BaseLM`: what every LM of telic is, and what users subclass to bring an LM of their own into the process.

A subclass defines `forward(prompt=None, messages=None, **options)` and returns an answer in OpenAI's shape (object or
dict), a text, a list of texts, or a `Response`; `aforward` beside it, where the LM is asynchronous by nature. The rest
is here: options, the chokepoint (`_chokepoint`), history, usage, callbacks. A `__call__` of its own is asked, too.

`forward` gets the options of the call alone; what the LM was made with is in `self.kwargs`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from time import perf_counter
from typing import Any, ClassVar, Self, cast

from telic._replay import astep, step
from telic._seed import derive_seed
from telic.context import get as setting
from telic.data import Message, Request, Response
from telic.errors import ConfigurationError, InputError
from telic.execution import run_coroutine, run_in_thread
from telic.lm._chokepoint import Cached, Completes, Paid
from telic.lm._forward import outputs_of
from telic.lm._history import History
from telic.lm._inner import ForwardClient, acalled, called, is_inside, is_told, passing_on
from telic.lm._options import check_options
from telic.lm._run import akept_or_asked, kept_or_asked
from telic.lm.caching._cache import current_cache
from telic.lm.caching._key import identity
from telic.protocols import Capabilities, Delta
from telic.tracing import begin, finish, record_call

_NO_CAPABILITIES = Capabilities()


class BaseLM:
    """An LM in this process, made by subclassing.

    Args:
        model: Its name in histories, usage and errors.
        model_type: "chat", "text" or "responses".
        temperature: Stands in `kwargs`.
        max_tokens: Stands in `kwargs`.
        cache: True: answers are kept and reused. In-process LMs are asked anew each time unless this is True; None and
            False mean that.
        callbacks: Told of this LM's calls, beside those of the settings.
        num_retries: Kept for subclasses; nothing here retries.
        **kwargs: Options of the LM, in `kwargs`.

    Example:
        >>> class Parrot(BaseLM):
        ...     def forward(self, prompt=None, messages=None, **options):
        ...         return messages[-1]["content"].upper()
        >>> Parrot("parrot")("hello")
        ['HELLO']
    """

    def __init__(
        self,
        model: str,
        model_type: str = "chat",
        temperature: float | None = None,
        max_tokens: int | None = None,
        cache: bool | None = None,
        callbacks: Sequence[Any] | None = None,
        num_retries: int = 0,
        **kwargs: Any,
    ) -> None:
        self.model = model
        self.model_type = model_type
        self.cache = bool(cache)
        self.callbacks: Sequence[Any] = () if callbacks is None else callbacks
        self.num_retries = num_retries
        self.kwargs: dict[str, Any] = {"temperature": temperature, "max_tokens": max_tokens, **kwargs}
        self._history = History(setting("max_history_size"), model_type)
        self._paid: Paid | None = None
        self._cached: Cached | None = None

    _has_own_call: ClassVar[bool] = False
    _has_own_acall: ClassVar[bool] = False

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        cls._has_own_call = cls.__call__ is not BaseLM.__call__
        cls._has_own_acall = cls.acall is not BaseLM.acall

    # what a subclass defines

    def forward(
        self, prompt: str | None = None, messages: list[Message] | None = None, **options: Any
    ) -> Any:
        """Answer `messages`; defined by subclasses. `prompt` is always None here: a prompt arrives as one message."""
        if type(self).aforward is not BaseLM.aforward:
            return run_coroutine(self.aforward(prompt, messages, **options))
        raise ConfigurationError(
            f"{type(self).__name__} defines neither forward nor aforward; write one of them: it gets `messages` and "
            "returns the reply"
        )

    async def aforward(
        self, prompt: str | None = None, messages: list[Message] | None = None, **options: Any
    ) -> Any:
        """Answer `messages` from a task; without it, `forward` runs in a thread."""
        return await run_in_thread(self.forward, prompt, messages, **options)

    @property
    def capabilities(self) -> Capabilities:
        """What the model can do natively; a subclass may say more."""
        return _NO_CAPABILITIES

    # calls

    def complete(self, request: Request) -> Response:
        """Return the answer to `request`, from the cache or from the LM.

        Raises:
            ConfigurationError: An option cannot work; nothing was sent.
            BudgetExceeded: A limit of the budget in force is reached; nothing was sent.
            CacheMissError: Replay-only mode, and the answer is not in the cache.
            LMError: The call failed.
        """
        request = self._final(request)
        if is_told(self):
            return self._answer(request)
        observed = self._begin(request) if self.callbacks or setting("callbacks") else None
        started = perf_counter()
        try:
            run = setting("run")
            response = self._answer(request) if run is None else kept_or_asked(run, self, request)
        except BaseException as error:
            self._record(request, None, error, perf_counter() - started)
            finish(observed, None, error)
            raise
        self._record(request, response, None, perf_counter() - started)
        if observed is not None:
            finish(observed, outputs_of(response), response=response)
        return response

    async def acomplete(self, request: Request) -> Response:
        """Same as `complete`, for tasks of any event loop."""
        request = self._final(request)
        if is_told(self):
            return await self._aanswer(request)
        observed = self._begin(request) if self.callbacks or setting("callbacks") else None
        started = perf_counter()
        try:
            run = setting("run")
            response = await (self._aanswer(request) if run is None else akept_or_asked(run, self, request))
        except BaseException as error:
            self._record(request, None, error, perf_counter() - started)
            finish(observed, None, error)
            raise
        self._record(request, response, None, perf_counter() - started)
        if observed is not None:
            finish(observed, outputs_of(response), response=response)
        return response

    def stream(self, request: Request) -> Iterator[Delta]:
        """Yield the answer in pieces, the last one with the whole response; here it comes in one piece."""
        response = self.complete(request)
        yield Delta(response.text, response=response)

    async def astream(self, request: Request) -> AsyncIterator[Delta]:
        """Same as `stream`, for tasks."""
        response = await self.acomplete(request)
        yield Delta(response.text, response=response)

    def __call__(
        self, prompt: str | None = None, messages: Sequence[Message] | None = None, **options: Any
    ) -> list[str | dict[str, Any]]:
        """Ask the LM directly, without a signature.

        Args:
            prompt: The text of one user message; or
            messages: all messages.
            **options: Generation options of this call; `cache=False` asks anew, `rollout_id=k` is the k-th draw.

        Returns:
            One item for each completion: its text, or, where there is more than text, a dict with `text` and
            `reasoning_content`, `logprobs`, `tool_calls`.

        Raises:
            InputError: Not exactly one of `prompt` and `messages` is given, or it is of a wrong type.
        """
        request = _request(prompt, messages, options)
        with passing_on(self, self._has_own_call):
            return step(self, [prompt, messages, options], lambda: outputs_of(self.complete(request)))

    async def acall(
        self, prompt: str | None = None, messages: Sequence[Message] | None = None, **options: Any
    ) -> list[str | dict[str, Any]]:
        """Same as a call, for tasks."""
        request = _request(prompt, messages, options)

        async def asked() -> list[str | dict[str, Any]]:
            return outputs_of(await self.acomplete(request))

        with passing_on(self, self._has_own_acall):
            return await astep(self, [prompt, messages, options], asked)

    # one call's parts

    def _answer(self, request: Request) -> Response:
        """Return the answer of the cache, or of the client."""
        if self._has_own_call and not is_inside(self):
            return called(self, request)
        cached = self.cache if request.cache is None else request.cache
        if cached and (store := current_cache()).mode != "off":
            return (self._cached or self._stack()[1]).complete(request, store)
        return (self._paid or self._stack()[0]).complete(request)

    async def _aanswer(self, request: Request) -> Response:
        """Same as `_answer`, for tasks."""
        if self._has_own_acall and not is_inside(self):
            return await acalled(self, request)
        cached = self.cache if request.cache is None else request.cache
        if cached and (store := current_cache()).mode != "off":
            return await (self._cached or self._stack()[1]).acomplete(request, store)
        return await (self._paid or self._stack()[0]).acomplete(request)

    def _defaults(self) -> Mapping[str, Any] | None:
        """Return options that stand behind those of a call; None: `forward` looks at `kwargs` itself."""
        return None

    def _final(self, request: Request) -> Request:
        """Return the request with all options that hold for it, and its sample index."""
        options = request.options
        laid_over: Mapping[str, Any] | None = setting("lm_options")
        sample = request.sample or setting("sample")
        defaults = self._defaults()
        if not options and not laid_over and defaults is None and sample == request.sample:
            return request
        if options:
            check_options(options, repr(self))
        if laid_over:
            check_options(laid_over, "settings.lm_options")
        merged = {**(defaults or {}), **options, **(laid_over or {})}
        rollout = merged.pop("rollout_id", None)
        if rollout is not None and not sample:
            sample = rollout
        elif rollout is not None and sample == setting(
            "sample"
        ):  # a search: draws of its own for this rollout
            sample = derive_seed(sample, "rollout", rollout)
        if any(value is None for value in merged.values()):
            merged = {name: value for name, value in merged.items() if value is not None}
        return Request(request.messages, merged, sample=sample, prefix=request.prefix, cache=request.cache)

    def _stack(self) -> tuple[Paid, Cached]:
        """Make the layers of the chokepoint, at the first call."""
        client, endpoint, remote = self._make_client()
        paid = Paid(client, self.model, remote=remote)
        whose = not callable(getattr(self, "api_key", None))
        cached = Cached(paid, identity(endpoint, self.model, self.model_type), shares_failures=whose)
        self._paid, self._cached = paid, cached
        return paid, cached

    def _make_client(self) -> tuple[Completes, str, bool]:
        """Return the client, what it talks to (for keys), and whether calls leave the process."""
        kind = type(self)
        options = {name: value for name, value in self.kwargs.items() if value is not None}
        return ForwardClient(self), f"python:{kind.__module__}.{kind.__qualname__}{options}", False

    def _begin(self, request: Request) -> Any:
        return begin(
            "lm", self, {"prompt": None, "messages": list(request.messages), "kwargs": dict(request.options)}
        )

    def _record(
        self, request: Request, response: Response | None, error: BaseException | None, seconds: float
    ) -> None:
        entry = record_call(self.model, request, response, error, seconds)
        if entry is not None:
            self._history.keep(entry, setting("max_history_size"))

    # the object

    @property
    def history(self) -> History:
        """The last calls of this LM, oldest first, each as a dict; `lm.history = []` forgets them."""
        return self._history

    @history.setter
    def history(self, value: Sequence[Any]) -> None:
        if value:
            raise ConfigurationError(
                f"{self!r}: a history can be emptied (lm.history = []), not filled by hand"
            )
        self._history.clear()

    def copy(self, **changes: Any) -> Self:
        """Return an LM like this one with some things changed, and a history of its own.

        Args:
            **changes: Attributes (`model=`, `cache=`), and options, which go to `kwargs`.
        """
        new = object.__new__(type(self))
        new.__dict__.update(self.__dict__)
        new.kwargs = dict(self.kwargs)
        options: dict[str, Any] = {}
        for name, value in changes.items():
            if name in self.__dict__ and not name.startswith("_") and name != "kwargs":
                setattr(new, name, value)
            else:
                options[name] = value
        check_options(options, repr(self))
        new.kwargs.update(options)
        new._history = History(setting("max_history_size"), new.model_type)
        new._paid = new._cached = None  # of the same class
        return new

    def __deepcopy__(self, memo: object) -> Self:
        return self.copy()

    def __getstate__(self) -> dict[str, Any]:
        """For other processes: without connections and history, but with an `api_key=` that was given."""
        return {
            name: value
            for name, value in self.__dict__.items()
            if name not in ("_history", "_paid", "_cached", "_made")
        }

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state, _paid=None, _cached=None, _made=None)
        self._history = History(setting("max_history_size"), self.model_type)

    def dump_state(self) -> dict[str, Any]:
        """Return name and options as JSON-able values; keys and endpoints never stand in it."""
        return {
            "model": self.model,
            "model_type": self.model_type,
            "cache": self.cache,
            "num_retries": self.num_retries,
            **{
                name: value for name, value in self.kwargs.items() if name not in SECRETS and _is_plain(value)
            },
        }

    def inspect_history(self, n: int = 1, file: Any = None) -> None:
        """Write the last `n` calls of this LM, messages and answers, to standard output or `file`."""
        self._history.write(n, file)

    @property
    def supports_function_calling(self) -> bool:
        """Whether the model takes tools natively."""
        return self.capabilities.function_calling

    @property
    def supports_reasoning(self) -> bool:
        """Whether the model has a reasoning channel of its own."""
        return self.capabilities.reasoning

    @property
    def supports_response_schema(self) -> bool:
        """Whether the server holds replies to a JSON schema."""
        return self.capabilities.response_schema

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.model!r})"


SECRETS = frozenset((
    "api_key", "api_base", "base_url", "api_version", "headers", "extra_headers", "extra_query", "client",
    "azure_ad_token", "aws_access_key_id", "aws_secret_access_key", "aws_session_token", "vertex_credentials", "token",
    "organization", "project",
))  # fmt: skip
"""What a state never holds: keys, and where calls go."""


def _is_plain(value: Any) -> bool:
    if value is None or isinstance(value, (str, int, float, bool)):
        return True
    if isinstance(value, (list, tuple)):
        return all(_is_plain(item) for item in cast("Sequence[Any]", value))
    if isinstance(value, dict):
        items = cast("dict[Any, Any]", value).items()
        return all(isinstance(name, str) and _is_plain(item) for name, item in items)
    return False


def _request(prompt: str | None, messages: Sequence[Message] | None, options: dict[str, Any]) -> Request:
    if (prompt is None) == (messages is None):
        both = "both are" if prompt is not None else "neither is"
        raise InputError(f"an LM is called with a prompt or with messages=[…]; {both} given")
    if messages is None:
        if not isinstance(prompt, str):
            raise InputError(
                f"the prompt is {prompt!r:.100}, expected a str; pass messages=[…] for a conversation"
            )
        messages = [{"role": "user", "content": prompt}]
    elif isinstance(messages, str) or not messages or not all(isinstance(m, Mapping) for m in messages):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise InputError(
            f"messages is {messages!r:.100}; expected a list of dicts such as "
            "{'role': 'user', 'content': 'Hello'}, with at least one"
        )
    cache = options.pop("cache", None)
    return Request(messages, options, cache=cache)
