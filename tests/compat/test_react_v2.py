import asyncio

import pytest

import telic
from telic.compat._react_v2 import ReActV2
from telic.errors import ConfigurationError
from telic.testing import ScriptedLM


def step(name, **args):
    return {"next_thought": "Hm.", "next_tool_name": name, "next_tool_args": args}


ANSWER = {"reasoning": "It is told.", "answer": "many"}


def look(city: str) -> int:
    """Look it up."""
    return 3


def test_a_conversation_goes_on_from_the_history_that_it_returns():
    agent = ReActV2("question -> answer", tools=[look])
    lm = ScriptedLM([step("look", city="Rome"), step("finish"), ANSWER, step("finish"), ANSWER])
    with telic.context(lm=lm):
        first = agent(question="How many?")
        second = asyncio.run(agent.acall(question="And there?", history=first.history))

    assert (first.answer, first.termination_reason) == ("many", "submit")
    assert first.trajectory["observation_0"] == 3
    assert first.history.messages == [{"question": "How many?", "answer": "many"}]
    assert len(second.history) == 2
    assert "answer: many" in str(lm.requests[-2].messages)


def test_a_run_that_does_not_finish_says_why():
    agent = ReActV2("question -> answer", tools=[look], max_iters=1)
    with telic.context(lm=ScriptedLM([step("look", city="Rome"), ANSWER, "nothing", ANSWER]), max_retries=0):
        assert agent(question="?").termination_reason == "max_iters"
        assert agent(question="?").termination_reason == "parse_error"


def test_names_that_it_returns_itself_are_refused():
    with pytest.raises(ConfigurationError, match="'history'"):
        ReActV2("question -> history", tools=[])


def test_it_is_there_by_the_old_name():
    import telic.compat

    assert telic.compat.__name__ == "telic.compat"
    from telic.predict import ReActV2 as Named

    assert Named is ReActV2
