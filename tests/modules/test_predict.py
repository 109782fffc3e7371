import asyncio
import threading
from typing import Literal

import pydantic
import pytest
from typing_extensions import TypedDict

from telic.adapters import ChatAdapter, JSONAdapter
from telic.context import context
from telic.data import Completion, Example, Prediction
from telic.errors import (
    AdapterParseError,
    ConfigurationError,
    InputError,
    LMServerError,
    NotConfiguredError,
    TruncatedReplyError,
)
from telic.execution import run_all
from telic.modules import Predict
from telic.signatures import InputField, OutputField, Signature
from telic.tracing import history


class QA(Signature):
    """Answer from the context."""

    context: str = InputField()
    question: str = InputField()
    answer: str = OutputField()


def last_user(request):
    return request.messages[-1]["content"]


def test_a_call_renders_asks_and_parses(use, reply):
    lm = use(reply(answer="Paris"))

    prediction = Predict(QA)(context="France.", question="Where?")

    assert isinstance(prediction, Prediction)
    assert prediction.answer == "Paris"
    assert "France." in last_user(lm.requests[0])
    assert lm.requests[0].prefix == 1
    assert lm.requests[0].options == {}


def test_acall_gives_the_same(use, reply):
    lm = use(function=lambda request: reply(answer="Paris"))
    predict = Predict("question -> answer")

    async def main():
        return await asyncio.gather(*(predict.acall(question=str(n)) for n in range(50)))

    assert [p.answer for p in asyncio.run(main())] == ["Paris"] * 50
    assert len(lm.requests) == 50


def test_the_rendered_messages_are_the_ones_sent(use, reply):
    lm = use(reply(answer="4"))
    predict = Predict("question -> answer")
    predict.demos = [Example(question="1+1?", answer="2")]

    predict(question="2+2?")

    assert predict.render(question="2+2?") == list(lm.requests[0].messages)
    assert predict.render({"question": "2+2?"}) == predict.render(question="2+2?")


def test_rendering_needs_no_lm_and_checks_inputs():
    assert len(Predict(QA).render(context="c", question="q")) == 2
    with pytest.raises(InputError):
        Predict(QA).render(context="c")


# Inputs


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ({"context": "c"}, "needs the input `question`"),
        ({}, "needs the input `context` and `question`"),
        ({"context": "c", "question": "q", "extra": 1}, "no input 'extra'"),
        ({"contxt": "c", "question": "q"}, "did you mean 'context'"),
        ({"context": None, "question": "q"}, "'context' of QA must be str, got None"),
    ],
)
def test_wrong_inputs_are_refused_before_any_call(use, inputs, message):
    lm = use()

    with pytest.raises(InputError, match=message):
        Predict(QA)(**inputs)
    assert lm.requests == []


def test_positional_inputs_are_refused_with_the_right_call(use):
    use()

    with pytest.raises(InputError, match=r"predictor\(context=…, question=…\)"):
        Predict(QA)("c", "q")


def test_wrong_inputs_are_refused_on_the_async_side_too(use):
    use()

    with pytest.raises(InputError):
        asyncio.run(Predict(QA).acall(context="c"))


class Person(pydantic.BaseModel):
    name: str


class Stranger:
    pass


class Sized(TypedDict):
    size: int


@pytest.mark.parametrize(
    ("annotation", "good", "bad"),
    [
        (int, [3, "3", True], ["three", 1.5]),
        (float, [1, 2.5, "2.5"], ["x", [1.0]]),
        (bool, [True, "true"], ["perhaps"]),
        (list[str], [["a"], []], [["a", 1], "ab"]),
        (dict[str, int], [{"a": 1}], [{"a": "x"}]),
        (Literal["a", "b"], ["a"], ["c", 1]),
        (int | None, [None, 1], ["x"]),
        (str | None, [None, "x", 3], []),
        (Person, [Person(name="A"), {"name": "A"}], [{"nom": "A"}, "A"]),
        (list[Person], [[Person(name="A")]], [["A"]]),
        (Stranger, [Stranger()], ["x"]),
        (Sized, [{"size": 1}], [{"size": "big"}, 3]),
        (Sized | None, [{"size": 1}, None], [[]]),
        (list, [[1]], [1]),
    ],
)
def test_inputs_must_fit_their_types(use, reply, annotation, good, bad):
    use(function=lambda request: reply(answer="x"))
    signature = Signature("value -> answer").with_updated_fields("value", annotation)
    predict = Predict(signature)

    for value in good:
        assert predict(value=value).answer == "x"
    for value in bad:
        with pytest.raises(InputError, match="'value'"):
            predict(value=value)


