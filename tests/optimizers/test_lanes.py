import threading

import pytest

from telic.errors import BudgetExceeded
from telic.optimizers._lanes import TURN, Job, Lanes
from telic.optimizers._pool import Standing, run_pool


def lanes(rounds, width, begun=None):
    """Return lanes over some rounds, and the list that their outcomes are folded into."""
    outcomes, left = [], list(rounds)

    def begin(open_rounds):
        if begun is not None:
            begun.append((open_rounds, list(outcomes)))
        return left.pop(0) if left else None

    return Lanes(width, begin, outcomes.append, lambda: Standing(len(outcomes), None)), outcomes


def adding(name, *values):
    total = 0
    for value in values:
        found = yield [Job((name, value, i), lambda i=i, value=value: value * i) for i in range(3)]
        total += sum(found)
    return name, total


@pytest.mark.parametrize("threads", [1, 8])
@pytest.mark.parametrize("width", [1, 3, 9])
def test_outcomes_come_in_the_order_of_the_rounds(threads, width):
    source, outcomes = lanes([adding(n, 1, n) for n in range(6)], width)
    run_pool(source, threads)

    assert outcomes == [(n, 3 + 3 * n) for n in range(6)]
    assert source.finished


def test_a_round_begins_with_what_is_due_whatever_ends_first():
    begun = []
    source, _ = lanes([adding(n, 1) for n in range(6)], 2, begun)
    run_pool(source, 8)

    assert [known for _, known in begun[:4]] == [[], [], [(0, 3)], [(0, 3), (1, 3)]]


def test_equal_work_is_done_once():
    calls = []

    def asking():
        found = yield [Job(("same",), lambda: calls.append(1) or 7)]
        return found

    source, outcomes = lanes([asking() for _ in range(4)], 4)
    run_pool(source, 4)

    assert outcomes == [[7]] * 4
    assert calls == [1]


def test_a_round_may_wait_until_those_before_it_are_folded():
    seen, outcomes = [], []

    def waiting(n):
        yield [Job((n,), lambda: n)]
        yield TURN
        seen.append((n, len(outcomes)))
        return n

    left = [waiting(n) for n in range(5)]
    source = Lanes(3, lambda _: left.pop(0) if left else None, outcomes.append, lambda: Standing(0, None))
    run_pool(source, 8)

    assert seen == [(n, n) for n in range(5)]


def test_a_round_without_work_ends_at_once():
    def empty():
        found = yield [Job((1,), lambda: 1)][:0] or [Job(("x",), lambda: 1)]
        return found

    source, outcomes = lanes([empty(), empty()], 2)
    run_pool(source, 1)
    assert outcomes == [[1], [1]]


def test_the_end_of_a_budget_stops_it_with_what_was_folded():
    def over():
        raise BudgetExceeded("calls: 3 of 3", limit="calls", used=3, allowed=3)

    def broken():
        yield [Job(("b",), over)]

    source, outcomes = lanes([adding(0, 1), broken(), adding(2, 1)], 1)
    run_pool(source, 4)

    assert outcomes == [(0, 3)]
    assert "budget" in source.stopped


@pytest.mark.parametrize("threads", [1, 4])
def test_what_work_raises_ends_the_pool(threads):
    def failing():
        yield [Job(("f",), lambda: 1 / 0)]

    source, _ = lanes([adding(0, 1), failing()], 2)
    with pytest.raises(ZeroDivisionError):
        run_pool(source, threads)


def test_what_a_round_raises_ends_the_pool():
    def broken():
        yield [Job(("f",), lambda: 1)]
        raise KeyError("round")

    source, _ = lanes([broken()], 2)
    with pytest.raises(KeyError, match="round"):
        run_pool(source, 4)


def test_several_rounds_work_at_once():
    both = threading.Barrier(2)

    def meeting(n):
        yield [Job((n,), lambda: both.wait(20))]
        return n

    source, outcomes = lanes([meeting(0), meeting(1)], 2)
    run_pool(source, 2)
    assert outcomes == [0, 1]
