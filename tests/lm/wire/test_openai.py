from __future__ import annotations

from datetime import UTC, datetime

import orjson
import pytest

from telic._http import HttpResponse
from telic.data import Completion, Request
from telic.errors import (
    ConfigurationError,
    ContentFilterError,
    ContextWindowExceededError,
    LMAuthError,
    LMBillingError,
    LMInvalidRequestError,
    LMRateLimitError,
    LMResponseError,
    LMServerError,
    LMTimeoutError,
    LMTransportError,
    LMUnsupportedModelError,
    NotConfiguredError,
    UnknownProviderError,
)
from telic.lm.wire._client import open_client
from telic.lm.wire._failure import retry_after_s
from telic.lm.wire._openai import OpenAIDialect
from telic.testing import FaultServer, faults

HI = [{"role": "user", "content": "hi"}]


def dialect(model="m", prefix="openai", **options):
    options.setdefault("base_url", "http://localhost:1/v1")
    options.setdefault("api_key", "sk-hush-123456")
    return OpenAIDialect(prefix, model, **options)


def sent(dialect_, stream=False, n=None, **options):
    return orjson.loads(dialect_.encode(Request(HI, options), stream=stream, n=n).body)


def answer(**body):
    return HttpResponse(200, {"content-type": "application/json"}, orjson.dumps(body))


def completion(content="hello", finish="stop", **message):
    return {
        "index": 0,
        "message": {"role": "assistant", "content": content, **message},
        "finish_reason": finish,
    }


def test_options_go_through_under_their_own_names():
    body = sent(
        dialect(),
        temperature=0.0,
        stop=["\n"],
        seed=0,
        top_logprobs=2,
        logprobs=True,
        own={"a": 1},
        top_p=None,
    )
    assert body == {
        "model": "m", "messages": HI, "temperature": 0.0, "stop": ["\n"], "seed": 0, "top_logprobs": 2, "logprobs": True,
        "own": {"a": 1},
    }  # fmt: skip


def test_extra_body_and_headers():
    request = dialect().encode(Request(HI, {"extra_body": {"top_k": 5}, "extra_headers": {"X-Own": "1"}}))
    assert orjson.loads(request.body)["top_k"] == 5
    assert b"X-Own: 1\r\n" in request.endpoint.head
    assert b"Authorization: Bearer sk-hush-123456\r\n" in request.endpoint.head


def test_a_stream_asks_for_usage_and_for_no_compression():
    request = dialect().encode(Request(HI), stream=True)
    assert orjson.loads(request.body)["stream_options"] == {"include_usage": True}
    assert b"Accept-Encoding: identity" in request.endpoint.head


def test_plain_completions_join_the_messages():
    text = dialect(model_type="text")
    assert sent(text, max_tokens=3) == {"model": "m", "prompt": "hi", "max_tokens": 3}
    assert text.endpoint.target == "/v1/completions"
    assert text.decode(answer(choices=[{"text": "there", "finish_reason": "length"}])).completions[
        0
    ] == Completion("there", "length")


@pytest.mark.parametrize("model", ["o1", "o3-mini", "o4-mini-2025-04-16", "gpt-5", "gpt-5-mini", "gpt-5.1"])
def test_reasoning_models_get_their_own_limit_and_refuse_temperatures_at_the_door(model):
    assert sent(dialect(model), max_tokens=20000, temperature=1.0) == {
        "model": model, "messages": HI, "max_completion_tokens": 20000, "temperature": 1.0,
    }  # fmt: skip
    with pytest.raises(ConfigurationError, match="leave temperature out"):
        sent(dialect(model), temperature=0.0)


@pytest.mark.parametrize("model", ["gpt-5-chat-latest", "gpt-4o", "o-something", "my-o1"])
def test_other_models_keep_theirs(model):
    assert sent(dialect(model), max_tokens=5, temperature=0.0)["max_tokens"] == 5


def test_a_lone_surrogate_is_refused_with_its_place():
    messages = [{"role": "user", "content": [{"type": "text", "text": "ab\ud800"}]}]
    with pytest.raises(
        LMInvalidRequestError, match=r"messages\[0\]\['content'\]\[0\]\['text'\].* character 2"
    ):
        dialect().encode(Request(messages))


