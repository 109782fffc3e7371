"""Making connections: names to addresses, TCP, TLS, and the tunnel through a proxy.

Names are resolved once a minute and host; the address that worked comes first the next time. TLS trusts the system's
authorities (`SSL_CERT_FILE` and `SSL_CERT_DIR` replace them), and certifi's where the system has none, as Python from
python.org on macOS. Which proxy a host is reached by is told by `_proxy`.
"""

from __future__ import annotations

import os
import socket
from contextvars import Context
from typing import TYPE_CHECKING, Any, Final, final

from telic._optional import load
from telic.errors import LMTransportError

if TYPE_CHECKING:
    import asyncio
    import ssl
    from collections.abc import Callable

    from telic._http._message import Origin
    from telic._http._proxy import Proxy

RESOLVED_FOR_S: Final = 60.0
_OTHER_ADDRESS_S: Final = 2.0  # how long one of several addresses may be silent


@final
class Dialer:
    """Opens connections on one event loop; keeps resolved names and the TLS settings."""

    def __init__(self, loop: asyncio.AbstractEventLoop, connect_timeout_s: float) -> None:
        self._loop = loop
        self._connect_timeout_s = connect_timeout_s
        self._resolved: dict[tuple[str, int], tuple[float, asyncio.Future[list[str]]]] = {}
        self._ssl_context: ssl.SSLContext | None = None

    async def open(self, origin: Origin, proxy: Proxy | None, factory: Callable[[], Any]) -> Any:
        """Return a connected protocol made by `factory`.

        It is dialed in an empty context: a socket's callbacks keep theirs, and all that it holds, until it closes.

        Raises:
            LMTransportError: The name is unknown, nobody listens, TLS failed, the proxy refused, or it took too long.
        """
        dialing = self._loop.create_task(self._open(origin, proxy, factory), context=Context())
        try:
            return await dialing
        except BaseException:
            if dialing.done() and not dialing.cancelled() and dialing.exception() is None:
                dialing.result().close()  # called off just when it had come: nobody else knows of it
            raise

    async def _open(self, origin: Origin, proxy: Proxy | None, factory: Callable[[], Any]) -> Any:
        asyncio = load("asyncio")
        try:
            async with asyncio.timeout(self._connect_timeout_s):
                if proxy is not None and origin.scheme == "https":
                    return await self._tunnel(origin, proxy, factory)
                target = origin if proxy is None else proxy.origin
                return await self._connect(target, factory, tls=target.scheme == "https")
        except TimeoutError as error:
            raise LMTransportError(
                f"no connection to {origin.name} within {self._connect_timeout_s:g} s; check host, port and network"
            ) from error
        except OSError as error:
            raise LMTransportError(_explain(origin, proxy, error)) from error

    async def _connect(self, target: Origin, factory: Callable[[], Any], *, tls: bool) -> Any:
        addresses = await self._addresses(target)
        context = self._context() if tls else None
        for index, address in enumerate(addresses):
            dial = self._loop.create_connection(
                factory, address, target.port, ssl=context, server_hostname=target.host if tls else None
            )
            try:
                async with load("asyncio").timeout(None if index == len(addresses) - 1 else _OTHER_ADDRESS_S):
                    transport, protocol = await dial
            except OSError as error:  # TimeoutError is one
                if index == len(addresses) - 1 or _is_certificate_error(error):
                    self._resolved.pop((target.host, target.port), None)
                    raise
                continue
            if index:
                addresses.insert(0, addresses.pop(index))  # the same list object is kept for the next ones
            _keep_alive(transport.get_extra_info("socket"))
            return protocol
        raise LMTransportError(f"the name {target.host!r} has no address")

    async def _addresses(self, target: Origin) -> list[str]:
        key = (target.host, target.port)
        now = self._loop.time()
        known = self._resolved.get(key)
        if known is not None and now - known[0] < RESOLVED_FOR_S:
            return await load("asyncio").shield(known[1])
        if _is_literal(target.host):
            return [target.host]
        future: asyncio.Future[list[str]] = load("asyncio").ensure_future(self._resolve(target))
        future.add_done_callback(
            lambda done: done.cancelled() or done.exception()
        )  # seen, even if nobody waits
        self._resolved[key] = (now, future)
        try:
            return await load("asyncio").shield(future)
        except OSError:
            self._resolved.pop(key, None)
            raise

    async def _resolve(self, target: Origin) -> list[str]:
        found = await self._loop.getaddrinfo(target.host, target.port, type=socket.SOCK_STREAM)
        return list(dict.fromkeys(str(entry[4][0]) for entry in found))

    async def _tunnel(self, origin: Origin, proxy: Proxy, factory: Callable[[], Any]) -> Any:
        loop = self._loop
        handshake = await self._connect(
            proxy.origin, lambda: _Handshake(loop, proxy.origin), tls=proxy.origin.scheme == "https"
        )
        host = f"[{origin.host}]" if ":" in origin.host else origin.host
        authority = f"{host}:{origin.port}"
        token = f"Proxy-Authorization: {proxy.authorization}\r\n" if proxy.authorization else ""
        handshake.transport.write(
            f"CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\n{token}\r\n".encode()
        )
        protocol = factory()
        try:
            await handshake.answer
            transport = await loop.start_tls(
                handshake.transport, protocol, self._context(), server_hostname=origin.host
            )
        except BaseException:
            handshake.transport.abort()
            raise
        protocol.connection_made(transport)
        return protocol

    def _context(self) -> ssl.SSLContext:
        if self._ssl_context is None:
            context: ssl.SSLContext = load("ssl").create_default_context()
            if _knows_nobody(context):
                try:
                    context.load_verify_locations(load("certifi").where())
                except ModuleNotFoundError:
                    pass  # `_explain` says what to do
            context.set_alpn_protocols(["http/1.1"])
            self._ssl_context = context
        return self._ssl_context


