"""Assert and Suggest: who is asked again, with what, how often, and what is not run again."""

from __future__ import annotations

import asyncio
import logging

import pytest

import telic
from telic import Assert, AssertionFailed, Suggest, context
from telic._replay import ACTIVE
from telic.data import Example, Prediction
from telic.errors import ConfigurationError, InputError, TelicError
from telic.modules import ChainOfThought, Module, Predict, Retrieve
from telic.testing import FunctionLM, ScriptedLM
from telic.types import Tool


def said(request):
    """The last message of a request, without the closing words."""
    return request.messages[-1]["content"].partition("\n\nRespond with")[0]


class Brief(Module):
    """One question, one condition on the answer."""

    def __init__(self, check=Assert, **options):
        self.ask = Predict("question -> answer")
        self.check = check
        self.options = options
        self.runs = 0

    def forward(self, question):
        self.runs += 1
        made = self.ask(question=question)
        words = len(made.answer.split())
        self.check(words < 2, f"{words} words are too many.", **self.options)
        return made


def with_lm(program, *answers):
    lm = ScriptedLM([{"answer": one} if isinstance(one, str) else one for one in answers])
    program.set_lm(lm)
    return lm


# What is asked again


def test_a_condition_that_holds_costs_nothing():
    program = Brief()
    lm = with_lm(program, "Rome")

    made = program(question="Capital?")

    assert made.answer == "Rome"
    assert program.runs == 1
    assert len(lm.requests) == 1
    assert [(o.passed, o.backtracks, o.message) for o in made.get_assertions()] == [(True, 0, "")]
    assert made.get_correction() is None


def test_the_predictor_is_asked_again_with_its_answer_and_the_message():
    program = Brief()
    lm = with_lm(program, "It is Rome", "Rome")

    assert program(question="Capital?").answer == "Rome"
    assert said(lm.requests[1]) == (
        "[[ ## question ## ]]\nCapital?\n\n"
        "[[ ## past_answer ## ]]\nIt is Rome\n\n"
        "[[ ## feedback ## ]]\n3 words are too many."
    )
    system = lm.requests[1].messages[0]["content"]
    assert "an earlier answer; it was not accepted" in system
    assert "why it was not accepted" in system
    assert program.ask.signature.instructions in system


def test_all_messages_so_far_are_given_each_once_and_the_last_answer_alone():
    program = Brief(max_backtracks=4)
    lm = with_lm(program, "a b c", "a b", "c d", "a b c", "a")

    assert program(question="?").answer == "a"
    assert said(lm.requests[2]).endswith("3 words are too many.\n2 words are too many.")
    assert said(lm.requests[4]).endswith(
        "[[ ## past_answer ## ]]\na b c\n\n[[ ## feedback ## ]]\n3 words are too many.\n2 words are too many."
    )


def test_every_output_is_given_back_typed_ones_as_json():
    class Listed(Module):
        def __init__(self):
            self.ask = ChainOfThought("question -> names: list[str], count: int")

        def forward(self, question):
            made = self.ask(question=question)
            Assert(made.count == len(made.names), "Count the items.")
            return made

    program = Listed()
    lm = ScriptedLM(
        [{"reasoning": "r", "names": ["a", "b"], "count": 3}, {"reasoning": "s", "names": ["a"], "count": 1}]
    )
    program.set_lm(lm)

    assert program(question="?").names == ["a"]
    asked = said(lm.requests[1])
    assert '[[ ## past_reasoning ## ]]\nr\n\n[[ ## past_names ## ]]\n["a", "b"]' in asked
    assert "[[ ## past_count ## ]]\n3" in asked


def test_an_empty_message_still_says_that_it_was_not_accepted():
    class Silent(Module):
        def __init__(self):
            self.ask = Predict("question -> answer")

        def forward(self, question):
            made = self.ask(question=question)
            Assert(made.answer == "b")
            return made

    program = Silent()
    lm = with_lm(program, "a", "b")

    program(question="?")

    assert said(lm.requests[1]).endswith("[[ ## feedback ## ]]\nIt was not accepted.")


