"""Budgets: what counts, when a call is refused, and how limits nest."""

import threading

import pytest

from telic.budget import Budget
from telic.data import Usage
from telic.errors import BudgetExceeded, ConfigurationError

CALL = Usage(10, 5, 0, 0, 0.25, 1)


def spend(budget, usage=CALL):
    budget.reserve()
    budget.settle(usage)


LIMITS = [
    ({"calls": 3}, 3),
    ({"tokens": 30}, 2),
    ({"tokens": 31}, 3),
    ({"usd": 1.0}, 4),
    ({"calls": 0}, 0),
    ({"usd": 0}, 0),
    ({"tokens": 0}, 0),
    ({"seconds": 0}, 0),
    ({}, 100),
]


@pytest.mark.parametrize(("limits", "fits"), LIMITS)
def test_a_limit_lets_through_what_fits(limits, fits):
    budget = Budget(**limits)
    done = 0
    with pytest.raises(BudgetExceeded) if limits else pytest.raises(StopIteration):
        for _ in range(100):
            spend(budget)
            done += 1
        raise StopIteration
    assert done == fits


def test_the_error_names_the_limit():
    budget = Budget(calls=2, usd=100)
    spend(budget), spend(budget)
    with pytest.raises(BudgetExceeded, match="the budget of 2 calls is used up") as caught:
        budget.reserve()
    assert (caught.value.limit, caught.value.allowed, caught.value.used) == ("calls", 2.0, 2.0)


def test_time_runs_from_the_first_call_on():
    now = [100.0]
    budget = Budget(seconds=5, clock=lambda: now[0])
    now[0] = 1000.0
    spend(budget)
    now[0] = 1004.9
    spend(budget)
    now[0] = 1005.0
    with pytest.raises(BudgetExceeded, match="5 s"):
        budget.reserve()
    assert budget.elapsed_s == 5.0


def test_calls_in_flight_count_before_they_end():
    budget = Budget(calls=2)
    budget.reserve(), budget.reserve()
    with pytest.raises(BudgetExceeded):
        budget.reserve()
    budget.release()
    budget.reserve()


def test_calls_in_flight_are_taken_at_the_average_cost():
    budget = Budget(usd=1.0)
    spend(budget)  # 0.25
    budget.reserve(), budget.reserve(), budget.reserve()  # 0.75 ahead
    with pytest.raises(BudgetExceeded):
        budget.reserve()
    budget.settle(Usage(1, 1, 0, 0, 0.01, 1))
    budget.reserve()


def test_a_child_draws_on_all_above_it():
    run = Budget(calls=3)
    optimizer = run.child(calls=2)
    spend(optimizer), spend(optimizer)
    with pytest.raises(BudgetExceeded):
        optimizer.reserve()
    assert run.in_flight == 0
    spend(run)
    with pytest.raises(BudgetExceeded):
        run.child().reserve()
    assert run.used == Usage(30, 15, 0, 0, 0.75, 3)


def test_what_is_left_is_the_least_of_all_levels():
    run = Budget(calls=10, usd=1.0)
    child = run.child(calls=4)
    spend(child)
    assert child.remaining() == {"usd": 0.75, "calls": 3, "tokens": None, "seconds": None}
    assert child.exhausted() is None
    spend(child), spend(child), spend(child)
    assert child.exhausted() in ("usd", "calls")


def test_an_unknown_cost_is_shown_as_unknown():
    budget = Budget(calls=5)
    spend(budget)
    spend(budget, CALL._replace(cost_usd=None))
    assert budget.used.cost_usd is None
    assert budget.to_dict()["used"]["calls"] == 2


def test_threads_never_pass_a_limit_together():
    budget = Budget(calls=100, parent=Budget(calls=90))
    passed = []

    def work():
        for _ in range(50):
            try:
                budget.reserve()
            except BudgetExceeded:
                continue
            passed.append(1)
            budget.settle(CALL)

    threads = [threading.Thread(target=work) for _ in range(16)]
    [t.start() for t in threads]
    [t.join() for t in threads]
    assert len(passed) == 90
    assert budget.in_flight == 0


@pytest.mark.parametrize("limits", [{"usd": -1}, {"calls": -1}, {"tokens": float("nan")}, {"seconds": -0.1}])
def test_impossible_limits_are_refused(limits):
    with pytest.raises(ConfigurationError, match="a limit is a number, 0 or more"):
        Budget(**limits)


def test_it_shows_its_limits():
    assert repr(Budget(usd=4.0, calls=10)) == "Budget(usd=4.0, calls=10)"
    assert Budget(usd=1, parent=Budget()).needs_prices
    assert Budget(parent=Budget(usd=1)).needs_prices
    assert not Budget(calls=1).needs_prices
