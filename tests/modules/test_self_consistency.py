import asyncio

import pytest

import telic
from telic.errors import BudgetExceeded, ConfigurationError, InputError, LMServerError, ProgramError
from telic.modules import SelfConsistency
from telic.testing import FunctionLM


def by_sample(*words):
    """Return an LM that answers each draw with a word of its own."""

    def reply(request):
        word = words[request.sample]
        if isinstance(word, Exception):
            raise word
        return {"reasoning": f"r{request.sample}", "answer": word}

    return FunctionLM(reply)


def asked(*words, signature="question -> answer", **options):
    program = SelfConsistency(telic.ChainOfThought(signature), N=len(words), **options)
    lm = by_sample(*words)
    with telic.context(lm=lm, max_retries=0):
        found = program(question="?")
        assert asyncio.run(program.acall(question="?")) == found
    return found, lm


def test_the_answer_of_most_samples_wins_and_comes_whole():
    found, lm = asked("5", "4", "4.0", "6")

    assert (found.answer, found.reasoning) == ("4", "r1")
    assert found.completions.answer == ["4", "5", "4.0", "6"]
    assert sorted(request.sample for request in lm.requests) == [0, 0, 1, 1, 2, 2, 3, 3]
    assert {request.options["temperature"] for request in lm.requests} == {0.7}


@pytest.mark.parametrize(
    ("kind", "replies", "answer"),
    [
        ("int", ["5", "4", "4"], 4),
        ("list[str]", ['["a"]', '["b"]', '["b"]'], ["b"]),
        ("bool", ["True", "no", "false"], False),
        ("float", ["1.50", "2", "1.5"], 1.5),
        ("dict[str, int]", ['{"a": 1}', '{"a": 2}', '{"a": 2}'], {"a": 2}),
    ],
)
def test_typed_answers_are_counted_by_value(kind, replies, answer):
    assert asked(*replies, signature=f"question -> answer: {kind}")[0].answer == answer


def test_the_field_and_the_comparison_can_be_chosen():
    assert asked("ab", "ac", "b", normalize=lambda text: text[0])[0].answer == "ab"
    assert asked("a", "A", "A", normalize=None)[0].answer == "A"
    assert asked("a", "b", "b", field="reasoning")[0].answer == "a"
    with pytest.raises(InputError, match="anwser"):
        asked("a", "b", field="anwser")


def test_fields_that_are_no_outputs_do_not_vote():
    lm = by_sample("4", "4", "5")

    class Told(telic.Module):
        signature = telic.Signature("question -> answer")

        def __init__(self):
            self.predict = telic.ChainOfThought("question -> answer")

        def forward(self, question):
            found = self.predict(question=question)
            return telic.Prediction(**found, trajectory=found.reasoning)

    with telic.context(lm=lm):
        assert SelfConsistency(Told(), N=3)(question="?").answer == "4"


def test_samples_that_fail_do_not_vote():
    error = LMServerError("down")
    found, _ = asked(error, "b", "c", "c")
    assert found.answer == "c"
    assert len(found.completions) == 3
    with pytest.raises(LMServerError) as caught:
        asked(error, "b", error, fail_count=1)
    assert "2 of 3 samples failed" in caught.value.__notes__[0]
    with pytest.raises(LMServerError):
        asked(error, error)
    with pytest.raises(BudgetExceeded):
        asked("a", BudgetExceeded("spent"), "a")


def test_the_trace_has_the_steps_of_the_winner():
    program = SelfConsistency(telic.ChainOfThought("question -> answer"), N=3)
    trace = []
    with telic.context(lm=by_sample("a", "b", "b"), trace=trace):
        program(question="?")

    assert [(step.predictor, step.prediction.reasoning) for step in trace] == [(program.module.predict, "r1")]


def test_nested_searches_draw_afresh():
    words = ["a"] * 12
    lm = by_sample(*words)
    inner = SelfConsistency(telic.ChainOfThought("question -> answer"), N=3)
    outer = telic.BestOfN(inner, N=4, reward_fn=lambda inputs, prediction: 0, threshold=1)
    with telic.context(lm=lm):
        outer(question="?")

    assert sorted(request.sample for request in lm.requests) == list(range(12))


def test_the_same_again_is_answered_by_the_cache():
    lm = FunctionLM(lambda request: {"answer": str(request.sample)}, cache=True)
    program = SelfConsistency(telic.Predict("question -> answer"), N=4)
    with telic.context(lm=lm):
        first = program(question="again?")
        assert program(question="again?") == first

    assert len(lm.requests) == 4


@pytest.mark.parametrize(
    ("module", "options", "said"),
    [
        ("program", {}, "cannot be called"),
        (len, {"N": 0}, "N must be"),
        (len, {"N": 2.5}, "N must be"),
        (len, {"temperature": -1}, "temperature"),
        (len, {"temperature": float("nan")}, "temperature"),
        (len, {"temperature": "high"}, "temperature"),
        (len, {"fail_count": -1}, "fail_count"),
    ],
)
def test_impossible_settings_are_refused(module, options, said):
    with pytest.raises(ConfigurationError, match=said):
        SelfConsistency(module, **options)


def test_programs_without_predictions_are_refused():
    with pytest.raises(ProgramError, match="'just text'"):
        SelfConsistency(lambda question: "just text", N=2)(question="?")
    with pytest.raises(InputError, match="by name"):
        SelfConsistency(len)("?")
