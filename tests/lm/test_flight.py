"""Single flight: who shares an answer, who takes over, and who must not wait."""

import asyncio
import os
import subprocess
import sys
import threading

import pytest

from telic.budget import Budget
from telic.context import context
from telic.data import Completion, Request, Response
from telic.errors import BudgetExceeded, LMAuthError, LMServerError
from telic.lm import LM, BaseLM, _flight, configure_cache


def ask(text="q"):
    return Request([{"role": "user", "content": text}])


class Threads:
    """Runs one function in many threads and keeps what came of it."""

    def __init__(self, count, work):
        self.results = []
        self.threads = [threading.Thread(target=self._run, args=(work,)) for _ in range(count)]
        [thread.start() for thread in self.threads]

    def _run(self, work):
        try:
            self.results.append(work())
        except BaseException as error:
            self.results.append(error)

    def join(self):
        [thread.join(20) for thread in self.threads]
        assert not any(thread.is_alive() for thread in self.threads)
        return self.results


@pytest.mark.parametrize("memory", [True, False])
def test_32_threads_with_one_question_send_one_request(lm, client, memory, wait_for_waiters):
    configure_cache(enable_memory_cache=memory)
    client.gate.clear()
    threads = Threads(32, lambda: lm.complete(ask()))
    wait_for_waiters(31)
    client.gate.set()
    results = threads.join()
    assert {r.text for r in results} == {"q!"}
    assert sum(not r.cached for r in results) == 1
    assert len(client.requests) == 1


def test_callers_that_come_at_any_moment_send_one_request(make_client):
    """No gate: threads look, join and land in any order; still nothing is sent twice."""
    for round_ in range(30):
        client = make_client()
        lm = LM("x/m", client=client)
        Threads(8, lambda: lm.complete(ask(f"{round_}"))).join()
        assert len(client.requests) == 1


def test_tasks_of_two_loops_and_threads_share_one_request(lm, client, wait_for_waiters):
    client.gate.clear()

    async def many():
        return await asyncio.gather(*(lm.acomplete(ask()) for _ in range(10)))

    loops = Threads(2, lambda: asyncio.run(many()))
    plain = Threads(10, lambda: lm.complete(ask()))
    wait_for_waiters(29)
    client.gate.set()
    texts = [r.text for batch in loops.join() for r in batch] + [r.text for r in plain.join()]
    assert texts == ["q!"] * 30
    assert len(client.requests) == 1


def test_calls_that_do_not_use_the_cache_do_not_share(client):
    lm = LM("x/m", client=client, cache=False)
    client.gate.clear()
    threads = Threads(4, lambda: lm.complete(ask()))
    [client.arrived.acquire(timeout=20) for _ in range(4)]
    client.gate.set()
    threads.join()
    assert len(client.requests) == 4


def test_a_failure_reaches_those_who_waited_and_nobody_later(lm, client, wait_for_waiters):
    client.gate.clear()
    client.error = LMServerError("down")
    threads = Threads(5, lambda: lm.complete(ask()))
    wait_for_waiters(4)
    client.gate.set()
    assert all(isinstance(r, LMServerError) for r in threads.join())
    assert len(client.requests) == 1
    client.error = None
    assert lm.complete(ask()).text == "q!"


@pytest.mark.parametrize("sync", [True, False])
def test_a_failure_under_one_key_is_none_under_another(make_client, wait_for_waiters, sync):
    """Two tenants ask the same at the same time, one of them with a key that was revoked."""
    revoked, valid = make_client(), make_client()
    revoked.error = LMAuthError("revoked")
    revoked.gate.clear()
    bad, good = LM("x/m", client=revoked), LM("x/m", client=valid)

    def asked(lm):
        return lm.complete(ask()) if sync else asyncio.run(lm.acomplete(ask()))

    first = Threads(1, lambda: asked(bad))
    while not revoked.requests:
        threading.Event().wait(0.001)
    others = Threads(3, lambda: asked(good))
    wait_for_waiters(3)
    revoked.gate.set()
    assert [type(error) for error in first.join()] == [LMAuthError]
    assert [response.text for response in others.join()] == ["q!"] * 3


def test_when_the_leader_is_cancelled_another_takes_over(lm, client, wait_for_waiters):
    client.gate.clear()

    async def main():
        leader = asyncio.create_task(lm.acomplete(ask()))
        await asyncio.to_thread(client.arrived.acquire, timeout=20)
        followers = [asyncio.create_task(lm.acomplete(ask())) for _ in range(3)]
        await asyncio.to_thread(wait_for_waiters, 3)
        leader.cancel()
        with pytest.raises(asyncio.CancelledError):
            await leader
        client.gate.set()
        return await asyncio.gather(*followers)

    results = asyncio.run(main())
    assert [r.text for r in results] == ["q!"] * 3
    assert len(client.requests) == 2


