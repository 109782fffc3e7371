import asyncio
import threading

import pytest

from telic.context import context
from telic.data import Prediction
from telic.errors import BudgetExceeded, TelicError
from telic.modules import Call, FlowModule, Gather, Predict, UseTool


class Flow(FlowModule):
    def __init__(self, generator):
        self.generator = generator

    def flow(self, **inputs):
        return self.generator(**inputs)


def both(flow, **inputs):
    """Run a flow sync and async; the results must be equal."""
    sync = flow(**inputs)
    assert asyncio.run(flow.acall(**inputs)) == sync
    return sync


def test_calls_and_tools_give_their_results_both_ways(use, reply):
    use(function=lambda request: reply(answer="4"))
    predict = Predict("question -> answer")

    async def double(n):
        await asyncio.sleep(0)
        return 2 * n

    def strategy(question):
        answer = yield Call(predict, question=question)
        doubled = yield UseTool(double, {"n": int(answer.answer)})
        return (yield UseTool(lambda n: n + 1, {"n": doubled}))

    assert both(Flow(strategy), question="2+2?") == 9


def test_flows_nest():
    def inner(n):
        return (yield UseTool(lambda n: n + 1, {"n": n}))

    def outer(n):
        return (yield Call(Flow(inner), n=n)) * 10

    assert both(Flow(outer), n=1) == 20


def test_failures_are_raised_at_the_yield():
    def broken():
        raise LookupError("no such page")

    def strategy():
        try:
            yield UseTool(broken, {})
        except LookupError as error:
            return (yield UseTool(str, {"object": error}))

    assert both(Flow(strategy)) == "no such page"


def test_failures_that_a_flow_does_not_handle_pass():
    def strategy():
        yield UseTool(lambda: 1 / 0, {})

    with pytest.raises(ZeroDivisionError):
        Flow(strategy)()
    with pytest.raises(ZeroDivisionError):
        asyncio.run(Flow(strategy).acall())


def test_what_is_gathered_runs_at_once_in_order():
    barrier = threading.Barrier(3)

    def wait(n):
        barrier.wait(10)
        return n

    def strategy():
        return (yield Gather([UseTool(wait, {"n": n}) for n in range(3)]))

    with context(num_threads=3):
        assert both(Flow(strategy)) == [0, 1, 2]


def test_a_gathered_failure_is_raised_after_all_are_finished_or_kept():
    done = []

    def work(n):
        if n == 0:
            raise ValueError("zero")
        done.append(n)
        return n

    def strategy(keep):
        return (yield Gather([UseTool(work, {"n": n}) for n in range(3)], keep_errors=keep))

    with pytest.raises(ValueError, match="zero"):
        Flow(strategy)(keep=False)
    with pytest.raises(ValueError, match="zero"):
        asyncio.run(Flow(strategy).acall(keep=False))
    kept = Flow(strategy)(keep=True)
    assert isinstance(kept[0], ValueError)
    assert kept[1:] == [1, 2]
    assert sorted(done) == [1, 1, 1, 2, 2, 2]


def test_gathering_nothing_gives_nothing():
    def strategy():
        return (yield Gather([]))

    assert both(Flow(strategy)) == []


def test_plain_tools_do_not_block_the_loop():
    def strategy():
        return (yield UseTool(threading.get_ident, {}))

    assert asyncio.run(Flow(strategy).acall()) != threading.get_ident()
    assert Flow(strategy)() == threading.get_ident()


def test_a_cancelled_flow_is_closed():
    closed = []

    async def forever():
        await asyncio.Event().wait()

    def strategy():
        try:
            yield UseTool(forever, {})
        finally:
            closed.append(True)

    async def main():
        task = asyncio.create_task(Flow(strategy).acall())
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    asyncio.run(main())
    assert closed == [True]


def test_a_flow_without_a_yield_is_refused():
    with pytest.raises(TelicError, match="must be a generator"):
        Flow(lambda: Prediction())()


def test_a_callable_without_acall_can_be_called():
    def strategy():
        return (yield Call(len) if False else Call(dict, a=1))

    assert both(Flow(strategy)) == {"a": 1}


@pytest.mark.parametrize("keep", [True, False])
def test_a_spent_budget_ends_a_gathering_as_it_ends_a_call(keep):
    def work(n):
        if n == 1:
            raise BudgetExceeded("spent")
        return n

    def strategy():
        return (yield Gather([UseTool(work, {"n": n}) for n in range(40)], keep_errors=keep))

    with pytest.raises(BudgetExceeded, match="spent"):
        Flow(strategy)()
    with pytest.raises(BudgetExceeded, match="spent"):
        asyncio.run(Flow(strategy).acall())