def test_text_fields_take_lists_and_numbers_which_are_rendered(use, reply):
    lm = use(function=lambda request: reply(answer="x"))

    Predict(QA)(context=["first passage", "second"], question=7)

    assert "first passage" in last_user(lm.requests[0])


def test_type_checks_can_be_switched_off(use, reply):
    use(reply(answer="x"))

    with context(warn_on_type_mismatch=False):
        assert Predict("n: int -> answer")(n="many").answer == "x"


def test_defaults_and_optional_inputs_are_filled(use, reply):
    class Search(Signature):
        query: str = InputField()
        k: int = InputField(default=3)
        tags: list[str] = InputField(default_factory=list)
        hint: str | None = InputField()
        answer: str = OutputField()

    use(function=lambda request: reply(answer="x"))
    trace = []

    with context(trace=trace):
        Predict(Search)(query="q")

    assert trace[0].inputs == {"query": "q", "k": 3, "tags": [], "hint": None}


# What changes one call


def test_keywords_change_one_call_alone(use, reply, fake):
    use(reply(answer="outer"))
    other = fake(reply(answer="inner"))
    predict = Predict("question -> answer", temperature=0.1)

    inner = predict(
        question="q", lm=other, config={"temperature": 0.9}, demos=[Example(question="d", answer="e")]
    )

    assert inner.answer == "inner"
    assert other.requests[0].options == {"temperature": 0.9}
    assert other.requests[0].prefix == 3
    assert predict(question="q").answer == "outer"
    assert predict.demos == []


def test_another_signature_for_one_call(use, reply):
    use(reply(reasoning="r", answer="a"))

    prediction = Predict("question -> answer")(question="q", signature="question -> reasoning, answer")

    assert prediction.reasoning == "r"


@pytest.mark.parametrize("name", ["config", "demos", "lm", "signature", "prediction"])
def test_fields_named_like_keywords_belong_to_the_inputs(use, reply, name):
    lm = use(reply(answer="x"))

    Predict(f"{name} -> answer")(**{name: "the value"})

    assert "the value" in last_user(lm.requests[0])


def test_a_predicted_output_becomes_an_option(use, reply):
    lm = use(reply(answer="x"))
    expected = {"type": "content", "content": "x"}

    Predict("question -> answer")(question="q", prediction=expected)

    assert lm.requests[0].options == {"prediction": expected}


def test_options_of_the_library_are_not_sent(use, reply):
    lm = use(reply(answer="x"))

    Predict("question -> answer", max_retries=3, rollout_id=7, cache=False, temperature=1.0)(question="q")

    request = lm.requests[0]
    assert (request.options, request.sample, request.cache) == ({"temperature": 1.0}, 7, False)


def test_the_sample_index_of_the_context_is_the_requests(use, reply):
    lm = use(reply(answer="x"))

    with context(sample=4):
        Predict("question -> answer")(question="q")

    assert lm.requests[0].sample == 4


@pytest.mark.parametrize(
    "config", [{"temprature": 1}, {"n": 0}, {"max_tokens": -5}, {"temperature": "hot"}, {"max_retries": -1}]
)
def test_impossible_options_are_refused_when_given(config):
    with pytest.raises(ConfigurationError):
        Predict("question -> answer", **config)


def test_options_only_a_provider_knows_pass(use, reply):
    lm = use(reply(answer="x"))

    Predict("question -> answer", guided_regex=".*")(question="q")

    assert lm.requests[0].options == {"guided_regex": ".*"}


def test_without_an_lm_the_error_says_what_to_do():
    with pytest.raises(NotConfiguredError, match=r"telic\.configure\(lm="):
        Predict(QA)(context="c", question="q")


def test_the_predictors_own_lm_stands_before_the_configured_one(use, fake, reply):
    use()
    predict = Predict("question -> answer")
    predict.lm = fake(reply(answer="own"))

    assert predict(question="q").answer == "own"


# The kept plan


