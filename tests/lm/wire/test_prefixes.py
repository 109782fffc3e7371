"""What a provider's prompt cache needs: the calls of a predictor begin with the same bytes, whatever their inputs."""

from __future__ import annotations

import json
from itertools import pairwise

import pytest

import telic
from telic.adapters import ChatAdapter, JSONAdapter, XMLAdapter
from telic.testing import FaultServer

ADAPTERS = (ChatAdapter, JSONAdapter, XMLAdapter)
DIALECTS = ("openai", "anthropic")
REPLIES = {
    ChatAdapter: "[[ ## answer ## ]]\nblue\n\n[[ ## completed ## ]]",
    JSONAdapter: '{"answer": "blue"}',
    XMLAdapter: "<answer>\nblue\n</answer>",
}


def bodies(dialect, reply, ask):
    """Return what was sent."""
    with FaultServer(reply) as server:
        base = server.url if dialect == "openai" else server.host
        lm = telic.LM(f"{dialect}/m", base_url=base, api_key="none", cache=False)
        with telic.context(lm=lm):
            ask()
        return [request.body for request in server.requests]


def turns(body):
    """Return the conversation without the marks, which are no part of what is compared by a provider."""
    told = json.loads(json.dumps(body))
    for message in [
        *told.get("system", ()),
        *(b for m in told["messages"] for b in m["content"] if isinstance(b, dict)),
    ]:
        message.pop("cache_control", None)
    return [told.get("system"), *told["messages"]]


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("adapter", ADAPTERS)
def test_system_and_demos_stand_first_and_are_the_same_in_every_call(adapter, dialect):
    program = telic.Predict("context, question -> answer")
    program.demos = [telic.Example(context=f"c{k}", question=f"q{k}", answer=f"a{k}") for k in range(8)]

    def ask():
        with telic.context(adapter=adapter()):
            program(context="The sky.", question="Which colour?")
            program(context="Another text, which is longer.", question="And this?")

    first, second = map(turns, bodies(dialect, REPLIES[adapter], ask))

    assert first[:-1] == second[:-1]
    assert first[-1] != second[-1]
    shared = json.dumps(first[:-1])
    assert all(f"a{k}" in shared for k in range(8))
    assert "The sky" not in shared


@pytest.mark.parametrize("dialect", DIALECTS)
def test_settings_beside_the_messages_are_the_same_too(dialect):
    program = telic.ChainOfThought("question -> answer: int", temperature=0.5)
    reply = "[[ ## reasoning ## ]]\nx\n\n[[ ## answer ## ]]\n4\n\n[[ ## completed ## ]]"

    first, second = bodies(
        dialect, reply, lambda: [program(question=text) for text in ("2+2?", "3+1, then?")]
    )

    for body in (first, second):
        del body["messages"]
    assert first == second


@pytest.mark.parametrize("dialect", DIALECTS)
def test_an_agents_calls_begin_with_all_of_the_call_before(dialect):
    def look(topic: str) -> str:
        """Look it up."""
        return f"all about {topic}"

    steps = iter(("sky", "sea", None))

    def reply(body):
        topic = next(steps, None)
        tool, arguments = ("finish", "{}") if topic is None else ("look", json.dumps({"topic": topic}))
        shown = {"next_thought": "go on", "next_tool_name": tool, "next_tool_args": arguments}
        if "next_tool_name" not in json.dumps(body):
            shown = {"reasoning": "seen", "answer": "blue"}
        text = "\n\n".join(f"[[ ## {name} ## ]]\n{value}" for name, value in shown.items())
        return f"{text}\n\n[[ ## completed ## ]]"

    agent = telic.ReAct("question -> answer", tools=[look], native=False)
    sent = [turns(body) for body in bodies(dialect, reply, lambda: agent(question="Which colour?"))]

    assert len(sent) == 4
    for before, after in pairwise(sent[:3]):
        assert before[:-1] == after[:-1]
        known = said(before[-1]).partition("Respond with")[0].rstrip()
        assert said(after[-1]).startswith(known)


def said(message):
    content = message["content"]
    return content if isinstance(content, str) else content[-1]["text"]
