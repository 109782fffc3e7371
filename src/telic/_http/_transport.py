"""The transport: requests in, answers out, with a deadline.

`send` and `stream` are coroutine functions for the portal's loop. A connection that the server had closed while it
was idle is replaced once, silently, if no byte of the answer came; every other failure is a typed error that names
the host, never the query or a header. Retries are not made here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, final

from telic._http._message import HttpRequest, HttpResponse, Origin
from telic._http._portal import portal
from telic._optional import load
from telic.errors import LMResponseError, LMTimeoutError, LMTransportError

if TYPE_CHECKING:
    import asyncio
    from collections.abc import AsyncIterator

    from telic._http._connection import Connection
    from telic._http._deadline import Deadlines
    from telic._http._dial import Dialer
    from telic._http._pool import Pool
    from telic._http._unpack import Unpacker

MAX_RESPONSE_BYTES: Final = 256 * 1024 * 1024


@final
class _Engine:
    """What a transport keeps for one event loop."""

    __slots__ = ("cancelled", "deadlines", "dialer", "loop", "pools")

    def __init__(self, loop: asyncio.AbstractEventLoop, connect_timeout_s: float) -> None:
        self.loop = loop
        self.deadlines: Deadlines = load("telic._http._deadline").Deadlines(loop)
        self.dialer: Dialer = load("telic._http._dial").Dialer(loop, connect_timeout_s)
        self.pools: dict[Origin, Pool] = {}
        self.cancelled: type[BaseException] = load("asyncio").CancelledError

    def close(self) -> None:
        self.deadlines.close()
        for pool in self.pools.values():
            pool.close()


@final
class Transport:
    """Sends requests over connections that it keeps.

    Args:
        max_connections: To one host; callers beyond it wait in line.
        max_response_bytes: An answer beyond it is refused, before and after unpacking.
        connect_timeout_s: For name, TCP, proxy and TLS together.
        idle_timeout_s: How long an unused connection is kept.
    """

    def __init__(
        self,
        *,
        max_connections: int = 1024,
        max_response_bytes: int = MAX_RESPONSE_BYTES,
        connect_timeout_s: float = 15.0,
        idle_timeout_s: float = 60.0,
    ) -> None:
        self._max_connections = max_connections
        self._max_response_bytes = max_response_bytes
        self._connect_timeout_s = connect_timeout_s
        self._idle_timeout_s = idle_timeout_s
        self._engine: _Engine | None = None

    async def send(self, request: HttpRequest, deadline: float) -> HttpResponse:
        """Return the answer to `request`, whatever its status.

        Args:
            request: What to send.
            deadline: In the loop's time; infinity for none. It covers waiting, connecting, writing and reading.

        Raises:
            LMTimeoutError: The deadline passed.
            LMTransportError: No connection, or it was lost.
            LMResponseError: The answer is too large or its compression is broken.
        """
        engine = self._running()
        pool = engine.pools.get(request.endpoint.origin)
        if pool is None:
            pool = self._open_pool(engine, request.endpoint.origin)
        watch = engine.deadlines.start(deadline)
        connection: Connection | None = None
        try:
            connection = pool.take()
            if connection is None:
                connection = await pool.open()
            message = pool.message(request)
            try:
                response = await connection.send(message)
            except LMTransportError:
                if connection.exchanges == 1 or not connection.is_untouched:
                    raise
                connection = await pool.open(fresh=True)
                response = await connection.send(message)
        except engine.cancelled as error:
            if watch.caused(error):
                raise LMTimeoutError(_late(request, connection)) from None
            raise
        finally:
            engine.deadlines.stop(watch)
            if connection is not None:
                pool.give_back(connection)
        if "content-encoding" in response.headers:
            return _unpacked(response, request, self._max_response_bytes)
        return response

    async def stream(self, request: HttpRequest, deadline: float) -> HttpStream:
        """Return the answer as soon as its head is in; its body is read from it. The caller closes it.

        Args:
            request: What to send.
            deadline: For all of it, the last byte included.

        Raises:
            LMTimeoutError: The deadline passed.
            LMTransportError: No connection, or it was lost.
        """
        engine = self._running()
        pool = engine.pools.get(request.endpoint.origin)
        if pool is None:
            pool = self._open_pool(engine, request.endpoint.origin)
        watch = engine.deadlines.start(deadline)
        connection: Connection | None = None
        try:
            connection = pool.take()
            if connection is None:
                connection = await pool.open()
            message = pool.message(request)
            try:
                await connection.send(message, stream=True)
            except LMTransportError:
                if connection.exchanges == 1 or not connection.is_untouched:
                    raise
                connection = await pool.open(fresh=True)
                await connection.send(message, stream=True)
            where = request.endpoint.origin.name
            unpacker = load("telic._http._unpack").unpacker_for(
                connection.headers, where, self._max_response_bytes
            )
        except BaseException as error:
            if connection is not None:
                connection.close()
            if isinstance(error, engine.cancelled) and watch.caused(error):
                raise LMTimeoutError(_late(request, connection)) from None
            raise
        finally:
            engine.deadlines.stop(watch)
        return HttpStream(engine.deadlines, pool, connection, request, deadline, unpacker)

    async def close(self) -> None:
        """Close all connections; a later request opens new ones."""
        engine, self._engine = self._engine, None
        if engine is not None:
            engine.close()

    def _running(self) -> _Engine:
        loop = load("asyncio").get_running_loop()
        engine = self._engine
        if engine is None or engine.loop is not loop:
            # Another loop: the first request, or a child process, whose inherited sockets are not ours to close.
            engine = self._engine = _Engine(loop, self._connect_timeout_s)
            portal.on_close(engine.close)
        return engine

    def _open_pool(self, engine: _Engine, origin: Origin) -> Pool:
        pool: Pool = load("telic._http._pool").Pool(
            engine.loop,
            origin,
            engine.dialer,
            max_connections=self._max_connections,
            max_response_bytes=self._max_response_bytes,
            idle_timeout_s=self._idle_timeout_s,
        )
        engine.pools[origin] = pool
        return pool


@final
class HttpStream:
    """An answer whose body is still coming: `async for piece in stream`. Reading slowly slows the server down."""

    __slots__ = (
        "_connection",
        "_deadline",
        "_deadlines",
        "_pool",
        "_request",
        "_unpacker",
        "headers",
        "status",
    )

    def __init__(
        self,
        deadlines: Deadlines,
        pool: Pool,
        connection: Connection,
        request: HttpRequest,
        deadline: float,
        unpacker: Unpacker | None,
    ) -> None:
        self._deadlines = deadlines
        self._pool = pool
        self._connection: Connection | None = connection
        self._request = request
        self._deadline = deadline
        self.status = connection.status
        self.headers = connection.headers
        self._unpacker = unpacker

    async def read(self) -> bytes:
        """Return the bytes that are there, waiting for some; b"" at the end of the body.

        Raises:
            LMTimeoutError: The deadline passed. The connection is closed then.
            LMTransportError: The connection was lost within the body.
            LMResponseError: The body's compression is broken, or it unpacks to too much.
        """
        connection = self._connection
        if connection is None:
            return b""
        watch = self._deadlines.start(self._deadline)
        try:
            pieces = await connection.read()
        except BaseException as error:
            self.close()
            if isinstance(error, load("asyncio").CancelledError) and watch.caused(error):
                raise LMTimeoutError(_late(self._request, connection)) from None
            raise
        finally:
            self._deadlines.stop(watch)
        unpacker = self._unpacker
        try:
            if not pieces and unpacker is not None:
                unpacker.finish()
            data = b"".join(pieces) if unpacker is None else unpacker.feed(b"".join(pieces))
        except LMResponseError:
            self.close()
            raise
        if not pieces:
            self._connection = None
            self._pool.give_back(connection)
            return b""
        return data or await self.read()

    async def read_all(self) -> bytes:
        """Return what is left of the body."""
        parts: list[bytes] = []
        while part := await self.read():
            parts.append(part)
        return b"".join(parts)

    def close(self) -> None:
        """Close; a body that was not read to its end closes the connection. Idempotent."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while part := await self.read():
            yield part


def _late(request: HttpRequest, connection: Connection | None) -> str:
    doing = "connecting" if connection is None else "waiting for the answer"
    return (
        f"{request.endpoint.origin.name}: the deadline passed while {doing}; raise `timeout` to wait longer"
    )


def _unpacked(response: HttpResponse, request: HttpRequest, limit: int) -> HttpResponse:
    unpacker: Unpacker | None = load("telic._http._unpack").unpacker_for(
        response.headers, request.endpoint.origin.name, limit
    )
    if unpacker is None:
        return response
    body = unpacker.feed(response.body)
    unpacker.finish()
    headers = {name: value for name, value in response.headers.items() if name != "content-encoding"}
    return HttpResponse(response.status, headers, body)


_shared: Transport | None = None


def shared_transport() -> Transport:
    """Return the process's transport: LMs share its connections."""
    global _shared  # noqa: PLW0603 - one per process, made once
    if _shared is None:
        _shared = Transport()
    return _shared
