from __future__ import annotations

import asyncio
import contextvars
import gc
import gzip
import socket
import threading
import zlib

import pytest

from telic._http import Endpoint, HttpRequest, portal
from telic._http._portal import Portal
from telic.errors import LMResponseError, LMTimeoutError, LMTransportError
from telic.testing import FaultServer, faults

PATH = "/v1/chat/completions"


def test_a_request_arrives_as_it_was_made(sender):
    with FaultServer("hello") as server:
        answer = sender.send(server.host + PATH + "?a=1", b'{"x": 1}', headers={"X-Own": "y"})
        assert answer.status == 200
        assert b"hello" in answer.body
        (request,) = server.requests
    assert (request.method, request.path, request.body) == ("POST", PATH + "?a=1", {"x": 1})
    assert request.headers["x-own"] == "y"
    assert request.headers["host"] == f"127.0.0.1:{server.port}"


def test_one_after_another_share_one_connection(sender):
    with FaultServer() as server:
        for _ in range(50):
            sender.send(server.host + PATH)
        assert server.connections == 1


class Held:
    """Something that a caller's context holds."""


HELD = contextvars.ContextVar("held")


def test_a_kept_connection_keeps_nothing_of_the_call_that_opened_it(make_sender):
    door = Portal()  # its loop begins within the call, too

    def call():
        HELD.set(Held())
        sender = make_sender()
        request = HttpRequest(Endpoint(server.host + PATH), b"{}")
        door.run(lambda: sender.transport.send(request, door.loop.time() + 5))
        return sender

    with FaultServer() as server:
        sender = contextvars.copy_context().run(call)
        gc.collect()
        held = [one for one in gc.get_objects() if isinstance(one, Held)]

        assert held == []
        assert server.open_connections == 1
        door.run(sender.transport.close)
    door.close()


def test_five_hundred_at_once_get_as_many_connections_and_keep_them(make_sender):
    sender = make_sender(max_connections=600)
    with FaultServer(latency_s=0.05) as server:
        request = HttpRequest(Endpoint(server.host + PATH), b"{}")

        async def flood():
            return await asyncio.gather(*(portal.arun(sender.asend, request, 20.0) for _ in range(500)))

        assert {answer.status for answer in asyncio.run(flood())} == {200}
        assert server.max_in_flight > 100
        before = server.connections
        assert {answer.status for answer in asyncio.run(flood())} == {200}
        assert server.connections == before == 500


def test_callers_beyond_the_limit_wait_for_a_connection(make_sender):
    sender = make_sender(max_connections=3)
    with FaultServer() as server:
        request = HttpRequest(Endpoint(server.host + PATH), b"{}")

        async def flood():
            return await asyncio.gather(*(portal.arun(sender.asend, request) for _ in range(60)))

        assert {answer.status for answer in asyncio.run(flood())} == {200}
        assert server.connections == 3


def test_a_waiter_dials_for_itself_when_the_connection_it_waited_for_is_lost(make_sender):
    sender = make_sender(max_connections=1)
    with FaultServer(faults=[faults.half_body()]) as server:
        request = HttpRequest(Endpoint(server.host + PATH), b"{}")

        async def both():
            return await asyncio.gather(
                *(portal.arun(sender.asend, request) for _ in range(2)), return_exceptions=True
            )

        first, second = asyncio.run(both())
        assert isinstance(first, LMTransportError)
        assert second.status == 200


def test_a_stale_connection_is_replaced_without_a_word(sender):
    with FaultServer(faults=[None, faults.close_before_answer(), None]) as server:
        sender.send(server.host + PATH)
        assert sender.send(server.host + PATH).status == 200
        assert (server.connections, len(server.requests)) == (2, 3)


def test_a_connection_closed_after_its_answer_is_not_used_again(sender):
    with FaultServer(faults=[faults.close_after_answer(), None]) as server:
        sender.send(server.host + PATH)
        assert sender.send(server.host + PATH).status == 200
        assert len(server.requests) == 2


