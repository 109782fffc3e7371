import asyncio
import threading

import pytest

from telic.context import context, get
from telic.data import Example
from telic.errors import InputError
from telic.modules import ChainOfThought, Parallel, Predict, asyncify, syncify
from telic.signatures import OutputField


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
