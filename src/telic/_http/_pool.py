"""Keep-alive connections, one pool for each origin.

The connection used last is taken first, so that the others grow old and close; callers beyond `max_connections` wait
in the order they came, and a connection that comes free goes to the first of them.
"""

from __future__ import annotations

from collections import deque
from contextvars import Context
from typing import TYPE_CHECKING, Final, final

from telic._http._connection import Connection
from telic._http._dial import Dialer
from telic._http._proxy import Proxy, proxy_for

if TYPE_CHECKING:
    import asyncio

    from telic._http._message import Endpoint, HttpRequest, Origin

_SWEEPS_PER_IDLE_TIME: Final = 2


@final
class Pool:
    """Connections to one origin, on one event loop."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        origin: Origin,
        dialer: Dialer,
        *,
        max_connections: int,
        max_response_bytes: int,
        idle_timeout_s: float,
    ) -> None:
        self._loop = loop
        self._origin = origin
        self._dialer = dialer
        self._proxy: Proxy | None = proxy_for(origin)
        self._max_connections = max_connections
        self._max_response_bytes = max_response_bytes
        self._idle_timeout_s = idle_timeout_s
        self._idle: list[Connection] = []
        self._all: set[Connection] = set()
        self._dialing = 0
        self._waiting: deque[asyncio.Future[Connection | None]] = deque()
        self._sweeper: asyncio.TimerHandle | None = None

    def take(self) -> Connection | None:
        """Return an idle connection at once, or None: then `await open()`."""
        idle = self._idle
        while idle:
            connection = idle.pop()
            if connection.usable:
                return connection
        return None

    async def open(self, *, fresh: bool = False) -> Connection:
        """Return a connection: dialed now, or, at the limit, the next that comes free.

        Args:
            fresh: True: not one that was used before; it is dialed even at the limit.

        Raises:
            LMTransportError: It could not be made.
        """
        if not fresh and len(self._all) + self._dialing >= self._max_connections:
            connection = await self._wait()
            if connection is not None:
                return connection
        self._dialing += 1
        try:
            connection = await self._dialer.open(self._origin, self._proxy, self._make)
            self._all.add(connection)
        except BaseException:
            self._wake(None)  # the place is free: the first in line dials for itself
            raise
        finally:
            self._dialing -= 1
        return connection

    def give_back(self, connection: Connection) -> None:
        """Take a connection back after an answer; one that cannot be used again is closed."""
        if not connection.is_clean:
            connection.close()
            return
        if self._waiting and self._wake(connection):
            return
        connection.idle_since = self._loop.time()
        self._idle.append(connection)
        if self._sweeper is None:
            self._sweeper = self._sweep_later()

    def close(self) -> None:
        """Close all connections."""
        if self._sweeper is not None:
            self._sweeper.cancel()
            self._sweeper = None
        for connection in list(self._all):
            connection.close()

    def message(self, request: HttpRequest) -> bytes:
        """Return the bytes of a request."""
        endpoint, body = request.endpoint, request.body
        proxied = self._proxy is not None and self._origin.scheme == "http"
        head = self._proxied_head(endpoint) if proxied else endpoint.head
        return b"%b%d\r\n\r\n%b" % (head, len(body), body)

    def _proxied_head(self, endpoint: Endpoint) -> bytes:
        proxy = self._proxy
        token = f"Proxy-Authorization: {proxy.authorization}\r\n" if proxy and proxy.authorization else ""
        line = f"{endpoint.method} {self._origin.name}{endpoint.target} HTTP/1.1\r\n"
        return b"%b%b%bContent-Length: " % (line.encode("ascii"), token.encode("latin-1"), endpoint.fields)

    def _make(self) -> Connection:
        return Connection(self._loop, self._origin, self._max_response_bytes, self._lost)

    def _lost(self, connection: Connection) -> None:
        if connection in self._all:
            self._all.discard(connection)
            self._wake(None)

    def _wake(self, connection: Connection | None) -> bool:
        while self._waiting:
            future = self._waiting.popleft()
            if not future.done():
                future.set_result(connection)
                return True
        return False

    async def _wait(self) -> Connection | None:
        future: asyncio.Future[Connection | None] = self._loop.create_future()
        self._waiting.append(future)
        try:
            connection = await future
        except BaseException:
            if future.done() and not future.cancelled():  # handed over and cancelled at once: pass it on
                given = future.result()
                if given is None:
                    self._wake(None)
                else:
                    self.give_back(given)
            raise
        return connection if connection is None or connection.usable else None

    def _sweep(self) -> None:
        oldest = self._loop.time() - self._idle_timeout_s
        keep: list[Connection] = []
        for connection in self._idle:
            if connection.usable and connection.idle_since > oldest:
                keep.append(connection)
            else:
                connection.close()
        self._idle = keep
        self._sweeper = self._sweep_later() if keep else None

    def _sweep_later(self) -> asyncio.TimerHandle:
        again = self._idle_timeout_s / _SWEEPS_PER_IDLE_TIME
        return self._loop.call_later(again, self._sweep, context=Context())
