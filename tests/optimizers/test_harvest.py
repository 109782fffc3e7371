import random

import pytest

from telic.optimizers._harvest import Harvest, Try, binomial_tail


def sequential(found, needed):
    accepted = []
    for index, success in enumerate(found):
        if len(accepted) == needed:
            break
        if success:
            accepted.append(index)
    return accepted


def simulate(harvest, found, threads, rng, seconds):
    """Run tries that end in a random order; return how many were started after the first batch had ended."""
    running = []
    while True:
        while len(running) < threads and (index := harvest.take()) is not None:
            running.append(index)
        if not running:
            return
        seconds[0] += 0.01
        index = running.pop(rng.randrange(len(running)))
        harvest.put(Try(index, "demo" if found[index] else None))


@pytest.mark.parametrize("seed", range(60))
def test_the_first_successes_are_accepted_whatever_ends_first(seed):
    rng = random.Random(seed)
    found = [rng.random() < rng.choice([0.1, 0.5, 0.9]) for _ in range(rng.randrange(1, 60))]
    needed, threads, seconds = rng.randrange(1, 12), rng.randrange(1, 33), [0.0]
    harvest = Harvest(len(found), needed, 100, clock=lambda: seconds[0])

    simulate(harvest, found, threads, rng, seconds)

    assert [found.index for found in harvest.accepted] == sequential(found, needed)
    assert harvest.closed
    assert harvest.used <= harvest.tried <= len(found)


def test_one_thread_tries_nothing_that_is_not_needed():
    found = [False, True, False, True, True, True]
    harvest, seconds = Harvest(6, 2, 100), [0.0]

    simulate(harvest, found, 1, random.Random(0), seconds)

    assert harvest.tried == harvest.used == 4


def test_no_more_tries_than_successes_are_needed_before_anything_is_known():
    harvest = Harvest(100, 4, 100)

    started = [harvest.take() for _ in range(6)]

    assert started == [0, 1, 2, 3, None, None]


def test_a_failed_try_is_replaced_by_as_many_as_its_share_of_successes_asks_for():
    harvest = Harvest(100, 2, 100, clock=lambda: 0.0)
    assert [harvest.take(), harvest.take(), harvest.take()] == [0, 1, None]

    harvest.put(Try(0, None))

    started = 0
    while harvest.take() is not None:
        started += 1
    assert 2 <= started <= 8  # with a share of 1/2, P(2 of n) >= 0.95 asks for 8 in flight


def test_near_the_end_of_a_round_only_what_is_likely_needed_is_started():
    now = [0.0]
    harvest = Harvest(100, 4, 100, clock=lambda: now[0])
    for _ in range(4):
        harvest.take()
    now[0] = 1.0
    harvest.put(Try(0, "demo"))
    harvest.put(Try(1, "demo"))
    now[0] = 1.9

    assert harvest.take() is None  # two in flight, two missing: they may be enough


def test_nothing_is_started_while_enough_successes_wait_for_an_earlier_try():
    harvest = Harvest(100, 2, 100, clock=lambda: 0.0)
    assert [harvest.take(), harvest.take()] == [0, 1]
    harvest.put(Try(0, None))
    assert [harvest.take(), harvest.take()] == [2, 3]
    harvest.put(Try(1, "demo"))
    harvest.put(Try(3, "demo"))

    assert harvest.take() is None
    assert not harvest.closed

    harvest.put(Try(2, None))

    assert harvest.closed
    assert [found.index for found in harvest.accepted] == [1, 3]


def test_failures_end_the_search_in_the_order_of_the_examples():
    harvest = Harvest(10, 5, 2)
    for _ in range(4):
        harvest.take()

    harvest.put(Try(3, None, (ValueError("3"),)))
    harvest.put(Try(2, None, (ValueError("2"),)))
    assert not harvest.failed

    harvest.put(Try(0, "demo"))
    harvest.put(Try(1, "demo", (ValueError("1"),)))

    assert harvest.failed
    assert [(index, str(error)) for index, error in harvest.failures] == [(1, "1"), (2, "2")]


def test_the_binomial_tail_is_the_published_one():
    assert binomial_tail(10, 5, 0.5) == pytest.approx(0.623046875)
    assert binomial_tail(3, 0, 0.2) == 1.0
    assert binomial_tail(3, 3, 1.0) == 1.0
    assert binomial_tail(2, 3, 1.0) == 0.0
    assert binomial_tail(16, 7, 0.59) == pytest.approx(0.9312612963611655)
    assert binomial_tail(300, 20, 0.1) == pytest.approx(0.9828818672770717)
