"""Seen by the official client: what it sends is understood, and what comes back it can read."""

import json
import threading
import urllib.error
import urllib.request

import openai
import pytest

from telic.adapters import ChatAdapter
from telic.data import Response
from telic.errors import LMAuthError
from telic.lm import LM
from telic.modules import Predict
from telic.protocols import Capabilities, Delta
from telic.signatures import Signature
from telic.testing import FunctionLM, ScriptedLM

QA = Signature("context, question -> answer", "Answer the question. Be brief.")
INPUTS = {"context": "Anna lives in Oslo. Ben works as a baker.", "question": "Where does Anna live?"}
MESSAGES = ChatAdapter().format(QA, [], INPUTS)
ASKED = {"model": "telic/tiny", "messages": MESSAGES}


@pytest.fixture
def client(tiny_url):
    with openai.OpenAI(base_url=tiny_url, api_key="none", max_retries=0) as made:
        yield made


def test_a_question_is_answered_with_usage_and_a_reason_for_the_end(client):
    reply = client.chat.completions.create(**ASKED)
    assert "[[ ## answer ## ]]" in reply.choices[0].message.content
    assert (reply.choices[0].finish_reason, reply.object, reply.model) == (
        "stop",
        "chat.completion",
        "telic/tiny",
    )
    assert reply.usage.total_tokens == reply.usage.prompt_tokens + reply.usage.completion_tokens > 20


def test_a_stream_adds_up_to_the_whole(client):
    whole = client.chat.completions.create(**ASKED).choices[0].message.content
    chunks = list(
        client.chat.completions.create(**ASKED, stream=True, stream_options={"include_usage": True})
    )
    assert "".join(c.choices[0].delta.content or "" for c in chunks if c.choices) == whole
    assert chunks[0].choices[0].delta.role == "assistant"
    assert [c.choices[0].finish_reason for c in chunks if c.choices][-1] == "stop"
    assert chunks[-1].usage.completion_tokens > 0
    assert len(chunks) > 4


def test_several_samples_differ_and_a_seed_repeats_them(client):
    options = {"n": 6, "temperature": 3.0, "max_tokens": 8}
    one, two = (client.chat.completions.create(**ASKED, **options, seed=5) for _ in range(2))
    texts = [c.message.content for c in one.choices]
    assert len(set(texts)) > 1
    assert texts == [c.message.content for c in two.choices]
    drawn = {client.chat.completions.create(**ASKED, **options).choices[0].message.content for _ in range(4)}
    assert len(drawn) > 1, "without a seed, equal requests are draws of their own"


def test_log_probabilities_and_stop_strings_come_through(client):
    reply = client.chat.completions.create(**ASKED, logprobs=True, top_logprobs=2, stop=["\n\n"])
    choice = reply.choices[0]
    assert "".join(t.token for t in choice.logprobs.content).startswith(choice.message.content)
    assert len(choice.logprobs.content[0].top_logprobs) == 2
    assert "\n\n" not in choice.message.content


def test_a_schema_is_kept(client):
    schema = {"type": "object", "properties": {"right": {"type": "boolean"}}, "required": ["right"]}
    made = client.chat.completions.create(
        **ASKED, response_format={"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}
    )
    assert isinstance(json.loads(made.choices[0].message.content)["right"], bool)


@pytest.mark.parametrize(
    ("change", "error", "code"),
    [
        ({"model": "gpt-9"}, openai.NotFoundError, "model_not_found"),
        ({"max_tokens": 0}, openai.BadRequestError, None),
        ({"messages": []}, openai.BadRequestError, None),
        ({"messages": [{"role": "user", "content": "word " * 9_000}]}, openai.BadRequestError, "context_length_exceeded"),
        ({"messages": [{"role": "poet", "content": "x"}]}, openai.BadRequestError, None),
        ({"logit_bias": {"1": 2}}, openai.BadRequestError, "unsupported_parameter"),
        ({"response_format": {"type": "xml"}}, openai.BadRequestError, None),
    ],
)  # fmt: skip
@pytest.mark.parametrize("stream", [False, True])
def test_what_is_wrong_is_refused_with_its_code(client, change, error, code, stream):
    with pytest.raises(error) as refused:
        client.chat.completions.create(**ASKED | change, stream=stream)
    assert refused.value.code == code
    assert refused.value.body["type"] == "invalid_request_error"


def post(url, body, method="POST"):
    request = urllib.request.Request(
        url, data=body, method=method, headers={"Content-Type": "application/json"}
    )
    try:
        with urllib.request.urlopen(request, timeout=20) as reply:
            return reply.status, json.load(reply)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"\xff\xfe", b"[" * 100_000, b'{"messages": 3}'])
