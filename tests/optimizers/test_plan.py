from __future__ import annotations

import pytest

import telic
from telic import BootstrapFewShot, BootstrapFewShotWithRandomSearch, LabeledFewShot
from telic.errors import ConfigurationError, DatasetError
from telic.lm import set_price
from telic.optimizers._plan import calls_of_run
from telic.testing._optimizer_programs import Branching, Nested
from telic.testing._optimizer_task import CountingLM, equal_answer, sums


def counting(name="counting"):
    return CountingLM(lambda text, wanted: dict.fromkeys(wanted, "1"), name)


def plan(optimizer, program=None, asked=None, **data):
    with telic.context(lm=counting() if asked is None else asked):
        program = telic.Predict("question -> answer") if program is None else program
        return optimizer.plan(program, **{"trainset": sums(8), "valset": sums(6, 50), **data})


def test_the_calls_of_a_search_are_counted():
    search = BootstrapFewShotWithRandomSearch(equal_answer, num_candidate_programs=2, recheck=False)
    with telic.context(max_retries=0):
        told = plan(search)

    # 5 candidates on 6 rows, 3 bootstraps of at most 8 rows; equal candidates are scored once
    assert told.calls == (6 + 3 + 6, 6 + 3 * 8 + 4 * 6)
    assert told.least_calls == 6
    assert "scoring candidates: 6 to 24 runs (task)" in str(told)


def test_no_call_is_made():
    asked = counting()
    plan(BootstrapFewShot(equal_answer), asked=asked)
    assert asked.calls == 0


def test_labelled_demos_cost_nothing():
    assert plan(LabeledFewShot()).calls == (0, 0)
    assert plan(LabeledFewShot()).usd in (None, (0.0, 0.0))


def test_an_unknown_price_is_unknown_and_a_known_one_a_range():
    assert plan(BootstrapFewShot(equal_answer)).usd is None

    set_price("priced", input=1.0, output=2.0)
    low, high = plan(BootstrapFewShot(equal_answer), asked=counting("priced")).usd

    assert 0 < low < high


def test_the_calls_of_a_run_are_counted_from_the_modules():
    with telic.context(max_retries=1):
        assert calls_of_run(telic.Predict("a -> b")) == (1, 2)
        assert calls_of_run(Nested()) == (1, 4)
        assert calls_of_run(Branching()) == (1, 4)
        low, high = calls_of_run(telic.ReAct("question -> answer", tools=[], max_iters=3))
        assert (low, high >= 4) == (1, True)
        best = telic.BestOfN(telic.Predict("a -> b"), N=5, reward_fn=lambda args, made: 1.0, threshold=1.0)
        assert calls_of_run(best)[1] == 10


@pytest.mark.parametrize("value", [-1, (3, 2), "many", (1, 2, 3), 1.5])
def test_counts_that_are_none_are_refused(value):
    with pytest.raises(ConfigurationError, match="calls_per_run must be"):
        plan(BootstrapFewShot(equal_answer), calls_per_run=value)


def test_what_compile_would_refuse_plan_refuses():
    with pytest.raises(DatasetError, match="trainset is empty"):
        plan(BootstrapFewShot(equal_answer), trainset=[])
    with pytest.raises(ConfigurationError, match="program must be a Module"):
        plan(BootstrapFewShot(equal_answer), program=len)


def test_a_teacher_of_its_own_price_is_counted_by_it():
    set_price("dear", input=100.0, output=100.0)
    set_price("cheap", input=1.0, output=1.0)
    alone = plan(BootstrapFewShot(equal_answer), asked=counting("cheap"), valset=None)
    taught = plan(
        BootstrapFewShot(equal_answer, teacher_settings={"lm": counting("dear")}),
        asked=counting("cheap"),
        valset=None,
    )
    assert taught.usd[0] == pytest.approx(100 * alone.usd[0])


class Judge(telic.Module):
    def __init__(self):
        self.judge = telic.Predict("question, answer -> right: bool")

    def forward(self, example, prediction, trace=None):
        return self.judge(question=example.question, answer=prediction.answer).right


def test_the_calls_of_a_metric_that_is_a_program_are_counted():
    with telic.context(max_retries=0):
        alone = plan(BootstrapFewShotWithRandomSearch(equal_answer, num_candidate_programs=2))
        judged = plan(BootstrapFewShotWithRandomSearch(Judge(), num_candidate_programs=2))

    assert judged.calls == (alone.calls[0], 2 * alone.calls[1])
    assert judged.tokens[1] > alone.tokens[1]
    assert judged.least_calls == alone.least_calls
    assert "judging: 0 to" in str(judged)
