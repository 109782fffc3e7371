"""`LocalClient`: a model on this machine behind the same door as every other.

Without a `seed`, draws at a temperature follow from the request and its sample index. What is computed together changes
numbers by rounding alone; where two tokens are as good as equally likely, that can decide, so that an answer at
temperature 0 is almost, but not provably, the same whatever else runs.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any, Final, final

from telic._hash import content_key
from telic._optional import load
from telic._seed import derive_seed
from telic.data import Completion, Request, Response
from telic.errors import ContextWindowExceededError
from telic.lm._generation import Bell, Generation, LoopBell, LoopPieces, Pieces
from telic.lm.local._engine import Engine, engine_of
from telic.lm.local._job import Job, Wish
from telic.lm.local._open import identity_of
from telic.lm.local._options import read_options
from telic.lm.local._prompt import prompt_text, prompt_tokens, shared_length
from telic.protocols import Capabilities, Delta

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator


@final
class LocalClient:
    """The client of `LM("local/…")`.

    Args:
        model: A folder, or an id of Hugging Face's hub.
        device: "cpu", "cuda", "cuda:1", "mps"; None: a GPU where there is one.
        dtype: "float32", "bfloat16", "float16"; None: single precision on a CPU, the model's own on a GPU.
        engine: What generates; None: the one that all clients of this model share.

    Options: `temperature`, `max_tokens` (1,024), `n`, `stop`, `seed`, `top_p`, `logprobs` with `top_logprobs`.

    Example:
        >>> LocalClient("google/flan-t5-small", device="cpu").model  # nothing is loaded yet
        'google/flan-t5-small'
    """

    remote: Final = False
    """Calls stay in the process: replay-only mode lets them through."""

    def __init__(
        self, model: str, *, device: str | None = None, dtype: str | None = None, engine: Engine | None = None
    ) -> None:
        self.model = model
        self._engine: Engine = engine_of(model, device, dtype) if engine is None else engine

    @property
    def endpoint(self) -> str:
        """The weights that answer: kept answers of other weights are not this model's."""
        if self._engine.loaded:
            return f"weights:{self._engine.opened().identity}"
        return (
            f"weights:{identity_of(self.model, None)}" if _is_folder(self.model) else self._loaded_identity()
        )

    @property
    def capabilities(self) -> Capabilities:
        """Text alone; how much of it is known once the model is loaded."""
        return Capabilities(context_tokens=self._engine.opened().context if self._engine.loaded else None)

    def complete(self, request: Request) -> Response:
        """Return the answer to `request`.

        Raises:
            LMUnsupportedModelError: There is no such model, or it cannot be used.
            ConfigurationError: It does not fit into memory.
            ContextWindowExceededError: The prompt does not fit into the model.
            LMInvalidRequestError: An option, a role or a content part that the model does not know.
            LMServerError: The computation failed, for want of memory, say.
        """
        bell = threading.Event()
        call = self._begin(request, bell)
        try:
            while not call.done:
                bell.wait()
                bell.clear()
        finally:
            call.cancel()
        return call.response()

    async def acomplete(self, request: Request) -> Response:
        """Return the answer to `request`; the work stops when the task is cancelled."""
        asyncio = load("asyncio")
        bell = LoopBell(asyncio.get_running_loop())
        return await bell.wait(await asyncio.to_thread(self._begin, request, bell))

    def stream(self, request: Request) -> Iterator[Delta]:
        """Yield pieces of text as they are generated, and last the whole response."""
        pieces = Pieces()
        yield from pieces.of(self._begin(request, pieces, pieces))

    async def astream(self, request: Request) -> AsyncIterator[Delta]:
        """Yield pieces of text as they are generated, and last the whole response."""
        asyncio = load("asyncio")
        pieces = LoopPieces(asyncio.get_running_loop())
        async for piece in pieces.read(await asyncio.to_thread(self._begin, request, pieces, pieces)):
            yield piece

    def close(self) -> None:
        """Let go of the weights, for all who use this model here; the next call loads them again."""
        self._engine.close()

    def _begin(self, request: Request, bell: Bell, pieces: Pieces | None = None) -> _Call:
        call = _Call(self.model, self._engine, request, bell, pieces)
        self._engine.submit(call.jobs)
        return call

    def _loaded_identity(self) -> str:
        return f"weights:{self._engine.opened().identity}"  # of a hub id: known with its revision


def _is_folder(name: str) -> bool:
    return load("pathlib").Path(name).expanduser().is_dir()


@final
class _Call(Generation[Job]):
    """One request while it is answered."""

    def __init__(
        self,
        model: str,
        engine: Engine,
        request: Request,
        bell: Bell,
        pieces: Pieces | None,
    ) -> None:
        name = f"local/{model}"
        options = read_options(name, request.options)
        opened = engine.opened()
        tokenizer, messages = opened.tokenizer, request.messages
        prompt = prompt_tokens(tokenizer, messages, seq2seq=opened.seq2seq)
        context = opened.context
        if context is not None and len(prompt) + (not opened.seq2seq) > context:
            raise ContextWindowExceededError(
                f"the prompt has {len(prompt)} tokens, and the context of {name!r} is {context}; "
                "use fewer or shorter demos, shorter inputs, or another LM",
                model=name,
                provider="local",
            )
        room = options.max_tokens if context is None or opened.seq2seq else context - len(prompt)
        seed = options.seed
        if seed is None:
            seed = int(content_key([list(messages), options.temperature, options.top_p])[:12], 16)
        keep = 0
        if request.prefix and not opened.seq2seq:
            text = prompt_text(tokenizer, messages[: request.prefix], complete=True)
            head = tokenizer(text, add_special_tokens=not tokenizer.chat_template)["input_ids"]
            keep = min(shared_length(head, prompt), len(prompt) - 1)
        ends = _ends_of(opened.model, tokenizer)
        jobs = [
            Job(
                prompt,
                keep,
                Wish(
                    min(options.max_tokens, room),
                    options.temperature,
                    options.top_p,
                    derive_seed(seed, request.sample, index),
                    options.stop,
                    options.top_logprobs,
                    None if pieces is None else pieces.giver(index),
                ),
                tokenizer,
                ends,
                bell,
            )
            for index in range(options.n)
        ]
        super().__init__(name, len(prompt), jobs)

    def completion(self, job: Job) -> Completion:
        """Return what came of a job."""
        logprobs = None if job.wish.top_logprobs is None else {"content": job.logprobs}
        return Completion(job.text, job.finish_reason, None, (), logprobs)


def _ends_of(model: Any, tokenizer: Any) -> frozenset[int]:
    """Return the tokens that end a reply."""
    told: Any = model.generation_config.eos_token_id
    several: list[Any] = list(told) if isinstance(told, (list, tuple)) else [told]  # pyright: ignore[reportUnknownArgumentType]
    ends = {int(t) for t in several if t is not None}
    return frozenset(ends if tokenizer.eos_token_id is None else {*ends, int(tokenizer.eos_token_id)})
