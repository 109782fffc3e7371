import asyncio
import contextvars
import threading

import hypothesis
import hypothesis.strategies
import pytest

import telic
from telic.errors import ConfigurationError
from telic.modules import ReAct
from telic.modules._react_record import messages_of, shown_text, trajectory_text
from telic.modules._react_tools import ToolRun
from telic.testing import ScriptedLM
from telic.types import Tool

ANSWER = {"reasoning": "It is told.", "answer": "many"}


def step(name, /, **args):
    return {"next_thought": "Hm.", "next_tool_name": name, "next_tool_args": args}


def both_ways(agent, script):
    """Return what an agent finds on a script, called plainly and awaited."""
    with telic.context(lm=ScriptedLM(script * 2)) as _:
        return agent(question="?"), asyncio.run(agent.acall(question="?"))


@pytest.fixture
def gate():
    """An event that nobody sets before the end of the test: what waits for it hangs."""
    event = threading.Event()
    yield event
    event.set()


def test_a_tool_that_hangs_is_left_behind_and_the_lm_is_told(gate):
    async def aslow():
        await asyncio.Event().wait()

    def slow():
        gate.wait()

    script = [step("slow"), step("aslow"), step("finish"), ANSWER]
    agent = ReAct("question -> answer", tools=[Tool(slow, timeout=0.05), aslow], tool_timeout=0.1)

    for found in both_ways(agent, script):
        assert found.trajectory["observation_0"] == (
            "Error: slow failed with TimeoutError: no answer within 0.05 seconds"
        )
        assert found.trajectory["observation_1"] == (
            "Error: aslow failed with TimeoutError: no answer within 0.1 seconds"
        )


def test_an_async_tool_that_hangs_is_cancelled():
    ended = []

    async def slow():
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(True)

    run = ToolRun(Tool(slow), {}, 0.05)
    for call in (run.run, lambda: asyncio.run(run.arun())):
        with pytest.raises(TimeoutError, match="no answer within"):
            call()
    assert ended == [True, True]


def test_with_a_limit_of_time_results_errors_and_the_context_are_the_same():
    name = contextvars.ContextVar("name", default="outer")

    def tell():
        return name.get()

    def broken():
        raise TimeoutError("my own")

    async def abroken():
        raise TimeoutError("my own")

    name.set("here")
    run = ToolRun(Tool(tell, timeout=5), {})
    assert (run.run(), asyncio.run(run.arun())) == ("here", "here")
    for tool in (broken, abroken):
        run = ToolRun(Tool(tool, timeout=5), {})
        for call in (run.run, lambda run=run: asyncio.run(run.arun())):
            with pytest.raises(TimeoutError, match="my own"):
                call()


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
@pytest.mark.parametrize("timeout", [None, 5])
def test_what_ends_the_process_is_not_swallowed(error, timeout):
    def stop():
        raise error

    with telic.context(lm=ScriptedLM([step("stop")])), pytest.raises(error):
        ReAct("question -> answer", tools=[stop], tool_timeout=timeout)(question="?")


def test_a_program_is_a_tool_with_a_limit_of_time_both_ways():
    class Double(telic.Module):
        async def aforward(self, n: int):
            return 2 * n

    agent = ReAct("question -> answer", tools=[Double()], tool_timeout=5)

    for found in both_ways(agent, [step("Double", n=2), step("finish"), ANSWER]):
        assert found.trajectory["observation_0"] == 4


class Unshowable:
    def __repr__(self):
        raise RuntimeError("no")


class Mute(Exception):
    def __str__(self):
        raise RuntimeError("no words")


def test_results_that_cannot_be_shown_do_not_stop_the_agent():
    deep: list = []
    for _ in range(100_000):
        deep = [deep]
    around: dict = {}
    around["self"] = around
    values = {
        "odd": Unshowable(),
        "deep": deep,
        "around": around,
        "nothing": None,
        "raw": b"\xff\x00",
        "half": "\ud800",
    }

    def give(name: str):
        return values[name]

    def mute():
        raise Mute

    script = [*(step("give", name=name) for name in values), step("mute"), step("finish"), ANSWER]
    for found in both_ways(ReAct("question -> answer", tools=[give, mute]), script):
        assert found.trajectory["observation_0"] is values["odd"]
        assert found.trajectory["observation_6"] == "Error: mute failed with Mute: "
    assert shown_text(values["odd"], 100) == "(a Unshowable that cannot be shown: RuntimeError)"
    assert "cannot be shown" in shown_text(deep, 100) or shown_text(deep, 100).startswith("[[[")
    assert shown_text("\ud800é", 100) == "?é"
    while deep:
        deep = deep.pop()  # taken apart, since freeing it whole would recurse


