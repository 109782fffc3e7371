"""Every way in which a server is known to fail, over real sockets: what is raised, and how often it was tried."""

from __future__ import annotations

import asyncio
import socket

import pytest

from telic._http import portal
from telic.data import Request
from telic.errors import (
    ContentFilterError,
    ContextWindowExceededError,
    LMAuthError,
    LMBillingError,
    LMInvalidRequestError,
    LMRateLimitError,
    LMResponseError,
    LMServerError,
    LMTimeoutError,
    LMTransportError,
    LMUnsupportedModelError,
)
from telic.lm.wire._client import open_client
from telic.lm.wire._limiter import Limiter
from telic.lm.wire._retry import RetryPolicy
from telic.testing import FaultServer, faults

HI = [{"role": "user", "content": "hi"}]
KEY = "sk-hush-1234567890"


def client(server, **options):
    options = {"retry": RetryPolicy(base_s=0.001), "limiter": Limiter(portal.loop.time), **options}
    return open_client(
        "openai", "m", api_key=KEY, base_url=server if isinstance(server, str) else server.url, **options
    )


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        (faults.status(401, f"Incorrect API key provided: {KEY}"), LMAuthError),
        (faults.status(403), LMAuthError),
        (faults.status(402), LMBillingError),
        (faults.status(429, "quota", error_code="insufficient_quota"), LMBillingError),
        (faults.status(400), LMInvalidRequestError),
        (faults.status(400, "maximum context length is 8"), ContextWindowExceededError),
        (faults.status(404, "no such model", error_code="model_not_found"), LMUnsupportedModelError),
        (faults.html(), LMResponseError),
        (faults.bad_json(), LMResponseError),
        (faults.empty_choices(), LMResponseError),
        (faults.content_filter(), ContentFilterError),
        (faults.body(b"", "text/plain"), LMResponseError),
    ],
    ids=repr,
)
def test_what_no_retry_can_mend_is_asked_once(fault, kind):
    with FaultServer(faults=fault) as server:
        with pytest.raises(kind) as caught:
            client(server).complete(Request(HI))
        assert len(server.requests) == 1
    error = caught.value
    assert (error.attempts, error.model, error.provider) == (1, "m", "openai")
    assert f"127.0.0.1:{server.port}" in str(error)
    assert KEY not in str(error)


@pytest.mark.parametrize(
    "fault",
    [
        faults.status(500), faults.status(502), faults.status(503), faults.status(529), faults.status(408),
        faults.status(429), faults.status(429, retry_after=0), faults.status(429, retry_after=0.01),
        faults.status(503, retry_after=0.01), faults.close_before_answer(), faults.half_headers(), faults.half_body(),
        faults.reset_mid_body(), faults.raw(b"garbage\r\n\r\n"),
    ],
    ids=repr,
)  # fmt: skip
def test_what_a_retry_mends_is_tried_again_and_nothing_is_seen_of_it(fault):
    with FaultServer("fine", faults=[fault, fault]) as server:
        assert client(server).complete(Request(HI)).text == "fine"
        assert len(server.requests) == 3


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        (faults.status(500), LMServerError),
        (faults.status(429), LMRateLimitError),
        (faults.status(408), LMTimeoutError),
        (faults.reset_mid_body(), LMTransportError),
        (faults.half_body(), LMTransportError),
    ],
    ids=repr,
)
def test_a_storm_ends_with_the_typed_error_after_the_last_try(fault, kind):
    with FaultServer(faults=fault) as server:
        with pytest.raises(kind) as caught:
            client(server, retry=RetryPolicy(num_retries=2, base_s=0.001)).complete(Request(HI))
        assert caught.value.attempts == len(server.requests) == 3


def test_nobody_listening_is_tried_again_and_then_said():
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        with pytest.raises(LMTransportError, match="refused the connection") as caught:
            client(f"http://127.0.0.1:{held.getsockname()[1]}/v1").complete(Request(HI))
    assert caught.value.attempts == 4


def test_a_stall_ends_with_the_deadline_of_the_whole_call():
    with FaultServer(faults=faults.stall()) as server:
        with pytest.raises(LMTimeoutError) as caught:
            client(server, timeout_s=0.1).complete(Request(HI))
        assert caught.value.attempts == len(server.requests) == 1
        assert isinstance(caught.value, TimeoutError)


def test_a_stalled_try_is_given_up_where_one_try_has_a_limit():
    with FaultServer("fine", faults=[faults.stall(), None]) as server:
        assert client(server, attempt_timeout_s=0.1).complete(Request(HI)).text == "fine"
        assert len(server.requests) == 2


def test_bytes_that_drip_end_with_the_deadline_too():
    with FaultServer(faults=faults.slow_drip(0.005)) as server, pytest.raises(LMTimeoutError):
        client(server, timeout_s=0.1).complete(Request(HI))


def test_retries_end_with_the_deadline():
    with FaultServer(faults=faults.status(500)) as server:
        policy = RetryPolicy(num_retries=1_000_000, base_s=0.01, max_s=0.01, chance=lambda: 1.0)
        # The deadline ends a wait (the last failure is raised) or, where it falls into one, an attempt.
        with pytest.raises((LMServerError, LMTimeoutError)) as caught:
            client(server, retry=policy, timeout_s=0.5).complete(Request(HI))
        assert 1 < caught.value.attempts <= len(server.requests) + 1


def test_an_answer_that_was_cut_is_an_answer_that_says_so():
    with FaultServer(faults=faults.truncated("The answer is")) as server:
        (read,) = client(server).complete(Request(HI)).completions
        assert (read.text, read.finish_reason) == ("The answer is", "length")


def test_a_wrong_content_type_over_a_right_answer_does_no_harm():
    with FaultServer("fine", faults=faults.wrong_content_type()) as server:
        assert client(server).complete(Request(HI)).text == "fine"


def test_hundreds_of_calls_through_a_server_that_fails_often_all_come_back():
    kinds = [
        None,
        None,
        faults.status(500),
        None,
        faults.status(429, retry_after=0),
        None,
        faults.reset_mid_body(),
        None,
    ]

    def fault(request, count=[0]):
        count[0] += 1
        return kinds[count[0] % len(kinds)]

    with FaultServer(lambda body: body["messages"][0]["content"], faults=fault) as server:
        made = client(server, retry=RetryPolicy(num_retries=20, base_s=0.001, max_s=0.01))

        async def main():
            requests = [Request([{"role": "user", "content": str(i)}]) for i in range(300)]
            return await asyncio.gather(*map(made.acomplete, requests))

        assert [answer.text for answer in asyncio.run(main())] == [str(i) for i in range(300)]


def test_a_stream_meets_the_same_refusals():
    for fault, kind in ((faults.status(401), LMAuthError), (faults.html(), LMResponseError)):
        with FaultServer(faults=fault) as server:
            with pytest.raises(kind) as caught:
                list(client(server).stream(Request(HI)))
            assert caught.value.attempts == len(server.requests) == 1
