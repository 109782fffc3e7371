import asyncio
import threading

import pytest

from telic.errors import LMInvalidRequestError, LMOutageError, LMServerError, LMTransportError
from telic.journal._outage import Outages, _Attempt


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


def test_answers_that_were_under_way_before_do_not_show_that_the_lm_is_there():
    outages, tries = Outages(0.3), []
    begun = outages._failures

    def call():
        tries.append(1)
        for _ in range(3):
            outages.succeeded("m", begun)  # these had begun before it failed
        raise LMTransportError("gone", model="m")

    with pytest.raises(LMOutageError):
        outages.ask("m", call)
    assert len(tries) > 1
    assert "paused: m" in outages.told


@pytest.mark.parametrize(("status", "alone"), [(500, False), (500, True), (503, True)])
def test_a_call_that_no_others_come_after_is_given_up_after_some_tries(monkeypatch, status, alone):
    monkeypatch.setattr("telic.journal._outage._FIRST_WAIT_S", 0.001)
    outages, tries = Outages(60.0), []
    if not alone:
        outages.away(_Attempt(outages, "m"))  # another one that fails
    begun = outages._failures

    def call():
        tries.append(1)
        outages.succeeded("m", begun)
        raise LMServerError("boom", model="m", status=status)

    with pytest.raises(LMServerError, match="boom"):
        outages.ask("m", call)
    assert len(tries) == 8


def test_where_all_that_are_asked_are_not_there_the_lm_is_away_however_often_they_are_tried(monkeypatch):
    monkeypatch.setattr("telic.journal._outage._FIRST_WAIT_S", 0.001)
    outages = Outages(0.5)
    outages.away(_Attempt(outages, "m"))
    begun = outages._failures

    def call():
        outages.succeeded("m", begun)
        raise LMServerError("boom", model="m", status=503)

    with pytest.raises(LMOutageError):
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
