import asyncio

import pytest

from telic.context import context
from telic.data import Example
from telic.errors import AdapterParseError, EvaluationError, MetricError
from telic.evaluate import Evaluate, is_unreadable
from telic.modules import Predict
from telic.testing import FunctionLM

ROWS = [Example(x=str(n), y=n).with_inputs("x") for n in range(20)]


def right(example, prediction):
    return example.y == prediction.y


def mumbling(text):
    """Only 3 is answered."""
    return {"y": 3} if "\n3\n" in text else "no number"


def run(evaluate, program, how):
    return evaluate(program) if how == "sync" else asyncio.run(evaluate.acall(program))


@pytest.mark.parametrize("how", ["sync", "async"])
def test_replies_that_cannot_be_read_are_wrong_answers_and_stop_nothing(how):
    evaluate = Evaluate(devset=ROWS, metric=right, max_errors=1, num_threads=4)

    with context(lm=FunctionLM(mumbling), max_retries=0):
        result = run(evaluate, Predict("x -> y: int"), how)

    assert result.mean == 1 / 20
    assert len(result.failures) == 19
    assert all(is_unreadable(row.error) for row in result.failures)
    assert isinstance(result.failures[0].error.__cause__, AdapterParseError)


def test_a_judge_that_cannot_be_read_is_a_fault():
    judge = Predict("x -> y: int")
    evaluate = Evaluate(devset=ROWS, metric=lambda e, p: judge(x=e.x).y, max_errors=2, num_threads=1)

    with (
        context(lm=FunctionLM(mumbling), max_retries=0),
        pytest.raises(EvaluationError, match="2 rows failed") as caught,
    ):
        evaluate(lambda x: 1)

    assert isinstance(caught.value.__cause__, MetricError)
    assert not is_unreadable(caught.value.__cause__)


def test_only_faults_are_told_when_faults_stop_an_evaluation():
    step = Predict("x -> y: int")

    def program(x):
        if x == "5":
            raise ValueError("a bug")
        return step(x=x)

    with (
        context(lm=FunctionLM(mumbling), max_retries=0),
        pytest.raises(EvaluationError, match=r"1 row failed.*6 of 20.*a bug") as caught,
    ):
        Evaluate(devset=ROWS, metric=right, max_errors=1, num_threads=1)(program)

    assert len(caught.value.results) == 6


async def cancelled_within(x):
    if x == "3":
        future = asyncio.get_running_loop().create_future()
        future.cancel()
        await future
    return {"y": int(x)}


def cancelled_beneath(x):
    return asyncio.run(cancelled_within(x))


@pytest.mark.parametrize("how", ["sync", "async"])
@pytest.mark.parametrize("num_threads", [1, 3])
@pytest.mark.parametrize("program", [cancelled_within, cancelled_beneath])
def test_a_cancellation_that_nobody_asked_for_is_a_failure_of_its_row_alone(program, how, num_threads):
    evaluate = Evaluate(devset=ROWS, metric=lambda example, prediction: 1, num_threads=num_threads)
    result = run(evaluate, program, how)

    assert [row.index for row in result.failures] == [3]
    assert "was cancelled (asyncio.CancelledError)" in str(result.failures[0].error)
