import asyncio

import pytest

import telic
from telic.errors import ConfigurationError, InputError, SignatureError
from telic.modules import MultiChainComparison
from telic.testing import FunctionLM, ScriptedLM

ATTEMPTS = [
    {"reasoning": "2 + 2 = 4\nsurely", "answer": 4},
    telic.Prediction(rationale="A guess.", answer=5),
    telic.Example(answer=4),
]
REPLY = {"rationale": "Two agree.", "answer": 4}


def test_the_attempts_are_shown_and_the_answer_is_typed():
    lm = ScriptedLM([REPLY])

    found = MultiChainComparison("question -> answer: int")(completions=ATTEMPTS, question="2 + 2?", lm=lm)

    assert (found.rationale, found.answer) == ("Two agree.", 4)
    text = lm.requests[0].messages[-1]["content"]
    assert "[[ ## reasoning_attempt_1 ## ]]\nreasoning: 2 + 2 = 4\n    surely\nanswer: 4" in text
    assert "[[ ## reasoning_attempt_2 ## ]]\nrationale: A guess.\nanswer: 5" in text
    assert "[[ ## reasoning_attempt_3 ## ]]\nanswer: 4" in text
    assert lm.requests[0].options["temperature"] == 0.7


def test_all_outputs_of_any_type_are_shown():
    lm = ScriptedLM([{"rationale": "r", "tags": ["a"], "scores": {"a": 1.0}}])
    compare = MultiChainComparison("text -> tags: list[str], scores: dict[str, float]", M=1, temperature=None)

    found = compare([{"tags": ["a", "b"], "scores": {"a": 0.5}}], text="t", lm=lm)

    assert found.tags == ["a"]
    assert 'tags: ["a", "b"]\nscores: {"a": 0.5}' in lm.requests[0].messages[-1]["content"]
    assert "temperature" not in lm.requests[0].options


def test_its_predictor_has_the_name_and_fields_of_dspy():
    compare = MultiChainComparison("question -> answer")

    assert [name for name, _ in compare.named_predictors()] == ["predict"]
    assert list(compare.predict.signature.fields) == [
        "question", "reasoning_attempt_1", "reasoning_attempt_2", "reasoning_attempt_3", "rationale", "answer",
    ]  # fmt: skip


def test_samples_of_one_call_can_be_compared():
    lm = ScriptedLM([{"answer": 4}, {"answer": 5}, REPLY, REPLY])
    compare = MultiChainComparison("question -> answer: int", M=2)

    with telic.context(lm=lm):
        sampled = telic.Predict("question -> answer: int", n=2, temperature=1.0)(question="?")
        assert compare(sampled, question="?").answer == 4
        assert compare(sampled.completions, question="?").answer == 4


@pytest.mark.parametrize(
    ("completions", "said"),
    [
        (ATTEMPTS[:2], "compares 3 attempts, and completions has 2"),
        ([], "has 0"),
        (None, "list of attempts"),
        ("abc", "list of attempts"),
        ([1, "b", "c"], "attempt 0"),
        ([*ATTEMPTS[:2], {"anwser": 4}], "did you mean|none of the outputs"),
    ],
)
def test_wrong_attempts_are_refused_before_anything_is_sent(completions, said):
    lm = ScriptedLM([])

    with pytest.raises(InputError, match=said):
        MultiChainComparison("question -> answer: int")(completions=completions, question="?", lm=lm)
    assert lm.requests == []


@pytest.mark.parametrize(
    ("make", "error"),
    [
        (lambda: MultiChainComparison("question -> answer", M=0), ConfigurationError),
        (lambda: MultiChainComparison("completions -> answer"), ConfigurationError),
        (lambda: MultiChainComparison("reasoning_attempt_2 -> answer"), SignatureError),
        (lambda: MultiChainComparison("question -> answer", temprature=1), ConfigurationError),
    ],
)
def test_what_cannot_work_is_refused_when_it_is_made(make, error):
    with pytest.raises(error):
        make()


def test_inputs_are_given_by_name():
    with pytest.raises(InputError, match="by name"):
        MultiChainComparison("question -> answer: int")(ATTEMPTS, "?")


def test_it_works_async_and_inside_of_programs_and_optimizers(tmp_path):
    class Compared(telic.Module):
        def __init__(self):
            self.attempt = telic.ChainOfThought("question -> answer", temperature=1.0)
            self.compare = MultiChainComparison("question -> answer", M=2)

        def forward(self, question):
            attempts = [self.attempt(question=question, config={"rollout_id": n}) for n in range(2)]
            return self.compare(attempts, question=question)

    def reply(request):
        compared = "reasoning_attempt_1" in request.messages[0]["content"]
        return {"rationale" if compared else "reasoning": "r", "answer": "yes"}

    rows = [telic.Example(question=f"q{n}", answer="yes").with_inputs("question") for n in range(3)]
    program = Compared()
    with telic.context(lm=FunctionLM(reply)):
        metric = lambda example, prediction, trace=None: prediction.answer == example.answer  # noqa: E731
        compiled = telic.BootstrapFewShot(metric, max_bootstrapped_demos=2, max_labeled_demos=0).compile(
            program, trainset=rows
        )
        compiled.save(tmp_path / "p.json")
        loaded = Compared().load(tmp_path / "p.json")
        assert loaded(question="q").answer == "yes"
        assert asyncio.run(loaded.acall(question="q")).answer == "yes"
        assert asyncio.run(
            MultiChainComparison("question -> answer", M=1).acall([{"answer": "x"}], question="?")
        ).rationale
    assert len(loaded.compare.predict.demos) == 2
    assert "reasoning_attempt_2" in loaded.compare.predict.demos[0]
    assert loaded.get_lm() is None
