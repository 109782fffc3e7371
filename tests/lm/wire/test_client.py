from __future__ import annotations

import asyncio
import threading

import pytest

from telic import context as telic_context
from telic._http import portal
from telic.data import Request
from telic.errors import ConfigurationError, LMRateLimitError, RequestsForbiddenError
from telic.lm.wire import _client as wire_client
from telic.lm.wire._client import open_client
from telic.lm.wire._limiter import Limiter
from telic.lm.wire._retry import RetryPolicy
from telic.testing import FaultServer, faults

HI = [{"role": "user", "content": "hi"}]
SOON = RetryPolicy(base_s=0.001)


def client(server, prefix="openai", **options):
    options.setdefault("retry", SOON)
    base = server.host if prefix == "anthropic" else server.url
    return open_client(prefix, "m", api_key="key", base_url=base, **options)


@pytest.mark.parametrize("prefix", ["openai", "anthropic", "vllm"])
def test_answers_come_sync_and_async(prefix):
    with FaultServer("hello") as server:
        made = client(server, prefix)
        assert made.complete(Request(HI)).text == "hello"
        assert asyncio.run(made.acomplete(Request(HI))).text == "hello"
        assert server.connections == 1


@pytest.mark.parametrize("prefix", ["openai", "anthropic"])
def test_streams_come_sync_and_async(prefix):
    with FaultServer("one two three") as server:
        made = client(server, prefix)
        deltas = list(made.stream(Request(HI)))
        assert [delta.text for delta in deltas] == ["one", " two", " three", ""]
        assert deltas[-1].response.text == "one two three"
        assert deltas[-1].response.usage.output_tokens == 3

        async def main():
            return [delta async for delta in made.astream(Request(HI))]

        assert asyncio.run(main()) == deltas
        assert server.connections == 1


def test_twenty_completions_are_one_request_where_the_server_can():
    with FaultServer("x") as server:
        response = client(server).complete(Request(HI, {"n": 20}))
        assert len(response.completions) == 20
        assert [request.body["n"] for request in server.requests] == [20]


def test_they_are_asked_for_at_once_where_it_cannot():
    with FaultServer("x", latency_s=0.1) as server:
        response = client(server, "anthropic").complete(Request(HI, {"n": 20}))
        assert len(response.completions) == 20
        assert response.usage.calls == 20
        assert server.max_in_flight > 10
        assert "n" not in server.requests[0].body


def test_a_server_that_ignores_n_is_asked_for_the_rest():
    with FaultServer(
        lambda body: {"choices": [{"message": {"content": "x"}, "finish_reason": "stop"}]}
    ) as server:
        made = client(server)
        assert len(made.complete(Request(HI, {"n": 4})).completions) == 4
        assert len(server.requests) == 4
        assert len(made.complete(Request(HI, {"n": 3})).completions) == 3
        assert len(server.requests) == 7


@pytest.mark.parametrize("n", [0, -1, "two", 1.5])
def test_an_n_that_is_no_count_is_refused(n):
    with FaultServer() as server:
        with pytest.raises(ConfigurationError, match="n="):
            client(server).complete(Request(HI, {"n": n}))
        assert server.requests == []


def test_forbidden_requests_open_no_socket():
    with FaultServer() as server:
        made = client(server)
        with telic_context.context(forbid_requests=True):
            with pytest.raises(RequestsForbiddenError, match="openai/m"):
                made.complete(Request(HI))
            with pytest.raises(RequestsForbiddenError):
                next(made.stream(Request(HI)))
            with pytest.raises(RequestsForbiddenError):
                asyncio.run(made.acomplete(Request(HI)))
        assert server.connections == 0
        assert made.complete(Request(HI)).text == "ok"


@pytest.mark.parametrize(
    "options", [{"timeout_s": 0}, {"timeout_s": -1.0}, {"retry": RetryPolicy(num_retries=-1)}]
)
def test_impossible_limits_are_refused(options):
    with FaultServer() as server, pytest.raises(ConfigurationError):
        client(server, **options)


