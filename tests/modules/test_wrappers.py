import asyncio
import functools
import threading

import pytest

from telic.context import context, get
from telic.data import Example
from telic.errors import InputError
from telic.lm import LM
from telic.modules import ChainOfThought, Module, Parallel, Predict, asyncify, syncify
from telic.signatures import OutputField
from telic.testing import FaultServer, faults


def test_a_module_is_awaited_natively(use, reply):
    use(function=lambda request: reply(answer="a"))

    assert asyncio.run(asyncify(Predict("question -> answer"))(question="q")).answer == "a"


def test_a_plain_function_runs_beside_the_loop_with_the_context():
    async def main():
        with context(num_threads=9):
            return await asyncify(lambda: (threading.get_ident(), get("num_threads")))()

    thread, threads = asyncio.run(main())
    assert thread != threading.get_ident()
    assert threads == 9


def test_coroutine_functions_stay_and_become_plain_ones():
    async def work(n):
        return n + 1

    assert asyncify(work) is work
    assert syncify(work)(1) == 2
    assert syncify(len) is len


def test_parallel_passes_whole_examples_on_request():
    row = Example(question="row").with_inputs("question")

    assert Parallel(access_examples=False)([(lambda example: example, row)]) == [row]


def test_reasoning_comes_before_the_outputs(use, reply):
    use(function=lambda request: reply(reasoning="because", answer="a"))
    think = ChainOfThought("question -> answer", temperature=0.2)

    prediction = think(question="q")

    assert prediction.keys() == ["reasoning", "answer"]
    assert think.predict.config == {"temperature": 0.2}
    assert asyncio.run(think.acall(question="q")).reasoning == "because"
    with pytest.raises(InputError, match="by name"):
        think("q")


def test_the_reasoning_field_can_be_chosen():
    think = ChainOfThought("question -> answer", rationale_field=OutputField(desc="one line"))
    listed = ChainOfThought("question -> answer", rationale_field_type=list[str])

    assert think.predict.signature.output_fields["reasoning"].desc == "one line"
    assert listed.predict.signature.output_fields["reasoning"].annotation == list[str]


def test_a_plain_function_that_returns_an_awaitable_is_awaited():
    async def work():
        return 7

    assert asyncio.run(asyncify(lambda: work())()) == 7


def test_names_and_docstrings_stay():
    def ask(question):
        """Ask."""

    async def aask(question):
        """Ask later."""

    assert (asyncify(ask).__name__, asyncify(ask).__doc__) == ("ask", "Ask.")
    assert (syncify(aask).__name__, syncify(aask).__doc__) == ("aask", "Ask later.")
    assert asyncio.run(asyncify(functools.partial(max, 3))(2)) == 3


def test_at_most_so_many_run_at_once():
    lock, running, most = threading.Lock(), [0], [0]
    together = threading.Barrier(3)

    def work():
        with lock:
            running[0] += 1
            most[0] = max(most[0], running[0])
        together.wait(5)
        with lock:
            running[0] -= 1

    async def main():
        with context(async_max_workers=3):
            await asyncio.gather(*(asyncify(work)() for _ in range(9)))

    asyncio.run(main())
    assert most == [3]


def test_cancelling_ends_the_lm_calls_of_plain_code():
    handled = []

    class Plain(Module):
        def __init__(self):
            super().__init__()
            self.ask = Predict("question -> answer")

        def forward(self, question):
            for _ in range(5):
                try:
                    self.ask(question=question)
                except Exception as error:
                    handled.append(error)

    async def main(program, server):
        work = asyncio.create_task(program(question="q"))
        await asyncio.to_thread(server.wait_until, lambda: server.max_in_flight == 1)
        work.cancel()
        with pytest.raises(asyncio.CancelledError):
            await work
        return await asyncio.to_thread(server.wait_until, lambda: server.open_connections == 0)

    for make in (
        lambda: asyncify(Plain()),
        lambda: asyncify(Plain().forward),
        lambda: asyncify(Plain().__call__),
    ):
        with FaultServer("x", faults=faults.stall()) as server:
            lm = LM("openai/m", base_url=server.url, api_key="k", cache=False)
            with context(lm=lm):
                assert asyncio.run(main(make(), server))
            assert (len(server.requests), handled) == (1, [])


def test_a_call_that_waits_for_its_turn_is_dropped_when_it_is_cancelled():
    begun, go = [], threading.Event()

    def work(n):
        begun.append(n)
        go.wait(5)

    async def main():
        with context(async_max_workers=1):
            first, second = (asyncio.create_task(asyncify(work)(n)) for n in range(2))
            while not begun:
                await asyncio.sleep(0.001)
            second.cancel()
            await asyncio.wait([second])
            go.set()
            await first

    asyncio.run(main())
    assert begun == [0]


def test_errors_come_through_both_ways():
    async def afail():
        raise LookupError("a")

    def fail():
        raise LookupError("b")

    with pytest.raises(LookupError, match="a"):
        syncify(afail)()
    with pytest.raises(LookupError, match="b"):
        asyncio.run(asyncify(fail)())


def test_syncified_programs_run_where_a_loop_runs(use, reply):
    use(function=lambda request: reply(answer="a"))

    class Awaited(Module):
        def __init__(self):
            super().__init__()
            self.ask = Predict("question -> answer")

        async def aforward(self, question):
            await asyncio.sleep(0)
            return await self.ask.acall(question=question)

    async def work(question):
        return get("num_threads"), (await Awaited().acall(question=question)).answer

    async def main():
        with context(num_threads=9):
            return syncify(Awaited())(question="q").answer, syncify(work)("q")

    assert asyncio.run(main()) == ("a", (9, "a"))
    assert syncify(Awaited())(question="q").answer == "a"