def test_fields_of_the_same_name_stay_the_users_own():
    class Busy(Module):
        def __init__(self):
            self.ask = Predict("feedback, past_answer -> answer")

        def forward(self, **inputs):
            made = self.ask(**inputs)
            Assert(made.answer == "b", "no")
            return made

    program = Busy()
    lm = with_lm(program, "a", "b")

    program(feedback="mine", past_answer="mine too")

    assert said(lm.requests[1]) == (
        "[[ ## feedback ## ]]\nmine\n\n[[ ## past_answer ## ]]\nmine too\n\n"
        "[[ ## past_answer_ ## ]]\na\n\n[[ ## feedback_ ## ]]\nno"
    )


def test_demos_options_and_the_state_of_the_predictor_stay_as_they_are():
    program = Brief()
    program.ask.demos = [Example(question="q0", answer="a0")]
    program.ask.update_config(temperature=0.3)
    lm = with_lm(program, "a b", "a")
    signature, demos = program.ask.signature, list(program.ask.demos)

    program(question="?")

    assert program.ask.signature is signature
    assert program.ask.demos == demos
    assert lm.requests[1].options["temperature"] == 0.3
    assert any("a0" in message["content"] for message in lm.requests[1].messages)


def test_a_retry_is_never_answered_by_the_cached_reply_of_the_one_before():
    asked = []

    def reply(request):
        asked.append(said(request))
        return {"answer": "too long"}

    program = Brief(check=Suggest)
    program.set_lm(FunctionLM(reply, cache=True))

    program(question="?")
    assert asked[1] == asked[2]  # the same prompt, asked twice
    assert len(asked) == 3

    program(question="?")  # and all of it is in the cache by now
    assert len(asked) == 3


def test_the_attempts_have_sample_indexes_of_their_own_whatever_the_sample():
    program = Brief(check=Suggest)
    lm = FunctionLM(lambda text: {"answer": "too long"})
    program.set_lm(lm)

    for sample in (0, 1, 7):
        with context(sample=sample):
            program(question="?")

    samples = [request.sample for request in lm.requests]
    assert len(set(samples)) == 9
    assert samples[0::3] == [0, 1, 7]


# In the end


def test_assert_raises_with_the_last_message_the_target_and_the_attempts():
    program = Brief()
    with_lm(program, "a b c", "a b", "a b c d")

    with pytest.raises(AssertionFailed, match=r"4 words are too many\.") as caught:
        program(question="?")

    error = caught.value
    assert isinstance(error, AssertionError)
    assert isinstance(error, TelicError)
    assert (error.msg, error.target, error.attempts) == ("4 words are too many.", "ask", 3)
    assert "test_assert.py:" in error.name
    assert "'ask' was asked 3 times (max_backtracks=2)" in str(error)
    assert [(o.passed, o.backtracks) for o in error.outcomes] == [(False, 2)]
    assert ACTIVE.get() is None


def test_suggest_warns_once_and_goes_on_with_the_last_answer(caplog):
    program = Brief(check=Suggest)
    lm = with_lm(program, "a b c", "a b", "a b c d")

    with caplog.at_level(logging.WARNING, "telic"):
        made = program(question="?")

    assert made.answer == "a b c d"
    assert len(lm.requests) == 3
    (record,) = caplog.records
    assert "4 words are too many." in record.getMessage()
    assert [(o.kind, o.passed, o.backtracks) for o in made.get_assertions()] == [("suggest", False, 2)]


@pytest.mark.parametrize("limit", [0, 1, 2, 5])
def test_what_can_never_hold_costs_max_backtracks_calls_more(limit):
    program = Brief()
    lm = FunctionLM(lambda text: {"answer": "too long"})
    program.set_lm(lm)

    with context(max_backtracks=limit), pytest.raises(AssertionFailed):
        program(question="?")

    assert len(lm.requests) == 1 + limit
    assert program.runs == 1 + limit


def test_the_nearest_limit_counts_assertion_then_module_then_setting():
    lm = FunctionLM(lambda text: {"answer": "too long"})

    def calls(program):
        program.set_lm(lm)
        before = len(lm.requests)
        program(question="?")
        return len(lm.requests) - before

    one, own, both = Brief(Suggest), Brief(Suggest), Brief(Suggest, max_backtracks=0)
    own.max_backtracks = both.max_backtracks = 1
    with context(max_backtracks=3):
        assert [calls(one), calls(own), calls(both)] == [4, 2, 1]
        assert calls(own.deepcopy()) == 2