def test_two_hundred_threads_and_five_hundred_tasks_at_once():
    with FaultServer(lambda body: body["messages"][0]["content"], latency_s=0.01) as server:
        made = client(server)
        said = {}

        def ask(i):
            said[i] = made.complete(Request([{"role": "user", "content": f"thread {i}"}])).text

        threads = [threading.Thread(target=ask, args=(i,)) for i in range(200)]
        for thread in threads:
            thread.start()

        async def main():
            requests = [Request([{"role": "user", "content": f"task {i}"}]) for i in range(500)]
            return await asyncio.gather(*map(made.acomplete, requests))

        answers = asyncio.run(main())
        for thread in threads:
            thread.join(30)
        assert said == {i: f"thread {i}" for i in range(200)}
        assert [answer.text for answer in answers] == [f"task {i}" for i in range(500)]
        assert server.max_in_flight > 50


def test_a_cancelled_call_frees_its_place_and_its_connection():
    limiter = Limiter(portal.loop.time)
    with FaultServer(faults=[faults.stall(), None]) as server:
        made = client(server, limiter=limiter)

        async def main():
            task = asyncio.ensure_future(made.acomplete(Request(HI)))
            await asyncio.get_running_loop().run_in_executor(
                None, server.wait_until, lambda: len(server.requests) == 1
            )
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            return await made.acomplete(Request(HI))

        assert asyncio.run(main()).text == "ok"
        assert limiter.out == 0


async def endless(exchange):
    exchange.writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n")
    for _ in range(3):
        exchange.writer.write(b'data: {"choices": [{"delta": {"content": "x"}}]}\n\n')
    await exchange.closing.wait()


def test_leaving_a_stream_early_closes_its_connection_and_frees_its_place():
    limiter = Limiter(portal.loop.time)
    with FaultServer(faults=faults.Fault("endless", endless)) as server:
        stream = client(server, limiter=limiter).stream(Request(HI))
        assert next(stream).text == "x"
        assert limiter.out == 1
        stream.close()
        assert server.wait_until(lambda: server.open_connections == 0)
        portal.run(asyncio.sleep, 0)
        assert limiter.out == 0


def test_a_task_cancelled_just_when_its_stream_has_begun_closes_the_connection():
    limiter = Limiter(portal.loop.time)
    with FaultServer(faults=faults.Fault("endless", endless)) as server:
        made = client(server, limiter=limiter)
        begun, open_stream = threading.Event(), made._open_stream

        async def open_and_tell(*args):
            reader = await open_stream(*args)
            begun.set()
            return reader

        async def read():
            return [delta async for delta in made.astream(Request(HI))]

        async def main():
            reading = asyncio.create_task(read())
            await asyncio.sleep(0)
            assert begun.wait(5)  # this loop stands still meanwhile: what has begun cannot be handed over
            reading.cancel()
            await asyncio.wait([reading])

        made._open_stream = open_and_tell
        asyncio.run(main())
        assert server.wait_until(lambda: server.open_connections == 0)
        portal.run(asyncio.sleep, 0)
        assert limiter.out == 0


def test_a_429_holds_other_calls_back_until_its_time():
    limiter = Limiter(portal.loop.time)
    with FaultServer(faults=[faults.status(429, retry_after=0.05), None]) as server:
        made = client(server, limiter=limiter)
        before = portal.loop.time()
        assert made.complete(Request(HI)).text == "ok"
        assert limiter.paused_until >= before + 0.05
        assert len(server.requests) == 2