def test_bodies_that_are_no_request_are_refused(tiny_url, body):
    status, told = post(tiny_url + "/chat/completions", body)
    assert status == 400
    assert told["error"]["message"]


def test_other_places_methods_and_sizes_are_refused(tiny_url):
    assert post(tiny_url + "/embeddings", b"{}")[0] == 404
    assert post(tiny_url + "/chat/completions", None, "GET")[0] == 405
    assert post(tiny_url + "/chat/completions", b"x" * (9 << 20))[0] == 413
    assert post(tiny_url + "/models", None, "GET")[1]["data"][0]["id"] == "telic/tiny"
    assert post(tiny_url.removesuffix("/v1") + "/health", None, "GET")[1] == {"status": "ok", "requests": 0}


def test_many_at_once_get_the_answers_they_would_get_alone(client):
    def ask(n):
        messages = ChatAdapter().format(QA, [], INPUTS | {"question": f"Where does Anna live? {n}"})
        return (
            client.chat.completions.create(model="telic/tiny", messages=messages).choices[0].message.content
        )

    alone = [ask(n) for n in range(24)]
    found = {}
    threads = [threading.Thread(target=lambda n=n: found.update({n: ask(n)})) for n in range(24)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [found[n] for n in range(24)] == alone


def test_telic_itself_is_a_client(tiny_url):
    lm = LM("openai/telic/tiny", base_url=tiny_url, api_key="none", cache=False)
    here = Predict(QA)(**INPUTS, lm=LM("telic/tiny", cache=False))
    assert Predict(QA)(**INPUTS, lm=lm).answer == here.answer


def test_any_lm_can_be_served(serving):
    with serving(ScriptedLM(["Hello."]), name="greeter") as url:
        status, reply = post(url + "/chat/completions", json.dumps({"messages": MESSAGES}).encode())
    assert (status, reply["model"], reply["choices"][0]["message"]["content"]) == (200, "greeter", "Hello.")


def test_a_failure_of_the_provider_is_not_the_callers_and_a_bug_tells_nothing(serving):
    def fail(request):
        raise (
            LMAuthError("the key of the server is wrong")
            if "key" in str(request.messages)
            else RuntimeError("secret")
        )

    with serving(FunctionLM(fail)) as url:
        asked = [json.dumps({"messages": [{"role": "user", "content": c}]}).encode() for c in ("key", "x")]
        first, second = (post(url + "/chat/completions", body) for body in asked)
    assert (first[0], second[0]) == (502, 500)
    assert "secret" not in str(second[1])


class Slow:
    """An LM that answers only when it is let go, and knows who has left."""

    model = "slow"
    capabilities = Capabilities()

    def __init__(self):
        self.begun, self.left, self.go = threading.Event(), threading.Event(), threading.Event()

    def complete(self, request):
        raise NotImplementedError

    async def acomplete(self, request):
        import asyncio

        self.begun.set()
        try:
            while not self.go.is_set():
                await asyncio.sleep(0.01)
        except asyncio.CancelledError:
            self.left.set()
            raise
        return Response(())

    async def astream(self, request):
        yield Delta(text="begun")
        yield Delta(response=await self.acomplete(request))


@pytest.mark.parametrize("stream", [False, True])
def test_a_client_that_goes_away_stops_the_work(serving, stream):
    lm = Slow()
    with serving(lm) as url, openai.OpenAI(base_url=url, api_key="none", max_retries=0) as client:
        if stream:
            chunks = client.chat.completions.create(model="slow", messages=MESSAGES, stream=True)
            next(iter(chunks))
            assert lm.begun.wait(10)
            chunks.close()
        else:
            with pytest.raises(openai.APITimeoutError):
                client.chat.completions.create(model="slow", messages=MESSAGES, timeout=0.5)
        assert lm.left.wait(10)


def test_where_the_line_is_full_requests_are_refused(serving):
    lm = Slow()
    with (
        serving(lm, at_once=1, in_line=0) as url,
        openai.OpenAI(base_url=url, api_key="none", max_retries=0) as client,
    ):
        first = threading.Thread(
            target=lambda: post(url + "/chat/completions", json.dumps({"messages": MESSAGES}).encode())
        )
        first.start()
        assert lm.begun.wait(10)
        with pytest.raises(openai.RateLimitError):
            client.chat.completions.create(model="slow", messages=MESSAGES)
        lm.go.set()
        first.join()