def test_an_option_that_is_no_json_is_refused_by_name():
    with pytest.raises(ConfigurationError, match="option 'stop'"):
        sent(dialect(), stop=object())


def test_a_pydantic_model_becomes_a_schema():
    import pydantic

    class City(pydantic.BaseModel):
        name: str

    body = sent(dialect(), response_format=City)
    assert body["response_format"]["json_schema"]["name"] == "City"
    with pytest.raises(ConfigurationError, match="no pydantic model"):
        sent(dialect(), response_format=int)


def test_a_missing_key_names_its_variable_before_any_connection():
    with pytest.raises(NotConfiguredError, match="OPENAI_API_KEY"):
        OpenAIDialect("openai", "gpt-4o")
    with pytest.raises(NotConfiguredError, match="GROQ_API_KEY"):
        OpenAIDialect("groq", "llama")
    with pytest.raises(NotConfiguredError, match="AZURE_API_BASE"):
        OpenAIDialect("azure", "gpt-4o", api_key="x")


def test_servers_of_ones_own_need_no_key():
    for prefix in ("vllm", "hosted_vllm", "sglang", "ollama", "ollama_chat", "lm_studio", "llama_cpp"):
        assert b"Authorization" not in OpenAIDialect(prefix, "m").endpoint.head
    assert b"Authorization" not in dialect(api_key="").endpoint.head
    assert (
        OpenAIDialect("ollama_chat", "m", base_url="http://box:11434").endpoint.target
        == "/v1/chat/completions"
    )


