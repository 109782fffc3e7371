"""Many callers, one network: calls that are in flight together are generated together.

There is no thread of our own. The first caller leads: it reads prompts and generates a token at a time for every open
job, until its own is finished; then it hands the lead to a caller whose job is still open. Callers that do not lead
sleep. Each job's tokens are the same whoever leads and whatever else is open (see `_network`).
"""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING, Final

import numpy as np

from telic.lm.tiny._network import Cache, Network
from telic.lm.tiny._prefix import PrefixCache
from telic.lm.tiny._sampling import choose
from telic.lm.tiny._tokenizer import PAD, Decoder, Tokenizer

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from telic.lm.tiny._weights import Array

_ROLES: Final = 5  # padding, roles and the end are the tokens below this number

AT_ONCE: Final = 32
"""Sequences that are generated together; more wait."""


class Job:
    """One completion that is being generated.

    Args:
        prompt: Token ids.
        max_tokens: Tokens to generate at most.
        temperature: 0: greedy.
        top_p: Share of the probability to draw from.
        seed: Of this completion's draws.
        stop: Strings that end the text; they are not part of it.
        on_text: Called with each piece of certain text, in the leader's thread.
    """

    def __init__(
        self,
        prompt: list[int],
        *,
        max_tokens: int,
        temperature: float,
        top_p: float,
        seed: int,
        stop: Sequence[str] = (),
        on_text: Callable[[str], None] | None = None,
    ) -> None:
        self.prompt = prompt
        self.max_tokens = max_tokens
        self.temperature, self.top_p = temperature, top_p
        self.seed = seed
        self.stop = tuple(stop)
        self.on_text = on_text
        self.finish_reason = ""
        self.reused = 0
        self.error: BaseException | None = None
        self.cancelled = False
        self.woken = threading.Event()
        self._given = 0
        self.restart()

    def restart(self) -> None:
        """Begin anew; the same tokens will come, and text that was given out is not given out again."""
        self.rng = np.random.default_rng(self.seed)
        self.text = ""
        self.generated = 0
        self.cache: Cache | None = None
        self.next_token = PAD
        self._decoder: Decoder | None = None

    def take(self, token: int, tokenizer: Tokenizer) -> None:
        """Add a generated token, and finish where it ends the text."""
        if self._decoder is None:
            self._decoder = Decoder(tokenizer)
        self.generated += 1
        self.next_token = token
        if token < _ROLES:  # nothing more of this turn can follow
            self.finish("stop")
            return
        self.text += self._decoder.push(token)
        for stop in self.stop:
            at = self.text.find(stop, max(0, self._given - len(stop)))
            if at >= 0:
                self.text = self.text[:at]
                self.finish("stop", held=False)
                return
        if self.generated >= self.max_tokens:
            self.finish("length")
            return
        self._give(len(self.text) - max(map(len, self.stop), default=0))

    def cancel(self) -> None:
        """Stop generating; the caller of `Engine.run` comes back."""
        self.cancelled = True
        self.woken.set()

    def _give(self, until: int) -> None:
        if self.on_text is not None and until > self._given:
            self.on_text(self.text[self._given : until])
            self._given = until

    def finish(self, reason: str, *, held: bool = True) -> None:
        """End the text; `held`: with the bytes of a character that is not complete."""
        if held and self._decoder is not None:
            self.text += self._decoder.finish()
        self.finish_reason = reason
        self._give(len(self.text))


