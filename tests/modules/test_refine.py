import asyncio

import pytest

import telic
from telic.errors import AdapterParseError, LMServerError, NotConfiguredError
from telic.modules import Refine
from telic.testing import FunctionLM, ScriptedLM
from telic.tracing import BaseCallback


def length(inputs, prediction):
    """More letters are better."""
    return len(prediction.answer)


def worded(inputs, prediction):
    return telic.Prediction(score=len(prediction.answer), feedback=f"{prediction.answer!r} is too short.")


def advised(**advice):
    return {"discussion": "Too short.", "advice": advice}


class Chain(telic.Module):
    """Two steps of equal signatures."""

    def __init__(self):
        signature = telic.Signature("question -> answer", "Answer it.")
        self.first = telic.Predict(signature)
        self.second = telic.Predict(signature)

    def forward(self, question):
        return self.second(question=self.first(question=question).answer)


def last(lm, number=-1):
    return lm.requests[number].messages[-1]["content"]


def run(program, replies, **settings):
    lm = ScriptedLM(replies)
    with telic.context(lm=lm, max_retries=0, **settings):
        return program(question="?"), lm


def test_the_words_of_the_reward_are_the_hint_and_no_lm_is_asked_for_advice():
    refine = Refine(telic.Predict("question -> answer"), N=3, reward_fn=worded, threshold=3)

    found, lm = run(refine, [{"answer": "a"}, {"answer": "abc"}])

    assert found.answer == "abc"
    assert "hint_" not in str(lm.requests[0].messages)
    assert (
        "[[ ## hint_ ## ]]\nEarlier you answered:\nanswer: a\nThis was not good enough: 'a' is too short."
        in last(lm)
    )
    assert [request.sample for request in lm.requests] == [0, 1]
    assert {request.options["temperature"] for request in lm.requests} == {1.0}


def test_scores_with_feedback_are_words_too():
    refine = Refine(telic.Predict("question -> answer"), 2, lambda i, p: telic.Score(0.0, "No."), threshold=1)

    _, lm = run(refine, [{"answer": "a"}, {"answer": "b"}])

    assert "not good enough: No." in last(lm)


def test_without_words_an_lm_advises_the_modules_that_are_to_blame():
    refine = Refine(Chain(), N=2, reward_fn=length, threshold=3)
    one, two = {"answer": "x"}, {"answer": "yy"}

    found, lm = run(refine, [one, two, advised(second="Write more.", unknown="?"), one, {"answer": "yyy"}])

    assert found.answer == "yyy"
    asked = last(lm, 2)
    assert "first: Answer it." in asked
    assert "second was given\nquestion: x\nand answered\nanswer: yy" in asked
    assert "More letters are better." in asked
    assert "2, and 3 is wanted" in asked
    assert "hint_" not in last(lm, 3)
    assert "[[ ## hint_ ## ]]\nWrite more." in last(lm, 4)
    assert lm.remaining == 0


def test_no_source_code_is_needed():
    names = {}
    exec("def reward(inputs, prediction):\n    return len(prediction.answer)", names)

    found, lm = run(
        Refine(telic.Predict("question -> answer"), 2, names["reward"], threshold=2),
        [{"answer": "a"}, advised(self="More."), {"answer": "ab"}],
    )

    assert found.answer == "ab"
    assert "not known" in last(lm, 1)


def test_the_best_is_returned_without_advice_after_the_last():
    found, lm = run(
        Refine(telic.Predict("question -> answer"), 2, length, threshold=9),
        [{"answer": "abc"}, advised(self="More."), {"answer": "ab"}],
    )

    assert found.answer == "abc"
    assert lm.remaining == 0


def test_the_trace_has_the_users_predictors_and_no_hints():
    program = Chain()
    trace = []

    run(
        Refine(program, 2, worded, threshold=3), [{"answer": a} for a in ("x", "y", "xx", "yyy")], trace=trace
    )

    assert [(step.predictor, step.inputs, step.prediction.answer) for step in trace] == [
        (program.first, {"question": "?"}, "xx"),
        (program.second, {"question": "xx"}, "yyy"),
    ]


def test_the_program_is_as_it_was_and_demos_stay_whole():
    program = telic.Predict("question -> answer")
    program.demos = [telic.Example(question="1", answer="one").with_inputs("question")]

    _, lm = run(Refine(program, 2, worded, threshold=3), [{"answer": "x"}, {"answer": "xxx"}])

    assert list(program.signature.fields) == ["question", "answer"]
    assert program.demos[0].keys() == ["question", "answer"]
    assert "Not supplied" not in str(lm.requests[1].messages)
    assert "None was needed." in lm.requests[1].messages[1]["content"]