def test_keys_and_addresses_come_from_the_environment(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", " sk-env\n")
    monkeypatch.setenv("OPENAI_BASE_URL", "http://gateway:9/v1/")
    endpoint = OpenAIDialect("openai", "m").endpoint
    assert (endpoint.origin.name, endpoint.target) == ("http://gateway:9", "/v1/chat/completions")
    assert b"Authorization: Bearer sk-env\r\n" in endpoint.head


def test_azure_has_its_own_header_and_path(monkeypatch):
    azure = dialect("gpt-4o", "azure", base_url="https://x.openai.azure.com", api_version="2024-10-21")
    assert azure.endpoint.target == "/openai/deployments/gpt-4o/chat/completions?api-version=2024-10-21"
    assert b"api-key: sk-hush-123456\r\n" in azure.endpoint.head
    assert (
        dialect("g", "azure", base_url="https://x.example").endpoint.target == "/openai/v1/chat/completions"
    )


def test_unknown_prefixes_and_types_are_refused_with_a_suggestion():
    with pytest.raises(UnknownProviderError, match="did you mean 'openai'"):
        dialect(prefix="opnai")
    with pytest.raises(ConfigurationError, match="model_type"):
        dialect(model_type="chta")


def test_capabilities_are_claimed_only_where_they_are_known():
    assert dialect("gpt-4o-mini").capabilities.response_schema
    assert not dialect("my-own-model").capabilities.response_schema
    assert not dialect("gpt-3.5-turbo").capabilities.response_schema
    assert dialect("any", "vllm").capabilities.response_schema
    assert not dialect("any", "deepseek").capabilities.response_schema


@pytest.mark.parametrize(
    ("prefix", "model", "url", "expected"),
    [
        ("openai", "any-new-model", None, True),
        ("openai", "gpt-5-mini", "http://localhost:1/v1", True),
        ("openai", "gpt-4", "http://localhost:1/v1", True),
        ("openai", "my-own-model", "http://localhost:1/v1", False),
        ("deepseek", "deepseek-chat", None, True),
        ("deepseek", "deepseek-reasoner", None, False),
        ("vllm", "any", None, False),
        ("openrouter", "some/model", None, False),
    ],
)
def test_function_calling_is_declared_where_it_is_sure(prefix, model, url, expected):
    made = OpenAIDialect(prefix, model, api_key="k", base_url=url)

    assert made.capabilities.function_calling is expected


def test_an_answer_is_read_whole():
    response = dialect().decode(
        answer(
            id="x", model="m-1",
            choices=[
                completion(reasoning_content="hm", logprobs=None),
                completion(None, "tool_calls", tool_calls=[{"id": "1", "function": {"name": "f", "arguments": '{"a": 1}'}}]),
                completion([{"type": "text", "text": "a"}, {"type": "thinking"}, {"type": "text", "text": "b"}], "eos"),
                completion(None, None, refusal="no"),
            ],
            usage={
                "prompt_tokens": 7, "completion_tokens": 5, "prompt_tokens_details": {"cached_tokens": 4},
                "completion_tokens_details": {"reasoning_tokens": 3}, "cost": 0.25,
            },
        )
    )  # fmt: skip
    first, second, third, fourth = response.completions
    assert (first.text, first.reasoning, first.finish_reason) == ("hello", "hm", "stop")
    assert second.tool_calls == ({"id": "1", "name": "f", "arguments": {"a": 1}},)
    assert (second.text, second.finish_reason) == ("", "tool_calls")
    assert (third.text, third.finish_reason) == ("ab", "stop")
    assert fourth.text == "no"
    assert response.usage == (7, 5, 4, 3, 0.25, 1)
    assert (response.model, response.id) == ("m-1", "x")


def test_arguments_that_are_no_json_stay_text():
    calls = [
        {"id": "1", "function": {"name": "f", "arguments": '{"a": '}},
        {"function": {"name": "g", "arguments": ""}},
    ]
    (read,) = dialect().decode(answer(choices=[completion(None, "tool_calls", tool_calls=calls)])).completions
    assert [call["arguments"] for call in read.tool_calls] == ['{"a": ', {}]


REPLY = '{"choices": [{"message": {"content": "%s", "role": "assistant"}, "logprobs": %s}]}'


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (b"\xef\xbb\xbf" + (REPLY % ("hé", "null")).encode(), "hé"),
        ((REPLY % ("hé", "null")).encode("latin-1"), "h\ufffd"),
        ((REPLY % ("cut \\ud83d", "null")).encode(), "cut \ufffd"),
        ((REPLY % ("sure", "[-Infinity]")).encode(), "sure"),
    ],
)
def test_an_answer_that_was_paid_for_is_not_lost_to_a_few_bytes(body, text):
    assert dialect().decode(HttpResponse(200, {}, body)).text == text
    stream = dialect().open_stream()
    stream.feed(b"", body.replace(b'"message"', b'"finish_reason": "stop", "delta"'))
    assert stream.finish().text == text


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b"<!DOCTYPE html><html>Welcome to nginx!</html>", "a web page.*base_url.*Welcome to nginx"),
        (b"", "an empty body"),
        (b'{"choices": [{"mess', "instead of JSON"),
        (b"[1]", "no object"),
        (b"{}", "without choices"),
        (b'{"choices": []}', "without choices"),
        (b'{"choices": [{"message": null}]}', "a shape"),
        (b'{"choices": [7]}', "a shape"),
        (b"data: {}\n\n", "a stream that was not asked for"),
        (b"[" * 100_000, "instead of JSON"),
    ],
)
def test_an_answer_that_is_none_shows_its_start_and_a_hint(body, says):
    with pytest.raises(LMResponseError, match=says) as caught:
        dialect().decode(HttpResponse(200, {"content-type": "text/html"}, body))
    assert (caught.value.model, caught.value.provider) == ("m", "openai")
    assert len(str(caught.value)) < 600


def test_a_failure_inside_a_200_is_a_failure():
    with pytest.raises(LMRateLimitError):
        dialect().decode(answer(error={"message": "slow down", "code": 429}))
    with pytest.raises(LMServerError):
        dialect().decode(answer(error={"message": "upstream"}))


def test_only_withheld_completions_are_an_error():
    with pytest.raises(ContentFilterError):
        dialect().decode(answer(choices=[completion(None, "content_filter")]))
    kept = dialect().decode(answer(choices=[completion("a"), completion(None, "content_filter")]))
    assert [c.finish_reason for c in kept.completions] == ["stop", "content_filter"]