def test_rate_headers_that_stand_at_nothing_pause_before_a_429_comes():
    limiter = Limiter(portal.loop.time)
    headers = {
        "x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "10s", "x-ratelimit-limit-requests": "100",
    }  # fmt: skip
    body = b'{"choices": [{"message": {"content": "x"}, "finish_reason": "stop"}]}'

    async def act(exchange):
        exchange.writer.write(faults.http_message(200, "application/json", body, headers))

    with FaultServer(faults=faults.Fault("limited", act)) as server:
        before = portal.loop.time()
        client(server, limiter=limiter).complete(Request(HI))
        assert before < limiter.paused_until < before + 5.0


def test_clients_of_one_endpoint_key_and_model_share_a_limiter():
    with FaultServer() as server:
        one, same = client(server), client(server)
        other = open_client("openai", "m", api_key="another", base_url=server.url)

        async def limiters():
            loop = asyncio.get_running_loop()
            return [made._limiter(loop) for made in (one, same, other)]

        first, second, third = portal.run(limiters)
        assert first is second
        assert first is not third


def test_extra_headers_arrive_and_hostile_ones_never_do():
    with FaultServer() as server:
        made = client(server, extra_headers={"X-Own": "1"})
        made.complete(Request(HI, {"extra_headers": {"X-Call": "2"}}))
        assert server.requests[0].headers["x-own"] == "1"
        assert server.requests[0].headers["x-call"] == "2"
        with pytest.raises(ConfigurationError, match="line break"):
            made.complete(Request(HI, {"extra_headers": {"X-Call": "2\r\nX-Evil: 3"}}))
        with pytest.raises(ConfigurationError, match="line break"):
            open_client("openai", "m", api_key="key\r\nX-Evil: 1", base_url=server.url)
        assert len(server.requests) == 1


def test_a_server_that_does_not_stream_is_heard_whole():
    body = b'{"choices": [{"message": {"content": "whole"}, "finish_reason": "stop"}]}'
    with FaultServer(faults=faults.body(body)) as server:
        deltas = list(client(server).stream(Request(HI)))
        assert [delta.text for delta in deltas] == ["whole", ""]
        assert deltas[-1].response.text == "whole"


def test_a_stream_is_tried_again_only_before_its_first_piece():
    async def cut(exchange):
        exchange.writer.write(
            b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
        )
        event = b'data: {"choices": [{"delta": {"content": "x"}}]}\n\n'
        exchange.writer.write(b"%x\r\n%b\r\n" % (len(event), event))
        exchange.close()

    with FaultServer("fine", faults=[faults.status(500), faults.half_headers(), None]) as server:
        assert list(client(server).stream(Request(HI)))[-1].response.text == "fine"
        assert len(server.requests) == 3
    with FaultServer("fine", faults=[faults.Fault("cut", cut), None]) as server:
        stream = client(server).stream(Request(HI))
        assert next(stream).text == "x"
        with pytest.raises(Exception, match="within the body"):
            next(stream)
        assert len(server.requests) == 1


def test_a_wait_that_the_deadline_has_no_room_for_is_not_waited():
    with FaultServer(faults=faults.status(429, retry_after=3600)) as server:
        with pytest.raises(LMRateLimitError) as caught:
            client(server, timeout_s=5.0).complete(Request(HI))
        assert (caught.value.retry_after_s, caught.value.attempts) == (3600.0, 1)
        assert len(server.requests) == 1


def test_keys_that_rotate_leave_nothing_behind_and_what_was_learned_stays(monkeypatch):
    monkeypatch.setattr(wire_client, "_MANY_LIMITERS", 8)
    monkeypatch.setattr(wire_client, "_limiters", {})
    faults_ = [faults.status(429, retry_after=0.01), None]
    with FaultServer("x", faults=faults_) as server:
        for key in ("slow", *(f"key-{number}" for number in range(40))):
            made = open_client("openai", "m", api_key=key, base_url=server.url, retry=SOON)
            assert made.complete(Request(HI)).text == "x"
    kept = wire_client._limiters
    assert len(kept) <= 8
    assert min(limiter.limit for limiter in kept.values()) < 10
