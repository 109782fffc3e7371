"""`Embedder`: texts into vectors, by a server, a model in this process, or any function.

What was embedded is kept in the response cache text by text, as soon as its batch came, so that a failure midway costs
nothing twice: the next call pays for the rest. Functions are not cached, because nothing says when they change.
"""

from __future__ import annotations

import base64
import os
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, NamedTuple, cast, final

from telic._optional import load
from telic._replay import astep, step
from telic.data import Request, Response
from telic.errors import CacheMissError, ConfigurationError, InputError, MissingExtraError
from telic.execution import is_async, run_coroutine, run_in_thread
from telic.lm._chokepoint import Paid
from telic.lm._flight import Flights
from telic.lm.caching._cache import current_cache
from telic.lm.caching._key import value_key
from telic.lm.wire._client import WireClient
from telic.lm.wire._retry import RetryPolicy
from telic.retrieve._endpoint import EmbeddingDialect
from telic.retrieve._together import together
from telic.retrieve._vectors import as_vectors

MAX_BATCHES: Final = 8
"""Batches of one call that are in flight to a server at once."""
_LOCAL: Final = "sentence-transformers"
_flights: Final = Flights()  # equal batches that are under way at once share one request

if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_flights.forget)


@final
class Embedder:
    """Turns texts into vectors.

    Args:
        model: "provider/model" of an OpenAI-compatible server ("openai/text-embedding-3-small", "ollama/…",
            "hosted_vllm/…"); "sentence-transformers/name" for a model in this process; or a function, sync or async,
            that takes a list of texts and returns one vector for each.
        batch_size: How many texts go into one request, or one call of the function.
        caching: Keep and reuse vectors in the response cache; functions are never cached.
        api_key: None: from the environment.
        base_url: Where the server is; None: the provider's own. `api_base` is the same.
        timeout: Seconds for one batch, retries and waits included.
        num_retries: Tries beyond the first.
        headers: Sent with every request.
        **options: For every request (`dimensions`, `encoding_format` …), or every call of the function.

    Calling it with one text returns float32 of shape `(dimension,)`, with a list `(texts, dimension)`; `await
    embedder.acall(…)` does the same in a task.

    Raises:
        InputError: What is to be embedded is no text, or (for a server) empty.
        RetrievalError: The model returned too few or too many vectors, NaN, or another dimension than before.
        UnknownProviderError: No server goes by the prefix.
        LMError: The server failed. Batches that came before are in the cache.

    Cost: one request for each `batch_size` different texts that are not in the cache; they count as calls of a budget.

    Example:
        >>> lengths = Embedder(lambda texts: [[len(text), 1.0] for text in texts])
        >>> lengths("four").tolist(), lengths(["a", "bb"]).shape
        ([4.0, 1.0], (2, 2))
    """

    _share_on_copy = True

    def __init__(
        self,
        model: str | Callable[..., Any],
        batch_size: int = 200,
        caching: bool = True,
        *,
        api_key: str | None = None,
        base_url: str | None = None,
        api_base: str | None = None,
        timeout: float = 600.0,
        num_retries: int = 3,
        headers: Mapping[str, str] | None = None,
        **options: Any,
    ) -> None:
        if not callable(model) and not isinstance(model, str):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise ConfigurationError(f"Embedder: the model is {model!r}; a 'provider/model' or a function")
        self.model = model
        self.batch_size = _checked_size(batch_size)
        self.caching = caching
        self.options: dict[str, Any] = options
        self._dimensions: dict[bytes, int] = {}
        self._local: _LocalModel | None = None
        self._client: Paid | None = None
        self.name = _name_of(model)
        self._where = self.name
        if not isinstance(model, str):
            return
        prefix, slash, name = model.partition("/")
        if not slash or not name:
            raise ConfigurationError(
                f"Embedder: the model {model!r} must look like 'provider/model', for example "
                "'openai/text-embedding-3-small'"
            )
        if prefix == _LOCAL:
            self._local = _LocalModel(name)
            return
        dialect = EmbeddingDialect(
            prefix,
            name,
            api_key=api_key,
            base_url=api_base if base_url is None else base_url,
            headers={} if headers is None else headers,
        )
        client = WireClient(cast("Any", dialect), timeout_s=timeout, retry=RetryPolicy(num_retries))
        self._where = client.endpoint
        self._client = Paid(client, model, remote=True)

    @property
    def is_remote(self) -> bool:
        """Whether a server is asked, to which several batches may be on their way at once."""
        return self._client is not None

    @property
    def fingerprint(self) -> str:
        """What tells this embedder's vectors from those of another: model, and options that change them."""
        shown = "".join(f", {name}={value!r}" for name, value in sorted(self.options.items()))
        return f"{self.name}{shown}"

    def identity(self) -> dict[str, Any]:
        """Return what tells its vectors from those of another, for the keys of a run."""
        return {"model": self.model, "options": self.options}

    def __call__(
        self,
        inputs: str | Sequence[str],
        batch_size: int | None = None,
        caching: bool | None = None,
        **options: Any,
    ) -> Any:
        """Return the vectors of texts; see the class."""
        texts = inputs if isinstance(inputs, str) else list(inputs)
        return step(self, (texts, options), lambda: self._embedded(texts, batch_size, caching, options))

    def _embedded(
        self, inputs: Any, batch_size: int | None, caching: bool | None, options: Mapping[str, Any]
    ) -> Any:
        work = self._work(inputs, batch_size, caching, options)
        together(work.batches, work.ask, MAX_BATCHES if self._client is not None else 1)
        return work.result()

    async def acall(
        self,
        inputs: str | Sequence[str],
        batch_size: int | None = None,
        caching: bool | None = None,
        **options: Any,
    ) -> Any:
        """Same as calling it, for tasks."""
        texts = inputs if isinstance(inputs, str) else list(inputs)
        return await astep(
            self, (texts, options), lambda: self._aembedded(texts, batch_size, caching, options)
        )

    async def _aembedded(
        self, inputs: Any, batch_size: int | None, caching: bool | None, options: Mapping[str, Any]
    ) -> Any:
        work = self._work(inputs, batch_size, caching, options)
        if self._client is None:
            for batch in work.batches:
                await work.aask(batch)
            return work.result()
        asyncio: Any = load("asyncio")
        gate = asyncio.Semaphore(MAX_BATCHES)

        async def through(batch: list[str]) -> None:
            async with gate:
                await work.aask(batch)

        done: list[Any] = await asyncio.gather(*map(through, work.batches), return_exceptions=True)
        for error in done:
            if isinstance(error, BaseException):
                raise error
        return work.result()

    def _work(
        self, inputs: Any, batch_size: int | None, caching: bool | None, options: Mapping[str, Any]
    ) -> _Work:
        texts: list[Any] = [inputs] if isinstance(inputs, str) else inputs
        remote = self._client is not None
        for place, text in enumerate(texts):
            if not isinstance(text, str) or (remote and not text):  # pyright: ignore[reportUnnecessaryIsInstance]
                raise InputError(
                    f"{self.name}: text {place} of {len(texts)} is {text!r:.100}; an embedder takes texts"
                    f"{' that are not empty' if remote else ''}"
                )
        size = self.batch_size if batch_size is None else _checked_size(batch_size)
        wanted = self.caching if caching is None else caching
        cached = wanted and isinstance(self.model, str)
        return _Work(self, texts, isinstance(inputs, str), {**self.options, **options}, size, cached)

    def embed(self, texts: list[str], options: Mapping[str, Any], shared: Sharing | None = None) -> Any:
        """Return what the model gives for one batch, unchecked; `shared`: together with equal batches under way."""
        if self._client is not None:
            client, request = self._client, Request(cast("Any", texts), options)
            if shared is None:
                return client.complete(request).raw
            return _flights.run(shared.key, self, lambda: shared.found() or client.complete(request))[0].raw
        if self._local is not None:
            return self._local.encode(texts, options)
        function = cast("Callable[..., Any]", self.model)
        found = function(texts, **options)
        return run_coroutine(_awaited(found)) if hasattr(found, "__await__") else found

    async def aembed(
        self, texts: list[str], options: Mapping[str, Any], shared: Sharing | None = None
    ) -> Any:
        """Same as `embed`, for tasks."""
        if self._client is not None:
            client, request = self._client, Request(cast("Any", texts), options)
            if shared is None:
                return (await client.acomplete(request)).raw

            async def ask() -> Response:
                return shared.found() or await client.acomplete(request)

            return (await _flights.arun(shared.key, self, ask))[0].raw
        if self._local is None and is_async(cast("Callable[..., Any]", self.model)):
            return await cast("Callable[..., Any]", self.model)(texts, **options)
        return await run_in_thread(self.embed, texts, options)

    def check(self, value: Any, count: int, options: Mapping[str, Any]) -> Any:
        """Return a batch's vectors; the first one settles the dimension."""
        key = value_key(dict(options)) if options else b""
        vectors = as_vectors(value, count, self.name, self._dimensions.get(key))
        self._dimensions.setdefault(key, int(vectors.shape[1]))
        return vectors

    def cache_key(self, text: str, options: Mapping[str, Any]) -> bytes:
        """Return the key of one text's vector in the response cache."""
        return value_key(["embedding", 1, self._where, self.name, dict(options), text])

    def __repr__(self) -> str:
        return f"Embedder({self.fingerprint})"


