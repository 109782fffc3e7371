from __future__ import annotations

import orjson
import pytest

from telic._http import HttpResponse
from telic.data import Request
from telic.errors import (
    ConfigurationError,
    ContentFilterError,
    ContextWindowExceededError,
    LMBillingError,
    LMRateLimitError,
    LMResponseError,
    LMServerError,
    LMTransportError,
    NotConfiguredError,
)
from telic.lm.wire._anthropic import AnthropicDialect

HI = [{"role": "user", "content": "hi"}]


def dialect(**options):
    return AnthropicDialect(
        "claude-x", **{"api_key": "hush-123456", "base_url": "http://localhost:1", **options}
    )


def sent(messages=HI, prefix=0, **options):
    return orjson.loads(dialect().encode(Request(messages, options, prefix=prefix)).body)


def text(value):
    return [{"type": "text", "text": value}]


def answer(**body):
    return HttpResponse(
        200, {}, orjson.dumps({"id": "msg_1", "content": text("hello"), "stop_reason": "end_turn", **body})
    )


def test_headers_and_address():
    endpoint = dialect().endpoint
    assert endpoint.target == "/v1/messages"
    assert b"x-api-key: hush-123456\r\n" in endpoint.head
    assert b"anthropic-version: 2023-06-01\r\n" in endpoint.head
    assert dialect(base_url="http://localhost:1/v1/messages").endpoint.target == "/v1/messages"


def test_a_missing_key_is_named_before_any_connection():
    with pytest.raises(NotConfiguredError, match="ANTHROPIC_API_KEY"):
        AnthropicDialect("claude-x")


def test_system_turns_leave_the_list_and_neighbours_are_joined():
    body = sent(
        [
            {"role": "system", "content": "be brief"}, {"role": "user", "content": "a"}, {"role": "user", "content": "b"},
            {"role": "assistant", "content": "c"}, {"role": "user", "content": "d"},
        ],
        max_tokens=5,
    )  # fmt: skip
    assert body == {
        "model": "claude-x", "max_tokens": 5, "system": text("be brief"),
        "messages": [
            {"role": "user", "content": text("a") + text("b")}, {"role": "assistant", "content": text("c")},
            {"role": "user", "content": text("d")},
        ],
    }  # fmt: skip


def test_a_limit_is_always_sent():
    assert sent()["max_tokens"] == 4096
    assert sent(max_completion_tokens=7)["max_tokens"] == 7


def test_only_a_long_prefix_is_marked_for_the_providers_cache():
    long = [{"role": "system", "content": "s" * 5000}, {"role": "user", "content": "demo"},
            {"role": "assistant", "content": "reply"}, {"role": "user", "content": "ask"}]  # fmt: skip
    body = sent(long, prefix=3)
    assert body["messages"][1]["content"] == [
        {"type": "text", "text": "reply", "cache_control": {"type": "ephemeral"}}
    ]
    assert orjson.dumps(body).count(b"cache_control") == 1
    assert b"cache_control" not in orjson.dumps(sent([{"role": "system", "content": "s"}, *HI], prefix=1))


def test_a_conversation_that_goes_on_is_marked_at_its_end_too():
    system = [{"role": "system", "content": "s" * 5000}]
    turns = [
        {"role": "user", "content": "ask"},
        {"role": "assistant", "content": "call"},
        {"role": "user", "content": "saw"},
    ]

    first, second = sent([*system, *turns[:1]], prefix=1), sent([*system, *turns], prefix=1)

    assert orjson.dumps(first).count(b"cache_control") == 1
    assert "cache_control" in second["system"][-1]
    assert "cache_control" in second["messages"][-1]["content"][-1]
    assert orjson.dumps(second).count(b"cache_control") == 2
    assert b"cache_control" not in orjson.dumps(sent([{"role": "system", "content": "s"}, *turns], prefix=1))


def test_tools_and_their_results_change_shape():
    function = {"name": "f", "description": "does", "parameters": {"type": "object", "properties": {}}}
    body = sent(
        [
            *HI,
            {"role": "assistant", "content": None,
             "tool_calls": [{"id": "1", "type": "function", "function": {"name": "f", "arguments": '{"a": 1}'}}]},
            {"role": "tool", "tool_call_id": "1", "content": "42"},
        ],
        tools=[{"type": "function", "function": function}], tool_choice="required", parallel_tool_calls=False,
    )  # fmt: skip
    assert body["tools"] == [{"name": "f", "description": "does", "input_schema": function["parameters"]}]
    assert body["tool_choice"] == {"type": "any", "disable_parallel_tool_use": True}
    assert body["messages"][1]["content"] == [{"type": "tool_use", "id": "1", "name": "f", "input": {"a": 1}}]
    assert body["messages"][2]["content"] == [{"type": "tool_result", "tool_use_id": "1", "content": "42"}]


def test_images_are_sent_by_data_or_by_address():
    parts = [
        {"type": "image_url", "image_url": {"url": url}}
        for url in ("data:image/png;base64,QUJD", "https://x/y.png")
    ]
    blocks = sent([{"role": "user", "content": parts}])["messages"][0]["content"]
    assert blocks[0]["source"] == {"type": "base64", "media_type": "image/png", "data": "QUJD"}
    assert blocks[1]["source"] == {"type": "url", "url": "https://x/y.png"}