@pytest.mark.parametrize(
    ("status", "message", "code", "kind"),
    [
        (401, "Incorrect API key provided", "invalid_api_key", LMAuthError),
        (403, "Country not supported", "", LMAuthError),
        (402, "Insufficient credits", "", LMBillingError),
        (
            429,
            "You exceeded your current quota, please check your plan",
            "insufficient_quota",
            LMBillingError,
        ),
        (429, "Rate limit reached", "rate_limit_exceeded", LMRateLimitError),
        (
            404,
            "The model `x` does not exist or you do not have access to it.",
            "model_not_found",
            LMUnsupportedModelError,
        ),
        (404, 'model "llama9" not found, try pulling it first', "", LMUnsupportedModelError),
        (400, "x is not a valid model ID", "", LMUnsupportedModelError),
        (404, "Not Found", "", LMInvalidRequestError),
        (400, "Invalid value for temperature", "", LMInvalidRequestError),
        (422, "Unprocessable", "", LMInvalidRequestError),
        (413, "Payload too large", "", LMInvalidRequestError),
        (
            400,
            "This model's maximum context length is 8192 tokens. However, you requested 9000",
            "",
            ContextWindowExceededError,
        ),
        (400, "x", "context_length_exceeded", ContextWindowExceededError),
        (
            400,
            "The decoder prompt (length 9) is longer than the maximum model length of 8.",
            "",
            ContextWindowExceededError,
        ),
        (
            400,
            "the request exceeds the available context size. try increasing it",
            "",
            ContextWindowExceededError,
        ),
        (500, "the request exceeds the available context size", "", ContextWindowExceededError),
        (400, "prompt is too long: 210000 tokens > 200000 maximum", "", ContextWindowExceededError),
        (
            400,
            "input length and `max_tokens` exceed context limit: 1 + 2 > 2",
            "",
            ContextWindowExceededError,
        ),
        (
            400,
            "The input token count (9) exceeds the maximum number of tokens allowed (8).",
            "",
            ContextWindowExceededError,
        ),
        (400, "Please reduce the length of the messages or completion", "", ContextWindowExceededError),
        (400, "The response was filtered", "content_filter", ContentFilterError),
        (408, "timeout", "", LMTimeoutError),
        (500, "boom", "", LMServerError),
        (503, "model is loading", "", LMServerError),
        (529, "overloaded", "", LMServerError),
        (302, "moved", "", LMResponseError),
    ],
)
def test_statuses_and_words_become_errors(status, message, code, kind):
    body = orjson.dumps({"error": {"message": message, "code": code}})
    error = dialect().decode_error(status, {"x-request-id": "req-1"}, body)
    assert type(error) is kind
    assert (error.status, error.request_id, error.model, error.provider) == (status, "req-1", "m", "openai")
    assert message[:20] in str(error)


@pytest.mark.parametrize(
    "body",
    [b'{"error": "plain text"}', b'{"message": "plain text"}', b'{"detail": "plain text"}', b"plain text",
     b'[{"error": {"message": "plain text"}}]', b'{"error": {"message": {"text": "plain text"}}}', b'{"x": "plain text"}'],
)  # fmt: skip
def test_error_bodies_of_every_shape_are_read(body):
    assert "plain text" in str(dialect().decode_error(400, {}, body))


@pytest.mark.parametrize("said", ["sk-hush-123456", "sk-other-987654321", "Bearer abcdefgh"])
def test_keys_that_a_server_repeats_are_blotted_out(said):
    body = orjson.dumps({"error": {"message": f"Incorrect API key provided: {said}.", "code": said}})
    error = dialect().decode_error(401, {}, body)
    assert said not in str(error)
    assert said not in str(error.code)
    assert "OPENAI_API_KEY" in str(error)