def test_ten_megabytes_are_cut_with_a_note():
    lm = ScriptedLM([step("book"), step("finish"), ANSWER])
    with telic.context(lm=lm):
        found = ReAct("question -> answer", tools=[Tool(lambda: "x" * 10_000_000, name="book")])(question="?")

    assert len(found.trajectory["observation_0"]) == 10_000_000
    assert "… (+9990000 characters)" in lm.requests[-1].messages[-1]["content"]
    assert len(str(lm.requests[-1].messages)) < 20_000


@pytest.mark.parametrize("timeout", [0, -1, True, "5", float("nan")])
def test_limits_that_are_none_are_refused(timeout):
    with pytest.raises(ConfigurationError, match="timeout must be seconds"):
        Tool(lambda: 1, name="f", timeout=timeout)
    with pytest.raises(ConfigurationError, match="tool_timeout must be seconds"):
        ReAct("question -> answer", tools=[], tool_timeout=timeout)


def test_native_must_be_one_of_three():
    with pytest.raises(ConfigurationError, match="native must be True, False or None"):
        ReAct("question -> answer", tools=[], native="yes")


@pytest.mark.parametrize(
    "text",
    [
        "free text",
        "thought_0: a",
        "thought_0: a\nobservation_0: b",
        "tool_name_0: f\ntool_args_0: {}\nobservation_0: b",
        "thought_0: a\ntool_name_0: f\ntool_args_0: {}\nobservation_0: b\nmore",
    ],
)
def test_texts_of_another_form_are_no_messages(text):
    assert messages_of(text, "") is None


def test_any_texts_of_steps_come_back_as_they_were():
    texts = [
        "",
        "one",
        "two\n\nlines",
        "  indented\n    more",
        "thought_1: x\ntool_name_1: y",
        "a: b\x00\ttab",
    ]
    shown = {}
    for number, text in enumerate(texts):
        shown |= {f"thought_{number}": text, f"tool_name_{number}": "f", f"tool_args_{number}": '{"n": 1}'}
        shown |= {f"observation_{number}": text}

    messages = messages_of(trajectory_text(shown), "x")

    assert [m["content"] for m in messages if m["role"] == "tool"] == texts
    assert [m["content"] for m in messages if m["role"] == "assistant"] == [text or None for text in texts]
    assert messages_of("", "x") == []


@hypothesis.given(hypothesis.strategies.lists(hypothesis.strategies.text(max_size=40), max_size=4))
def test_any_text_of_a_step_survives_as_its_lines(texts):
    shown = {}
    for number, text in enumerate(texts):
        shown |= {f"thought_{number}": text, f"tool_name_{number}": "f", f"tool_args_{number}": "{}"}
        shown |= {f"observation_{number}": text}

    messages = messages_of(trajectory_text(shown), "x")

    assert [m["content"] for m in messages if m["role"] == "tool"] == [
        "\n".join(t.splitlines()) for t in texts
    ]


@pytest.mark.parametrize("is_async_tool", [False, True])
@pytest.mark.parametrize("is_async", [False, True])
def test_with_a_limit_of_time_an_assertion_calls_no_tool_again(is_async, is_async_tool):
    asked = []

    def look(city: str) -> int:
        asked.append(city)
        return 3

    async def alook(city: str) -> int:
        return look(city)

    class Brief(telic.Module):
        def __init__(self):
            tool = Tool(alook if is_async_tool else look, name="look", timeout=5)
            self.agent = ReAct("question -> answer", tools=[tool])

        def forward(self, question):
            found = self.agent(question=question)
            telic.Assert(found.answer == "few", "Say few.")
            return found

    script = [
        step("look", city="Rome"),
        step("look", city="Oslo"),
        step("finish"),
        ANSWER,
        {**ANSWER, "answer": "few"},
    ]
    lm = ScriptedLM(script)
    with telic.context(lm=lm):
        found = asyncio.run(Brief().acall(question="?")) if is_async else Brief()(question="?")

    assert (found.answer, asked, len(lm.requests)) == ("few", ["Rome", "Oslo"], 5)