def test_a_first_request_that_is_closed_without_an_answer_fails_once(sender):
    with FaultServer(faults=faults.close_before_answer()) as server:
        with pytest.raises(LMTransportError, match="without an answer"):
            sender.send(server.host + PATH)
        assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("fault", "says"),
    [
        (faults.half_headers(), "within the headers"),
        (faults.half_body(), r"within the body .* of \d+ bytes came"),
        (faults.reset_mid_body(), "within the body"),
        (faults.raw(b"SSH-2.0-OpenSSH_9.2\r\n"), "does not speak HTTP"),
        (faults.raw(b"HTTP/1.1 101 Switching\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n"), "101"),
        (faults.raw(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"), "does not speak HTTP"),
        (
            faults.raw(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello!"),
            "does not speak",
        ),
    ],
)
def test_a_broken_answer_is_a_transport_error_that_names_host_and_fact(sender, fault, says):
    with FaultServer(faults=fault) as server:
        with pytest.raises(LMTransportError, match=says) as caught:
            sender.send(server.host + PATH + "?key=hush")
        assert f"127.0.0.1:{server.port}" in str(caught.value)
        assert "hush" not in str(caught.value)


def raw(text, body=b"", *, close=True):
    return faults.raw(text.replace("\n", "\r\n").encode() + body, close=close)


@pytest.mark.parametrize(
    ("fault", "body"),
    [
        (
            raw("HTTP/1.1 200 OK\nTransfer-Encoding: chunked\n\n3\nabc\n2;x=y\nde\n0\nTrailer: 1\n\n"),
            b"abcde",
        ),
        (raw("HTTP/1.1 200 OK\n\nuntil the end"), b"until the end"),
        (raw("HTTP/1.0 200 OK\n\nold"), b"old"),
        (
            raw(
                "HTTP/1.1 100 Continue\n\nHTTP/1.1 103 Early Hints\nLink: x\n\nHTTP/1.1 200 OK\nContent-Length: 2\n\nok"
            ),
            b"ok",
        ),
        (raw("HTTP/1.1 204 No Content\n\n"), b""),
        (raw("HTTP/1.1 200 OK\nContent-Length: 0\n\n"), b""),
    ],
)
def test_bodies_of_every_framing_are_read(sender, fault, body):
    with FaultServer(faults=fault) as server:
        assert sender.send(server.host + PATH).body == body


@pytest.mark.parametrize(
    ("encoding", "packed"),
    [
        ("gzip", gzip.compress(b"hello" * 100, mtime=0)),
        ("gzip", gzip.compress(b"hello" * 40, mtime=0) + gzip.compress(b"hello" * 60, mtime=0)),
        ("gzip", gzip.compress(b"hello" * 100, mtime=0) + b"\0" * 8),
        ("deflate", zlib.compress(b"hello" * 100)),
        ("deflate", zlib.compress(b"hello" * 100, wbits=-15)),
        ("identity", b"hello" * 100),
    ],
)
def test_compressed_answers_are_unpacked(sender, encoding, packed):
    head = f"HTTP/1.1 200 OK\nContent-Encoding: {encoding}\nContent-Length: {len(packed)}\n\n"
    with FaultServer(faults=raw(head, packed)) as server:
        assert sender.send(server.host + PATH).body == b"hello" * 100


def test_an_answer_that_unpacks_to_too_much_is_refused(make_sender):
    packed = gzip.compress(b"0" * 5_000_000, mtime=0)
    head = f"HTTP/1.1 200 OK\nContent-Encoding: gzip\nContent-Length: {len(packed)}\n\n"
    sender = make_sender(max_response_bytes=1_000_000)
    with FaultServer(faults=raw(head, packed)) as server, pytest.raises(LMResponseError, match="unpacked"):
        sender.send(server.host + PATH)


def test_broken_and_unknown_compression_are_errors(sender):
    for encoding, says in (("gzip", "broken"), ("br", "not asked for")):
        head = f"HTTP/1.1 200 OK\nContent-Encoding: {encoding}\nContent-Length: 3\n\nabc"
        with FaultServer(faults=raw(head)) as server, pytest.raises(LMResponseError, match=says):
            sender.send(server.host + PATH)


def test_an_answer_or_head_that_is_too_large_is_refused(make_sender):
    sender = make_sender(max_response_bytes=100_000)
    with FaultServer("x" * 200_000) as server, pytest.raises(LMResponseError, match="100,000 bytes"):
        sender.send(server.host + PATH)
    sender = make_sender()
    huge = raw("HTTP/1.1 200 OK\n" + "".join(f"X-{i}: {'y' * 1000}\n" for i in range(400)), close=False)
    with FaultServer(faults=huge) as server, pytest.raises(LMResponseError, match="headers"):
        sender.send(server.host + PATH)


def test_bytes_after_an_answer_cost_the_connection_and_never_become_an_answer(sender):
    doubled = "HTTP/1.1 200 OK\nContent-Length: 3\n\nown" + "HTTP/1.1 200 OK\nContent-Length: 4\n\nevil"
    with FaultServer("own again", faults=[raw(doubled, close=False), None]) as server:
        assert sender.send(server.host + PATH).body == b"own"
        assert b"own again" in sender.send(server.host + PATH).body
        assert server.connections == 2


def test_an_answer_is_not_lost_to_what_is_no_http_behind_it(sender):
    garbage = "HTTP/1.1 200 OK\nContent-Length: 3\n\nownand then some"
    with FaultServer("own again", faults=[raw(garbage, close=False), None]) as server:
        assert sender.send(server.host + PATH).body == b"own"
        assert b"own again" in sender.send(server.host + PATH).body
        assert (server.connections, len(server.requests)) == (2, 2)


def packed_stream(encoding, packed, *, close=False):
    pieces = b"".join(b"1\r\n%b\r\n" % packed[at : at + 1] for at in range(len(packed)))
    head = f"HTTP/1.1 200 OK\nContent-Encoding: {encoding}\nTransfer-Encoding: chunked\n\n"
    return raw(head, pieces + b"0\r\n\r\n", close=close)


def test_a_stream_that_is_compressed_unasked_is_unpacked_piece_by_piece(sender):
    packed = gzip.compress(b"hello " * 10, mtime=0) + gzip.compress(b"again", mtime=0)
    with FaultServer(faults=packed_stream("gzip", packed)) as server:
        stream = sender.stream(server.host + PATH)
        assert portal.run(stream.read_all) == b"hello " * 10 + b"again"


@pytest.mark.parametrize(
    ("encoding", "packed", "says"),
    [
        ("gzip", gzip.compress(b"hello" * 100, mtime=0)[:10] + b"\xff" * 30, "broken"),
        ("gzip", gzip.compress(b"hello" * 100, mtime=0)[:-9], "cut"),
        ("br", b"\x0b\x02\x80hello\x03", "127.0.0.1.*'br', which was not asked for"),
        ("gzip", gzip.compress(b"0" * 2_000_000, mtime=0), "unpacked"),
    ],
)
def test_a_stream_whose_compression_is_no_good_is_an_error_and_frees_its_connection(
    make_sender, encoding, packed, says
):
    sender = make_sender(max_response_bytes=1_000_000)
    with FaultServer(faults=packed_stream(encoding, packed)) as server:
        with pytest.raises(LMResponseError, match=says):
            portal.run(sender.stream(server.host + PATH).read_all)
        assert server.wait_until(lambda: server.open_connections == 0)


def test_a_body_of_ten_megabytes_goes_both_ways(sender):
    with FaultServer(lambda body: body["text"]) as server:
        text = "é" * 5_000_000
        answer = sender.send(server.host + PATH, f'{{"text": "{text}"}}'.encode(), timeout=20)
        assert len(answer.body) > 10_000_000


def test_the_deadline_holds_while_the_server_stalls_and_frees_the_connection(make_sender):
    sender = make_sender(max_connections=1)
    with FaultServer(faults=[faults.stall(), None]) as server:
        with pytest.raises(LMTimeoutError, match="deadline"):
            sender.send(server.host + PATH, timeout=0.05)
        assert sender.send(server.host + PATH).status == 200
        assert server.wait_until(lambda: server.open_connections == 1)


def test_the_deadline_holds_while_bytes_drip(sender):
    with FaultServer(faults=faults.slow_drip(0.005)) as server, pytest.raises(LMTimeoutError):
        sender.send(server.host + PATH, timeout=0.1)


def test_the_deadline_holds_while_waiting_for_a_connection(make_sender):
    sender = make_sender(max_connections=1)
    with FaultServer(faults=faults.stall()) as server:
        request = HttpRequest(Endpoint(server.host + PATH), b"{}")

        async def both():
            first = asyncio.ensure_future(portal.arun(sender.asend, request, 5.0))
            await asyncio.sleep(0)
            with pytest.raises(LMTimeoutError):
                await portal.arun(sender.asend, request, 0.05)
            first.cancel()

        asyncio.run(both())


def test_a_cancelled_task_frees_its_connection(make_sender):
    sender = make_sender(max_connections=1)
    with FaultServer(faults=[faults.stall(), None]) as server:
        request = HttpRequest(Endpoint(server.host + PATH), b"{}")

        async def main():
            task = asyncio.ensure_future(portal.arun(sender.asend, request))
            await asyncio.get_running_loop().run_in_executor(
                None, server.wait_until, lambda: len(server.requests) == 1
            )
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            return await portal.arun(sender.asend, request)

        assert asyncio.run(main()).status == 200
        assert server.wait_until(lambda: server.open_connections == 1)


def test_two_hundred_threads_are_served(sender):
    with FaultServer() as server:
        statuses = []

        def work():
            statuses.append(sender.send(server.host + PATH, timeout=20).status)

        threads = [threading.Thread(target=work) for _ in range(200)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
        assert statuses == [200] * 200
        assert len(server.requests) == 200


def test_nobody_listening_is_said_so(sender):
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        with pytest.raises(LMTransportError, match="refused the connection") as caught:
            sender.send(f"http://127.0.0.1:{held.getsockname()[1]}/v1")
    assert isinstance(caught.value.__cause__, OSError)


def test_an_unknown_name_is_said_so(sender, monkeypatch):
    def getaddrinfo(*args, **kwargs):
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    with pytest.raises(LMTransportError, match="not known"):
        sender.send("http://no-such-host.invalid/v1")


def test_localhost_is_found_by_name(sender):
    with FaultServer() as server:
        for _ in range(3):
            assert sender.send(f"http://localhost:{server.port}{PATH}").status == 200
        assert server.connections == 1


def test_a_stream_gives_pieces_and_returns_its_connection(sender):
    with FaultServer("one two three") as server:
        stream = sender.stream(server.host + PATH, b'{"stream": true}')
        assert stream.status == 200
        assert portal.run(stream.read_all).endswith(b"data: [DONE]\n\n")
        stream = sender.stream(server.host + PATH, b'{"stream": true}')
        portal.run(stream.read_all)
        assert server.connections == 1


def test_a_stream_that_is_left_early_closes_its_connection(sender):
    with FaultServer(faults=raw("HTTP/1.1 200 OK\n\nfirst piece", close=False)) as server:
        stream = sender.stream(server.host + PATH)
        assert portal.run(stream.read) == b"first piece"
        portal.call_soon(stream.close)
        assert server.wait_until(lambda: server.open_connections == 0)


def test_a_stream_that_is_cut_raises_after_what_came(sender):
    cut = raw("HTTP/1.1 200 OK\nTransfer-Encoding: chunked\n\n5\nhello\n")
    with FaultServer(faults=cut) as server:
        stream = sender.stream(server.host + PATH)
        assert portal.run(stream.read) == b"hello"
        with pytest.raises(LMTransportError, match="within the body"):
            portal.run(stream.read)


def test_the_deadline_holds_between_the_pieces_of_a_stream(sender):
    with FaultServer(faults=raw("HTTP/1.1 200 OK\n\nfirst", close=False)) as server:
        stream = sender.stream(server.host + PATH, timeout=0.2)
        assert portal.run(stream.read) == b"first"
        with pytest.raises(LMTimeoutError):
            portal.run(stream.read)


def test_a_stream_that_is_not_read_slows_the_server_down(sender):
    sent = []

    async def flood(exchange):
        exchange.writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        while len(sent) < 800:
            exchange.writer.write(b"x" * 65536)
            sent.append(1)
            await exchange.writer.drain()
        exchange.close()

    with FaultServer(faults=faults.Fault("flood", flood)) as server:
        stream = sender.stream(server.host + PATH, timeout=30)

        async def look():
            known = -1
            while len(sent) != known:  # until the server is stuck
                known = len(sent)
                await asyncio.sleep(0.1)
            return known

        assert portal.run(look) < 600
        total = portal.run(stream.read_all)
        assert len(total) == 800 * 65536


def test_a_silent_connection_is_kept_alive_by_the_system(sender):
    with FaultServer() as server:
        sender.send(server.host + PATH)
        (pool,) = sender.transport._engine.pools.values()
        (connection,) = pool._idle
        sock = connection._transport.get_extra_info("socket")
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)


def test_an_idle_connection_is_closed_after_its_time(make_sender):
    sender = make_sender(idle_timeout_s=0.05)
    with FaultServer() as server:
        sender.send(server.host + PATH)

        async def pass_time():
            await asyncio.sleep(0.2)

        portal.run(pass_time)
        assert server.wait_until(lambda: server.open_connections == 0)
        assert sender.send(server.host + PATH).status == 200
