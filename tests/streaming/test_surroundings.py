"""Streams where programs really run: under Ctrl-C, inside loops, beside pools, evaluations and budgets."""

import asyncio
import os
import signal
import subprocess
import sys
import textwrap
from concurrent.futures import ThreadPoolExecutor

import pytest

from telic.budget import Budget
from telic.context import context, copy_context
from telic.data import Example
from telic.errors import BudgetExceeded
from telic.evaluate import Evaluate
from telic.modules import BestOfN, ChainOfThought, Module, Parallel, Predict
from telic.streaming import Custom, FieldDelta, ModuleStart, Spent, emit
from telic.testing import FunctionLM


class Pooled(Module):
    """A pool of the user's own."""

    def __init__(self):
        super().__init__()
        self.ask = Predict("question -> answer")

    def forward(self, count):
        with ThreadPoolExecutor(4) as pool:
            work = [pool.submit(copy_context(self.ask), question=str(n)) for n in range(count)]
            return [one.result() for one in work]


class Paralleled(Module):
    def __init__(self):
        super().__init__()
        self.ask = Predict("question -> answer")

    def forward(self, count):
        return Parallel(num_threads=4)([(self.ask, {"question": str(n)}) for n in range(count)])


class Judged(Module):
    def __init__(self):
        super().__init__()
        self.ask = Predict("question -> answer")

    def forward(self, count):
        rows = [Example(question=str(n)).with_inputs("question") for n in range(count)]
        return Evaluate(devset=rows, metric=lambda example, prediction: True, num_threads=4)(self.ask)


@pytest.mark.parametrize(
    "program", [Pooled(), Paralleled(), Judged()], ids=lambda program: type(program).__name__
)
def test_threads_of_all_kinds_tell_of_what_they_do(use, look, events_of, program):
    use(look.chat(answer="yes"))

    events = events_of(program.stream(count=6))

    joined = look.joined(events)
    assert list(joined.values()) == ["yes"] * 6
    assert {(path, field) for path, _, field in joined} == {("ask", "answer")}
    assert (len(look.of(events, Spent)), events[-1].usage.calls) == (6, 6)


def test_attempts_are_told_apart(use, look, events_of):
    counter = iter(range(10))
    use(lambda request: look.chat(reasoning="r", answer=f"answer {next(counter)}"))
    best = BestOfN(
        ChainOfThought("question -> answer"), N=3, reward_fn=lambda inputs, found: 0.0, threshold=1.0
    )

    events = events_of(best.stream(question="q"))

    answers = [text for (_, _, field), text in look.joined(events).items() if field == "answer"]
    assert answers == ["answer 0", "answer 1", "answer 2"]
    assert {event.path for event in look.of(events, FieldDelta)} == {"module.predict"}


def test_a_plain_loop_over_a_stream_inside_of_a_running_loop(use, look):
    use(look.chat(answer="yes"))

    async def main():
        return [type(event).__name__ for event in Predict("question -> answer").stream(question="q")]

    assert asyncio.run(main())[-1] == "Finished"


def test_a_budget_ends_a_streamed_program(use, look, events_of):
    client = use(look.chat(answer="yes"))

    class Twice(Module):
        def __init__(self):
            super().__init__()
            self.ask = Predict("question -> answer")

        def forward(self):
            self.ask(question="1")
            return self.ask(question="2")

    with context(budget=Budget(calls=1)), pytest.raises(BudgetExceeded):
        events_of(Twice().stream())
    assert len(client.requests) == 1


def test_tasks_of_a_program_tell_too(use, look):
    use(look.chat(answer="yes"))

    class Tasks(Module):
        def __init__(self):
            super().__init__()
            self.ask = Predict("question -> answer")

        async def aforward(self):
            found = await asyncio.gather(*(self.ask.acall(question=str(n)) for n in range(5)))
            emit(len(found))
            return found

    events = look.aread(Tasks().stream())

    assert list(look.joined(events).values()) == ["yes"] * 5
    assert look.of(events, Custom)[0].value == 5


def test_inputs_by_position_are_told(look):
    class Positional(Module):
        def forward(self, first, second=0):
            return first + second

    events = look.read(Positional().stream(1, second=2))

    assert look.of(events, ModuleStart)[0].inputs == {"args": (1,), "second": 2}
    assert events[-1].prediction == 3


@pytest.mark.skipif(os.name != "posix", reason="sends SIGINT")
def test_ctrl_c_while_reading_calls_the_program_off():
    code = """
        import threading, telic
        from telic.testing import FaultServer, faults
        from telic.streaming import FieldDelta

        with FaultServer("x", faults=faults.stall()) as server:
            telic.configure(lm=telic.LM("openai/m", base_url=server.url, api_key="k", cache=False))
            stream = telic.Predict("question -> answer").stream(question="q")
            try:
                for event in stream:
                    threading.Thread(target=lambda: (server.wait_until(lambda: server.max_in_flight == 1),
                                                     print("ready", flush=True))).start()
            except KeyboardInterrupt:
                print("interrupted", flush=True)
            gone = server.wait_until(lambda: server.open_connections == 0)
            stream.close()
            print(gone, [t.name for t in threading.enumerate() if t.name == "telic-stream"], flush=True)
    """
    running = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert running.stdout.readline() == "ready\n"
    running.send_signal(signal.SIGINT)
    out, err = running.communicate(timeout=30)

    assert out == "interrupted\nTrue []\n", err


def test_fakes_stream_word_by_word(look, events_of):
    with context(lm=FunctionLM(lambda text: {"answer": "one two three"})):
        events = events_of(Predict("question -> answer").stream(question="q"))

    assert [event.text for event in look.of(events, FieldDelta)] == ["one", " two", " three"]
