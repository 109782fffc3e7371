"""Who used what, where programs nest, run at once, in threads and in tasks."""

import asyncio

from telic.context import context
from telic.lm import BaseLM
from telic.modules import ChainOfThought, Module, Parallel, Predict, asyncify
from telic.testing import FunctionLM
from telic.tracing import track_usage


def lm(model="m"):
    return FunctionLM(lambda text: {"reasoning": "r", "answer": "a"}, model=model)


class Two(Module):
    def __init__(self):
        super().__init__()
        self.think = ChainOfThought("question -> answer")
        self.ask = Predict("question -> answer")

    def forward(self, question):
        self.think(question=question)
        return self.ask(question=question)


def calls(prediction):
    return sum(usage["calls"] for usage in prediction.get_lm_usage().values())


def test_the_outermost_module_notes_the_usage_of_all_inside():
    with context(lm=lm(), track_usage=True):
        prediction = Two()(question="q")
        alone = Predict("question -> answer")(question="q")

    assert (calls(prediction), calls(alone)) == (2, 1)


def test_programs_that_run_at_once_count_for_themselves():
    async def main():
        return await asyncio.gather(*(Two().acall(question=str(n)) for n in range(6)))

    with context(lm=lm(), track_usage=True):
        in_tasks = asyncio.run(main())
        in_threads = Parallel(num_threads=4)([(Two(), {"question": str(n)}) for n in range(6)])

    assert [calls(prediction) for prediction in in_tasks + in_threads] == [2] * 12


def test_blocks_nest_over_threads_tasks_and_worker_threads():
    program = Two()

    async def main():
        with track_usage() as inner:
            await asyncio.gather(*(program.acall(question=str(n)) for n in range(3)))
            await asyncify(lambda: program(question="q"))()
        return inner

    with context(lm=lm()), track_usage() as outer:
        program(question="q")
        inner = asyncio.run(main())
        Parallel(num_threads=3)([(program, {"question": str(n)}) for n in range(3)])

    assert (inner.total.calls, outer.total.calls) == (8, 16)
    assert outer.by_predictor(program).keys() == {"think.predict", "ask"}


def test_streams_and_plain_calls_count_alike():
    program = Two()

    with context(lm=lm()), track_usage() as outer:
        program.stream(question="q").result()
        with track_usage() as inner:
            program.stream(question="q").result()
        program(question="q")

    assert (inner.total.calls, outer.total.calls) == (2, 6)


def test_a_failed_call_is_not_counted_and_a_direct_call_is():
    class Down(BaseLM):
        def forward(self, prompt=None, messages=None, **options):
            raise ConnectionError("down")

    with track_usage() as tracker:
        lm("direct")("hello")
        try:
            Down("down")("hello")
        except ConnectionError:
            pass

    assert list(tracker.by_lm()) == ["direct"]
    assert list(tracker.by_predictor()) == [""]