NOW = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("headers", "message", "seconds"),
    [
        ({"retry-after": "3"}, "", 3.0),
        ({"retry-after": "0"}, "", 0.0),
        ({"retry-after": "-5"}, "", 0.0),
        ({"retry-after": "nan"}, "", None),
        ({"retry-after": "soon"}, "", None),
        ({"retry-after": "Thu, 01 Jan 2026 00:00:07 GMT"}, "", 7.0),
        ({"retry-after": "2", "retry-after-ms": "250"}, "", 0.25),
        ({"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "1m2.5s"}, "", 62.5),
        ({"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "20ms"}, "", 0.02),
        ({"x-ratelimit-remaining-requests": "5", "x-ratelimit-reset-requests": "20ms"}, "", None),
        ({"x-ratelimit-remaining": "0", "x-ratelimit-reset": "1767225610000"}, "", 10.0),
        ({"x-ratelimit-remaining": "0", "x-ratelimit-reset": "1767225605"}, "", 5.0),
        ({"anthropic-ratelimit-requests-remaining": "0", "anthropic-ratelimit-requests-reset": "2026-01-01T00:00:04Z"}, "", 4.0),
        ({}, "Please try again in 1.5s. Visit", 1.5),
        ({}, "Please try again in 6m0s.", 360.0),
        ({}, "Rate limit reached", None),
    ],
)  # fmt: skip
def test_how_long_to_wait_is_read_from_wherever_it_stands(headers, message, seconds):
    found = retry_after_s(headers, message, NOW)
    assert found == (seconds if seconds is None else pytest.approx(seconds))


def feed(*events):
    stream = dialect().open_stream()
    deltas = [
        delta
        for event in events
        for delta in stream.feed(b"", event if isinstance(event, bytes) else orjson.dumps(event))
    ]
    return deltas, stream


def piece(finish=None, index=0, **delta):
    return {"id": "x", "model": "m-1", "choices": [{"index": index, "delta": delta, "finish_reason": finish}]}


def test_a_stream_is_put_together():
    call = {"index": 0, "id": "1", "function": {"name": "f", "arguments": '{"a"'}}
    deltas, stream = feed(
        piece(role="assistant", content=""), piece(content="he"), piece(content="llo"), piece(reasoning_content="hm"),
        piece(tool_calls=[call]), piece(tool_calls=[{"index": 0, "function": {"arguments": ": 1}"}}]),
        piece("tool_calls"), {"choices": [], "usage": {"prompt_tokens": 2, "completion_tokens": 3}}, b"[DONE]",
    )  # fmt: skip
    assert [(delta.text, delta.reasoning) for delta in deltas] == [("he", ""), ("llo", ""), ("", "hm")]
    response = stream.finish()
    (read,) = response.completions
    assert (read.text, read.reasoning, read.finish_reason) == ("hello", "hm", "tool_calls")
    assert read.tool_calls == ({"id": "1", "name": "f", "arguments": {"a": 1}},)
    assert response.usage[:2] == (2, 3)


def test_a_stream_that_ends_early_or_fails_or_is_no_json_is_an_error():
    _, stream = feed(piece(content="he"))
    with pytest.raises(LMTransportError, match="ended before"):
        stream.finish()
    with pytest.raises(LMServerError):
        feed(piece(content="he"), {"error": {"message": "boom"}})
    with pytest.raises(LMResponseError, match="cannot be read"):
        feed(b"{")


def test_a_query_in_base_url_stays_behind_the_path():
    with FaultServer("fine") as server:
        assert (
            open_client("openai", "m", base_url=f"{server.url}/?api-version=3").complete(Request(HI)).text
            == "fine"
        )
        assert server.requests[0].path == "/v1/chat/completions?api-version=3"


def test_a_password_in_base_url_is_refused_and_not_shown():
    with pytest.raises(ConfigurationError, match="headers=") as caught:
        open_client("openai", "m", base_url="http://me:hush-1234@localhost/v1")
    assert "hush" not in str(caught.value)


def test_the_users_own_headers_are_blotted_out_of_what_a_server_says():
    with FaultServer(faults=faults.status(401, "no access for token-hush-1")) as server:
        made = open_client("openai", "m", base_url=server.url, extra_headers={"X-Token": "token-hush-1"})
        with pytest.raises(LMAuthError, match=r"no access for \[key\]"):
            made.complete(Request(HI))