def _keep_alive(sock: Any) -> None:
    """Have the system ask the peer now and then whether it is there.

    A model that thinks for minutes sends nothing, and gateways forget connections that are silent for so long.
    """
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in (
        ("TCP_KEEPIDLE", 60),
        ("TCP_KEEPALIVE", 60),
        ("TCP_KEEPINTVL", 30),
        ("TCP_KEEPCNT", 4),
    ):
        option = getattr(
            socket, name, None
        )  # systems have some of them; macOS calls the first one like the second
        if option is not None:
            sock.setsockopt(socket.IPPROTO_TCP, option, value)


@final
class _Handshake:
    """The protocol of a fresh connection to a proxy, until the tunnel stands."""

    def __init__(self, loop: asyncio.AbstractEventLoop, proxy: Origin) -> None:
        self.answer: asyncio.Future[None] = loop.create_future()
        self.transport: Any = None
        self._proxy = proxy
        self._head = b""

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self._head += data
        if self.answer.done() or (b"\r\n\r\n" not in self._head and len(self._head) < 65536):
            return
        status = self._head.split(b"\r\n", 1)[0].split(b" ")[1:2]
        if status and status[0].startswith(b"2") and status[0].isdigit():
            self.answer.set_result(None)
        else:
            shown = status[0].decode("latin-1")[:8] if status else "something that is not HTTP"
            hint = "; put user and password into the proxy's URL" if shown == "407" else ""
            self.answer.set_exception(
                LMTransportError(f"the proxy {self._proxy.name} refused the tunnel with {shown}{hint}")
            )

    def eof_received(self) -> None:
        return None

    def connection_lost(self, error: Exception | None) -> None:
        if not self.answer.done():
            self.answer.set_exception(LMTransportError(f"the proxy {self._proxy.name} closed the connection"))

    def pause_writing(self) -> None:
        return None

    def resume_writing(self) -> None:
        return None


def _is_literal(host: str) -> bool:
    for family in (socket.AF_INET, socket.AF_INET6):
        try:
            socket.inet_pton(family, host.partition("%")[0])
        except OSError:
            continue
        return True
    return False


def _knows_nobody(context: ssl.SSLContext) -> bool:
    """Return whether there is no authority to trust: none loaded, and no folder to look them up in."""
    if context.cert_store_stats()["x509_ca"]:
        return False
    folder = load("ssl").get_default_verify_paths().capath
    return folder is None or not os.listdir(folder)


def _untrusted(reason: object) -> str:
    named = os.environ.get("SSL_CERT_FILE")
    if named and not os.path.isfile(named):
        return f"{reason}; SSL_CERT_FILE names {named!r}, and there is no such file"
    if named is None and _knows_nobody(load("ssl").create_default_context()):
        return (
            f"{reason}; this system has no certificates of authorities: install ca-certificates, or certifi"
        )
    return f"{reason}; for an authority of your own set SSL_CERT_FILE to its certificate"


def _is_certificate_error(error: OSError) -> bool:
    return isinstance(error, load("ssl").SSLCertVerificationError)


def _explain(origin: Origin, proxy: Proxy | None, error: OSError) -> str:
    via = f" by the proxy {proxy.origin.name}" if proxy is not None else ""
    where = f"{origin.name}{via}"
    if _is_certificate_error(error):
        return f"the certificate of {where} is not trusted: {_untrusted(getattr(error, 'verify_message', error))}"
    if isinstance(error, load("ssl").SSLError) or (origin.scheme == "https" and not str(error)):
        return (
            f"TLS with {where} failed: {getattr(error, 'reason', None) or error or 'the connection was closed'}; "
            "does it speak https there?"
        )
    if isinstance(error, socket.gaierror):
        name = origin.host if proxy is None else proxy.origin.host
        return f"the name {name!r} is not known ({error.strerror}); check the spelling of base_url and the network"
    if isinstance(error, ConnectionRefusedError):
        return f"{where} refused the connection: nobody listens there; is the server running?"
    return f"no connection to {where}: {error.strerror or error}"
