"""Searches that come at the same time are made together."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from telic.retrieve import _nearest
from telic.retrieve._crowd import Crowd


def test_who_comes_alone_waits_for_nobody():
    crowd = Crowd(lambda asks: [ask * 2 for ask in asks], 8)

    assert [crowd.run(n) for n in range(5)] == [0, 2, 4, 6, 8]


def test_those_who_come_meanwhile_are_answered_together():
    sizes, inside, go_on = [], threading.Event(), threading.Event()

    def work(asks):
        sizes.append(len(asks))
        if len(sizes) == 1:
            inside.set()
            go_on.wait(10)
        return [ask * 2 for ask in asks]

    crowd = Crowd(work, 4)
    with ThreadPoolExecutor(11) as pool:
        first = pool.submit(crowd.run, 100)
        inside.wait(10)
        others = [pool.submit(crowd.run, n) for n in range(10)]
        while len(crowd._waiting) < 10:
            threading.Event().wait(0.001)
        go_on.set()

        assert first.result(10) == 200
        assert sorted(other.result(10) for other in others) == [n * 2 for n in range(10)]
    assert sizes == [1, 4, 4, 2]
    assert not crowd._busy


def test_a_failure_is_that_of_those_who_were_answered_together_and_ends_there():
    def work(asks):
        if 13 in asks:
            raise ValueError("thirteen")
        return asks

    crowd = Crowd(work, 8)
    with pytest.raises(ValueError, match="thirteen"):
        crowd.run(13)

    assert crowd.run(5) == 5


def test_many_threads_get_their_own_answers():
    vectors = np.random.default_rng(0).standard_normal((2000, 24)).astype(np.float32)
    exact = _nearest.Exact(vectors)
    alone = [exact.find(vectors[n : n + 1], 3)[0][0] for n in range(64)]
    with ThreadPoolExecutor(32) as pool:
        found = list(pool.map(lambda n: exact.find(vectors[n : n + 1], 3)[0][0], range(64)))

    assert found == alone
    assert [places for places, _ in exact.find(vectors[:64], 3)] == alone


@pytest.mark.parametrize("shape", [(1, 3), (5, 1), (7, 20_000), (1000, 384), (23, 400)])
@pytest.mark.parametrize("count", [1, 2, 5, 40])
def test_products_in_pieces_are_the_product(shape, count):
    random = np.random.default_rng(1)
    vectors = random.standard_normal(shape).astype(np.float32)
    queries = random.standard_normal((count, shape[1])).astype(np.float32)

    assert np.allclose(_nearest._products(vectors, queries), queries @ vectors.T, atol=1e-3, rtol=1e-4)


def test_an_interrupt_ends_the_call_that_it_hits_and_no_other():
    inside, go_on, calls = threading.Event(), threading.Event(), []

    def work(asks):
        calls.append(list(asks))
        if len(calls) == 1:
            inside.set()
            go_on.wait(10)
            raise KeyboardInterrupt
        return asks

    crowd = Crowd(work, 4)
    ends = {}

    def ask(n):
        try:
            ends[n] = crowd.run(n)
        except KeyboardInterrupt:
            ends[n] = "interrupted"

    threads = [threading.Thread(target=ask, args=(n,)) for n in range(3)]
    threads[0].start()
    inside.wait(10)
    for thread in threads[1:]:
        thread.start()
    while len(crowd._waiting) < 3:
        threading.Event().wait(0.001)
    go_on.set()
    for thread in threads:
        thread.join(10)

    assert ends == {0: "interrupted", 1: 1, 2: 2}
    assert not crowd._busy
    assert crowd.run(7) == 7


def test_a_forked_child_waits_for_nobody_of_its_parent():
    crowd = Crowd(lambda asks: asks, 4)
    crowd._busy = True  # as if a thread of the parent was searching
    crowd._process -= 1

    assert crowd.run(3) == 3
