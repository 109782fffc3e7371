import json

import pytest

import telic
from telic.adapters import ChatAdapter, JSONAdapter, XMLAdapter
from telic.data import Completion
from telic.errors import AdapterParseError, TruncatedReplyError
from telic.protocols import Capabilities
from telic.testing import FaultServer, ScriptedLM
from telic.types import History, Tool, ToolCall, ToolCalls

ABLE = Capabilities(function_calling=True)


def weather(city: str) -> str:
    """Tell the weather in a city."""
    return f"sunny in {city}"


class Act(telic.Signature):
    """Choose what to call."""

    question: str = telic.InputField()
    tools: list[Tool] = telic.InputField()
    calls: ToolCalls = telic.OutputField()


class Talk(Act):
    thought: str = telic.OutputField()
    urgency: int | None = telic.OutputField()


def called(text="", *names, reason="tool_calls"):
    calls = tuple(
        {"id": f"c{n}", "name": name, "arguments": {"city": "Rome"}} for n, name in enumerate(names)
    )
    return Completion(text, reason, None, calls)


NATIVE = [make(use_native_function_calling=True) for make in (ChatAdapter, JSONAdapter, XMLAdapter)]


def ask(replies, signature=Act, adapter=NATIVE[0], able=ABLE, max_retries=0, demos=(), **inputs):
    lm = ScriptedLM(replies, capabilities=able)
    step = telic.Predict(signature)
    step.demos = list(demos)
    with telic.context(lm=lm, adapter=adapter, max_retries=max_retries):
        return step(**{"question": "Rome?", "tools": [Tool(weather)], **inputs}), lm


@pytest.mark.parametrize("adapter", NATIVE, ids=lambda one: one.name)
@pytest.mark.parametrize("signature", [Act, Talk])
def test_tools_go_into_the_request_and_both_fields_leave_the_prompt(adapter, signature):
    found, lm = ask([called("", "weather")], signature, adapter)

    assert found.calls == ToolCalls([ToolCall("weather", {"city": "Rome"}, "c0")])
    assert lm.requests[0].options == {"tools": [Tool(weather).to_openai()]}
    prompt = str(lm.requests[0].messages)
    assert "`tools`" not in prompt
    assert "calls" not in prompt
    assert "weather" not in prompt
    assert "Rome?" in prompt


@pytest.mark.parametrize("adapter", NATIVE, ids=lambda one: one.name)
def test_an_lm_that_does_not_declare_it_gets_both_as_text(adapter):
    found, lm = ask(
        [{"calls": {"tool_calls": [{"name": "weather", "args": {}}]}}], Act, adapter, Capabilities()
    )

    assert found.calls == ToolCalls([ToolCall("weather")])
    assert "tools" not in lm.requests[0].options
    assert "Tell the weather in a city." in str(lm.requests[0].messages)


def test_only_the_json_format_does_it_unasked():
    for adapter, native in ((ChatAdapter(), False), (JSONAdapter(), True), (XMLAdapter(), False)):
        assert (
            "tools" in adapter.plan(Act, [], ABLE).render({"question": "?", "tools": []})[0]["content"]
        ) is not native
    assert "tools" in JSONAdapter(use_native_function_calling=False).plan(Act, [], ABLE).prefix[0]["content"]


def test_signatures_without_the_two_fields_are_as_ever():
    plain = telic.Signature("question -> answer")

    assert NATIVE[0].plan(plain, [], ABLE).render({"question": "?"}) == ChatAdapter().format(
        plain, [], {"question": "?"}
    )


def test_several_calls_of_a_turn_are_read_in_order():
    found, _ = ask([called("Both.", "weather", "other")], Talk)

    assert [call.name for call in found.calls] == ["weather", "other"]
    assert (found.thought, found.urgency) == ("Both.", None)


def test_a_reply_without_calls_is_read_as_any_and_has_none():
    found, _ = ask([{"thought": "No need.", "urgency": 3}], Talk)

    assert (found.thought, found.urgency, len(found.calls)) == ("No need.", 3, 0)
    assert len(ask([Completion("I need no tool.")])[0].calls) == 0


def test_fields_that_stand_beside_calls_are_read():
    text = "[[ ## thought ## ]]\nGo.\n\n[[ ## urgency ## ]]\n2\n\n[[ ## completed ## ]]"

    found, _ = ask([called(text, "weather")], Talk)

    assert (found.thought, found.urgency) == ("Go.", 2)


def test_arguments_that_are_no_object_are_asked_for_again_with_the_reason():
    broken = Completion("", "tool_calls", None, ({"id": "c", "name": "weather", "arguments": '{"city": '},))

    found, lm = ask([broken, called("", "weather")], max_retries=1)

    assert len(found.calls) == 1
    again = lm.requests[1].messages[-1]
    assert again["role"] == "user"
    assert "the arguments of 'weather' are no JSON" in again["content"]
    assert lm.requests[1].options["tools"]
    with pytest.raises(AdapterParseError, match="could not be used"):
        ask([broken])


def test_calls_that_were_cut_are_told_as_such():
    broken = Completion("", "length", None, ({"id": "c", "name": "weather", "arguments": '{"city": '},))

    with pytest.raises(TruncatedReplyError, match="max_tokens"):
        ask([broken], max_retries=3)


