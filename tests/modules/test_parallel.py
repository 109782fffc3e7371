import asyncio
import threading
import time

import pytest

import telic
from telic.errors import BudgetExceeded, ConfigurationError, InputError, LMServerError, ProgramTimeoutError
from telic.execution import RunStopped
from telic.modules import Parallel
from telic.testing import FunctionLM

ROW = telic.Example(question="row", gold="x").with_inputs("question")


def echo():
    return FunctionLM(lambda text: {"answer": text.split("\n")[1]})


def both(parallel, pairs):
    """Run pairs sync and async; the results must be equal."""
    results = parallel(pairs)
    assert repr(asyncio.run(parallel.acall(pairs))) == repr(results)
    return results


def test_results_stand_in_order_whatever_the_rows_are():
    predict = telic.Predict("question -> answer")

    async def later(n):
        await asyncio.sleep(0)
        return n + 1

    with telic.context(lm=echo()):
        results = both(
            Parallel(num_threads=3),
            [
                (predict, ROW),
                (predict, {"question": "dict"}),
                (max, (1, 2)),
                (len, ["a"]),
                (predict, [ROW, ROW]),
            ],
        )
        assert [results[0].answer, results[1].answer, results[2:4]] == ["row", "dict", [2, 1]]
        assert [one.answer for one in results[4]] == ["row", "row"]
        assert asyncio.run(Parallel().acall([(later, (1,)), (later, {"n": 2})])) == [2, 3]
        assert both(Parallel(), []) == []


def test_failures_stand_in_order():
    pairs = [(lambda n: 1 / n, {"n": n}) for n in (1, 0, 2, 0)] + [(abs, 5)]

    results, failed, errors = both(Parallel(return_failed_examples=True, num_threads=4), pairs)

    assert results == [1, None, 0.5, None, None]
    assert failed == [{"n": 0}, {"n": 0}, 5]
    assert [type(error) for error in errors] == [ZeroDivisionError, ZeroDivisionError, InputError]


def test_too_many_failures_end_it_with_what_was_finished():
    def fails(n):
        raise LMServerError(str(n))

    with pytest.raises(RunStopped) as caught:
        Parallel(num_threads=1, max_errors=2)([(abs, (-1,)), *((fails, (n,)) for n in range(5))])
    assert [outcome.value for outcome in caught.value.outcomes] == [1, None, None]
    with pytest.raises(RunStopped):
        asyncio.run(Parallel(max_errors=2).acall([(fails, (n,)) for n in range(5)]))


@pytest.mark.parametrize("timeout", [None, 30])
def test_a_spent_budget_is_raised_as_such_with_what_was_finished(timeout):
    predict = telic.Predict("question -> answer")
    pairs = [(predict, {"question": str(n)}) for n in range(6)]
    parallel = Parallel(num_threads=1, timeout=timeout)

    with telic.context(lm=echo(), budget=telic.Budget(calls=3)), pytest.raises(BudgetExceeded) as caught:
        parallel(pairs)
    assert [found.answer for found in caught.value.results] == ["0", "1", "2"]
    assert (caught.value.limit, caught.value.allowed) == ("calls", 3.0)
    assert isinstance(caught.value.__cause__, RunStopped)
    with telic.context(lm=echo(), budget=telic.Budget(calls=3)), pytest.raises(BudgetExceeded):
        asyncio.run(parallel.acall(pairs))


def test_a_row_that_takes_too_long_is_given_up_and_the_others_go_on():
    leave = threading.Event()
    pairs = [(abs, (-1,)), (leave.wait, (30,)), (abs, (-3,))]
    try:
        for threads in (1, 4):
            parallel = Parallel(num_threads=threads, timeout=0.4, return_failed_examples=True)
            results, failed, errors = parallel(pairs)
            assert results == [1, None, 3]
            assert failed == [(30,)]
            assert isinstance(errors[0], ProgramTimeoutError)
            assert isinstance(errors[0], TimeoutError)
            assert "given up after 0.4 s" in str(errors[0])
    finally:
        leave.set()


def test_async_a_row_that_takes_too_long_is_cancelled():
    ended = []

    async def slow(n):
        try:
            await asyncio.sleep(30)
        finally:
            ended.append(n)

    async def main():
        parallel = Parallel(timeout=0.4, return_failed_examples=True)
        results = await parallel.acall([(abs, (-1,)), (slow, (1,)), (slow, (2,))])
        left = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        return results, left

    (results, failed, errors), left = asyncio.run(main())
    assert results == [1, None, None]
    assert failed == [(1,), (2,)]
    assert {type(error) for error in errors} == {ProgramTimeoutError}
    assert sorted(ended) == [1, 2]
    assert left == []


