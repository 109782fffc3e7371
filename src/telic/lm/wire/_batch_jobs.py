"""The batch service of an OpenAI-compatible server: files up, a job made, looked at, and its answers fetched.

Source: OpenAI's Batch API (`/files`, `/batches`), which Groq and others have copied. Each request is tried again like
a call, but for one: making a job. Where the answer to that is lost, the job may be there, so it is looked for by its
mark before it is asked for again; nothing is paid for twice.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple, cast, final
from urllib.parse import quote

from telic._http import HttpRequest, HttpResponse, Transport
from telic._optional import load
from telic.errors import LMError, LMResponseError
from telic.lm.wire._dialect import load_json
from telic.lm.wire._retry import RETRIED, RetryPolicy

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from telic.lm.wire._openai import OpenAIDialect

ENDED: Final = frozenset({"completed", "failed", "expired", "cancelled"})
_WINDOW: Final = "24h"
_PAGES: Final = 10  # of 100 jobs, looked through for one whose making was not confirmed
_MARK: Final = "telic"


class Answer(NamedTuple):
    """What came of one request of a job."""

    status: int
    """As HTTP has it; 0: the request was not made, and `body` says why."""
    body: bytes


class Job(NamedTuple):
    """A job as the server tells it."""

    id: str
    status: str
    """"validating", "in_progress", "finalizing", or one of `ENDED`."""
    told: Mapping[str, Any]

    @property
    def trouble(self) -> str:
        """What the server says went wrong; "": nothing."""
        errors = _part(self.told, "errors")
        items: Any = errors.get("data")
        if not isinstance(items, list):
            return ""
        return "; ".join(
            [str(_part({"": item}, "").get("message", "")) for item in cast("list[Any]", items)[:3]]
        )

    @property
    def counts(self) -> str:
        """How far it is, for people."""
        counts = _part(self.told, "request_counts")
        return f"{counts.get('completed', 0)} of {counts.get('total', '?')} answered"


@final
class BatchJobs:
    """The service beside a dialect's endpoint.

    Args:
        dialect: The model and its server.
        transport: Sends.
        retry: Which failures are tried again.
        timeout_s: For one request, whatever its size.
    """

    def __init__(
        self, dialect: OpenAIDialect, transport: Transport, retry: RetryPolicy, timeout_s: float
    ) -> None:
        self._dialect = dialect
        self._transport = transport
        self._retry = retry
        self._timeout_s = timeout_s

    async def start(self, bodies: Sequence[bytes], mark: str) -> Job:
        """Upload requests and make a job of them; its answers come by the requests' numbers.

        Args:
            bodies: What each would send alone, as JSON.
            mark: A name for the job that no other has.
        """
        path = b"/v1/completions" if self._dialect.is_text else b"/v1/chat/completions"
        lines = [
            b'{"custom_id":"%d","method":"POST","url":"%b","body":%b}' % (number, path, body)
            for number, body in enumerate(bodies)
        ]
        file = await self._uploaded(b"\n".join(lines), mark)
        order = load("orjson").dumps(
            {
                "input_file_id": file,
                "endpoint": path.decode(),
                "completion_window": _WINDOW,
                "metadata": {_MARK: mark},
            }
        )
        attempt = 0
        while True:
            attempt += 1
            try:
                return _job(await self._once("POST", "batches", order, "application/json"))
            except LMError as error:
                wait = self._retry.wait_s(error, attempt)
                if wait is None:
                    raise
            await load("asyncio").sleep(wait)
            made = await self.find(mark)
            if made is not None:
                return made

    async def _uploaded(self, lines: bytes, mark: str) -> str:
        edge = f"telic-{mark}".encode()
        head = b'--%b\r\nContent-Disposition: form-data; name="purpose"\r\n\r\nbatch\r\n' % edge
        head += b'--%b\r\nContent-Disposition: form-data; name="file"; filename="batch.jsonl"\r\n' % edge
        head += b"Content-Type: application/jsonl\r\n\r\n"
        form = b"%b%b\r\n--%b--\r\n" % (head, lines, edge)
        told = await self._sent("POST", "files", form, f"multipart/form-data; boundary={edge.decode()}")
        return _identity(told, "file")

    async def find(self, mark: str) -> Job | None:
        """Return the job that carries a mark; None: it was never made."""
        after = ""
        for _ in range(_PAGES):
            page = await self._sent("GET", f"batches?limit=100{after}")
            jobs: Any = page.get("data")
            for one in cast("list[Any]", jobs) if isinstance(jobs, list) else []:
                told = _part({"": one}, "")
                if _part(told, "metadata").get(_MARK) == mark:
                    return _job(told)
            last = page.get("last_id")
            if not page.get("has_more") or not isinstance(last, str):
                return None
            after = f"&after={quote(last, safe='')}"
        return None

    async def look(self, job: str) -> Job:
        """Return how a job stands."""
        return _job(await self._sent("GET", f"batches/{quote(job, safe='')}"))

    async def answers(self, job: Job) -> dict[int, Answer]:
        """Return what came of a job's requests, by number; those that nothing came of are not in it."""
        found: dict[int, Answer] = {}
        for name in ("error_file_id", "output_file_id"):
            file = job.told.get(name)
            if isinstance(file, str) and file:
                reply = await self._tried("GET", f"files/{quote(file, safe='')}/content")
                for line in reply.body.splitlines():
                    _read(line, found)
        return found

    async def _sent(self, method: str, path: str, body: bytes = b"", kind: str = "") -> dict[str, Any]:
        reply = await self._tried(method, path, body, kind)
        return self._object(reply)

    async def _once(self, method: str, path: str, body: bytes, kind: str) -> dict[str, Any]:
        # Over a connection of its own: on one that was used before, a request without an answer is sent anew.
        fresh = Transport()
        try:
            return self._object(await self._exchange(method, path, body, kind, fresh))
        finally:
            await fresh.close()

    async def _tried(self, method: str, path: str, body: bytes = b"", kind: str = "") -> HttpResponse:
        attempt = 0
        while True:
            attempt += 1
            try:
                return await self._exchange(method, path, body, kind)
            except LMError as error:
                error.attempts = attempt
                wait = self._retry.wait_s(error, attempt)
                if wait is None:
                    raise
            await load("asyncio").sleep(wait)

    async def _exchange(
        self, method: str, path: str, body: bytes, kind: str, transport: Transport | None = None
    ) -> HttpResponse:
        dialect = self._dialect
        endpoint = dialect.beside(path, method, kind)
        deadline = load("asyncio").get_running_loop().time() + self._timeout_s
        sends = self._transport if transport is None else transport
        reply = await sends.send(HttpRequest(endpoint, body), deadline)
        if not 200 <= reply.status < 300:
            raise dialect.decode_error(reply.status, reply.headers, reply.body)
        return reply

    def _object(self, reply: HttpResponse) -> dict[str, Any]:
        return load_json(reply, where=f"the batch service of {self._dialect.provider}/{self._dialect.model}")


def is_passing(error: LMError) -> bool:
    """Whether another try may mend it."""
    return isinstance(error, RETRIED)


def _part(told: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """Return a part of what a server told, or {} where it is not there or no object."""
    part = told.get(name)
    return cast("Mapping[str, Any]", part) if isinstance(part, dict) else {}


def _job(told: Mapping[str, Any]) -> Job:
    status = told.get("status")
    return Job(_identity(told, "batch"), status if isinstance(status, str) else "", told)


def _identity(told: Mapping[str, Any], what: str) -> str:
    name = told.get("id")
    if not isinstance(name, str) or not name:
        raise LMResponseError(
            f"the server made a {what} without an id: {str(told)[:200]!r}; has it a batch API?"
        )
    return name


def _read(line: bytes, found: dict[int, Answer]) -> None:
    """Take one line of an answer file; what is no line of it is as if it had not come."""
    orjson = load("orjson")
    try:
        told: Any = orjson.loads(line)
        number = int(told["custom_id"])
        response: Any = told.get("response")
        if response:
            found[number] = Answer(int(response["status_code"]), orjson.dumps(response["body"]))
        else:
            found[number] = Answer(0, orjson.dumps(told.get("error")))
    except (ValueError, TypeError, KeyError, AttributeError):
        return
