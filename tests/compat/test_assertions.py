"""Programs that were written for DSPy's assertions, up to 2.5, run as they are."""

from __future__ import annotations

import functools

import pytest
from telic.primitives.assertions import (
    DSPyAssertionError,
    DSPySuggestionError,
    assert_transform_module,
    backtrack_handler,
    bypass_assert_handler,
    bypass_suggest_handler,
    default_assertion_handler,
    noop_handler,
    suggest_backtrack_handler,
)

import telic as dspy
from telic.modules import Module
from telic.testing import DummyLM, FunctionLM


class GenerateSearchQuery(dspy.Signature):
    """Write a simple search query that will help answer a complex question."""

    context = dspy.InputField(desc="may contain relevant facts")
    question = dspy.InputField()
    query = dspy.OutputField()


class Baleen(dspy.Module):
    """The two-hop program of the assertions paper, as users wrote it."""

    def __init__(self, max_hops=2):
        super().__init__()
        self.generate_query = [dspy.ChainOfThought(GenerateSearchQuery) for _ in range(max_hops)]
        self.generate_answer = dspy.ChainOfThought("context, question -> answer")

    def forward(self, question):
        context, queries = [], [question]
        for hop in self.generate_query:
            query = hop(context=context, question=question).query
            dspy.Suggest(len(query) <= 20, "Query should be short", target_module=hop)
            dspy.Suggest(
                query not in queries,
                "Query should be distinct from: " + "; ".join(queries),
                target_module=hop,
            )
            queries.append(query)
            context.append(f"found: {query}")
        return dspy.Prediction(
            context=context, answer=self.generate_answer(context=context, question=question).answer
        )


def lm_of(*fields):
    return DummyLM([{"reasoning": "r", **one} for one in fields])


FIELDS = (
    {"query": "a"},
    {"query": "a"},
    {"query": "a far too long query, it is"},
    {"query": "b"},
    {"answer": "x"},
)


@pytest.mark.parametrize(
    "activated",
    [
        lambda program: program,
        lambda program: program.activate_assertions(),
        lambda program: assert_transform_module(program, backtrack_handler),
        lambda program: assert_transform_module(program.map_named_predictors(dspy.predict.Retry)),
        lambda program: assert_transform_module(
            program, functools.partial(backtrack_handler, max_backtracks=2)
        ),
        lambda program: program.activate_assertions(handler=default_assertion_handler, max_backtracks=2),
        lambda program: program.activate_assertions(suggest_backtrack_handler),
    ],
)
def test_the_program_of_the_paper_runs_however_it_was_activated(activated):
    program = activated(Baleen())

    with dspy.context(lm=lm_of(*FIELDS)):
        made = program(question="?")

    assert made.context == ["found: a", "found: b"]
    assert [o.backtracks for o in made.get_assertions()] == [0, 0, 1, 1]


class Hard(Module):
    def __init__(self, check=dspy.Assert):
        self.ask = dspy.Predict("question -> answer")
        self.check = check

    def forward(self, question):
        made = self.ask(question=question)
        self.check(made.answer == "right", "That is wrong.")
        return made


def calls_of(program):
    lm = FunctionLM(lambda text: {"answer": "wrong"})
    with dspy.context(lm=lm):
        try:
            program(question="?")
        except DSPyAssertionError as error:
            assert error.msg == "That is wrong."
            return len(lm.requests), "raised"
    return len(lm.requests), "went on"


@pytest.mark.parametrize(
    ("handler", "hard", "soft"),
    [
        (backtrack_handler, (3, "raised"), (3, "went on")),
        (functools.partial(backtrack_handler, max_backtracks=1), (2, "raised"), (2, "went on")),
        (noop_handler, (1, "went on"), (1, "went on")),
        (bypass_suggest_handler, (1, "raised"), (1, "went on")),
        (bypass_assert_handler, (1, "went on"), (1, "went on")),
    ],
)
def test_each_handler_does_what_its_name_says(handler, hard, soft):
    assert calls_of(assert_transform_module(Hard(), handler)) == hard
    assert calls_of(assert_transform_module(Hard(dspy.Suggest), handler)) == soft
    assert calls_of(assert_transform_module(Hard(), handler).deepcopy()) == hard


def test_a_handler_wraps_a_function_too():
    program = Hard()
    lm = FunctionLM(lambda text: {"answer": "wrong"})

    with dspy.context(lm=lm):
        made = noop_handler(program)(question="?")

    assert made.answer == "wrong"
    assert dspy.settings.bypass_assert is False


def test_the_settings_of_that_time_work():
    with dspy.context(bypass_assert=True):
        assert calls_of(Hard()) == (1, "went on")
    dspy.settings.configure(bypass_suggest=True, trace=[])
    assert calls_of(Hard(dspy.Suggest)) == (1, "went on")


def test_what_is_no_handler_is_refused_with_another_way():
    with pytest.raises(dspy.ConfigurationError, match="is no handler of assertions.*AssertionFailed"):
        assert_transform_module(Hard(), lambda func: func)
    with pytest.raises(
        dspy.ConfigurationError, match="no option 'max_backtrack'; did you mean 'max_backtracks'"
    ):
        Hard().activate_assertions(max_backtrack=1)
    with pytest.raises(dspy.ConfigurationError, match="takes a module"):
        assert_transform_module(len)


def test_the_keywords_of_that_time_work():
    class Old(Module):
        def __init__(self):
            self.ask = dspy.Predict("question -> answer")
            self.after = dspy.Predict("answer -> note")

        def forward(self, question):
            made = self.ask(question=question)
            self.after(answer=made.answer)
            dspy.Suggest(made.answer == "right", msg="That is wrong.", backtrack=self.ask, is_metric=True)
            return made

    lm = FunctionLM(lambda text: {"answer": "right" if "That is wrong." in text else "wrong", "note": "n"})
    with dspy.context(lm=lm):
        assert Old()(question="?").answer == "right"


def test_the_errors_are_one_family():
    assert DSPyAssertionError is dspy.AssertionFailed
    assert issubclass(DSPyAssertionError, AssertionError)
    assert issubclass(DSPySuggestionError, AssertionError)


def test_import_dspy_has_the_names():
    import subprocess
    import sys

    code = (
        "import telic.compat; telic.compat.install(); import dspy; from dspy.primitives.assertions import *; "
        "print(dspy.Assert is Assert, dspy.assert_transform_module is assert_transform_module, dspy.Retry.__name__)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout.split() == ["True", "True", "retry"], done.stderr
