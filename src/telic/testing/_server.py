"""`FaultServer`: a real HTTP server on the loopback that fails as real LM servers do.

It speaks OpenAI's chat (and plain) completions and Anthropic's messages, whole or streamed, and misbehaves on request:
a list of faults is used up one request after the other, so a test says exactly which try fails how. Requests and
connections are recorded. It runs on an event loop in a thread of its own; nothing leaves this machine.
"""

from __future__ import annotations

import asyncio
import json
import ssl
import threading
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Self, cast, final

from telic.testing._wire_answers import anthropic_answer, openai_answer, stream_answer
from telic.testing.faults import Exchange, Fault, RecordedRequest, http_message

if TYPE_CHECKING:
    from types import TracebackType

Answers = str | Mapping[str, Any] | Sequence[Any] | Callable[[Any], Any]
Faults = Fault | Iterable[Fault | None] | Callable[[RecordedRequest], Fault | None] | None


@final
class FaultServer:
    """A loopback server for tests; a context manager.

    Args:
        answers: A text for every request; a list used up in order; or a function of the request's JSON. Texts become
            completions (as many as `n` asks for), dicts are sent as they are.
        faults: A fault for every request; a list used up in order, where None is a healthy answer and so is all that
            follows its end; or a function of the `RecordedRequest`.
        latency_s: Before each answer.
        ssl_context: For https.

    Attributes:
        requests: What came, in order.
        connections: How many connections were accepted.
        open_connections: How many are open now.
        max_in_flight: The most requests that were being answered at once.

    Example:
        >>> from telic.testing import faults
        >>> with FaultServer("hello", faults=[faults.status(500)]) as server:
        ...     server.url.startswith("http://127.0.0.1:")
        True
    """

    def __init__(
        self,
        answers: Answers = "ok",
        faults: Faults = None,
        *,
        latency_s: float = 0.0,
        ssl_context: ssl.SSLContext | None = None,
    ) -> None:
        self._answers = answers
        self._faults = faults
        self._fault_queue = _queue(faults)
        self._answered = 0
        self._latency_s = latency_s
        self._ssl_context = ssl_context
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._closing: asyncio.Event | None = None
        self._port = 0
        self._in_flight = 0
        self._writers: list[asyncio.StreamWriter] = []
        self._changed = threading.Condition()
        self.requests: list[RecordedRequest] = []
        self.connections = 0
        self.open_connections = 0
        self.max_in_flight = 0

    def __enter__(self) -> Self:
        started = threading.Event()
        self._thread = threading.Thread(target=self._serve, args=(started,), name="fault-server", daemon=True)
        self._thread.start()
        if not started.wait(10):
            raise RuntimeError("the fault server did not start within 10 s")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        loop, thread = self._loop, self._thread
        if loop is not None and thread is not None and self._closing is not None:
            loop.call_soon_threadsafe(self._closing.set)
            thread.join(10)

    @property
    def host(self) -> str:
        """`http://127.0.0.1:port`."""
        scheme = "http" if self._ssl_context is None else "https"
        return f"{scheme}://{'127.0.0.1' if self._ssl_context is None else 'localhost'}:{self._port}"

    @property
    def url(self) -> str:
        """What `base_url` wants."""
        return f"{self.host}/v1"

    @property
    def port(self) -> int:
        """The port."""
        return self._port

    def wait_until(self, condition: Callable[[], bool], timeout_s: float = 5.0) -> bool:
        """Return once `condition()` holds, looked at whenever a request or connection comes or goes."""
        with self._changed:
            return self._changed.wait_for(condition, timeout_s)

    # In the server's thread.

    def _serve(self, started: threading.Event) -> None:
        asyncio.run(self._main(started))

    async def _main(self, started: threading.Event) -> None:
        self._loop = asyncio.get_running_loop()
        self._closing = asyncio.Event()
        server = await asyncio.start_server(
            self._connection, "127.0.0.1", 0, ssl=self._ssl_context, backlog=2048, limit=2**26
        )
        self._port = server.sockets[0].getsockname()[1]
        started.set()
        await self._closing.wait()
        server.close()
        for _ in range(
            3
        ):  # what was accepted just now becomes a connection: until then its socket is nobody's
            await asyncio.sleep(0)
        tasks = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=2)
        for writer in self._writers:
            writer.transport.abort()  # a TLS farewell would outlive the loop
        for _ in range(3):
            await asyncio.sleep(0)

    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        number = self.connections
        self._writers.append(writer)
        self._note(connections=1)
        try:
            while await self._one_request(reader, writer, number):
                pass
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError, ssl.SSLError):
            pass  # the client went away, or the server closes: both are how a connection ends
        finally:
            writer.close()
            self._note(connections=-1)

    def _note(self, *, connections: int = 0, in_flight: int = 0) -> None:
        with self._changed:
            self.open_connections += connections
            self._in_flight += in_flight
            self.max_in_flight = max(self.max_in_flight, self._in_flight)
            self._changed.notify_all()

    async def _one_request(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, number: int
    ) -> bool:
        first = await reader.readexactly(1)
        if first == b"\x16":  # TLS, here: real servers answer so
            writer.write(http_message(400, "text/plain", b"Client sent an HTTPS request to an HTTP server"))
            return False
        head = (first + await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        line, *lines = head.rstrip("\r\n").split("\r\n")
        method, path, _ = line.split(" ", 2)
        headers = {name.lower(): value.strip() for name, _, value in (item.partition(":") for item in lines)}
        data = await reader.readexactly(int(headers.get("content-length", "0")))
        try:
            content: Any = json.loads(data)
        except ValueError:
            content = data
        request = RecordedRequest(method, path, headers, content, number)
        self.requests.append(request)
        self._note(in_flight=1)
        try:
            return await self._respond(request, reader, writer)
        finally:
            self._note(in_flight=-1)

    async def _respond(
        self, request: RecordedRequest, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> bool:
        fault = self._next_fault(request)
        if self._latency_s:
            await asyncio.sleep(self._latency_s)
        closing = self._closing if self._closing is not None else asyncio.Event()
        exchange = Exchange(request, writer, lambda: self._answer(request), closing)
        if fault is not None:
            await _while_connected(fault.act(exchange), reader)
            await writer.drain()
            return not exchange.closes
        if _json(request).get("stream"):
            writer.write(stream_answer(request.path, exchange.answer))
        else:
            writer.write(exchange.healthy)
        await writer.drain()
        return request.headers.get("connection", "").lower() != "close"

    def _next_fault(self, request: RecordedRequest) -> Fault | None:
        faults = self._faults
        if isinstance(faults, Fault):
            return faults
        if self._fault_queue is not None:
            return next(self._fault_queue, None)
        return faults(request) if callable(faults) else None

    def _answer(self, request: RecordedRequest) -> Any:
        answers = self._answers
        if callable(answers):
            answer = answers(request.body)
        elif isinstance(answers, Sequence) and not isinstance(answers, str):
            answer = answers[min(self._answered, len(answers) - 1)]
        else:
            answer = answers
        self._answered += 1
        if isinstance(answer, Mapping):
            return cast("Mapping[str, Any]", answer)
        asked = _json(request)
        if request.path.endswith("/messages"):
            return anthropic_answer(str(answer), asked)
        return openai_answer(
            str(answer), asked, chat=request.path.partition("?")[0].endswith("chat/completions")
        )


async def _while_connected(work: Awaitable[None], reader: asyncio.StreamReader) -> None:
    """Await `work`, but not longer than the client stays."""
    task = asyncio.ensure_future(work)
    gone = asyncio.ensure_future(reader.read(1))
    try:
        await asyncio.wait({task, gone}, return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            task.result()
    finally:
        for pending in (task, gone):
            if not pending.done():
                pending.cancel()
        await asyncio.gather(task, gone, return_exceptions=True)
    if (
        not task.cancelled()
        and gone.done()
        and not gone.cancelled()
        and gone.exception() is None
        and gone.result()
    ):
        raise ConnectionError("the client sent another request before it had the answer")
    if task.cancelled():
        raise ConnectionError("the client went away")


def _json(request: RecordedRequest) -> Mapping[str, Any]:
    content: Any = request.body
    return cast("dict[str, Any]", content) if isinstance(content, dict) else {}


def _queue(faults: Faults) -> Iterator[Fault | None] | None:
    if faults is None or isinstance(faults, Fault) or callable(faults):
        return None
    return iter(faults)