def test_demos_show_calls_as_calls_with_a_result_each_and_ids_of_their_own():
    demo = {"question": "Oslo?", "calls": {"tool_calls": [{"name": "weather", "args": {"city": "Oslo"}}] * 2}}

    _, lm = ask(
        [called("", "weather")], demos=[demo, {**demo, "tools": [Tool(weather).to_dict()]}, {"calls": None}]
    )

    roles = [message["role"] for message in lm.requests[0].messages]
    assert roles == ["system", *["user", "assistant", "tool", "tool"] * 2, "user"]
    assert lm.requests[0].prefix == 9
    ids = [m["tool_call_id"] for m in lm.requests[0].messages if m["role"] == "tool"]
    assert len(set(ids)) == 4
    assert all(len(one) == 9 and one.isalnum() for one in ids)
    assert ids[:2] == [call["id"] for call in lm.requests[0].messages[2]["tool_calls"]]


def test_a_history_of_calls_and_results_becomes_messages():
    past = History([{"question": "Oslo?", "calls": ToolCalls([{"name": "weather", "args": {"city": "Oslo"}}]),
                     "tool_call_results": ["rain"]}])  # fmt: skip

    class Chat(Act):
        history: History = telic.InputField()

    _, lm = ask([called("", "weather")], Chat, history=past)

    user, assistant, tool, last = lm.requests[0].messages[1:]
    assert "Oslo?" in user["content"]
    assert json.loads(assistant["tool_calls"][0]["function"]["arguments"]) == {"city": "Oslo"}
    assert (tool["tool_call_id"], tool["content"]) == (assistant["tool_calls"][0]["id"], "rain")
    assert "Rome?" in last["content"]


def test_raw_messages_of_a_history_are_passed_on():
    raw = [{"role": "user", "content": "hi"}, {"role": "assistant", "content": None, "tool_calls": []}]

    class Chat(Act):
        history: History = telic.InputField()

    _, lm = ask([called("", "weather")], Chat, history=History(raw))

    assert lm.requests[0].messages[1:3] == raw


def test_no_tools_are_no_option_and_parallel_calls_are_told():
    _, lm = ask([Completion("none")], tools=[])
    assert lm.requests[0].options == {}
    _, lm = ask([called("", "weather")], adapter=ChatAdapter(None, True, parallel_tool_calls=False))
    assert lm.requests[0].options["parallel_tool_calls"] is False


def test_one_tool_and_an_optional_list_of_calls_do_too():
    class One(telic.Signature):
        """Act."""

        question: str = telic.InputField()
        tools: Tool = telic.InputField()
        calls: ToolCalls | None = telic.OutputField()

    found, lm = ask([Completion("no")], One, tools=Tool(weather))

    assert found.calls is None
    assert lm.requests[0].options["tools"][0]["function"]["name"] == "weather"


def test_it_goes_over_the_wire_in_both_dialects():
    def openai(body):
        assert body["tools"][0]["function"]["name"] == "weather"
        call = {
            "id": "c",
            "type": "function",
            "function": {"name": "weather", "arguments": '{"city": "Rome"}'},
        }
        message = {"role": "assistant", "content": None, "tool_calls": [call]}
        return {"choices": [{"message": message, "finish_reason": "tool_calls"}], "usage": {}}

    def anthropic(body):
        assert body["tools"][0]["name"] == "weather"
        return {"content": [{"type": "tool_use", "id": "c", "name": "weather", "input": {"city": "Rome"}}],
                "stop_reason": "tool_use", "usage": {"input_tokens": 1, "output_tokens": 1}}  # fmt: skip

    for model, answer in (("openai/gpt-5-mini", openai), ("anthropic/claude-x", anthropic)):
        with FaultServer(answer) as server:
            url = server.url if model.startswith("openai") else server.host
            lm = telic.LM(model, api_key="k", base_url=url, cache=False)
            with telic.context(lm=lm, adapter=NATIVE[0]):
                found = telic.Predict(Act)(question="Rome?", tools=[Tool(weather)])
        assert found.calls.tool_calls[0].args == {"city": "Rome"}


def test_reasoning_that_comes_beside_the_calls_is_its_field():
    class Think(Act):
        thought: telic.Reasoning = telic.OutputField()

    reply = called("", "weather")._replace(reasoning="It may rain.")
    found, _ = ask([reply], Think, able=ABLE._replace(reasoning_text=True))

    assert str(found.thought) == "It may rain."
    assert len(found.calls) == 1


def test_instructions_that_nobody_wrote_name_only_what_is_there():
    typed = {"custom_types": {"Tool": Tool, "ToolCalls": ToolCalls}}
    for text in (
        "question, tools: list[Tool] -> calls: ToolCalls",
        "question, tools: list[Tool] -> note, calls: ToolCalls",
    ):
        _, lm = ask([called("", "weather")], telic.Signature(text, **typed))
        prompt = lm.requests[0].messages[0]["content"]
        assert "`question`" in prompt
        assert "`tools`" not in prompt
        assert "`calls`" not in prompt


@pytest.mark.parametrize(
    "written", ["{'city': 'Rome',}", '```json\n{"city": "Rome"}\n```', '{"city": "Rome"} // so']
)
def test_arguments_that_are_nearly_json_are_read_at_no_cost(written):
    reply = Completion("", "tool_calls", None, ({"id": "c", "name": "weather", "arguments": written},))

    found, lm = ask([reply])

    assert found.calls.tool_calls[0].args == {"city": "Rome"}
    assert len(lm.requests) == 1


@pytest.mark.parametrize("written", ['{"city": "Ro', '{"a":' * 100_000, "[1, 2]", "Rome", '{"city": "Rome"'])
def test_arguments_that_were_cut_or_are_no_object_are_never_run(written):
    reply = Completion("", "tool_calls", None, ({"id": "c", "name": "weather", "arguments": written},))

    with pytest.raises(AdapterParseError, match="calls of tools for 'Act' could not be used") as caught:
        ask([reply])
    assert len(str(caught.value)) < 1500