class Sharing(NamedTuple):
    """How one batch is shared with equal ones."""

    key: bytes
    found: Callable[[], Response | None]
    """What the cache has by now, if it has all of it."""


@final
class _Work:
    """One call: which texts are there, which are asked for, and the vectors so far."""

    def __init__(
        self,
        owner: Embedder,
        texts: list[str],
        single: bool,
        options: Mapping[str, Any],
        batch_size: int,
        cached: bool,
    ) -> None:
        self._owner = owner
        self._texts = texts
        self._single = single
        self._options = options
        self._store = current_cache() if cached else None
        self._found: dict[str, Any] = {}
        self._batches: dict[str, Any] = {}  # what came of a batch, by its first text
        self._landed = _flights.landed
        missing = [text for text in dict.fromkeys(texts) if not self._look_up(text)]
        if missing and self._store is not None and self._store.mode == "replay-only":
            raise CacheMissError(
                f"replay-only: {len(missing)} texts are not in the cache of {owner.name}, first {missing[0]!r:.80}",
                model=owner.name,
            )
        self.batches = [missing[start : start + batch_size] for start in range(0, len(missing), batch_size)]

    def _look_up(self, text: str) -> bool:
        if self._store is None or not self._store.readable:
            return False
        kept = self._store.get(self._owner.cache_key(text, self._options))
        if not isinstance(kept, str):
            return False
        self._found[text] = load("numpy").frombuffer(base64.b64decode(kept), dtype="<f4")
        return True

    def ask(self, batch: list[str]) -> None:
        """Embed one batch and keep it."""
        self._keep(batch, self._owner.embed(batch, self._options, self._sharing(batch)))

    async def aask(self, batch: list[str]) -> None:
        """Same as `ask`, for tasks."""
        self._keep(batch, await self._owner.aembed(batch, self._options, self._sharing(batch)))

    def _sharing(self, batch: list[str]) -> Sharing | None:
        if self._store is None:
            return None
        landed = self._landed

        def found() -> Response | None:
            # An equal batch came in after this call had looked into the cache: look again.
            if _flights.landed == landed or not all(self._look_up(text) for text in batch):
                return None
            return Response((), raw=[self._found[text] for text in batch])

        return Sharing(self._owner.cache_key("\0".join(batch), self._options), found)

    def _keep(self, batch: list[str], value: Any) -> None:
        vectors = self._owner.check(value, len(batch), self._options)
        self._batches[batch[0]] = vectors
        store = self._store
        if store is None or not store.writable:
            return
        for text, vector in zip(batch, vectors, strict=True):
            packed = base64.b64encode(vector.astype("<f4").tobytes()).decode()
            store.put(self._owner.cache_key(text, self._options), packed)

    def result(self) -> Any:
        """Return all vectors in the order of the texts."""
        np: Any = load("numpy")
        if not self._texts:
            return np.zeros((0, 0), dtype=np.float32)
        parts = [self._batches[batch[0]] for batch in self.batches]
        if sum(map(len, self.batches)) == len(self._texts):  # none was cached, and none is there twice
            vectors = parts[0] if len(parts) == 1 else np.concatenate(parts)
        else:
            for batch in self.batches:
                self._found.update(zip(batch, self._batches[batch[0]], strict=True))
            vectors = [self._found[text] for text in self._texts]
        vectors = as_vectors(vectors, len(self._texts), self._owner.name)
        return vectors[0] if self._single else vectors


