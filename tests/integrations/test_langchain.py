import asyncio

import pytest

import telic
from telic.errors import ConfigurationError, ToolError
from telic.modules._react_tools import ToolRun
from telic.testing import ScriptedLM
from telic.types import Tool

tools = pytest.importorskip("langchain_core.tools")


@tools.tool
def add(a: int, b: int = 2) -> int:
    """Add two numbers."""
    return a + b


async def ask(question: str) -> str:
    """Ask somebody."""
    return question + "!"


ASK = tools.StructuredTool.from_function(coroutine=ask)


def test_words_types_and_defaults_are_those_of_the_tool():
    tool = Tool.from_langchain(add)

    assert (tool.name, tool.desc, tool.required) == ("add", "Add two numbers.", ["a"])
    assert tool.args == {"a": {"type": "integer"}, "b": {"type": "integer", "default": 2}}
    assert tool(a="3") == 5
    with pytest.raises(ToolError, match="`a` is missing"):
        tool()


@pytest.mark.parametrize("timeout", [None, 5])
def test_sync_and_async_tools_work_both_ways(timeout):
    for given, arguments, expected in ((add, {"a": 1}, 3), (ASK, {"question": "x"}, "x!")):
        run = ToolRun(Tool.from_langchain(given, timeout=timeout), arguments)
        assert run.run() == expected
        assert asyncio.run(run.arun()) == expected


def test_agents_use_them():
    lm = ScriptedLM([
        {"next_thought": "t", "next_tool_name": "ask", "next_tool_args": {"question": "why"}},
        {"next_thought": "t", "next_tool_name": "finish", "next_tool_args": {}},
        {"reasoning": "r", "answer": "so"},
    ] * 2)  # fmt: skip
    agent = telic.ReAct("question -> answer", tools=[Tool.from_langchain(ASK), Tool.from_langchain(add)])
    with telic.context(lm=lm):
        found = agent(question="?")
        assert asyncio.run(agent.acall(question="?")) == found
    assert found.trajectory["observation_0"] == "why!"


def test_anything_else_is_refused():
    with pytest.raises(ConfigurationError, match="no tool of LangChain"):
        Tool.from_langchain(len)


def test_an_assertion_after_them_calls_them_not_again():
    asked = []

    @tools.tool
    def look(city: str) -> int:
        """Look it up."""
        asked.append(city)
        return 3

    class Brief(telic.Module):
        def __init__(self):
            self.agent = telic.ReAct("question -> answer", tools=[Tool.from_langchain(look)], tool_timeout=5)

        def forward(self, question):
            found = self.agent(question=question)
            telic.Assert(found.answer == "few", "Say few.")
            return found

    script = [
        {"next_thought": "t", "next_tool_name": "look", "next_tool_args": {"city": "Rome"}},
        {"next_thought": "t", "next_tool_name": "finish", "next_tool_args": {}},
        {"reasoning": "r", "answer": "many"},
        {"reasoning": "r", "answer": "few"},
    ]
    with telic.context(lm=ScriptedLM(script * 2)):
        assert Brief()(question="?").answer == "few"
        assert asyncio.run(Brief().acall(question="?")).answer == "few"
    assert asked == ["Rome", "Rome"]
