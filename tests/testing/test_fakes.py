"""The fakes: what they answer, what they remember, and DSPy's `DummyLM` as DSPy's users know it."""

from __future__ import annotations

import asyncio
import copy
from concurrent.futures import ThreadPoolExecutor

import pytest

import telic
from telic import BaseLM, Budget, ChainOfThought, Completions, Example, JSONAdapter, Predict, XMLAdapter
from telic.data import Completion, Request, Response
from telic.errors import (
    AdapterParseError,
    BudgetExceeded,
    ConfigurationError,
    LMError,
    LMResponseError,
    LMServerError,
)
from telic.protocols import LanguageModel
from telic.testing import DummyLM, DummyVectorizer, FunctionLM, ScriptedLM, dummy_rm


def test_a_script_is_used_up_in_order_and_remembers_what_it_was_asked():
    lm = ScriptedLM([{"answer": "one"}, "[[ ## answer ## ]]\ntwo", Completion("[[ ## answer ## ]]\nthree")])
    program = Predict("question -> answer")

    answers = [program(question=text, lm=lm).answer for text in ("a?", "b?", "c?")]

    assert answers == ["one", "two", "three"]
    assert ["a?" in request.messages[-1]["content"] for request in lm.requests] == [True, False, False]
    assert lm.remaining == 0
    assert len(lm.history) == 3


def test_a_script_that_is_used_up_is_a_typed_error_with_the_question():
    lm = ScriptedLM([{"answer": "one"}])
    lm("first")

    with pytest.raises(LMError, match=r"used up .its length was 1.*'second question'"):
        lm("second question")


def test_errors_of_a_script_are_raised():
    lm = ScriptedLM([LMServerError("down", status=500), ValueError])

    with pytest.raises(LMServerError, match="down"):
        lm("a")
    with pytest.raises(ValueError):
        lm("b")
    assert len(lm.requests) == 2


@pytest.mark.parametrize("adapter", [None, JSONAdapter(), XMLAdapter()])
def test_fields_are_written_in_the_format_of_the_adapter_in_force(adapter):
    fields = {"names": ["a", "b"], "sure": True, "note": "x\ny", "score": 1.5}
    lm = ScriptedLM([fields])

    with telic.context(lm=lm, adapter=adapter):
        got = Predict("q -> names: list[str], sure: bool, note, score: float")(q="?")

    assert got.toDict() == fields


def test_an_adapter_that_no_reply_can_be_written_for_is_named():
    with telic.context(adapter=object()), pytest.raises(ConfigurationError, match="script whole reply texts"):
        ScriptedLM([{"answer": "x"}])("q")


def test_n_takes_n_replies():
    lm = ScriptedLM([{"answer": str(i)} for i in range(4)])

    got = Predict("q -> answer", n=3)(q="?", lm=lm)

    assert isinstance(got.completions, Completions)
    assert got.completions.answer == ["0", "1", "2"]
    assert lm.remaining == 1


def test_parallel_callers_get_one_reply_each():
    lm = ScriptedLM([str(i) for i in range(200)])

    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda _: lm("q")[0], range(200)))

    assert sorted(answers, key=int) == [str(i) for i in range(200)]
    assert len(lm.requests) == 200


def test_fakes_are_language_models_for_sync_and_async_callers():
    lm = FunctionLM(lambda text: text.upper())
    request = Request([{"role": "user", "content": "hi"}])

    assert isinstance(lm, LanguageModel)
    assert isinstance(lm, BaseLM)
    assert lm.complete(request).text == asyncio.run(lm.acomplete(request)).text == "HI"


def test_a_function_may_take_the_whole_request():
    def answer(request):
        return (
            f"{len(request.messages)} messages at {request.options['temperature']}, sample {request.sample}"
        )

    lm = FunctionLM(answer)
    response = lm.complete(Request([{"role": "user", "content": "x"}], {"temperature": 0.5}, sample=3))

    assert response.text == "1 messages at 0.5, sample 3"


def test_what_is_no_reply_is_refused():
    with pytest.raises(LMResponseError, match="returned 42, which is no reply"):
        FunctionLM(lambda text: 42)("q")


