import asyncio

import pytest

import telic
from telic.errors import BudgetExceeded, ConfigurationError, InputError, LMAuthError, LMServerError
from telic.modules import Ensemble
from telic.testing import FunctionLM


def member(word):
    predict = telic.Predict("question -> answer")

    def reply(text):
        if isinstance(word, Exception):
            raise word
        return {"answer": word}

    predict.lm = FunctionLM(reply)
    return predict


def words(answers):
    return " ".join(answer.answer for answer in answers)


def ensemble(*members, **options):
    return Ensemble([member(word) for word in members], **options)


def test_all_members_answer_in_their_order():
    assert words(ensemble("a", "b", "c")(question="?")) == "a b c"
    assert ensemble("a", "b", "a", reduce_fn=telic.majority)(question="?").answer == "a"


def test_it_is_the_same_async_with_async_reductions_and_modules():
    async def joined(answers):
        await asyncio.sleep(0)
        return telic.Prediction(answer=words(answers))

    class Joined(telic.Module):
        def forward(self, answers):
            return telic.Prediction(answer=words(answers))

    for reduce_fn in (joined, Joined()):
        program = ensemble("a", "b", reduce_fn=reduce_fn)
        assert program(question="?").answer == "a b"
        assert asyncio.run(program.acall(question="?")).answer == "a b"


def test_a_size_draws_members_anew_for_every_input_and_again_for_the_same():
    program = ensemble(*"abcdef", size=2, reduce_fn=words)
    drawn = [program(question=str(n)) for n in range(30)]

    assert drawn == [program(question=str(n)) for n in range(30)]
    assert len(set(drawn)) > 8
    assert all(one == " ".join(sorted(one.split())) and len(one) == 3 for one in drawn)
    with telic.context(sample=1):
        assert drawn != [program(question=str(n)) for n in range(30)]
    assert drawn != [ensemble(*"abcdef", size=2, reduce_fn=words, seed=1)(question=str(n)) for n in range(30)]


def test_one_failure_is_raised_unless_some_are_tolerated():
    with pytest.raises(LMServerError, match="one") as caught:
        ensemble("a", LMServerError("one"), LMServerError("two"))(question="?")
    assert caught.value.__notes__ == ["Ensemble: 2 failures in 3 programs"]
    with telic.context(max_retries=0):
        assert words(ensemble("a", LMServerError("one"), "c", fail_count=1)(question="?")) == "a c"
        with pytest.raises(LMServerError):
            ensemble(LMServerError("one"), fail_count=5)(question="?")


@pytest.mark.parametrize("error", [LMAuthError("no key"), BudgetExceeded("spent"), ConfigurationError("no")])
def test_what_no_other_member_can_mend_is_raised(error):
    program = ensemble("a", error, "c", fail_count=2)
    with pytest.raises(type(error)):
        program(question="?")
    with pytest.raises(type(error)):
        asyncio.run(program.acall(question="?"))


def test_steps_stand_in_the_order_of_the_members():
    program = ensemble(*"abcdefgh")
    for _ in range(3):
        trace = []
        with telic.context(trace=trace):
            program(question="?")
        assert [step.predictor for step in trace] == program.programs


def test_members_are_parts():
    program = ensemble("a", "b")

    assert [name for name, _ in program.named_predictors()] == ["programs[0]", "programs[1]"]


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: Ensemble([]), "one program or more"),
        (lambda: Ensemble(["a"]), "called"),
        (lambda: ensemble("a", size=2), "1 program"),
        (lambda: ensemble("a", size=0), "size"),
        (lambda: ensemble("a", reduce_fn="majority"), "reduce_fn"),
        (lambda: ensemble("a", fail_count=-1), "fail_count"),
    ],
)
def test_impossible_settings_are_refused(make, said):
    with pytest.raises(ConfigurationError, match=said):
        make()
    with pytest.raises(InputError, match="by name"):
        ensemble("a")("?")