def test_a_field_of_the_users_own_called_hint_is_left_alone():
    found, lm = run(
        Refine(telic.Predict("question, hint_: str = 'mine' -> answer"), 2, worded, threshold=3),
        [{"answer": "x"}, {"answer": "xxx"}],
    )

    assert found.answer == "xxx"
    assert "[[ ## hint_ ## ]]\nmine" in last(lm)


def test_it_is_the_same_async():
    program = Refine(Chain(), N=2, reward_fn=length, threshold=3)
    script = [{"answer": "x"}, {"answer": "y"}, advised(second="More."), {"answer": "x"}, {"answer": "yyy"}]

    with telic.context(lm=ScriptedLM(script * 2)):
        assert program(question="?").answer == "yyy"
        assert asyncio.run(program.acall(question="?")).answer == "yyy"


def test_advice_comes_from_the_lm_of_the_program():
    refine = Refine(telic.Predict("question -> answer"), 2, length, threshold=2)
    refine.set_lm(ScriptedLM([{"answer": "a"}, advised(self="More."), {"answer": "ab"}]))

    assert refine(question="?").answer == "ab"


def test_attempts_and_advice_may_fail_as_often_as_one_call_tolerates():
    down = LMServerError("down")
    make = lambda count: Refine(telic.Predict("question -> answer"), 3, length, 3, fail_count=count)  # noqa: E731

    refine = make(1)
    for _ in range(2):
        assert run(refine, [{"answer": "a"}, "no advice", {"answer": "abc"}])[0].answer == "abc"
        assert run(refine, [down, {"answer": "abc"}])[0].answer == "abc"
    with pytest.raises(AdapterParseError):
        run(make(0), [{"answer": "a"}, "no advice"])
    with pytest.raises(LMServerError) as caught:
        run(make(None), [down] * 3)
    assert caught.value.__notes__ == ["Refine: 3 failures in 3 attempts"]


def test_without_an_lm_it_ends_at_once():
    with pytest.raises(NotConfiguredError):
        Refine(telic.Predict("question -> answer"), 2, length, 3)(question="?")


def test_who_watches_the_program_sees_every_attempt():
    seen = []

    class Watch(BaseCallback):
        def on_module_start(self, call_id, instance, inputs):
            seen.append(type(instance).__name__)

    watched = telic.Predict("question -> answer", callbacks=[Watch()])

    run(Refine(watched, 2, worded, threshold=3), [{"answer": "x"}, {"answer": "xxx"}])

    assert seen == ["Predict", "Predict"]


def test_any_callable_can_be_refined_without_hints():
    lm = ScriptedLM([{"answer": "x"}, {"answer": "xxx"}])
    inner = telic.Predict("question -> answer")

    with telic.context(lm=lm):
        assert Refine(lambda question: inner(question=question), 2, worded, 3)(question="?").answer == "xxx"


def reply(request):
    text = request.messages[-1]["content"]
    return {"answer": "right" if "[[ ## hint_ ## ]]" in text else "no"}


def test_it_is_bootstrapped_evaluated_saved_and_loaded(tmp_path):
    rows = [telic.Example(question=f"q{n}").with_inputs("question") for n in range(4)]
    metric = lambda example, prediction, trace=None: prediction.answer == "right"  # noqa: E731
    program = Refine(Chain(), N=2, reward_fn=worded, threshold=5)

    with telic.context(lm=FunctionLM(reply)):
        compiled = telic.BootstrapFewShot(metric, max_bootstrapped_demos=2, max_labeled_demos=0).compile(
            program, trainset=rows
        )
        assert ["hint_" in demo for demo in compiled.module.second.demos] == [False, False]
        assert telic.Evaluate(devset=rows * 8, metric=metric, num_threads=8)(compiled).score == 100.0
        compiled.save(tmp_path / "p.json")
        loaded = Refine(Chain(), N=2, reward_fn=worded, threshold=5).load(tmp_path / "p.json")
        assert loaded(question="q").answer == "right"
    assert [name for name, _ in loaded.named_predictors()] == ["module.first", "module.second"]
    assert loaded.module.first.demos == compiled.module.first.demos
