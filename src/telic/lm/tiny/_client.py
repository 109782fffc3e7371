"""`TinyClient`: the embedded LM behind the same door as every other.

NumPy and the weights are loaded by the first request, not before. Without a `seed`, draws at a temperature follow from
the request and its sample index: the same request gives the same answer again, and another sample another one.
"""

from __future__ import annotations

import queue
import threading
from typing import TYPE_CHECKING, Any, Final, cast, final

from telic._hash import content_key
from telic._optional import load, require
from telic._seed import derive_seed
from telic.data import Completion, Message, Request, Response, Usage
from telic.errors import ContextWindowExceededError, LMInvalidRequestError, LMUnsupportedModelError
from telic.protocols import Capabilities, Delta

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, Mapping, Sequence

    from telic.lm.tiny._engine import Engine, Job
    from telic.lm.tiny._tokenizer import Tokenizer

MODELS: Final = ("tiny",)
DEFAULT_MAX_TOKENS: Final = 256
_KNOWN: Final = frozenset(
    {"temperature", "max_tokens", "max_completion_tokens", "n", "stop", "seed", "top_p"}
)
_ROLES: Final = {"system": 1, "developer": 1, "user": 2, "tool": 2, "assistant": 3}


@final
class TinyClient:
    """The client of `LM("telic/tiny")`.

    Args:
        model: The name after the prefix: "tiny".
        engine: The engine to use; None: the shipped weights, shared by all clients of the process.

    Raises:
        LMUnsupportedModelError: There is no such model here.

    Example:
        >>> client = TinyClient("tiny")
        >>> client.capabilities.function_calling
        False
    """

    def __init__(self, model: str = "tiny", *, engine: Engine | None = None) -> None:
        if model not in MODELS:
            raise LMUnsupportedModelError(
                f"there is no embedded model {model!r}; the embedded models are: "
                + ", ".join(f"'telic/{m}'" for m in MODELS),
                model=f"telic/{model}",
                provider="telic",
            )
        self.model = model
        self._given = engine

    remote: Final = False
    """Calls stay in the process: replay-only mode lets them through."""

    @property
    def endpoint(self) -> str:
        """The weights that answer: kept answers of other weights are not this model's."""
        return f"weights:{self._engine().identity}"

    @property
    def capabilities(self) -> Capabilities:
        """Plain text only: no schema, no tools, no reasoning channel."""
        return Capabilities()

    def complete(self, request: Request) -> Response:
        """Return the answer to `request`.

        Raises:
            MissingExtraError: NumPy is not installed.
            ContextWindowExceededError: The prompt does not fit.
            LMInvalidRequestError: An option or a content part that the model does not know.
        """
        engine = self._engine()
        prompt, jobs = self._jobs(engine, request)
        engine.run(jobs)
        return self._response(prompt, jobs)

    async def acomplete(self, request: Request) -> Response:
        """Return the answer to `request`; the work is done in a thread, and stops when the task is cancelled."""
        asyncio = load("asyncio")
        engine = await asyncio.to_thread(self._engine)
        prompt, jobs = self._jobs(engine, request)
        try:
            await asyncio.to_thread(engine.run, jobs)
        finally:
            for job in jobs:
                job.cancel()
        return self._response(prompt, jobs)

    def stream(self, request: Request) -> Iterator[Delta]:
        """Yield pieces of text as they are generated, and last the whole response."""
        pieces: queue.SimpleQueue[Delta | BaseException] = queue.SimpleQueue()
        engine = self._engine()
        prompt, jobs = self._jobs(engine, request, pieces)
        worker = threading.Thread(target=self._feed, args=(engine, prompt, jobs, pieces), daemon=True)
        worker.start()
        try:
            while True:
                piece = pieces.get()
                if isinstance(piece, BaseException):
                    raise piece
                yield piece
                if piece.response is not None:
                    return
        finally:
            for job in jobs:
                job.cancel()
            worker.join()

    async def astream(self, request: Request) -> AsyncIterator[Delta]:
        """Yield pieces of text as they are generated, and last the whole response."""
        asyncio = load("asyncio")
        source = self.stream(request)
        try:
            while True:
                piece = await asyncio.to_thread(next, source, None)
                if piece is None:
                    return
                yield piece
        finally:
            await asyncio.to_thread(cast("Any", source).close)

    def _feed(
        self,
        engine: Engine,
        prompt: list[int],
        jobs: Sequence[Job],
        pieces: queue.SimpleQueue[Delta | BaseException],
    ) -> None:
        try:
            engine.run(jobs)
            pieces.put(Delta(response=self._response(prompt, jobs)))
        except BaseException as error:  # noqa: BLE001 - raised again in the thread that reads the pieces
            pieces.put(error)

    def _engine(self) -> Engine:
        if self._given is not None:
            return self._given
        require("numpy", extra="tiny", purpose=f"the LM 'telic/{self.model}'")
        engine: Engine = load("telic.lm.tiny._load").shipped_engine(self.model)
        return engine

    def _jobs(
        self, engine: Engine, request: Request, pieces: queue.SimpleQueue[Delta | BaseException] | None = None
    ) -> tuple[list[int], list[Job]]:
        """Return the prompt's tokens, and one job for each completion that is asked for."""
        options = self._options(request.options)
        prompt = self._prompt(engine.tokenizer, request.messages)
        context = engine.network.shape.context
        if len(prompt) >= context:
            raise ContextWindowExceededError(
                f"the prompt has {len(prompt)} tokens, and the context of 'telic/{self.model}' is {context}; "
                "use fewer or shorter demos, shorter inputs, or another LM",
                model=f"telic/{self.model}",
                provider="telic",
            )
        temperature = float(options["temperature"])
        seed = options["seed"]
        if seed is None and temperature > 0:
            seed = int(content_key([list(request.messages), temperature, options["top_p"]])[:12], 16)
        job_type: type[Job] = load("telic.lm.tiny._engine").Job
        jobs = [
            job_type(
                prompt,
                max_tokens=min(int(options["max_tokens"]), context - len(prompt)),
                temperature=temperature,
                top_p=float(options["top_p"]),
                seed=derive_seed(0 if seed is None else int(seed), request.sample, index),
                stop=options["stop"],
                on_text=None if pieces is None else _giver(pieces, index),
            )
            for index in range(int(options["n"]))
        ]
        return prompt, jobs

    def _options(self, given: Mapping[str, Any]) -> dict[str, Any]:
        wanted = {k: v for k, v in given.items() if v is not None}
        unknown = sorted(set(wanted) - _KNOWN)
        if unknown:
            raise LMInvalidRequestError(
                f"the LM 'telic/{self.model}' does not know the option {unknown[0]!r}; it knows: "
                + ", ".join(sorted(_KNOWN)),
                model=f"telic/{self.model}",
                provider="telic",
            )
        stop = wanted.get("stop", ())
        return {
            "temperature": wanted.get("temperature", 0.0),
            "top_p": wanted.get("top_p", 1.0),
            "n": wanted.get("n", 1),
            "seed": wanted.get("seed"),
            "stop": tuple(s for s in ((stop,) if isinstance(stop, str) else stop) if s),
            "max_tokens": wanted.get("max_tokens", wanted.get("max_completion_tokens", DEFAULT_MAX_TOKENS)),
        }

    def _prompt(self, tokenizer: Tokenizer, messages: Sequence[Message]) -> list[int]:
        ids: list[int] = []
        for message in messages:
            role = _ROLES.get(message["role"])
            if role is None:
                raise LMInvalidRequestError(
                    f"unknown role {message['role']!r}; roles are: {', '.join(_ROLES)}", provider="telic"
                )
            ids.append(role)
            ids += tokenizer.encode_cached(self._text(message))
            if role == _ROLES["assistant"]:
                ids.append(4)
        ids.append(_ROLES["assistant"])
        return ids

    def _text(self, message: Message) -> str:
        content = message["content"]
        if content is None or isinstance(content, str):
            return content or ""
        for part in content:
            if part.get("type") != "text":
                raise LMInvalidRequestError(
                    f"the LM 'telic/{self.model}' reads text only, and the message has a part of type "
                    f"{part.get('type')!r}; use another LM for it",
                    provider="telic",
                )
        return "".join(str(part["text"]) for part in content)

    def _response(self, prompt: Sequence[int], jobs: Sequence[Job]) -> Response:
        completions = tuple(Completion(job.text, job.finish_reason) for job in jobs)
        usage = Usage(
            input_tokens=len(prompt),
            output_tokens=sum(job.generated for job in jobs),
            cached_input_tokens=min((job.reused for job in jobs), default=0),
            cost_usd=0.0,
            calls=1,
        )
        return Response(completions, usage, f"telic/{self.model}")


def _giver(pieces: queue.SimpleQueue[Delta | BaseException], index: int) -> Any:
    def give(text: str) -> None:
        pieces.put(Delta(text=text, index=index))

    return give
