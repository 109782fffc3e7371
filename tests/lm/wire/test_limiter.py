from __future__ import annotations

import asyncio
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from telic.lm.wire._limiter import Limiter


class Clock:
    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def limiter(clock):
    return Limiter(clock)


def enter(limiter, count):
    assert all(limiter.enter() for _ in range(count))


def test_it_starts_without_a_limit(limiter):
    enter(limiter, 10_000)
    assert limiter.limit == math.inf


def test_a_refusal_that_asks_to_wait_pauses_and_halves(limiter, clock):
    enter(limiter, 32)
    limiter.refused(clock.now, 5.0)
    assert (limiter.limit, limiter.paused_until) == (16.0, clock.now + 5.0)
    assert not limiter.enter()


def test_refusals_of_calls_that_were_out_together_halve_once(limiter, clock):
    enter(limiter, 32)
    sent = clock.now
    clock.now += 1
    for _ in range(32):
        limiter.refused(sent, 1.0)
    assert limiter.limit == 16.0
    clock.now += 1
    limiter.refused(clock.now, 1.0)
    assert limiter.limit == 8.0


def test_a_stray_refusal_without_a_wait_changes_nothing(limiter, clock):
    enter(limiter, 32)
    for i in range(1000):
        if i % 50 == 0:
            limiter.refused(clock.now, 0.0)
        else:
            limiter.succeeded()
    assert limiter.limit == math.inf
    assert limiter.paused_until <= clock.now


def test_many_refusals_without_a_wait_halve(limiter, clock):
    enter(limiter, 32)
    for _ in range(10):
        limiter.refused(clock.now, None)
    assert limiter.limit == 16.0


def test_answers_add_one_call_a_round_trip_and_lift_the_limit_in_the_end(limiter, clock):
    enter(limiter, 20)
    limiter.refused(clock.now, 1.0)
    assert limiter.limit == 10.0
    for _ in range(10):
        limiter.succeeded()
    assert limiter.limit == pytest.approx(11.0, abs=0.1)
    for _ in range(1000):
        limiter.succeeded()
    assert limiter.limit == math.inf


def test_the_limit_never_falls_below_one(limiter, clock):
    enter(limiter, 1)
    for _ in range(20):
        clock.now += 1
        limiter.refused(clock.now, 1.0)
    assert limiter.limit == 1.0


def test_waiting_calls_go_in_the_order_they_came_and_retries_before_them(limiter, clock):
    async def main():
        loop = asyncio.get_running_loop()
        limiter._limit = 1.0
        enter(limiter, 1)
        order = []

        async def call(name, first=False):
            await limiter.wait(loop, first=first)
            order.append(name)

        tasks = [asyncio.ensure_future(call(name)) for name in "abc"]
        await asyncio.sleep(0)
        tasks.append(asyncio.ensure_future(call("retry", first=True)))
        await asyncio.sleep(0)
        for _ in range(4):
            limiter.leave(loop)
            await asyncio.sleep(0)
            await asyncio.sleep(0)
        return order

    assert asyncio.run(main()) == ["retry", "a", "b", "c"]


def test_a_cancelled_wait_loses_no_place(limiter):
    async def main():
        loop = asyncio.get_running_loop()
        limiter._limit = 1.0
        enter(limiter, 1)
        waiting = asyncio.ensure_future(limiter.wait(loop))
        await asyncio.sleep(0)
        limiter.leave(loop)  # the place is given …
        waiting.cancel()  # … and not wanted any more
        with pytest.raises(asyncio.CancelledError):
            await waiting
        return limiter.out

    assert asyncio.run(main()) == 0


def test_a_pause_ends_by_itself():
    async def main():
        loop = asyncio.get_running_loop()
        limiter = Limiter(loop.time)
        limiter.pause(0.02)
        assert not limiter.enter()
        await asyncio.wait_for(limiter.wait(loop), 5)
        return limiter.out

    assert asyncio.run(main()) == 1


@given(st.lists(st.sampled_from(["enter", "leave", "ok", "429", "429 wait", "tick"]), max_size=200))
def test_calls_out_never_exceed_the_limit_at_entry(steps):
    clock = Clock()
    limiter = Limiter(clock)
    out = 0
    for step in steps:
        if step == "enter" and limiter.enter():
            out += 1
            assert out - 1 < limiter.limit  # a fraction of a call lets one more out
        elif step == "leave" and out:
            limiter.leave(None)
            out -= 1
        elif step == "ok":
            limiter.succeeded()
        elif step.startswith("429"):
            limiter.refused(clock.now, 1.0 if "wait" in step else None)
        else:
            clock.now += 1
        assert limiter.out == out
        assert limiter.limit >= 1
