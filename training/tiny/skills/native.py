"""Conversations with tools called natively: the model's own chat template, without any adapter's layout."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, NamedTuple

from cells import Cell
from skills.agent import case_of, tools_of

from telic.data import Request
from telic.datasets.tiny._agent_world import AgentWorld
from telic.datasets.tiny._classify import held
from telic.lm.tiny._prompt import prompt_tokens
from telic.modules._value_text import value_text
from telic.signatures import make_signature

if TYPE_CHECKING:
    from random import Random

SYSTEM = (
    "Answer the question.", "Use the tools.", "Answer with the help of the tools.", "You are a helpful assistant.", "Find the answer with the tools.",
    "You have tools. Use them to answer.", "Call a tool for what you do not know.", "Answer the question. Be brief.", "Help the user.", "Use the tools to find out.",
)  # fmt: skip
_PLAIN = make_signature("question -> answer")


class Talk(NamedTuple):
    """A conversation as messages, the specifications of its tools, and which turns are to be learned."""

    messages: list[dict[str, Any]]
    tools: list[dict[str, Any]]


def specification(tool: Any) -> dict[str, Any]:
    """Return what a provider is told of a tool."""
    parameters = {"type": "object", "properties": {n: {"type": "string"} for n in tool.args}}
    return {
        "type": "function",
        "function": {"name": tool.name, "description": tool.desc, "parameters": parameters},
    }


def talk(rng: Random, held_out: bool, questions: int) -> Talk:
    """Return a conversation of so many questions, each with the calls that its answer needs."""
    made = tools_of(rng, held_out, _PLAIN, rng.choice(("s", "sc", "sc", "c")))
    tools = [specification(t) for name, t in made.agent.tools.items() if name != "finish"]
    messages: list[dict[str, Any]] = []
    if rng.random() < 0.8:
        messages.append({"role": "system", "content": rng.choice(held(SYSTEM, held_out))})
    while questions:
        case = case_of(rng, held_out, made)
        if any(step.wrong for step in case.steps):
            continue
        questions -= 1
        messages.append({"role": "user", "content": case.question})
        for step in case.steps[:-1]:
            call = {"type": "function", "function": {"name": step.name, "arguments": json.dumps(step.args)}}
            messages.append({"role": "assistant", "content": None, "tool_calls": [call]})
            messages.append({"role": "tool", "content": value_text(step.observation, 2_000)})
        messages.append({"role": "assistant", "content": case.answer})
    return Talk(messages, tools)


def tokens(tokenizer: Any, made: Talk, length: int) -> tuple[list[int], list[float]]:
    """Return a conversation's tokens, and 1.0 for those of its assistant turns."""
    ids: list[int] = []
    weights: list[float] = []
    for at, message in enumerate(made.messages):
        if message["role"] != "assistant":
            continue
        start = len(prompt_tokens(tokenizer, made.messages[:at], made.tools))
        whole = prompt_tokens(tokenizer, made.messages[: at + 1], made.tools)[:-1]
        if len(whole) > length:
            break
        weights += [0.0] * (start - len(ids)) + [1.0] * (len(whole) - start)
        ids = whole
    return ids, weights


def _episode(lm: Any, rng: Random, held_out: bool, kind: str) -> bool:
    """Return whether a question is answered by calling tools natively, in a loop of at most 6 turns."""
    world = AgentWorld(rng, held_out)
    named = {
        "search": (world.search, "query", "Search for facts."),
        "calculator": (world.calculator, "expression", "Compute an expression."),
    }
    tools = [
        {"type": "function", "function": {"name": n, "description": d, "parameters": {"properties": {a: {"type": "string"}}}}}
        for n, (_, a, d) in named.items()
    ]  # fmt: skip
    question, answer = world.question(kind)
    messages: list[Any] = [
        {"role": "system", "content": "Use the tools."},
        {"role": "user", "content": question},
    ]
    for _ in range(6):
        made = lm.complete(Request(messages, {"tools": tools, "max_tokens": 80})).completions[0]
        if not made.tool_calls:
            return made.text.strip() == answer
        call = made.tool_calls[0]
        messages.append({"role": "assistant", "content": None, "tool_calls": [call]})
        function, argument, _ = named[call["name"]]
        try:
            shown = value_text(function(call["arguments"].get(argument, "")), 2_000)
        except ValueError as error:
            shown = f"Error: {error}"
        messages.append({"role": "tool", "content": shown})
    return False


CELLS = {
    f"native tools, {kind}": Cell(None, run=lambda lm, rng, held_out, kind=kind: _episode(lm, rng, held_out, kind), demos=(0,))
    for kind in ("1 hop", "2 hops", "sums")
}  # fmt: skip
