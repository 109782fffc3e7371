"""`TinyClient`: an embedded LM behind the same door as every other.

NumPy and the weights are loaded by the first request, not before. Without a `seed`, draws at a temperature follow from
the request and its sample index: the same request gives the same answer again, and another sample another one.
"""

from __future__ import annotations

import json
import queue
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, final

from telic._hash import content_key
from telic._optional import load, require
from telic._seed import derive_seed
from telic._text import join_names
from telic.data import Completion, Request, Response, Usage
from telic.errors import ContextWindowExceededError, LMInvalidRequestError, LMUnsupportedModelError
from telic.lm.tiny._guide import guide_of
from telic.lm.tiny._prompt import prompt_tokens, tool_calls, tool_names
from telic.protocols import Capabilities, Delta

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence

    from telic.lm.tiny._engine import Engine
    from telic.lm.tiny._job import Job

DEFAULT_MAX_TOKENS: Final = 256
_KNOWN: Final = frozenset(
    {
        "temperature", "max_tokens", "max_completion_tokens", "n", "stop", "seed", "top_p", "logprobs", "top_logprobs",
        "response_format", "tools", "tool_choice", "parallel_tool_calls",
    }
)  # fmt: skip
_FOLDER: Final = Path(__file__).parent


def shipped_models() -> list[str]:
    """Return the names of the embedded models: those whose weights are shipped."""
    return sorted(path.stem for path in _FOLDER.glob("*.safetensors"))