def test_demos_edited_in_place_are_seen(use, reply):
    lm = use(function=lambda request: reply(answer="x"))
    predict = Predict("question -> answer")
    predict.demos = [Example(question="d", answer="first", notes=["a"])]

    predict(question="q")
    predict.demos[0].answer = "second"
    predict(question="q")
    predict.demos.append({"question": "as a dict", "answer": "third"})
    predict(question="q")

    sent = [[m["content"] for m in request.messages[1:-1]] for request in lm.requests]
    assert "first" in sent[0][1]
    assert "second" in sent[1][1]
    assert "third" in sent[2][3]


def test_values_inside_demos_edited_in_place_are_seen(use, reply):
    lm = use(function=lambda request: reply(answer="x"))
    predict = Predict("words: list[str] -> answer")
    predict.demos = [Example(words=["old"], answer="a")]

    predict(words=["q"])
    predict.demos[0].words[0] = "new"
    predict(words=["q"])

    assert "new" in lm.requests[1].messages[1]["content"]


def test_signature_and_adapter_changes_are_seen(use, reply):
    lm = use(
        function=lambda request: (
            reply(answer="x") if "completed ##" in str(request.messages) else '{"answer": "x"}'
        )
    )
    predict = Predict("question -> answer")

    predict(question="q")
    predict.signature = predict.signature.with_instructions("Be brief.")
    predict(question="q")
    with context(adapter=JSONAdapter()):
        predict(question="q")

    systems = [request.messages[0]["content"] for request in lm.requests]
    assert "Be brief." in systems[1]
    assert len(set(systems)) == 3


def test_equal_state_renders_the_prefix_once(use, reply):
    lm = use(function=lambda request: reply(answer="x"))
    predict = Predict("question -> answer")
    predict.demos = [Example(question="d", answer="a")]

    predict(question="1")
    predict.demos = [Example(question="d", answer="a")]
    predict(question="2")

    assert lm.requests[0].messages[0] is lm.requests[1].messages[0]


def test_many_threads_with_different_adapters_share_a_predictor(use, reply):
    use(
        function=lambda request: (
            reply(answer="c") if "completed ##" in str(request.messages) else '{"answer": "j"}'
        )
    )
    predict = Predict("question -> answer")
    adapters = [ChatAdapter(), JSONAdapter()]

    def work(n):
        with context(adapter=adapters[n % 2]):
            return predict(question=str(n)).answer

    outcomes = run_all(range(400), work, num_threads=16)

    assert [o.value for o in outcomes] == ["c", "j"] * 200


def test_512_threads_share_a_predictor(use, reply):
    barrier = threading.Barrier(512)

    def answer(request):
        barrier.wait(30)
        return reply(answer=last_user(request).split("\n")[1])

    use(function=answer)
    predict = Predict("question -> answer")

    outcomes = run_all(range(512), lambda n: predict(question=str(n)).answer, num_threads=512)

    assert [o.value for o in outcomes] == [str(n) for n in range(512)]


# Replies that do not parse


def test_an_unreadable_reply_is_asked_for_again_in_the_same_conversation(use, reply):
    lm = use(reply(score="high"), reply(score="0.5"))

    prediction = Predict("question -> score: float")(question="q")

    first, second = lm.requests
    assert prediction.score == 0.5
    assert list(second.messages[: len(first.messages)]) == list(first.messages)
    assert second.messages[len(first.messages)]["role"] == "assistant"
    assert second.messages[-1]["role"] == "user"
    assert second.prefix == first.prefix
    assert prediction._response.usage.calls == 2
    assert len(history()) == 2


def test_asking_again_works_on_the_async_side(use, reply):
    use(reply(score="high"), reply(score="0.5"))

    assert asyncio.run(Predict("question -> score: float").acall(question="q")).score == 0.5


@pytest.mark.parametrize(("retries", "calls"), [(0, 1), (1, 2), (3, 4)])
def test_a_reply_is_asked_for_again_at_most_max_retries_times(use, retries, calls):
    lm = use(*["nothing useful"] * 9)

    with context(max_retries=retries), pytest.raises(AdapterParseError) as caught:
        Predict("question -> score: float")(question="q")

    assert len(lm.requests) == calls
    assert len(caught.value.attempts) == calls
    assert caught.value.lm_response == "nothing useful"


def test_the_predictors_max_retries_stands_before_the_setting(use):
    lm = use(*["nothing useful"] * 9)

    with pytest.raises(AdapterParseError):
        Predict("question -> score: float", max_retries=2)(question="q")

    assert len(lm.requests) == 3