def test_bypassed_assertions_are_counted_and_do_nothing(caplog):
    for check, setting in ((Assert, "bypass_assert"), (Suggest, "bypass_suggest")):
        program = Brief(check)
        lm = with_lm(program, "a b")
        with context(**{setting: True}):
            made = program(question="?")
        assert made.answer == "a b"
        assert len(lm.requests) == 1
        assert [o.passed for o in made.get_assertions()] == [False]
    assert caplog.records == []


def test_it_says_whether_it_held():
    assert Assert(True, "x") is True
    assert Suggest(True, "x") is True
    with context(bypass_assert=True):
        assert Assert(False, "x") is False
    assert Suggest(False, "x") is False


# What is not run again


class Chain(Module):
    """All that a program can call, before the call that is asked again."""

    def __init__(self, tool, rm, aside):
        self.plan = Predict("question -> query")
        self.answer = ChainOfThought("query, context: list[str] -> answer")
        self.find = Retrieve(k=1, rm=rm)
        self.tool = tool
        self.aside = aside
        self.runs = 0

    def forward(self, question):
        self.runs += 1
        query = self.plan(question=question).query
        passages = list(self.find(query).passages)
        passages += self.tool(text=query)
        passages.append(self.aside("hello")[0])
        made = self.answer(query=query, context=[str(one) for one in passages])
        passages.append("changed later")
        Assert(made.answer == "right", "That is wrong.")
        return made


@pytest.fixture
def chain():
    counts = {"tool": 0, "rm": 0}

    def look(text: str) -> list[str]:
        counts["tool"] += 1
        return [f"looked at {text}"]

    def rm(query, k=1):
        counts["rm"] += 1
        return [f"passage of {query}"]

    aside = FunctionLM(lambda text: f"heard {text}")
    program = Chain(Tool(look), rm, aside)
    return program, counts, aside


def test_no_lm_call_retrieval_or_tool_call_before_the_target_is_made_again(chain):
    program, counts, aside = chain
    wrong, right = {"reasoning": "r", "answer": "wrong"}, {"reasoning": "s", "answer": "right"}
    lm = ScriptedLM([{"query": "q"}, wrong, wrong, right])
    program.set_lm(lm)

    assert program(question="?").answer == "right"
    assert program.runs == 3
    assert counts == {"tool": 1, "rm": 1}
    assert len(aside.requests) == 1
    assert len(lm.requests) == 4
    assert "past_reasoning" in said(lm.requests[3])


def test_the_same_holds_for_async_programs(chain):
    program, counts, aside = chain

    class AChain(Module):
        def __init__(self):
            self.inner = program

        async def aforward(self, question):
            inner = self.inner
            query = (await inner.plan.acall(question=question)).query
            passages = list((await inner.find.acall(query)).passages)
            passages += await inner.tool.acall(text=query)
            passages.append((await inner.aside.acall("hello"))[0])
            made = await inner.answer.acall(query=query, context=[str(one) for one in passages])
            Assert(made.answer == "right", "That is wrong.", target_module="inner.answer")
            return made

    outer = AChain()
    wrong, right = {"reasoning": "r", "answer": "wrong"}, {"reasoning": "s", "answer": "right"}
    lm = ScriptedLM([{"query": "q"}, wrong, wrong, right])
    outer.set_lm(lm)

    assert asyncio.run(outer.acall(question="?")).answer == "right"
    assert counts == {"tool": 1, "rm": 1}
    assert len(aside.requests) == 1
    assert len(lm.requests) == 4


class Three(Module):
    """a, then b on what a says, then c on the question; the first is to blame."""

    def __init__(self, target="a"):
        self.a = Predict("question -> x")
        self.b = Predict("x -> y")
        self.c = Predict("question -> z")
        self.target = target

    def forward(self, question):
        x = self.a(question=question).x
        y = self.b(x=x).y
        z = self.c(question=question).z
        Assert(x != "bad", "bad x", target_module=self.target)
        return Prediction(x=x, y=y, z=z)


def test_replay_ends_where_inputs_differ_and_all_calls_after_that_are_live():
    program = Three()
    lm = ScriptedLM([{"x": "bad"}, {"y": "1"}, {"z": "1"}, {"x": "good"}, {"y": "2"}, {"z": "2"}])
    program.set_lm(lm)

    made = program(question="?")

    assert dict(made.items()) == {"x": "good", "y": "2", "z": "2"}
    assert len(lm.requests) == 6