@final
class TinyClient:
    """The client of `LM("telic/tiny")`.

    Args:
        model: The name after the prefix: "tiny".
        engine: The engine to use; None: the shipped weights, shared by all clients of the process.

    Raises:
        LMUnsupportedModelError: There is no such model here.

    Options: `temperature`, `max_tokens` (256), `n`, `stop`, `seed`, `top_p`, `logprobs` with `top_logprobs`,
    `response_format` (the reply is then JSON of the schema, by construction), `tools` with `tool_choice` "auto" or
    "none".

    Example:
        >>> client = TinyClient("tiny")
        >>> client.capabilities.reasoning
        False
    """

    def __init__(self, model: str = "tiny", *, engine: Engine | None = None) -> None:
        if engine is None and model not in shipped_models():
            raise LMUnsupportedModelError(
                f"there is no embedded model {model!r}; the embedded models are: "
                + join_names([f"telic/{m}" for m in shipped_models()]),
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
        """Text alone: JSON and tools work where they are asked for, but prompts in words are what it knows best."""
        if self._given is not None:
            return Capabilities(context_tokens=self._given.network.shape.context)
        return _capabilities_of(self.model)

    def complete(self, request: Request) -> Response:
        """Return the answer to `request`.

        Raises:
            MissingExtraError: NumPy is not installed.
            ContextWindowExceededError: The prompt does not fit.
            LMInvalidRequestError: An option, a role or a content part that the model does not know.
        """
        engine = self._engine()
        call = _Call(self.model, engine, request)
        engine.run(call.jobs)
        return call.response()

    async def acomplete(self, request: Request) -> Response:
        """Return the answer to `request`; the work stops when the task is cancelled."""
        asyncio = load("asyncio")
        engine = self._engine()
        call = _Call(self.model, engine, request)
        bell = load("telic.lm.tiny._engine").LoopBell(asyncio.get_running_loop())
        engine.submit(call.jobs, bell)
        try:
            while not call.done:
                await bell.rung.wait()
                bell.rung.clear()
        finally:
            call.cancel()
        return call.response()

    def stream(self, request: Request) -> Iterator[Delta]:
        """Yield pieces of text as they are generated, and last the whole response."""
        pieces: queue.SimpleQueue[Delta | None] = queue.SimpleQueue()
        engine = self._engine()
        call = _Call(self.model, engine, request, pieces.put)
        engine.submit(call.jobs, _QueueBell(pieces.put))
        try:
            open_ends = len(call.jobs)
            while open_ends:
                piece = pieces.get()
                if piece is None:  # a job is done, and all its pieces came before
                    open_ends -= 1
                else:
                    yield piece
            yield Delta(response=call.response())
        finally:
            call.cancel()

    async def astream(self, request: Request) -> AsyncIterator[Delta]:
        """Yield pieces of text as they are generated, and last the whole response."""
        asyncio = load("asyncio")
        loop = asyncio.get_running_loop()
        pieces: Any = asyncio.Queue()

        def put(piece: Delta | None) -> None:
            loop.call_soon_threadsafe(pieces.put_nowait, piece)

        engine = self._engine()
        call = _Call(self.model, engine, request, put)
        engine.submit(call.jobs, _QueueBell(put))
        try:
            open_ends = len(call.jobs)
            while open_ends:
                piece = await pieces.get()
                if piece is None:
                    open_ends -= 1
                else:
                    yield piece
            yield Delta(response=call.response())
        finally:
            call.cancel()

    def _engine(self) -> Engine:
        if self._given is not None:
            return self._given
        require("numpy", extra="tiny", purpose=f"the LM 'telic/{self.model}'")
        engine: Engine = load("telic.lm.tiny._load").shipped_engine(self.model)
        return engine


@lru_cache(maxsize=8)
def _capabilities_of(model: str) -> Capabilities:
    """Return what shipped weights can do, from the head of their file; the rest of it is loaded by the first call."""
    try:
        with (_FOLDER / f"{model}.safetensors").open("rb") as file:
            head = json.loads(file.read(int.from_bytes(file.read(8), "little")))
        return Capabilities(context_tokens=int(json.loads(head["__metadata__"]["shape"])["context"]))
    except (OSError, ValueError, KeyError, TypeError):
        return Capabilities()  # damaged: the first call says so


@final
class _QueueBell:
    """Rings by putting None into a queue."""

    def __init__(self, put: Callable[[Delta | None], None]) -> None:
        self._put = put

    def set(self) -> None:
        """Ring; a loop that was closed meanwhile has nobody left to wake."""
        try:
            self._put(None)
        except RuntimeError:
            return


@final
class _Call:
    """One request while it is answered: its prompt, and one job for each completion that is asked for."""

    def __init__(
        self, model: str, engine: Engine, request: Request, put: Callable[[Delta], None] | None = None
    ) -> None:
        self._model = f"telic/{model}"
        options = self._options(request.options)
        self._tools = tool_names(options["tools"])
        self._prompt = prompt_tokens(engine.tokenizer, request.messages, options["tools"])
        context = engine.network.shape.context
        if len(self._prompt) >= context:
            raise ContextWindowExceededError(
                f"the prompt has {len(self._prompt)} tokens, and the context of {self._model!r} is {context}; "
                "use fewer or shorter demos, shorter inputs, or another LM",
                model=self._model,
                provider="telic",
            )
        seed = options["seed"]
        if seed is None and options["temperature"] > 0:
            seed = content_key([list(request.messages), options["temperature"], options["top_p"]])[:12]
            seed = int(seed, 16)
        kinds = load("telic.lm.tiny._job")
        self.jobs: list[Job] = [
            kinds.Job(
                self._prompt,
                kinds.Wish(
                    max_tokens=min(options["max_tokens"], context - len(self._prompt)),
                    temperature=options["temperature"],
                    top_p=options["top_p"],
                    seed=derive_seed(0 if seed is None else int(seed), request.sample, index),
                    stop=options["stop"],
                    top_logprobs=options["top_logprobs"],
                    guide=options["guide"],
                    calls=bool(self._tools),
                    on_text=None if put is None else _giver(put, index),
                ),
            )
            for index in range(options["n"])
        ]

    @property
    def done(self) -> bool:
        """Whether all completions are there."""
        return all(job.done for job in self.jobs)

    def cancel(self) -> None:
        """Stop what is not done."""
        for job in self.jobs:
            if not job.done:
                job.cancel()

    def response(self) -> Response:
        """Return what was generated; raise what stopped it."""
        completions: list[Completion] = []
        for job in self.jobs:
            if job.error is not None:
                raise job.error
            text, calls = tool_calls(job.text, job.calls, self._tools)
            reason = "tool_calls" if calls and job.finish_reason == "stop" else job.finish_reason
            logprobs = None if job.wish.top_logprobs is None else {"content": job.logprobs}
            completions.append(Completion(text, reason, None, calls, logprobs))
        usage = Usage(
            input_tokens=len(self._prompt),
            output_tokens=sum(job.generated for job in self.jobs),
            cached_input_tokens=min((job.reused for job in self.jobs), default=0),
            cost_usd=0.0,
            calls=1,
        )
        return Response(tuple(completions), usage, self._model)

    def _options(self, given: Mapping[str, Any]) -> dict[str, Any]:
        wanted = {k: v for k, v in given.items() if v is not None}
        unknown = sorted(set(wanted) - _KNOWN)
        if unknown:
            raise self._refused(
                f"does not know the option {unknown[0]!r}; it knows: {', '.join(sorted(_KNOWN))}"
            )
        most = wanted.get("max_tokens", wanted.get("max_completion_tokens", DEFAULT_MAX_TOKENS))
        count = wanted.get("n", 1)
        for name, value in (("max_tokens", most), ("n", count)):
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise self._refused(f"needs {name} to be a whole number of 1 or more, not {value!r}")
        choice = wanted.get("tool_choice", "auto")
        if choice not in ("auto", "none"):
            raise self._refused(
                f"cannot be made to call a tool: tool_choice must be 'auto' or 'none', not {choice!r}"
            )
        stop = wanted.get("stop", ())
        report = wanted.get("logprobs", False) or "top_logprobs" in wanted
        return {
            "temperature": float(wanted.get("temperature", 0.0)),
            "top_p": float(wanted.get("top_p", 1.0)),
            "n": count,
            "seed": wanted.get("seed"),
            "stop": tuple(s for s in ((stop,) if isinstance(stop, str) else stop) if s),
            "max_tokens": most,
            "top_logprobs": int(wanted.get("top_logprobs", 0)) if report else None,
            "guide": guide_of(wanted.get("response_format")),
            "tools": wanted.get("tools", _NO_TOOLS) if choice == "auto" else _NO_TOOLS,
        }

    def _refused(self, fact: str) -> LMInvalidRequestError:
        return LMInvalidRequestError(f"the LM {self._model!r} {fact}", model=self._model, provider="telic")


_NO_TOOLS: Final[Sequence[Mapping[str, Any]]] = ()


def _giver(put: Callable[[Delta], None], index: int) -> Callable[[str], None]:
    def give(text: str) -> None:
        put(Delta(text=text, index=index))

    return give
