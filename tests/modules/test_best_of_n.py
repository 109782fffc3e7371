import asyncio

import pytest

import telic
from telic.data import Request
from telic.errors import (
    BudgetExceeded,
    ConfigurationError,
    InputError,
    LMAuthError,
    LMServerError,
    MetricError,
)
from telic.modules import BestOfN
from telic.testing import FunctionLM, ScriptedLM


def answers(*words):
    return ScriptedLM([one if isinstance(one, (Exception, type)) else {"answer": one} for one in words])


def length(inputs, prediction):
    return len(prediction.answer)


def best(n=3, reward=length, threshold=4, **options):
    return BestOfN(telic.Predict("question -> answer"), N=n, reward_fn=reward, threshold=threshold, **options)


def ask(program, lm):
    """Ask one question; return the prediction and the LM."""
    with telic.context(lm=lm, max_retries=0):
        return program(question="?"), lm


def test_the_first_that_is_good_enough_ends_the_search():
    found, lm = ask(best(), answers("a", "abcd", "abcde"))

    assert found.answer == "abcd"
    assert len(lm.requests) == 2


def test_else_the_best_is_returned_and_of_equals_the_earliest():
    found, lm = ask(best(threshold=9), ScriptedLM(
        [{"answer": "ab"}, {"answer": "abc"}, {"answer": "xyz"}]))  # fmt: skip

    assert found.answer == "abc"
    assert lm.remaining == 0


def test_every_attempt_is_a_draw_of_its_own_at_temperature_one():
    _, lm = ask(best(threshold=9), answers("a", "b", "c"))

    assert [request.sample for request in lm.requests] == [0, 1, 2]
    assert {request.options["temperature"] for request in lm.requests} == {1.0}


def test_a_draw_that_the_user_chose_has_draws_of_its_own_in_every_attempt():
    program = BestOfN(telic.Predict("question -> answer", rollout_id=7), N=3, reward_fn=length, threshold=9)
    lm = answers(*"abcabc")

    for _ in range(2):
        ask(program, lm)

    samples = [request.sample for request in lm.requests]
    assert samples[0] == 7  # the draw that the user would get without a search
    assert len(set(samples)) == 3
    assert samples[:3] == samples[3:]
    other = BestOfN(telic.Predict("question -> answer", rollout_id=8), N=3, reward_fn=length, threshold=9)
    assert not set(samples) & {request.sample for request in ask(other, answers(*"abc"))[1].requests}


def test_so_has_a_draw_that_was_chosen_for_an_lm():
    lm = telic.LM("openai/some-model", api_key="none", rollout_id=1)

    def sample(own, outside):
        with telic.context(sample=outside):
            return lm._final(Request([], {}, sample=own)).sample

    assert sample(0, 0) == 1
    assert len({sample(0, number) for number in range(4)} | {0, 1, 2, 3}) == 7  # 1 is the LM's own
    assert sample(2, 0) == 2  # what a predictor says stands before what the LM says


def test_nested_searches_and_samples_outside_draw_afresh():
    inner = best(n=2, threshold=9)
    outer = BestOfN(inner, N=2, reward_fn=length, threshold=9)
    lm = answers(*"abcdefgh")

    with telic.context(lm=lm):
        outer(question="?")
        with telic.context(sample=1):
            outer(question="?")

    assert [request.sample for request in lm.requests] == list(range(8))


def test_it_is_the_same_async_with_async_rewards():
    async def areward(inputs, prediction):
        await asyncio.sleep(0)
        return length(inputs, prediction)

    for reward in (length, areward):
        program = best(reward=reward)
        with telic.context(lm=answers("a", "abcd", "a", "abcd")):
            assert program(question="?").answer == "abcd"
            assert asyncio.run(program.acall(question="?")).answer == "abcd"


def test_rewards_see_the_inputs_and_may_be_scores_predictions_or_bools():
    seen = []

    def reward(inputs, prediction):
        seen.append(inputs)
        return telic.Prediction(score=len(prediction.answer), feedback="…")

    assert ask(best(reward=reward), answers("abcd"))[0].answer == "abcd"
    assert seen == [{"question": "?"}]
    assert ask(best(reward=lambda i, p: telic.Score(5.0)), answers("a"))[0].answer == "a"
    assert ask(best(reward=lambda i, p: p.answer == "b", threshold=1), answers("a", "b"))[0].answer == "b"


def test_the_trace_has_the_steps_of_the_best_attempt_alone():
    program = best(threshold=9)
    trace = []

    with telic.context(lm=answers("a", "abc", "ab"), trace=trace):
        program(question="?")

    assert [(step.predictor, step.inputs, step.prediction.answer) for step in trace] == [
        (program.module, {"question": "?"}, "abc")
    ]


