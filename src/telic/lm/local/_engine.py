"""Many callers, one model: calls that are in flight together are generated together.

Callers put jobs into a queue and wait. A daemon thread, which lives as long as there is work, takes what is waiting,
reads the prompts in one pass and then generates a token at a time for all open jobs; new ones join as places become
free. Engines are shared by all clients of the process that name the same model, device and dtype. `close` lets go of
weights, keys and values; the next call loads them again.
"""

from __future__ import annotations

import gc
import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final, final

from telic._optional import load
from telic.errors import LMError, LMServerError, TelicError
from telic.lm.local._batch import Batch, CausalBatch, Seq2SeqBatch, keeps_everything
from telic.lm.local._heads import Heads
from telic.lm.local._open import Opened, open_model
from telic.lm.local._sampling import choose

if TYPE_CHECKING:
    from telic.lm.local._job import Job

AT_ONCE: Final = 16
"""Sequences that are generated together; more wait."""
HEAD_BYTES: Final = 256 << 20

_engines: dict[tuple[str, str | None, str | None], Engine] = {}
_making = threading.Lock()  # protects the table: a model must not be loaded twice


def engine_of(name: str, device: str | None = None, dtype: str | None = None) -> Engine:
    """Return the engine of a model, the same one for all who name it alike; it loads its weights when asked."""
    with _making:
        return _engines.setdefault((name, device, dtype), Engine(name, device, dtype))


@final
class Engine:
    """Generates text for many threads and tasks at once.

    Args:
        name: A folder or a hub id.
        device: Where; None: the best there is.
        dtype: The weights' precision; None: chosen by the device.
        opened: The model, where it is in memory already.
    """

    def __init__(
        self, name: str, device: str | None, dtype: str | None, opened: Opened | None = None
    ) -> None:
        self._source = (name, device, dtype)
        self._loading = threading.Lock()  # protects the load: two threads must not both do it
        self._opened = opened
        self._reuses: bool = opened is not None and _reuses(opened)
        self._heads = Heads(HEAD_BYTES)  # of the working thread alone, like the two below it
        self._batch: Batch | None = None
        self._open: list[Job] = []
        self._lock = threading.Lock()  # protects the queue and whether somebody works
        self._waiting: list[Job] = []
        self._worker: threading.Thread | None = None

    def opened(self) -> Opened:
        """Return the model, loaded now if it is not yet.

        Raises:
            LMUnsupportedModelError, ConfigurationError: See `open_model`.
        """
        with self._loading:
            if self._opened is None:
                name, device, dtype = self._source
                opened = open_model(name, device=device, dtype=dtype)
                self._reuses = _reuses(opened)
                self._opened = opened
            return self._opened

    @property
    def loaded(self) -> bool:
        """Whether the weights are in memory."""
        return self._opened is not None

    def submit(self, jobs: Sequence[Job]) -> None:
        """Have `jobs` generated; each one's bell is rung when it is done."""
        with self._lock:
            self._waiting += jobs
            if self._worker is None:
                self._worker = threading.Thread(target=self._work, name="telic-local", daemon=True)
                self._worker.start()

    def close(self) -> None:
        """Let go of the weights; calls in flight fail. The next call loads them again."""
        with self._lock:
            worker = self._worker
            for job in (job for job in (*self._waiting, *self._open) if not job.done):
                job.fail(LMError(f"the LM 'local/{self._source[0]}' was closed", provider="local"))
                job.bell.set()
            self._waiting = []
        if worker is not None:
            worker.join()
        with self._loading:
            self._opened = None
            self._heads.clear()
        gc.collect()
        torch = load("torch")
        if torch.cuda.is_available():
            torch.cuda.empty_cache()

    def _work(self) -> None:
        """Generate until there is nothing left to do."""
        torch = load("torch")
        while True:
            with self._lock:
                new = self._next()
                if not new and not self._open:
                    self._worker = None
                    return
            try:
                with torch.inference_mode():
                    self._round(new)
            except Exception as error:  # noqa: BLE001 - kept on the jobs and raised in their callers' threads
                self._drop((*self._open, *new), error)

    def _next(self) -> list[Job]:
        """Return the jobs that begin now; the lock is held."""
        self._waiting = [job for job in self._waiting if not job.done]
        if self._open and not self._reuses:
            return []
        room = AT_ONCE - len(self._open)
        new, self._waiting = self._waiting[:room], self._waiting[room:]
        return new

    def _round(self, new: Sequence[Job]) -> None:
        """Add one token to every open job, and begin the new ones."""
        if self._batch is not None:
            self._leave()
        if self._batch is not None:
            self._batch.step([job.tokens[-1] for job in self._open])
            self._choose(self._open, self._batch.logits)
        if new:
            made = self._begun(new)
            self._choose(new, made.logits)
            if self._batch is None:
                self._batch, self._open = made, list(new)
            else:
                assert isinstance(self._batch, CausalBatch)
                assert isinstance(made, CausalBatch)
                self._batch.join(made)
                self._open = [*self._open, *new]
        self._leave()

    def _begun(self, new: Sequence[Job]) -> Batch:
        opened = self.opened()
        prompts = [job.prompt for job in new]
        if opened.seq2seq:
            return Seq2SeqBatch(opened.model, prompts)
        heads = [self._heads.find(prompt) if self._reuses else None for prompt in prompts]
        for job, head in zip(new, heads, strict=True):
            job.reused = 0 if head is None else len(head[0])
        made = CausalBatch(opened.model, prompts, heads)
        for row, job in enumerate(new):
            beginning = job.prompt[: job.keep]
            if self._reuses and self._heads.wants(beginning):
                self._heads.keep(made.beginning(row, beginning))
        return made

    def _choose(self, jobs: Sequence[Job], logits: Any) -> None:
        wishes = [job.wish for job in jobs]
        tokens = choose(
            logits, [w.temperature for w in wishes], [w.top_p for w in wishes], [job.draw() for job in jobs]
        )
        for row, (job, token) in enumerate(zip(jobs, tokens, strict=True)):
            if not job.done:
                job.take(token, logits[row])
                if job.done:
                    job.bell.set()

    def _leave(self) -> None:
        """Let go of rows that are done."""
        stay = [row for row, job in enumerate(self._open) if not job.done]
        if len(stay) == len(self._open):
            return
        self._open = [self._open[row] for row in stay]
        if not stay:
            self._batch = None
        elif self._batch is not None:
            self._batch.select(stay)

    def _drop(self, jobs: Sequence[Job], error: Exception) -> None:
        """End these jobs with an error, and the batch with them."""
        if not isinstance(error, TelicError):
            name, cause = self._source[0], error
            error = LMServerError(
                f"the LM 'local/{name}' failed on {len(jobs)} calls at once: {type(cause).__name__}: {cause}",
                model=f"local/{name}",
                provider="local",
            )
            error.__cause__ = cause
        self._batch, self._open = None, []
        for job in jobs:
            if not job.done:
                job.fail(error)
                job.bell.set()


def _reuses(opened: Opened) -> bool:
    return not opened.seq2seq and keeps_everything(opened.model)