class Engine:
    """Generates text for many threads at once.

    Args:
        network: The network.
        tokenizer: Its tokenizer.
        identity: Which model this is, for cache keys: other weights, another identity.
        prefix_bytes: Room for the beginnings of prompts that are kept.
    """

    def __init__(
        self, network: Network, tokenizer: Tokenizer, *, identity: str, prefix_bytes: int = 64 << 20
    ) -> None:
        self.network, self.tokenizer, self.identity = network, tokenizer, identity
        self._prefix_bytes = prefix_bytes
        self._reset()

    def _reset(self) -> None:
        self._process = os.getpid()
        self.prefixes = PrefixCache(self._prefix_bytes)
        # Protects the two below it; the network, the prefixes and the open jobs belong to the leader.
        self._lock = threading.Lock()
        self._waiting: list[Job] = []
        self._leading = False
        self._open: list[Job] = []

    def run(self, jobs: Sequence[Job]) -> None:
        """Generate all of `jobs`; return when they are finished, raise what stopped one of them."""
        if self._process != os.getpid():
            self._reset()  # a forked child: the threads that held lock and lead are not in it
        for job in jobs:
            if job.max_tokens <= 0:
                job.finish_reason = "length"
        jobs = [j for j in jobs if not j.finish_reason]
        if jobs:
            self._see_through(jobs)
        for job in jobs:
            if job.error is not None:
                raise job.error

    def _see_through(self, jobs: Sequence[Job]) -> None:
        """Wait, or lead, until all of `jobs` are done."""
        mine = jobs[0].woken  # one caller, one bell
        for job in jobs:
            job.woken = mine
        with self._lock:
            self._waiting += jobs
            lead = not self._leading
            self._leading = True
        while not lead:
            mine.wait()
            mine.clear()
            if all(_done(j) for j in jobs):
                return
            lead = self._take_lead()
        self._lead(jobs)

    def _take_lead(self) -> bool:
        with self._lock:
            if self._leading:
                return False
            self._leading = True
            return True

    def _lead(self, jobs: Sequence[Job]) -> None:
        try:
            while not all(_done(j) for j in jobs):
                self._round()
        except BaseException:
            # Ctrl-C and the like: our own jobs go. Those of others may have been left in the middle of a token.
            for job in jobs:
                job.cancelled = True
            left = [j for j in self._open if not _done(j)]
            for job in left:
                job.restart()
            self._open = []
            with self._lock:
                self._waiting[:0] = left
            raise
        finally:
            self._hand_over()

    def _hand_over(self) -> None:
        with self._lock:
            self._leading = False
            left = next((j for j in (*self._open, *self._waiting) if not _done(j)), None)
        if left is not None:
            left.woken.set()

    def _round(self) -> None:
        """Admit waiting jobs, and generate one token for each open one."""
        self._open = [j for j in self._open if not _done(j)]
        with self._lock:
            room = AT_ONCE - len(self._open)
            new, self._waiting = self._waiting[:room], self._waiting[room:]
        batch = list(self._open)
        for job in new:
            if not job.cancelled:
                self._open.append(job)
                self._guarded(job, lambda job=job: self._begin(job))
        if not batch:
            return
        logits = self.network.step(
            [j.next_token for j in batch], [j.cache for j in batch if j.cache is not None]
        )
        for job, row in zip(batch, logits, strict=True):
            self._guarded(job, lambda job=job, row=row: self._advance(job, row))

    def _guarded(self, job: Job, work: Callable[[], None]) -> None:
        """Run `work` for `job`; an error is the job's own, and stops nobody else."""
        try:
            work()
        except Exception as error:  # noqa: BLE001 - kept on the job and raised in its caller's thread
            job.error = error
        if _done(job):
            job.cache = None
            job.woken.set()

    def _begin(self, job: Job) -> None:
        cache = Cache(self.network.shape, min(self.network.shape.context, len(job.prompt) + job.max_tokens))
        start = job.reused = self.prefixes.restore(job.prompt, cache)
        logits, ends = self.network.read(job.prompt[start:], cache)
        self.prefixes.keep(job.prompt, cache, start, ends)
        job.cache = cache
        self._advance(job, logits)

    def _advance(self, job: Job, logits: Array) -> None:
        job.take(choose(logits, job.temperature, job.top_p, job.rng), self.tokenizer)
        if not job.finish_reason and job.cache is not None and job.cache.length >= self.network.shape.context:
            job.finish("length")


def _done(job: Job) -> bool:
    return bool(job.finish_reason) or job.error is not None or job.cancelled