def test_what_a_reward_asks_an_lm_is_not_in_the_trace():
    judge = telic.Predict("answer -> good: bool")
    program = BestOfN(
        telic.Predict("question -> answer"), N=2, threshold=1,
        reward_fn=lambda inputs, prediction: judge(answer=prediction.answer).good,
    )  # fmt: skip
    trace = []

    with telic.context(lm=ScriptedLM([{"answer": "a"}, {"good": True}]), trace=trace):
        program(question="?")

    assert [step.predictor for step in trace] == [program.module]


def test_a_program_that_judges_is_no_part_of_the_program():
    class Judge(telic.Module):
        def __init__(self):
            self.judge = telic.Predict("answer -> good: bool")

        def forward(self, inputs, prediction):
            return self.judge(answer=prediction.answer).good

    program = best(reward=Judge(), threshold=1)

    assert [name for name, _ in program.named_predictors()] == ["module"]
    with telic.context(lm=ScriptedLM([{"answer": "a"}, {"good": False}, {"answer": "b"}, {"good": True}])):
        assert program.deepcopy()(question="?").answer == "b"


# Failures


def test_attempts_may_fail_as_long_as_one_succeeds():
    found, _ = ask(best(), answers(LMServerError("down"), LMServerError("down"), "a"))

    assert found.answer == "a"


def test_where_all_fail_the_last_failure_is_raised():
    lm = answers(LMServerError("one"), LMServerError("two"), LMServerError("three"))

    with pytest.raises(LMServerError, match="three") as caught:
        ask(best(), lm)
    assert caught.value.__notes__ == ["BestOfN: 3 failures in 3 attempts"]
    assert len(lm.requests) == 3


def test_fail_count_is_what_one_call_tolerates_and_is_not_used_up():
    program = best(fail_count=1)

    for _ in range(3):
        assert ask(program, answers(LMServerError("down"), "abcd"))[0].answer == "abcd"
    lm = answers(LMServerError("down"), LMServerError("down"), "abcd")
    with pytest.raises(LMServerError):
        ask(program, lm)
    assert len(lm.requests) == 2
    assert program.fail_count == 1
    with pytest.raises(LMServerError):
        ask(best(fail_count=0), answers(LMServerError("down"), "abcd"))


@pytest.mark.parametrize("error", [LMAuthError("no"), BudgetExceeded("spent"), ConfigurationError("wrong")])
def test_what_another_attempt_cannot_mend_ends_the_search_at_once(error):
    lm = answers(error, "abcd")

    with pytest.raises(type(error)):
        ask(best(), lm)
    assert len(lm.requests) == 1


def test_rewards_that_are_no_scores_are_failures():
    with pytest.raises(MetricError, match="no score"):
        ask(best(reward=lambda i, p: None), answers("a", "b", "c"))


@pytest.mark.parametrize(
    "options", [{"n": 0}, {"n": True}, {"reward": 1}, {"threshold": "high"}, {"fail_count": -1}]
)
def test_impossible_settings_are_refused(options):
    with pytest.raises(ConfigurationError):
        best(**options)
    with pytest.raises(ConfigurationError, match="cannot be called"):
        BestOfN("program", N=1, reward_fn=length, threshold=1)


def test_inputs_by_position_are_refused():
    with pytest.raises(InputError, match="by name"):
        best()("?")


# Among the rest


def reply(request):
    """Answer rightly in every second draw."""
    text = request.messages[-1]["content"]
    return {"answer": ("right" if request.sample % 2 else "wrong") + text.partition("]]\nq")[2][:1]}


def good(example, prediction, trace=None):
    return prediction.answer.startswith("right")


def test_it_is_bootstrapped_evaluated_saved_and_loaded(tmp_path):
    rows = [telic.Example(question=f"q{n}").with_inputs("question") for n in range(4)]
    program = best(n=2, reward=lambda inputs, prediction: good(None, prediction), threshold=1)

    with telic.context(lm=FunctionLM(reply)):
        compiled = telic.BootstrapFewShot(good, max_bootstrapped_demos=2, max_labeled_demos=0).compile(
            program, trainset=rows
        )
        assert [demo["answer"] for demo in compiled.module.demos] == ["right0", "right1"]
        assert telic.Evaluate(devset=rows * 8, metric=good, num_threads=8)(compiled).score == 100.0
        compiled.save(tmp_path / "p.json")
        loaded = best(n=2).load(tmp_path / "p.json")
    assert loaded.module.demos == compiled.module.demos
    loaded.set_lm(FunctionLM(reply))
    assert loaded.module.lm is loaded.get_lm()


def test_draws_are_kept_in_the_cache_each_in_its_own_place():
    lm = FunctionLM(reply, cache=True)

    for _ in range(2):
        with telic.context(lm=lm):
            found = best(n=4, reward=lambda i, p: good(None, p), threshold=1)(question="q1")
        assert found.answer == "right1"
    assert len(lm.requests) == 2