def test_budgets_and_usage_see_fakes():
    lm = ScriptedLM(["a"] * 5)

    with telic.track_usage() as tracker, telic.context(budget=Budget(calls=2)):
        lm("one two")
        lm("x")
        with pytest.raises(BudgetExceeded):
            lm("y")

    assert tracker.total.calls == 2
    assert tracker.total.input_tokens == 3
    assert lm.remaining == 3


def test_a_copied_program_shares_the_script():
    program = Predict("q -> answer")
    program.lm = ScriptedLM([{"answer": "a"}, {"answer": "b"}])

    twin = copy.deepcopy(program)

    assert [twin(q="1").answer, program(q="2").answer] == ["a", "b"]
    assert len(program.lm.requests) == 2


def test_a_whole_response_is_handed_on():
    lm = ScriptedLM([Response((Completion("x", "length"),))])

    with pytest.raises(telic.TruncatedReplyError):
        Predict("q -> answer", max_retries=0)(q="?", lm=lm)


# DSPy's DummyLM


def test_dummy_answers_from_a_list_then_says_that_there_are_no_more():
    lm = DummyLM([{"answer": "a"}, {"answer": "b"}])
    program = Predict("question -> answer")

    got = [program(question="x", lm=lm).answer for _ in range(3)]

    assert got == ["a", "b", "No more responses"]
    assert lm("hello") == ["[[ ## answer ## ]]\nNo more responses"]
    assert (lm.model, lm.kwargs["temperature"], lm.kwargs["max_tokens"]) == ("dummy", 0.0, 1000)


def test_dummy_answers_by_what_the_last_message_contains():
    lm = DummyLM({"cat": {"answer": "meow"}, "dog": {"answer": "woof"}})

    assert lm("a dog and a cat") == ["[[ ## answer ## ]]\nmeow"]
    assert lm("none") == ["No more responses"]
    earlier = [{"role": "user", "content": "dog"}, {"role": "assistant", "content": "x"}]
    assert lm(messages=[*earlier, {"role": "user", "content": "zzz"}]) == ["No more responses"]


def test_dummy_follows_the_examples():
    lm = DummyLM([], follow_examples=True)
    program = Predict("question -> answer", max_retries=0)
    program.demos = [Example(question="q1", answer="A1"), Example(question="q2", answer="A2")]

    with telic.context(lm=lm):
        assert program(question="q2").answer == "A2"
        assert program(question="q1").answer == "A1"
        with pytest.raises(AdapterParseError):
            program(question="q3")


def test_dummy_may_reason():
    lm = DummyLM([{"answer": "1"}], reasoning=True)

    assert lm("x") == [{"text": "[[ ## answer ## ]]\n1", "reasoning_content": "Some reasoning"}]


def test_dummy_serves_chains_and_other_formats():
    lm = DummyLM([{"reasoning": "because", "answer": "4"}], adapter=JSONAdapter())

    with telic.context(lm=lm, adapter=JSONAdapter()):
        got = ChainOfThought("question -> answer")(question="2+2?")

    assert (got.reasoning, got.answer) == ("because", "4")


def test_dummy_refuses_answers_that_are_no_fields():
    with pytest.raises(ConfigurationError, match="a list of dicts"):
        DummyLM(["a", "b"])


def test_dummy_retrieval_finds_what_is_near():
    assert DummyVectorizer()(["a text", "another"]).shape == (2, 100)
    rm = dummy_rm(["cats purr", "dogs bark loudly", "the sea is wide"])

    assert rm("dogs bark", k=1) == [{"long_text": "dogs bark loudly"}]
    with pytest.raises(telic.DatasetError, match="asked for 9 passages of 3"):
        rm("x", k=9)


def test_an_adapter_of_ones_own_is_answered_in_the_format_of_the_one_it_extends():
    class Spy(JSONAdapter): ...

    with telic.context(adapter=Spy()):
        assert Predict("question -> answer")(question="?", lm=DummyLM([{"answer": "4"}])).answer == "4"
