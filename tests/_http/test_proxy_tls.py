from __future__ import annotations

import asyncio
import shutil
import ssl
import subprocess
import sys
import threading
import types

import pytest

from telic._http import _dial, _proxy
from telic._http._message import Origin
from telic.errors import ConfigurationError, LMTransportError
from telic.testing import FaultServer

PATH = "/v1/chat/completions"


@pytest.fixture(scope="session")
def authority(tmp_path_factory):
    """A certificate for localhost, signed by itself, and its file."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed")
    folder = tmp_path_factory.mktemp("tls")
    key, certificate = folder / "key.pem", folder / "certificate.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
         "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost", "-keyout", key, "-out", certificate],
        check=True, capture_output=True,
    )  # fmt: skip
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    return context, certificate


class Proxy:
    """A small proxy: CONNECT tunnels and plain forwarding; it notes the request lines and headers that it sees."""

    def __init__(self, refuse=None):
        self.heads = []
        self.refuse = refuse

    def __enter__(self):
        started = threading.Event()
        self.thread = threading.Thread(target=lambda: asyncio.run(self.main(started)), daemon=True)
        self.thread.start()
        assert started.wait(5)
        return self

    def __exit__(self, *_):
        self.loop.call_soon_threadsafe(self.closing.set)
        self.thread.join(5)

    async def main(self, started):
        self.loop, self.closing = asyncio.get_running_loop(), asyncio.Event()
        server = await asyncio.start_server(self.serve, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        started.set()
        await self.closing.wait()
        server.close()
        tasks = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def serve(self, reader, writer):
        upstream = None
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            self.heads.append(head.decode())
            if self.refuse is not None:
                writer.write(self.refuse)
                return
            method, target, _ = head.split(b"\r\n")[0].decode().split()
            authority = target if method == "CONNECT" else target.split("/")[2]
            host, port = authority.rsplit(":", 1)
            back, upstream = await asyncio.open_connection(
                "127.0.0.1" if host == "api.example" else host, int(port)
            )
            if method == "CONNECT":
                writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
            else:
                upstream.write(head)
            await asyncio.wait(
                [
                    asyncio.ensure_future(self.pipe(reader, upstream)),
                    asyncio.ensure_future(self.pipe(back, writer)),
                ],
                return_when=asyncio.FIRST_COMPLETED,
            )
        except asyncio.CancelledError:
            pass
        finally:
            writer.close()
            if upstream is not None:
                upstream.close()

    async def pipe(self, reader, writer):
        try:
            while data := await reader.read(65536):
                writer.write(data)
        except (ConnectionError, asyncio.CancelledError):
            pass


@pytest.fixture
def proxied(monkeypatch):
    """The loopback counts as any other host here, so that a proxy on it can be tried."""
    monkeypatch.setattr(_proxy, "is_loopback", lambda host: False)
    for name in ("http_proxy", "https_proxy", "no_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    return monkeypatch


def test_https_trusts_what_ssl_cert_file_names(make_sender, authority, monkeypatch):
    context, certificate = authority
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    sender = make_sender()
    with FaultServer("hello", ssl_context=context) as server:
        assert b"hello" in sender.send(server.host + PATH).body
        assert b"hello" in sender.send(server.host + PATH).body
        assert server.connections == 1


def test_an_untrusted_certificate_is_refused_with_the_way_out(make_sender, authority):
    context, _ = authority
    with FaultServer(ssl_context=context) as server:
        with pytest.raises(LMTransportError, match="not trusted.*SSL_CERT_FILE"):
            make_sender().send(server.host + PATH)
        assert server.requests == []


def test_a_certificate_of_another_name_is_refused(make_sender, authority, monkeypatch):
    context, certificate = authority
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    with FaultServer(ssl_context=context) as server, pytest.raises(LMTransportError, match="not trusted"):
        make_sender().send(f"https://127.0.0.1:{server.port}{PATH}")


def test_https_to_a_plain_server_says_so(make_sender):
    with FaultServer() as server, pytest.raises(LMTransportError, match=r"TLS with .* failed"):
        make_sender().send(f"https://127.0.0.1:{server.port}{PATH}")


def test_https_goes_through_a_tunnel_with_the_proxys_own_password(make_sender, authority, proxied):
    context, certificate = authority
    proxied.setenv("SSL_CERT_FILE", str(certificate))
    with FaultServer("hello", ssl_context=context) as server, Proxy() as proxy:
        proxied.setenv("HTTPS_PROXY", f"http://user:p%40ss@127.0.0.1:{proxy.port}")
        sender = make_sender()
        for _ in range(2):
            answer = sender.send(server.host + PATH, headers={"Authorization": "Bearer hush"})
            assert b"hello" in answer.body
        (head,) = proxy.heads
    assert head.startswith(f"CONNECT localhost:{server.port} HTTP/1.1\r\n")
    assert "Proxy-Authorization: Basic dXNlcjpwQHNz\r\n" in head
    assert "hush" not in head
    assert "proxy-authorization" not in server.requests[0].headers


def test_plain_http_goes_to_the_proxy_with_the_whole_url(make_sender, proxied):
    with FaultServer("hello") as server, Proxy() as proxy:
        proxied.setenv("HTTP_PROXY", f"127.0.0.1:{proxy.port}")
        answer = make_sender().send(f"http://api.example:{server.port}{PATH}")
        assert b"hello" in answer.body
        assert proxy.heads[0].startswith(f"POST http://api.example:{server.port}{PATH} HTTP/1.1\r\n")


def test_no_proxy_is_heeded(make_sender, proxied):
    with FaultServer() as server:
        proxied.setenv("HTTP_PROXY", "http://127.0.0.1:9")
        proxied.setenv("NO_PROXY", "127.0.0.1,other")
        assert make_sender().send(server.host + PATH).status == 200


@pytest.mark.parametrize(
    ("host", "direct"),
    [("10.1.2.3", True), ("11.0.0.1", False), ("fd00::7", True), ("a.b.internal", True), ("internal", False)],
)
def test_no_proxy_takes_networks_and_stars(proxied, host, direct):
    proxied.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    proxied.setenv("NO_PROXY", "10.0.0.0/8, fd00::/8,*.internal,no/network")
    assert (_proxy.proxy_for(Origin("http", host, 80)) is None) is direct


def test_a_socks_proxy_is_refused_by_the_name_of_its_variable(make_sender, proxied):
    proxied.setenv("ALL_PROXY", "socks5://user:hush@127.0.0.1:9")
    with pytest.raises(
        ConfigurationError, match=r"ALL_PROXY names a socks5 proxy.*NO_PROXY=api.example"
    ) as caught:
        make_sender().send("http://api.example/v1")
    assert "hush" not in str(caught.value)


def test_a_file_of_authorities_that_is_not_there_is_said_so(make_sender, authority, monkeypatch, tmp_path):
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "gone.pem"))
    context, _ = authority
    with FaultServer(ssl_context=context) as server:
        with pytest.raises(
            LMTransportError, match=r"SSL_CERT_FILE names '.*gone.pem', and there is no such file"
        ):
            make_sender().send(server.host + PATH)


def test_a_system_without_authorities_trusts_those_of_certifi(authority, monkeypatch, tmp_path):
    _, certificate = authority
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "none.pem"))
    monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path))
    certifi = types.ModuleType("certifi")
    certifi.where = lambda: str(certificate)
    monkeypatch.setitem(sys.modules, "certifi", certifi)
    dialer = _dial.Dialer(asyncio.new_event_loop(), 1.0)
    try:
        assert dialer._context().cert_store_stats()["x509"] == 1
    finally:
        dialer._loop.close()


def test_the_loopback_needs_no_proxy(make_sender, monkeypatch):
    with FaultServer() as server:
        monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
        assert make_sender().send(server.host + PATH).status == 200


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n", "407.*user and password"),
        (b"HTTP/1.1 502 Bad Gateway\r\n\r\n", "502"),
        (b"hello\r\n\r\n", "not HTTP"),
        (b"", "closed the connection"),
    ],
)
def test_a_proxy_that_refuses_is_named(make_sender, proxied, answer, says):
    with Proxy(refuse=answer) as proxy:
        proxied.setenv("HTTPS_PROXY", f"http://user:hush@127.0.0.1:{proxy.port}")
        with pytest.raises(LMTransportError, match=says) as caught:
            make_sender().send("https://api.example/v1")
    assert "hush" not in str(caught.value)