def test_replay_goes_on_while_inputs_are_the_same():
    program = Three()
    lm = ScriptedLM(
        [{"x": "bad"}, {"y": "1"}, {"z": "1"}, {"x": "bad"}, {"x": "good"}, {"y": "2"}, {"z": "2"}]
    )
    program.set_lm(lm)

    made = program(question="?")  # the first retry answers the same: b and c are not asked again for it

    assert dict(made.items()) == {"x": "good", "y": "2", "z": "2"}


def test_what_forward_does_to_answers_is_not_seen_by_the_next_run():
    class Careless(Module):
        def __init__(self):
            self.first = Predict("question -> items: list[str]")
            self.second = Predict("items: list[str] -> answer")

        def forward(self, question):
            made = self.first(question=question)
            made["note"] = "mine"
            made.items_seen = list(made["items"])
            made["items"].append("more")
            answer = self.second(items=made["items"]).answer
            Assert(answer == "right", "no")
            return Prediction(items=made["items"], keys=made.keys())

    program = Careless()
    lm = ScriptedLM([{"items": ["a"]}, {"answer": "wrong"}, {"answer": "right"}])
    program.set_lm(lm)

    made = program(question="?")

    assert made["items"] == ["a", "more"]
    assert len(lm.requests) == 3


def test_a_call_that_failed_fails_again_without_being_made():
    class Tries(Module):
        def __init__(self, tool):
            self.tool = tool
            self.ask = Predict("seen -> answer")
            self.strict = Predict("seen -> n: int", max_retries=0)

        def forward(self):
            try:
                seen = self.tool(city="Rome")
            except KeyError as error:
                seen = str(error)
            try:
                self.strict(seen=seen)
            except telic.AdapterParseError:
                seen += "!"
            made = self.ask(seen=seen)
            Assert(made.answer == "right", "no")
            return made

    calls = []

    def broken(city: str) -> str:
        calls.append(city)
        raise KeyError(city)

    program = Tries(Tool(broken))
    lm = ScriptedLM([{"n": "many"}, {"answer": "wrong"}, {"answer": "right"}])
    program.set_lm(lm)

    assert program().answer == "right"
    assert calls == ["Rome"]
    assert len(lm.requests) == 3


def test_a_reply_that_was_asked_for_twice_and_several_completions_are_replayed_whole():
    class Many(Module):
        def __init__(self):
            self.number = Predict("question -> n: int")
            self.drafts = Predict("question -> draft", n=2, temperature=1.0)
            self.ask = Predict("n: int, drafts: list[str] -> answer")

        def forward(self, question):
            n = self.number(question=question).n
            drafts = self.drafts(question=question).completions.draft
            made = self.ask(n=n, drafts=drafts)
            Assert(made.answer == "right", "no")
            return made

    program = Many()
    lm = ScriptedLM(
        [
            {"n": "many"},
            {"n": "3"},
            {"draft": "d1"},
            {"draft": "d2"},
            {"answer": "wrong"},
            {"answer": "right"},
        ]
    )
    program.set_lm(lm)

    assert program(question="?").answer == "right"
    assert lm.remaining == 0
    assert "d2" in said(lm.requests[-1])


# The trace


def test_the_trace_holds_each_step_once_with_its_own_inputs_and_the_corrected_answer():
    program = Three()
    lm = ScriptedLM([{"x": "bad"}, {"y": "1"}, {"z": "1"}, {"x": "good"}, {"y": "2"}, {"z": "2"}])
    program.set_lm(lm)
    trace = [sentinel := telic.data.Step(None, {}, Prediction())]

    with context(trace=trace):
        program(question="?")

    assert trace[0] is sentinel
    assert [step.predictor for step in trace[1:]] == [program.a, program.b, program.c]
    assert [step.inputs for step in trace[1:]] == [{"question": "?"}, {"x": "good"}, {"question": "?"}]
    assert [next(iter(step.prediction.values())) for step in trace[1:]] == ["good", "2", "2"]
    corrected = trace[1].prediction
    assert corrected.get_correction() == ({"x": "bad"}, ("bad x",), 1)
    assert [(o.target, o.passed, o.backtracks, o.message) for o in corrected.get_assertions()] == [
        ("a", True, 1, "bad x")
    ]


def test_an_outcome_is_noted_at_the_step_that_it_is_about():
    program = Brief()
    with_lm(program, "Rome")
    with context(trace=[]):
        program(question="?")
        (step,) = telic.settings.trace

    assert [(o.target, o.passed) for o in step.prediction.get_assertions()] == [("ask", True)]