def test_a_cut_reply_is_never_asked_for_again_and_names_the_limit(use):
    lm = use(Completion("[[ ## reasoning ## ]]\nOnce upon", finish_reason="length"))

    with pytest.raises(TruncatedReplyError, match=r"max_tokens=16.*allow more"):
        Predict("question -> reasoning, answer", max_tokens=16)(question="q")

    assert len(lm.requests) == 1


def test_errors_of_the_lm_pass_unchanged(use):
    use(LMServerError("down"))

    with pytest.raises(LMServerError, match="down"):
        Predict("question -> answer")(question="q")


def test_a_reply_without_completions_is_an_error(use):
    use([])

    with pytest.raises(Exception, match="no completion at all"):
        Predict("question -> answer")(question="q")


# Several completions


def test_several_completions_stand_in_the_prediction(use, reply):
    lm = use([reply(answer="a"), reply(answer="b"), reply(answer="a")])

    prediction = Predict("question -> answer", n=3)(question="q")

    assert lm.requests[0].options == {"n": 3}
    assert prediction.answer == "a"
    assert prediction.completions.answer == ["a", "b", "a"]


def test_only_the_unreadable_completion_is_asked_for_again(use, reply):
    lm = use([reply(score="1"), "rubbish", reply(score="3")], reply(score="2"))

    prediction = Predict("question -> score: float", n=3)(question="q")

    assert sorted(prediction.completions.score) == [1.0, 2.0, 3.0]
    assert "n" not in lm.requests[1].options


def test_completions_that_stay_unreadable_are_left_out_and_logged(use, reply, caplog):
    use([reply(score="1"), "rubbish"], "rubbish")

    prediction = Predict("question -> score: float", n=2)(question="q")

    assert prediction.completions.score == [1.0]
    assert "1 of 2 completions" in caplog.text


# Traces and other state


def test_steps_are_recorded_where_a_trace_is_open(use, reply):
    use(function=lambda request: reply(answer="x"))
    predict = Predict("question -> answer")
    trace = []

    predict(question="unseen")
    with context(trace=trace):
        prediction = predict(question="q")
        predict(question="left out", _trace=False)

    assert [(step.predictor, step.inputs, step.prediction) for step in trace] == [
        (predict, {"question": "q"}, prediction)
    ]


def test_reset_forgets_demos_and_keeps_the_rest(fake):
    predict = Predict("question -> answer", temperature=0.5)
    predict.demos = [Example(question="q", answer="a")]
    predict.lm = fake()

    predict.reset()

    assert (predict.demos, predict.get_config(), predict.lm is None) == ([], {"temperature": 0.5}, False)


def test_options_can_be_changed_later():
    predict = Predict("question -> answer", temperature=0.5)

    predict.update_config(n=2)

    assert predict.config == {"temperature": 0.5, "n": 2}
    with pytest.raises(ConfigurationError):
        predict.update_config(tempratur=1)


def test_a_function_serves_as_an_lm(reply):
    with context(lm=lambda messages, **options: reply(answer="from a function")):
        assert Predict("question -> answer")(question="q").answer == "from a function"


@pytest.mark.parametrize(
    ("demos", "told"),
    [
        (["question: a"], "number 0 is str 'question: a'"),
        (Example(question="a", answer="b"), "are Example .* give a list"),
        ({"question": "a", "answer": "b"}, "are dict .* give a list"),
        (None, "are NoneType None"),
    ],
)
def test_demos_that_are_none_are_refused(demos, told):
    predict = Predict("question -> answer")
    predict.demos = demos
    with pytest.raises(ConfigurationError, match=told):
        predict.render(question="a")


def test_demos_of_other_fields_are_told_of(caplog):
    predict = Predict("question -> answer")
    predict.demos = [Example(qestion="a", anser="b")]
    predict.render(question="a")
    assert "1 demo of StringSignature: shown to no LM" in caplog.text
    assert "'qestion', 'anser'" in caplog.text


def test_nothing_is_told_where_some_demos_are_shown(caplog):
    predict = Predict("question -> answer")
    predict.demos = [Example(qestion="a", anser="b"), {"question": "a", "answer": "b"}]
    assert len(predict.render(question="a")) == 4
    assert not caplog.text


@pytest.mark.parametrize(("given", "told"), [(JSONAdapter, "a class: make one"), ("json", "subclass")])
def test_what_is_no_adapter_is_refused(given, told):
    with context(adapter=given), pytest.raises(ConfigurationError, match=f"is no adapter .*{told}"):
        Predict("question -> answer").render(question="a")