def test_thinking_makes_room_for_itself_and_takes_no_temperature():
    body = sent(reasoning_effort="low", max_tokens=100)
    assert body["thinking"] == {"type": "enabled", "budget_tokens": 1024}
    assert body["max_tokens"] > 1024
    with pytest.raises(ConfigurationError, match="while it thinks"):
        sent(reasoning_effort="low", temperature=0.0)


@pytest.mark.parametrize("name", ["seed", "logprobs", "response_format", "frequency_penalty"])
def test_options_that_the_api_lacks_are_refused(name):
    with pytest.raises(ConfigurationError, match=f"no option '{name}'"):
        sent(**{name: 1})


def test_an_answer_is_read_whole():
    response = dialect().decode(
        answer(
            content=[{"type": "thinking", "thinking": "hm"}, *text("hel"), *text("lo"),
                     {"type": "tool_use", "id": "1", "name": "f", "input": {"a": 1}}],
            stop_reason="tool_use",
            usage={"input_tokens": 3, "cache_read_input_tokens": 10, "cache_creation_input_tokens": 2, "output_tokens": 4},
        )
    )  # fmt: skip
    (read,) = response.completions
    assert (read.text, read.reasoning, read.finish_reason) == ("hello", "hm", "tool_calls")
    assert read.tool_calls == ({"id": "1", "name": "f", "arguments": {"a": 1}},)
    assert response.usage == (15, 4, 10, 0, None, 1)


def test_reasons_to_stop_become_ours():
    assert dialect().decode(answer(stop_reason="max_tokens")).completions[0].finish_reason == "length"
    with pytest.raises(ContentFilterError):
        dialect().decode(answer(stop_reason="refusal"))


@pytest.mark.parametrize("body", [b"<html>", b"{}", b'{"content": [7]}'])
def test_an_answer_that_is_none_is_an_error(body):
    with pytest.raises(LMResponseError):
        dialect().decode(HttpResponse(200, {}, body))


@pytest.mark.parametrize(
    ("status", "kind_", "message", "kind"),
    [
        (429, "rate_limit_error", "slow", LMRateLimitError),
        (529, "overloaded_error", "Overloaded", LMServerError),
        (
            400,
            "invalid_request_error",
            "prompt is too long: 210000 tokens > 200000 maximum",
            ContextWindowExceededError,
        ),
        (
            400,
            "invalid_request_error",
            "Your credit balance is too low to access the Anthropic API",
            LMBillingError,
        ),
    ],
)
def test_statuses_and_words_become_errors(status, kind_, message, kind):
    body = orjson.dumps(
        {"type": "error", "error": {"type": kind_, "message": message}, "request_id": "req_1"}
    )
    error = dialect().decode_error(status, {}, body)
    assert type(error) is kind
    assert error.request_id == "req_1"


def feed(*events):
    stream = dialect().open_stream()
    return [delta for event in events for delta in stream.feed(b"", orjson.dumps(event))], stream


def block(index, **delta):
    return {"type": "content_block_delta", "index": index, "delta": delta}


def test_a_stream_is_put_together():
    deltas, stream = feed(
        {"type": "message_start", "message": {"id": "m", "usage": {"input_tokens": 5}}},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "thinking", "thinking": ""}},
        block(0, type="thinking_delta", thinking="hm"),
        {"type": "content_block_start", "index": 1, "content_block": {"type": "text", "text": ""}},
        {"type": "ping"},
        block(1, type="text_delta", text="hel"), block(1, type="text_delta", text="lo"),
        {"type": "content_block_start", "index": 2, "content_block": {"type": "tool_use", "id": "1", "name": "f", "input": {}}},
        block(2, type="input_json_delta", partial_json='{"a"'), block(2, type="input_json_delta", partial_json=": 1}"),
        {"type": "message_delta", "delta": {"stop_reason": "tool_use"}, "usage": {"output_tokens": 7}},
        {"type": "message_stop"},
    )  # fmt: skip
    assert [(delta.text, delta.reasoning) for delta in deltas] == [("", "hm"), ("hel", ""), ("lo", "")]
    response = stream.finish()
    (read,) = response.completions
    assert (read.text, read.reasoning, read.tool_calls[0]["arguments"]) == ("hello", "hm", {"a": 1})
    assert response.usage[:2] == (5, 7)


def test_arguments_of_a_call_that_was_cut_stay_text():
    tool = {"type": "tool_use", "id": "1", "name": "f", "input": {}}
    _, stream = feed(
        {"type": "content_block_start", "index": 0, "content_block": tool},
        block(0, type="input_json_delta", partial_json='{"a": "long'),
        {"type": "message_delta", "delta": {"stop_reason": "max_tokens"}},
        {"type": "message_stop"},
    )
    (read,) = stream.finish().completions
    assert (read.finish_reason, read.tool_calls[0]["arguments"]) == ("length", '{"a": "long')


def test_a_stream_that_fails_or_ends_early_is_an_error():
    with pytest.raises(LMServerError):
        feed({"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}})
    _, stream = feed({"type": "message_start", "message": {"id": "m"}})
    with pytest.raises(LMTransportError, match="ended before"):
        stream.finish()
    with pytest.raises(LMResponseError):
        feed({"type": "content_block_delta", "index": 9, "delta": {"type": "text_delta", "text": "x"}})
