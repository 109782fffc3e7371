"""`TinyClient`: an embedded LM behind the same door as every other.

NumPy and the weights are loaded by the first request, not before. Without a `seed`, draws at a temperature follow from
the request and its sample index: the same request gives the same answer again, and another sample another one.
"""

from __future__ import annotations

import json
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, final

from telic._hash import content_key
from telic._optional import load, require
from telic._seed import derive_seed
from telic._text import join_names
from telic.data import Completion, Request, Response
from telic.errors import ContextWindowExceededError, LMInvalidRequestError, LMUnsupportedModelError
from telic.lm._generation import Generation, LoopBell, LoopPieces, Pieces
from telic.lm.tiny._guide import guide_of
from telic.lm.tiny._prompt import prompt_tokens, tool_calls, tool_names
from telic.protocols import Capabilities, Delta

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, Mapping, Sequence

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
_NO_TOOLS: Final[Sequence[Mapping[str, Any]]] = ()


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
        bell = LoopBell(load("asyncio").get_running_loop())
        engine = self._engine()
        call = _Call(self.model, engine, request)
        engine.submit(call.jobs, bell)
        return await bell.wait(call)

    def stream(self, request: Request) -> Iterator[Delta]:
        """Yield pieces of text as they are generated, and last the whole response."""
        pieces = Pieces()
        yield from pieces.of(self._submit(request, pieces))

    async def astream(self, request: Request) -> AsyncIterator[Delta]:
        """Yield pieces of text as they are generated, and last the whole response."""
        pieces = LoopPieces(load("asyncio").get_running_loop())
        async for piece in pieces.read(self._submit(request, pieces)):
            yield piece

    def _submit(self, request: Request, pieces: Pieces) -> _Call:
        engine = self._engine()
        call = _Call(self.model, engine, request, pieces)
        engine.submit(call.jobs, pieces)
        return call

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
class _Call(Generation["Job"]):
    """One request while it is answered."""

    def __init__(self, model: str, engine: Engine, request: Request, pieces: Pieces | None = None) -> None:
        name = f"telic/{model}"
        options = _read_options(name, request.options)
        self._tools = tool_names(options["tools"])
        prompt = prompt_tokens(engine.tokenizer, request.messages, options["tools"])
        context = engine.network.shape.context
        if len(prompt) >= context:
            raise ContextWindowExceededError(
                f"the prompt has {len(prompt)} tokens, and the context of {name!r} is {context}; "
                "use fewer or shorter demos, shorter inputs, or another LM",
                model=name,
                provider="telic",
            )
        seed = options["seed"]
        if seed is None and options["temperature"] > 0:
            seed = content_key([list(request.messages), options["temperature"], options["top_p"]])[:12]
            seed = int(seed, 16)
        kinds = load("telic.lm.tiny._job")
        jobs = [
            kinds.Job(
                prompt,
                kinds.Wish(
                    max_tokens=min(options["max_tokens"], context - len(prompt)),
                    temperature=options["temperature"],
                    top_p=options["top_p"],
                    seed=derive_seed(0 if seed is None else int(seed), request.sample, index),
                    stop=options["stop"],
                    top_logprobs=options["top_logprobs"],
                    guide=options["guide"],
                    calls=bool(self._tools),
                    on_text=None if pieces is None else pieces.giver(index),
                ),
            )
            for index in range(options["n"])
        ]
        super().__init__(name, len(prompt), jobs)

    def completion(self, job: Job) -> Completion:
        """Return what came of a job."""
        text, calls = tool_calls(job.text, job.calls, self._tools)
        reason = "tool_calls" if calls and job.finish_reason == "stop" else job.finish_reason
        logprobs = None if job.wish.top_logprobs is None else {"content": job.logprobs}
        return Completion(text, reason, None, calls, logprobs)


def _read_options(name: str, given: Mapping[str, Any]) -> dict[str, Any]:
    wanted = {k: v for k, v in given.items() if v is not None}
    unknown = sorted(set(wanted) - _KNOWN)
    if unknown:
        raise _refused(
            name, f"does not know the option {unknown[0]!r}; it knows: {', '.join(sorted(_KNOWN))}"
        )
    most = wanted.get("max_tokens", wanted.get("max_completion_tokens", DEFAULT_MAX_TOKENS))
    count = wanted.get("n", 1)
    for option, value in (("max_tokens", most), ("n", count)):
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise _refused(name, f"needs {option} to be a whole number of 1 or more, not {value!r}")
    choice = wanted.get("tool_choice", "auto")
    if choice not in ("auto", "none"):
        raise _refused(
            name, f"cannot be made to call a tool: tool_choice must be 'auto' or 'none', not {choice!r}"
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


def _refused(name: str, fact: str) -> LMInvalidRequestError:
    return LMInvalidRequestError(f"the LM {name!r} {fact}", model=name, provider="telic")
