import asyncio
import threading

import pytest

from telic.errors import LMInvalidRequestError, LMOutageError, LMServerError, LMTransportError
from telic.journal._outage import Outages


def failing(times, error=LMTransportError):
    left = [times]

    def call():
        left[0] -= 1
        if left[0] >= 0:
            raise error("gone", model="m")
        return "back"

    return call


def test_a_call_is_tried_again_until_the_lm_is_back():
    outages = Outages(60.0)

    assert outages.ask("m", failing(2)) == "back"
    assert outages.told == ""


def test_when_patience_ends_the_run_ends():
    outages = Outages(0.05)

    with pytest.raises(LMOutageError, match=r"'m' has been away.*gone.*same run_dir") as caught:
        outages.ask("m", failing(10**6))

    assert caught.value.model == "m"
    assert "paused: m" in outages.told


def test_without_patience_the_first_failure_ends_it():
    with pytest.raises(LMOutageError):
        Outages(0.0).ask("m", failing(1))


def test_where_other_calls_go_through_the_failure_is_the_calls_own():
    outages = Outages(60.0)

    def call():
        outages.succeeded("m")  # others, meanwhile
        outages.succeeded("m")
        raise LMServerError("boom", model="m")

    with pytest.raises(LMServerError):
        outages.ask("m", call)


def test_failures_that_do_not_pass_are_not_waited_for():
    with pytest.raises(LMInvalidRequestError):
        Outages(60.0).ask("m", failing(1, LMInvalidRequestError))


def test_tasks_wait_too():
    call = failing(2)

    async def acall():
        return call()

    assert asyncio.run(Outages(60.0).aask("m", acall)) == "back"


def test_closing_ends_the_wait_at_once():
    outages = Outages(3600.0)
    waiting = threading.Event()
    ended = []

    def call():
        waiting.set()
        raise LMTransportError("gone", model="m")

    def ask():
        try:
            outages.ask("m", call)
        except LMTransportError as error:
            ended.append(error)

    thread = threading.Thread(target=ask)
    thread.start()
    assert waiting.wait(10)
    outages.close()
    thread.join(10)
    assert len(ended) == 1