# Bad input


@pytest.mark.parametrize(
    ("condition", "words"),
    [
        ("yes", r"got 'yes' of type str; write Assert\(bool\(…\), …\)"),
        (None, r"write Assert\(… is not None, …\)"),
        (1, "of type int"),
        (Prediction(answer="x"), "of type Prediction"),
        (lambda: True, r"got a function: call it, Assert\(check\(…\), …\)"),
    ],
)
def test_a_condition_that_is_no_bool_is_refused_with_what_to_write(condition, words):
    with pytest.raises(InputError, match=words):
        Assert(condition, "message")


def test_a_coroutine_is_to_be_awaited_first():
    async def check():
        return True

    with pytest.raises(InputError, match="await it first"):
        Suggest(check(), "message")


def test_numpys_bools_are_bools():
    numpy = pytest.importorskip("numpy")

    assert Assert(numpy.float64(1) < 2, "x") is True
    assert Suggest(numpy.array([1, 2]).sum() > 5, "x") is False


def test_without_a_predictor_before_it_an_assert_fails_at_once_and_says_so(caplog):
    class Door(Module):
        def __init__(self, check):
            self.ask = Predict("question -> answer")
            self.check = check

        def forward(self, question):
            self.check(bool(question), "The question is empty.")
            return self.ask(question=question)

    with pytest.raises(
        AssertionFailed, match=r"question is empty\.\n.*no predictor was called before it"
    ) as caught:
        Door(Assert)(question="")
    assert caught.value.attempts == 0
    program = Door(Suggest)
    with_lm(program, "a")
    assert program(question="").answer == "a"
    assert "no predictor was called before it" in caplog.text


def test_outside_of_a_module_nothing_can_be_asked_again(caplog):
    with pytest.raises(AssertionFailed, match="outside of a module's call"):
        Assert(False, "no")
    assert Suggest(False, "no") is False
    assert "outside of a module's call" in caplog.text


@pytest.mark.parametrize("check", [Assert, Suggest])
def test_a_target_that_is_no_part_of_the_program_is_refused(check):
    stranger = Predict("a -> b")
    program = Brief(lambda held, message: check(held, message, target_module=stranger))
    with_lm(program, "a b")

    with pytest.raises(
        ConfigurationError, match=r"target_module=Predict is no part of the running Brief.*ask"
    ):
        program(question="?")


@pytest.mark.parametrize(
    ("target", "words"),
    [
        ("aks", r"Brief has no part of that path; did you mean 'ask'"),
        (3, "must be a module"),
        (Retrieve(), "has no predictor in it"),
        (str, "must be a module"),
    ],
)
def test_a_target_that_cannot_be_one_is_refused(target, words):
    program = Brief(target_module=target)
    with_lm(program, "a b")

    with pytest.raises(ConfigurationError, match=words):
        program(question="?")


def test_a_target_of_the_program_that_was_not_called_is_no_reason_to_stop_a_suggest(caplog):
    class Branch(Module):
        def __init__(self, check):
            self.ask = Predict("question -> answer")
            self.rewrite = Predict("question -> better")
            self.check = check

        def forward(self, question):
            made = self.ask(question=question)
            self.check(made.answer == "b", "no", target_module=self.rewrite)
            return made

    program = Branch(Suggest)
    lm = with_lm(program, "a")
    assert program(question="?").answer == "a"
    assert "'rewrite' was not called before it" in caplog.text
    assert len(lm.requests) == 1
    program = Branch(Assert)
    with_lm(program, "a")
    with pytest.raises(AssertionFailed, match="was not called before it"):
        program(question="?")


@pytest.mark.parametrize("limit", [-1, True, 1.5, "2"])
def test_a_limit_that_is_no_count_is_refused(limit):
    program = Brief(max_backtracks=limit)
    with_lm(program, "a b")

    with pytest.raises(ConfigurationError, match="max_backtracks must be a whole number"):
        program(question="?")


def test_an_error_of_the_program_leaves_nothing_behind():
    class Broken(Module):
        def __init__(self):
            self.ask = Predict("question -> answer")

        def forward(self, question):
            made = self.ask(question=question)
            Suggest(made.answer == "b", "no")
            raise OSError("disk")

    program = Broken()
    with_lm(program, "a", "b")

    with pytest.raises(OSError, match="disk"):
        program(question="?")
    assert ACTIVE.get() is None