@final
class _LocalModel:
    """A model of sentence-transformers, loaded when it is first needed; one batch at a time."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._lock = threading.Lock()  # protects loading, and the model, which threads do not share well
        self._model: Any = None

    def encode(self, texts: list[str], options: Mapping[str, Any]) -> Any:
        """Return the vectors of a batch."""
        with self._lock:
            if self._model is None:
                try:
                    library: Any = load("sentence_transformers")
                except ModuleNotFoundError as error:
                    raise MissingExtraError(
                        f"the embedder '{_LOCAL}/{self._name}' needs the package 'sentence-transformers' (and torch); "
                        "run: pip install sentence-transformers"
                    ) from error
                self._model = library.SentenceTransformer(self._name)
            return self._model.encode(texts, show_progress_bar=False, **options)


async def _awaited(found: Any) -> Any:
    return await found


def _checked_size(batch_size: Any) -> int:
    if isinstance(batch_size, bool) or not isinstance(batch_size, int) or batch_size < 1:
        raise ConfigurationError(f"Embedder: batch_size is {batch_size!r}; a whole number of at least 1")
    return batch_size


def _name_of(model: Any) -> str:
    if isinstance(model, str):
        return model
    kind = cast("Any", model if hasattr(model, "__qualname__") else type(model))
    return f"{kind.__module__}.{kind.__qualname__}"


def as_embedder(embedder: Any) -> Embedder:
    """Return an embedder: one of telic's as it is, a name or a function wrapped."""
    return embedder if isinstance(embedder, Embedder) else Embedder(embedder)