def test_a_row_that_was_given_up_asks_no_lm_any_more():
    leave, seen = threading.Event(), []

    class Slow(telic.Module):
        def __init__(self):
            self.ask = telic.Predict("question -> answer")

        def forward(self, question):
            self.ask(question=question)
            leave.wait(30)
            try:
                self.ask(question="again")
            except BudgetExceeded:
                seen.append("refused")
            ended.set()

    ended, lm = threading.Event(), echo()
    budget = telic.Budget(calls=10)
    with telic.context(lm=lm, budget=budget):
        assert Parallel(timeout=1.0)([(Slow(), {"question": "?"}), (abs, (1,))]) == [None, 1]
    leave.set()
    assert ended.wait(10)
    assert seen == ["refused"]
    assert len(lm.requests) == 1
    assert budget.used.calls == 1


def test_a_row_that_was_given_up_leaves_no_steps_in_the_trace():
    leave, ended = threading.Event(), threading.Event()
    predict = telic.Predict("question -> answer")

    def slow(question):
        predict(question=question)
        leave.wait(30)
        ended.set()

    trace = []
    with telic.context(lm=echo(), trace=trace):
        Parallel(timeout=0.4)([(slow, {"question": "slow"}), (predict, {"question": "quick"})])
        leave.set()
        assert ended.wait(10)

    assert [step.inputs["question"] for step in trace] == ["quick"]


def test_rows_are_given_up_once_few_are_left():
    first, leave = threading.Event(), threading.Event()

    def quick():
        time.sleep(0.15)  # longer than a row may take, but many are left
        first.set()
        return "done"

    parallel = Parallel(num_threads=4, timeout=0.05, straggler_limit=1)
    try:
        assert parallel([(quick, ()), (quick, ()), (leave.wait, (30,))]) == ["done", "done", None]
    finally:
        leave.set()

    async def slow():
        await asyncio.sleep(30)

    async def aquick():
        await asyncio.sleep(0.15)
        return "done"

    assert asyncio.run(parallel.acall([(aquick, ()), (slow, ()), (aquick, ())])) == ["done", None, "done"]


def test_cancelling_it_cancels_what_runs():
    ended = []

    async def slow():
        try:
            await asyncio.sleep(30)
        finally:
            ended.append(1)

    async def main(parallel):
        task = asyncio.ensure_future(parallel.acall([(slow, ()), (slow, ())]))
        while not ended and not task.done():
            await asyncio.sleep(0.01)
            if len(asyncio.all_tasks()) > 5:
                task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        return [one for one in asyncio.all_tasks() if one is not asyncio.current_task()]

    for parallel in (Parallel(timeout=20), Parallel(timeout=20, straggler_limit=1)):
        ended.clear()
        assert asyncio.run(main(parallel)) == []
        assert ended


def test_rows_see_the_settings_of_the_caller_and_leave_no_trace_of_their_own_settings():
    def program(n):
        telic.settings.register("mine", 0)
        return telic.settings.num_threads

    with telic.context(num_threads=3):
        assert Parallel(timeout=5)([(program, (1,))] * 3) == [3, 3, 3]


def test_steps_of_rows_reach_the_trace():
    predict = telic.Predict("question -> answer")
    trace = []
    with telic.context(lm=echo(), trace=trace):
        Parallel(timeout=5)([(predict, {"question": str(n)}) for n in range(3)])

    assert len(trace) == 3


def test_what_a_row_raises_keeps_its_kind_under_a_timeout():
    def fails():
        raise KeyError("x")

    _, _, errors = Parallel(timeout=5, return_failed_examples=True)([(fails, ())])
    assert isinstance(errors[0], KeyError)


def test_a_module_runs_over_many_rows_with_a_timeout_too():
    leave = threading.Event()

    class Waits(telic.Module):
        def forward(self, n):
            return leave.wait(30) if n else "done"

    rows = [telic.Example(n=n).with_inputs("n") for n in (0, 1)]
    try:
        assert Waits().batch(rows, timeout=0.4) == ["done", None]
    finally:
        leave.set()


@pytest.mark.parametrize(
    "options",
    [{"timeout": -1}, {"timeout": float("nan")}, {"timeout": "5"}, {"timeout": True}, {"straggler_limit": -1},
     {"straggler_limit": 1.5}],
)  # fmt: skip
def test_impossible_settings_are_refused(options):
    with pytest.raises(ConfigurationError):
        Parallel(**options)


def test_zero_is_no_timeout_as_programs_for_dspy_have_it():
    assert Parallel(timeout=0)([(abs, (-1,))]) == [1]


def test_a_parallel_is_the_program_of_a_pair_and_takes_a_list_of_pairs():
    predict, inner = telic.Predict("question -> answer"), Parallel()
    pairs = [(predict, {"question": "a"}), (inner, [(predict, {"question": "b"}), (predict, ROW)])]

    with telic.context(lm=echo()):
        first, nested = both(Parallel(num_threads=2), pairs)

    assert (first.answer, [one.answer for one in nested]) == ("a", ["b", "row"])
