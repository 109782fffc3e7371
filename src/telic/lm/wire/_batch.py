"""Calls through a provider's batch service: cheaper, and answered within a day (`LM(…, batch=True)`).

A call waits until no other has come for a moment; then all that wait go up as one job (`_batch_jobs`), which is looked
at, at ever longer intervals, until the server has ended it. Everything above, from cache to budget and journal, sees
calls that take long. In a run, what was sent is written down before and after (`_batch_ledger`): a run that was killed
while a job was under way fetches its answers when it is opened again.

A request that a job ended without, or with a failure that may pass, goes into the next job, as often as `num_retries`
says.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final, final
from weakref import WeakKeyDictionary

from telic._http import HttpResponse, Transport, portal, shared_transport
from telic._optional import load
from telic.context import get as get_setting
from telic.errors import (
    ConfigurationError,
    LMError,
    LMInvalidRequestError,
    LMRateLimitError,
    LMResponseError,
    LMServerError,
    LMTimeoutError,
)
from telic.journal import LentRun
from telic.lm._prices import price_of
from telic.lm._usage import priced
from telic.lm.wire._batch_jobs import ENDED, Answer, BatchJobs, Job, is_passing
from telic.lm.wire._batch_ledger import KeptJob, Ledger, digest_of
from telic.lm.wire._client import WireClient, join_responses, refuse_if_forbidden
from telic.lm.wire._openai import OpenAIDialect
from telic.lm.wire._retry import RetryPolicy

if TYPE_CHECKING:
    import asyncio
    from collections.abc import AsyncIterator, Iterator

    from telic.data import Request, Response
    from telic.journal import LiveRun
    from telic.protocols import Capabilities, Delta

_HALF: Final = ("https://api.openai.com", "https://api.groq.com")
"""Servers whose price lists have half the price for what goes through a batch."""


@final
class _Waiting:
    """A call that waits for a job."""

    __slots__ = ("body", "digest", "future", "ledger", "slot", "tries")

    def __init__(self, body: bytes, slot: str, ledger: Ledger, future: asyncio.Future[Response]) -> None:
        self.body = body
        self.digest = digest_of(body)
        self.slot = slot
        self.ledger = ledger
        self.future = future
        self.tries = 0


@final
class BatchClient:
    """A `protocols.Client` that makes jobs of calls.

    Args:
        dialect: The model and its server.
        transport: None: the process's own.
        retry: How often a request is sent again; the service's own requests too.
        timeout_s: For one request to the service.
        gather_s: A job is made when no call has come for so long.
        poll_s: The first and the longest time between two looks at a job.
        most_calls: In a job.
        most_bytes: Of a job's file.
        patience_s: For how long looks at a job may fail.
        window_s: For how long a job may last; servers promise a day.
    """

    def __init__(
        self,
        dialect: OpenAIDialect,
        *,
        transport: Transport | None = None,
        retry: RetryPolicy | None = None,
        timeout_s: float = 600.0,
        gather_s: float = 1.0,
        poll_s: tuple[float, float] = (2.0, 60.0),
        most_calls: int = 10_000,
        most_bytes: int = 90_000_000,
        patience_s: float = 3600.0,
        window_s: float = 26 * 3600.0,
    ) -> None:
        self.dialect = dialect
        self._retry = RetryPolicy() if retry is None else retry
        sends = shared_transport() if transport is None else transport
        self._jobs = BatchJobs(dialect, sends, self._retry, timeout_s)
        self._gather_s = gather_s
        self._poll_s = poll_s
        self._most_calls = most_calls
        self._most_bytes = most_bytes
        self._patience_s = patience_s
        self._window_s = window_s
        # On the portal's loop alone:
        self._waiting: list[_Waiting] = []
        self._size = 0
        self._timer: asyncio.TimerHandle | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._outside = Ledger(None)
        self._ledgers: WeakKeyDictionary[LiveRun, Ledger] = WeakKeyDictionary()

    @property
    def capabilities(self) -> Capabilities:
        """What the model can do natively."""
        return self.dialect.capabilities

    @property
    def endpoint(self) -> str:
        """Where the answers come from, for cache keys; the same as without batches."""
        return f"{self.dialect.endpoint.origin.name}{self.dialect.endpoint.target}"

    def complete(self, request: Request) -> Response:
        """Return the answer, once its job has ended. Cost: one LM call, or n where the server gives one a request.

        Raises:
            LMError: What went wrong.
            ConfigurationError: An option that cannot work; nothing was sent.
        """
        refuse_if_forbidden(self.dialect)
        return portal.run(self._complete, request, get_setting("run"), get_setting("run_slot"))

    async def acomplete(self, request: Request) -> Response:
        """Return the answer; see `complete`."""
        refuse_if_forbidden(self.dialect)
        return await portal.arun(self._complete, request, get_setting("run"), get_setting("run_slot"))

    def stream(self, request: Request) -> Iterator[Delta]:
        """Raise: a batch has no stream."""
        raise self._no_stream()

    def astream(self, request: Request) -> AsyncIterator[Delta]:
        """Raise: a batch has no stream."""
        raise self._no_stream()

    def _no_stream(self) -> ConfigurationError:
        return ConfigurationError(
            f"{self.dialect.provider}/{self.dialect.model}: answers of a batch come whole; stream with an LM that was "
            "made without batch=True"
        )

    # On the portal's loop.

    async def _complete(self, request: Request, run: LiveRun | LentRun | None, slot: str) -> Response:
        if request.options.get("extra_headers"):
            raise ConfigurationError("extra_headers= cannot go with one request of a batch; leave it out")
        ledger = self._ledger(run)
        n = request.options.get("n")
        if n is None or n == 1:
            return await self._ask(self.dialect.encode(request).body, slot, ledger)
        if not isinstance(n, int) or n < 1:
            raise ConfigurationError(f"n={n!r}: how many completions must be a whole number of at least 1")
        found: list[Response] = []
        if self.dialect.native_n:
            found.append(await self._ask(self.dialect.encode(request, n=n).body, slot, ledger))
        missing = n - sum(len(response.completions) for response in found)
        alone = self.dialect.encode(request, n=1).body
        found += await load("asyncio").gather(*(self._ask(alone, slot, ledger) for _ in range(missing)))
        return join_responses(found)

    def _ledger(self, run: LiveRun | LentRun | None) -> Ledger:
        if run is None or isinstance(run, LentRun):  # whose folder is elsewhere
            return self._outside
        known = self._ledgers.get(run)
        if known is None:
            known = self._ledgers[run] = Ledger(run)
        return known

    async def _ask(self, body: bytes, slot: str, ledger: Ledger) -> Response:
        call = _Waiting(body, slot, ledger, load("asyncio").get_running_loop().create_future())
        sent = ledger.take(slot, call.digest)
        if sent is not None:
            try:
                answer = (await self._of_before(sent.job)).get(sent.number)
            except BaseException:  # called off, or the service is away: it can still be fetched
                ledger.return_(call.digest, sent)
                raise
            if answer is not None and 200 <= answer.status < 300:
                return self._read(answer)
        self._put(call)
        return await call.future

    def _put(self, call: _Waiting) -> None:
        """Let a call wait for the next job."""
        self._waiting.append(call)
        self._size += len(call.body)
        if self._timer is not None:
            self._timer.cancel()
        loop = load("asyncio").get_running_loop()
        full = len(self._waiting) >= self._most_calls or self._size >= self._most_bytes
        self._timer = loop.call_later(0 if full else self._gather_s, self._go)

    def _go(self) -> None:
        """Make a job of what waits, one for each run."""
        calls, self._waiting, self._size, self._timer = self._waiting, [], 0, None
        by_ledger: dict[int, list[_Waiting]] = {}
        for call in calls:
            if not call.future.done():  # called off meanwhile
                by_ledger.setdefault(id(call.ledger), []).append(call)
        for mine in by_ledger.values():
            for together in self._cut(mine):
                task = load("asyncio").get_running_loop().create_task(self._carry(together))
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)

    def _cut(self, calls: Sequence[_Waiting]) -> list[list[_Waiting]]:
        """Return calls in portions that a job may hold."""
        portions: list[list[_Waiting]] = []
        size = 0
        for call in calls:
            size += len(call.body)
            if not portions or len(portions[-1]) >= self._most_calls or size > self._most_bytes:
                portions.append([])
                size = len(call.body)
            portions[-1].append(call)
        return portions

    async def _carry(self, calls: Sequence[_Waiting]) -> None:
        """Send calls as a job, wait for its end, and hand the answers out."""
        ledger, mark = calls[0].ledger, os.urandom(12).hex()
        names = [(call.slot, call.digest) for call in calls]
        job: Job | None = None
        try:
            ledger.intend(mark, names)
            job = await self._jobs.start([call.body for call in calls], mark)
            ledger.made(mark, job.id)
            job, answers = await self._ended(job)
        except Exception as error:  # noqa: BLE001  it belongs to the callers, who wait for it
            if job is not None:
                ledger.put_back(mark, job.id, names)
            for call in calls:
                _fail(call, error)
            return
        for number, call in enumerate(calls):
            self._hand_out(call, answers.get(number), job)

    def _hand_out(self, call: _Waiting, answer: Answer | None, job: Job) -> None:
        try:
            response = self._read(answer) if answer is not None else self._raise_missing(job)
        except LMError as error:
            call.tries += 1
            wait = self._retry.wait_s(error, call.tries)
            if wait is None:
                _fail(call, error)
            else:
                load("asyncio").get_running_loop().call_later(wait, self._put, call)
        except Exception as error:  # noqa: BLE001  it belongs to the caller, who waits for it
            _fail(call, error)
        else:
            if not call.future.done():
                call.future.set_result(response)

    def _read(self, answer: Answer) -> Response:
        if answer.status == 0:
            raise LMServerError(
                f"{self._name}: the batch did not make this request: {answer.body[:300].decode('utf-8', 'replace')}",
                model=self.dialect.model,
                provider=self.dialect.provider,
            )
        response = priced(
            self.dialect.decode(HttpResponse(answer.status, {}, answer.body)), price_of(self._name)
        )
        cost = response.usage.cost_usd
        if cost is None or self.dialect.endpoint.origin.name not in _HALF:
            return response
        return response._replace(usage=response.usage._replace(cost_usd=cost / 2))

    def _raise_missing(self, job: Job) -> Response:
        """Raise what it means that a job ended without an answer to a request."""
        kinds: dict[str, Callable[..., LMError]] = {
            "failed": LMRateLimitError if "limit" in job.trouble.lower() else LMInvalidRequestError,
            "expired": LMTimeoutError, "cancelled": LMInvalidRequestError,
        }  # fmt: skip
        trouble = f": {job.trouble}" if job.trouble else ""
        raise kinds.get(job.status, LMResponseError)(
            f"{self._name}: the batch {job.id!r} ended ({job.status}) without an answer to this request{trouble}",
            model=self.dialect.model,
            provider=self.dialect.provider,
        )

    @property
    def _name(self) -> str:
        return f"{self.dialect.provider}/{self.dialect.model}"

    # Jobs

    async def _ended(self, job: Job) -> tuple[Job, dict[int, Answer]]:
        """Return a job at its end, with its answers."""
        asyncio = load("asyncio")
        clock = asyncio.get_running_loop().time
        wait, longest = self._poll_s
        seen = started = clock()
        while job.status not in ENDED:
            self._tell(job)
            if clock() - started > self._window_s:
                raise LMTimeoutError(
                    f"{self._name}: the batch {job.id!r} is still {job.status!r} after "
                    f"{self._window_s / 3600:.0f} hours; the same call, made again, goes on waiting for it"
                )
            await asyncio.sleep(wait)
            wait = min(longest, 1.5 * wait)
            try:
                job, seen = await self._jobs.look(job.id), clock()
            except LMError as error:
                if not is_passing(error) or clock() - seen > self._patience_s:
                    raise
        self._tell(job)
        return job, await self._jobs.answers(job)

    def _tell(self, job: Job) -> None:
        load("logging").getLogger("telic.lm").info(
            "%s: batch %s is %s, %s", self._name, job.id, job.status, job.counts
        )

    async def _of_before(self, job: KeptJob) -> dict[int, Answer]:
        """Return the answers of a job that an earlier part of the run has sent; {} where it was never made."""
        asyncio = load("asyncio")
        if job.work is None:
            job.work = asyncio.get_running_loop().create_task(self._fetched(job))
        work = job.work
        try:
            return await asyncio.shield(work)
        except LMError:
            if job.work is work:  # the next who asks tries again
                job.work = None
            raise

    async def _fetched(self, job: KeptJob) -> dict[int, Answer]:
        try:
            made = await self._jobs.find(job.mark) if job.id is None else await self._jobs.look(job.id)
        except LMInvalidRequestError:  # the server has forgotten it
            return {}
        return {} if made is None else (await self._ended(made))[1]


def _fail(call: _Waiting, error: Exception) -> None:
    if not call.future.done():
        call.future.set_exception(error)


def batch_client(client: WireClient, timeout_s: float) -> BatchClient:
    """Return the client that makes jobs of what another would send call by call.

    Raises:
        ConfigurationError: Its server has no such service that is known here.
    """
    dialect = client.dialect
    if not isinstance(dialect, OpenAIDialect) or dialect.provider == "azure":
        raise ConfigurationError(
            f"batch=True works with batch endpoints as OpenAI has them (/files, /batches); {dialect.provider!r} has "
            "none, or of another form; leave it out"
        )
    return BatchClient(dialect, retry=client.retry, timeout_s=timeout_s)