def test_a_cancelled_follower_leaves_the_others_alone(lm, client, wait_for_waiters):
    client.gate.clear()

    async def main():
        tasks = [asyncio.create_task(lm.acomplete(ask())) for _ in range(3)]
        await asyncio.to_thread(wait_for_waiters, 2)
        tasks[1].cancel()
        client.gate.set()
        return await asyncio.gather(*tasks, return_exceptions=True)

    first, second, third = asyncio.run(main())
    assert (first.text, third.text) == ("q!", "q!")
    assert isinstance(second, asyncio.CancelledError)
    assert len(client.requests) == 1


def test_a_leader_without_budget_does_not_speak_for_the_others(lm, client, wait_for_waiters):
    """The one whose budget is used up gets its error; the others get the answer."""
    client.gate.clear()

    class Slow:
        def __init__(self):
            self.calls = 0

        def __call__(self):
            self.calls += 1
            if self.calls == 1:
                wait_for_waiters(2)
            return 0.0

    clock = Slow()

    def broke():
        with context(budget=Budget(calls=0, clock=clock)):
            return lm.complete(ask())

    first = Threads(1, broke)
    while not clock.calls:
        threading.Event().wait(0.001)
    others = Threads(2, lambda: lm.complete(ask()))
    client.gate.set()
    assert isinstance(first.join()[0], BudgetExceeded)
    assert [r.text for r in others.join()] == ["q!"] * 2
    assert len(client.requests) == 1


class Reentrant(BaseLM):
    """Asks itself the same question once more while it answers."""

    depth = 0

    def forward(self, prompt=None, messages=None, **options):
        self.depth += 1
        if self.depth > 1:
            return "inner"
        return "outer of " + self.complete(Request(messages)).text


def test_an_lm_that_asks_itself_the_same_does_not_wait_for_itself():
    assert Reentrant("r", cache=True)("q") == ["outer of inner"]
    assert asyncio.run(Reentrant("r2", cache=True).acall("q")) == ["outer of inner"]


def test_a_sync_call_inside_the_loop_that_the_leader_needs_goes_alone(lm, client):
    client.gate.clear()

    async def main():
        leader = asyncio.create_task(lm.acomplete(ask()))
        await asyncio.to_thread(client.arrived.acquire, timeout=20)
        client.gate.set()
        inner = lm.complete(ask())  # blocks the loop that the leader must finish on
        return inner, await leader

    inner, outer = asyncio.run(main())
    assert inner.text == outer.text == "q!"
    assert len(client.requests) == 2


def test_a_waiter_whose_loop_was_closed_does_not_disturb_the_leader(lm, client):
    client.gate.clear()
    leader = Threads(1, lambda: lm.complete(ask()))
    client.arrived.acquire(timeout=20)
    loop = asyncio.new_event_loop()
    task = loop.create_task(lm.acomplete(ask()))
    loop.run_until_complete(asyncio.sleep(0))
    task.cancel()
    loop.run_until_complete(asyncio.gather(task, return_exceptions=True))
    loop.close()
    client.gate.set()
    assert leader.join()[0].text == "q!"


def test_a_lead_that_was_taken_and_never_begun_is_taken_over(monkeypatch):
    """What an interrupt in just that moment leaves behind; nobody may wait for it forever."""
    monkeypatch.setattr(_flight, "_ABANDONED_AFTER_S", 0.02)
    flights = _flight.Flights()
    flights._join(b"k", flights, threading.Event, _flight._set)
    waiting = Threads(3, lambda: flights.run(b"k", flights, lambda: Response((Completion("late"),))))
    assert {response.text for response, _ in waiting.join()} == {"late"}


def test_the_answer_that_is_shared_is_that_of_the_call(make_client):
    client = make_client()
    client.answer = lambda request: Response((Completion("a"), Completion("b")))
    assert LM("x/m", client=client)("q", n=2) == ["a", "b"]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_child_does_not_wait_for_a_call_that_its_parent_has_under_way():
    code = """
import os, threading
from telic.lm._flight import Flights
from telic.lm import _chokepoint
flights = _chokepoint._flights
begun, end = threading.Event(), threading.Event()
leader = threading.Thread(target=flights.run, args=(b"key", None, lambda: (begun.set(), end.wait(60))))
leader.start(); begun.wait(10)
child = os.fork()
if child == 0:
    os._exit(0 if flights.run(b"key", None, lambda: "mine") == ("mine", True) else 1)
print(os.waitpid(child, 0)[1])
end.set(); leader.join()
"""
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=30)
    assert ran.stdout.strip() == "0"
