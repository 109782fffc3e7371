"""Many callers, one network: calls that are in flight together are generated together.

The first caller leads: it reads prompts and generates a token at a time for every open job, until its own is finished;
then it hands the lead to a caller whose job is still open. Callers that do not lead sleep. Tasks and streams cannot
lead; where only they are waiting, a daemon thread does, as long as there is work. Each job's tokens are the same
whoever leads and whatever else is open (see `_network`).
"""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING, Final

from telic.lm.tiny._network import Cache, Network
from telic.lm.tiny._prefix import PrefixCache

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from telic.lm._generation import Bell
    from telic.lm.tiny._job import Job
    from telic.lm.tiny._tokenizer import Tokenizer
    from telic.lm.tiny._weights import Array

AT_ONCE: Final = 32
"""Sequences that are generated together; more wait."""


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
        if jobs:
            self._see_through(jobs)
        for job in jobs:
            if job.error is not None:
                raise job.error

    def submit(self, jobs: Sequence[Job], bell: Bell) -> None:
        """Have `jobs` generated without waiting; `bell` is rung whenever one of them is done."""
        if self._process != os.getpid():
            self._reset()
        for job in jobs:
            job.bell = bell
        with self._lock:
            self._waiting += jobs
            lead, self._leading = not self._leading, True
        if lead:
            threading.Thread(target=self._lead_all, name="telic-tiny", daemon=True).start()

    def _lead_all(self) -> None:
        """Lead until there is no work: for callers that cannot."""
        while True:
            self._round()
            with self._lock:
                if not self._waiting and all(j.done for j in self._open):
                    self._leading = False
                    return

    def _see_through(self, jobs: Sequence[Job]) -> None:
        """Wait, or lead, until all of `jobs` are done."""
        mine = threading.Event()  # one caller, one bell
        for job in jobs:
            job.bell = mine
        with self._lock:
            self._waiting += jobs
            lead = not self._leading
            self._leading = True
        while not lead:
            mine.wait()
            mine.clear()
            lead = self._take_lead()
            if lead and all(j.done for j in jobs):
                self._hand_over()  # woken to lead, but cancelled meanwhile: others still need a leader
                return
            if all(j.done for j in jobs):
                return
        self._lead(jobs)

    def _take_lead(self) -> bool:
        with self._lock:
            if self._leading:
                return False
            self._leading = True
            return True

    def _lead(self, jobs: Sequence[Job]) -> None:
        try:
            while not all(j.done for j in jobs):
                self._round()
        except BaseException:
            # Ctrl-C and the like: our own jobs go. Those of others may have been left in the middle of a token.
            for job in jobs:
                job.cancelled = True
            left = [j for j in self._open if not j.done]
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
            left = [j for j in (*self._open, *self._waiting) if not j.done]
            able = next((j for j in left if isinstance(j.bell, threading.Event)), None)
            thread = bool(left) and able is None
            self._leading = thread
        if able is not None:
            able.bell.set()
        elif thread:
            threading.Thread(target=self._lead_all, name="telic-tiny", daemon=True).start()

    def _round(self) -> None:
        """Admit waiting jobs, and generate one token for each open one."""
        self._open = [j for j in self._open if not j.done]
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
        if job.done:
            job.cache = None
            job.bell.set()

    def _begin(self, job: Job) -> None:
        cache = Cache(
            self.network.shape, min(self.network.shape.context, len(job.prompt) + job.wish.max_tokens)
        )
        start = job.reused = self.prefixes.restore(job.prompt, cache)
        logits, ends = self.network.read(job.prompt[start:], cache)
        self.prefixes.keep(job.prompt, cache, start, ends)
        job.cache = cache
        self._advance(job, logits)

    def _advance(self, job: Job, logits: Array) -> None:
        job.advance(logits, self.tokenizer)
        if not job.finish_reason and job.cache is not None and job.cache.length >= self.network.shape.context:
            job.finish("length")
