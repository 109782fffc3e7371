"""`LM`: what is refused, what is sent, what comes back, and what never leaves the process."""

import asyncio
import copy
import json
import pickle
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from telic.budget import Budget
from telic.context import context
from telic.data import Completion, Request, Response, Usage
from telic.errors import (
    BudgetExceeded,
    ConfigurationError,
    InputError,
    LMInvalidRequestError,
    LMServerError,
    NotConfiguredError,
    UnknownProviderError,
)
from telic.lm import LM, configure_cache, set_price
from telic.protocols import Capabilities, LanguageModel
from telic.testing import FaultServer
from telic.tracing import track_usage


def ask(text="q", **options):
    return Request([{"role": "user", "content": text}], options)


# refused at the door


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"temprature": 0.5}, "did you mean 'temperature'"),
        ({"max_token": 5}, "did you mean 'max_tokens'"),
        ({"max_tokens": 0}, "max_tokens is 0; it must be a whole number, 1 or more"),
        ({"max_tokens": 2.5}, "max_tokens is 2.5"),
        ({"temperature": -0.1}, "temperature is -0.1"),
        ({"temperature": float("nan")}, "temperature is nan"),
        ({"temperature": "hot"}, "temperature is 'hot'"),
        ({"temperature": True}, "temperature is True"),
        ({"n": 0}, "n is 0"),
        ({"top_p": 1.5}, "top_p is 1.5"),
        ({"model_type": "chatt"}, "did you mean 'chat'"),
        ({"cache": "on"}, "cache is 'on'"),
        ({"num_retries": -1}, "num_retries is -1"),
        ({"timeout": 0}, "timeout is 0"),
        ({"base_url": "http://a", "api_base": "http://b"}, "base_url and api_base are the same"),
        ({"engine": object()}, "engine= is not taken; pass an object"),
    ],
)
def test_what_cannot_work_is_refused_before_anything_is_sent(client, arguments, message):
    with pytest.raises(ConfigurationError, match=message):
        LM("test/m", client=client, **arguments)


def test_options_of_a_call_are_refused_as_well(lm, client):
    with pytest.raises(ConfigurationError, match="did you mean 'temperature'"):
        lm("q", temperatur=1)
    with pytest.raises(ConfigurationError, match="belongs to the LM, not to one call"):
        lm("q", timeout=3)
    with (
        context(lm_options={"n": 0}),
        pytest.raises(ConfigurationError, match=r"settings\.lm_options: n is 0"),
    ):
        lm("q")
    assert client.requests == []


def test_options_that_providers_may_have_pass_through(lm, client):
    lm("q", top_a=0.1, min_p=0.2, my_own_option={"a": 1}, guided_grammar="g")
    assert client.requests[0].options == {
        "top_a": 0.1,
        "min_p": 0.2,
        "my_own_option": {"a": 1},
        "guided_grammar": "g",
    }


@pytest.mark.parametrize("call", [{}, {"prompt": "a", "messages": [{}]}, {"prompt": ["a"]}, {"messages": []},
                                  {"messages": "hello"}, {"messages": ["hello"]}])  # fmt: skip
def test_a_call_needs_a_prompt_or_messages(lm, client, call):
    with pytest.raises(InputError):
        lm(**call)
    assert client.requests == []


@pytest.mark.parametrize("cache", [True, False])
def test_a_lone_surrogate_is_refused_before_sending(cache):
    configure_cache(enable_disk_cache=False)
    lm = LM("openai/m", api_key="k", base_url="http://127.0.0.1:9/v1", cache=cache, num_retries=0)
    with pytest.raises(LMInvalidRequestError, match="surrogate"):
        lm("caf\udce9")


# what is sent


def test_options_of_the_call_stand_before_those_of_the_lm_and_none_takes_away(client):
    lm = LM("test/m", client=client, temperature=0.5, max_tokens=10, top_p=0.9)
    lm("q", temperature=1, top_p=None)
    assert client.requests[0].options == {"temperature": 1, "max_tokens": 10}
    with context(lm_options={"temperature": 0.25}):
        lm("q", temperature=1)
    assert client.requests[1].options == {"temperature": 0.25, "max_tokens": 10, "top_p": 0.9}


def test_what_is_asked_is_left_as_it_was(client):
    lm = LM("test/m", client=client, temperature=0.5)
    request = ask("q", rollout_id=3)
    lm.complete(request)
    assert (dict(request.options), request.sample) == ({"rollout_id": 3}, 0)
    assert (client.requests[0].sample, client.requests[0].options) == (3, {"temperature": 0.5})


# what comes back


def test_a_call_returns_texts_or_dicts_where_there_is_more(client):
    lm = LM("test/m", client=client, cache=False)
    assert lm("hello") == ["hello!"]
    assert lm(messages=[{"role": "user", "content": "hi"}], n=2) == ["hi!", "hi!"]
    assert asyncio.run(lm.acall("hello")) == ["hello!"]
    calls = ({"id": "1", "name": "f", "arguments": {}},)
    client.answer = lambda _: Response((Completion("a", reasoning="why"), Completion("b", tool_calls=calls)))
    assert lm("q") == [{"text": "a", "reasoning_content": "why"}, {"text": "b", "tool_calls": list(calls)}]


def test_it_is_a_language_model(lm):
    assert isinstance(lm, LanguageModel)
    assert lm.capabilities == Capabilities()
    assert not lm.supports_function_calling


# the object


def test_a_copy_shares_the_client_and_has_its_own_history_and_options(lm, client):
    lm("q")
    other = lm.copy(temperature=0.3, cache=False)
    other("q"), other("q")
    assert (len(lm.history), len(other.history), len(client.requests)) == (1, 2, 3)
    assert (lm.kwargs["temperature"], lm.cache) == (None, True)
    assert other.kwargs["temperature"] == 0.3
    with pytest.raises(ConfigurationError, match="did you mean"):
        lm.copy(temprature=1)


def test_a_copy_with_a_rollout_id_is_another_draw(lm, client):
    lm("q")
    other = lm.copy(rollout_id=1)
    other("q"), other("q")
    assert [r.sample for r in client.requests] == [0, 1]


def test_a_copy_to_another_place_asks_there(make_client):
    one, two = make_client("http://one"), make_client("http://two")
    lm = LM("test/m", client=one)
    lm("q")
    lm.copy(client=two)("q")
    assert (len(one.requests), len(two.requests)) == (1, 1)


def test_a_deep_copy_works(lm):
    lm("q")
    other = copy.deepcopy(lm)
    assert other("q") == ["q!"]


def test_a_state_holds_no_keys_and_no_endpoints_and_takes_none(client):
    lm = LM(
        "openai/m",
        api_key="sk-secret",
        base_url="http://secret.test/v1",
        temperature=0.3,
        headers={"X": "secret"},
    )
    state = lm.dump_state()
    assert "secret" not in json.dumps(state)
    assert state["temperature"] == 0.3
    back = LM.load_state(
        {
            **state,
            "api_base": "http://evil.test",
            "api_key": "k",
            "_dspy_lm_class": "os.system",
            "launch_kwargs": {},
        },
        client=client,
    )
    assert (back.model, back.kwargs["temperature"], back.base_url, back.api_key) == (
        "openai/m",
        0.3,
        None,
        None,
    )


def test_secrets_stay_out_of_texts_and_histories(client):
    lm = LM("openai/m", api_key="sk-secret", client=client)
    lm("q")
    assert "sk-secret" not in f"{lm!r} {lm.history[0]!r} {lm._spec()!r}"


# money


def test_usage_and_price_come_with_the_answer(client):
    set_price("test/priced", input=1.0, output=2.0)
    response = LM("test/priced", client=client).complete(ask())
    assert response.usage == Usage(10, 5, 0, 0, 20e-6, 1)
    assert LM("test/unpriced", client=client).complete(ask()).usage.cost_usd is None


def test_a_budget_is_charged_for_what_is_paid_and_only_that(lm, client):
    budget = Budget(calls=2)
    with context(budget=budget):
        lm("a"), lm("a"), lm("a"), lm("b"), lm("b")
        with pytest.raises(BudgetExceeded):
            lm("c")
        assert lm("a") == ["a!"]
        with pytest.raises(BudgetExceeded):
            asyncio.run(lm.acall("d"))
    assert len(client.requests) == 2
    assert budget.used.total_tokens == 30


def test_a_budget_of_nothing_still_takes_from_the_cache(lm):
    lm("a")
    with context(budget=Budget(calls=0)):
        assert lm("a") == ["a!"]


def test_a_failed_call_counts_as_a_call(lm, client):
    client.error = LMServerError("down")
    budget = Budget(calls=1)
    with context(budget=budget):
        with pytest.raises(LMServerError):
            lm("a")
        with pytest.raises(BudgetExceeded):
            lm("a")
    assert budget.in_flight == 0


def test_a_budget_in_dollars_needs_a_price(client):
    lm = LM("test/nobody-knows", client=client)
    with context(budget=Budget(usd=1.0)), pytest.raises(ConfigurationError, match="set_price"):
        lm("a")
    set_price("test/nobody-knows", input=0, output=1e6)
    budget = Budget(usd=1.0)
    with context(budget=budget):
        lm("a")
        with pytest.raises(BudgetExceeded):
            lm("b")
    assert budget.used.cost_usd == 5.0


def test_trackers_see_paid_and_cached_calls_apart(lm):
    with track_usage() as tracker:
        lm("a"), lm("a")
    assert tracker.total.calls == 1
    assert tracker.total.input_tokens == 10


# streams


def collect(lm, request, sync):
    async def main():
        return [delta async for delta in lm.astream(request)]

    return list(lm.stream(request)) if sync else asyncio.run(main())


@pytest.mark.parametrize("sync", [True, False])
def test_a_stream_is_kept_charged_and_recorded_like_a_call(lm, client, sync):
    budget = Budget(calls=1)
    with context(budget=budget):
        deltas = collect(lm, ask("hey"), sync)
        assert "".join(d.text for d in deltas) == "hey!"
        assert deltas[-1].response.usage.calls == 1
        again = collect(lm, ask("hey"), sync)
        assert [(d.text, d.response.cached) for d in again] == [("hey!", True)]
        with pytest.raises(BudgetExceeded):
            collect(lm, ask("new"), sync)
    assert (len(client.requests), len(lm.history), budget.used.total_tokens) == (1, 2, 15)
    assert lm("hey") == ["hey!"]


def test_a_stream_left_early_is_charged_and_not_kept(lm, client):
    budget = Budget(calls=2)
    with context(budget=budget):
        stream = lm.stream(ask("hey"))
        next(stream)
        stream.close()
        lm("hey")
    assert (len(client.requests), budget.used.calls, budget.in_flight) == (2, 2, 0)


# over a real socket


class Server:
    """A few lines of an OpenAI-compatible server."""

    def __init__(self):
        server = self
        self.bodies = []
        self.gate = threading.Event()

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                server.bodies.append(body)
                server.gate.wait(20)
                message = {"role": "assistant", "content": "pong"}
                usage = {"prompt_tokens": 1000, "completion_tokens": 100}
                usage["prompt_tokens_details"] = {"cached_tokens": 400}
                choices = [{"index": 0, "message": message, "finish_reason": "stop"}]
                reply = {"id": "r1", "model": "served", "choices": choices, "usage": usage}
                data = json.dumps(reply).encode()
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *args):
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.http.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.http.server_port}/v1"
        threading.Thread(target=self.http.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()

    def close(self):
        self.gate.set()
        self.http.shutdown()
        self.http.server_close()


@pytest.fixture
def server():
    server = Server()
    yield server
    server.close()


def test_32_equal_calls_from_threads_and_tasks_send_one_http_request(server, wait_for_waiters):
    lm = LM("openai/gpt-4o-mini", base_url=server.url, api_key="k")
    results = []

    async def tasks():
        results.extend(await asyncio.gather(*(lm.acomplete(ask("ping")) for _ in range(16))))

    threads = [threading.Thread(target=lambda: results.append(lm.complete(ask("ping")))) for _ in range(16)]
    threads.append(threading.Thread(target=asyncio.run, args=(tasks(),)))
    [t.start() for t in threads]
    wait_for_waiters(31)
    server.gate.set()
    [t.join(20) for t in threads]
    assert [r.text for r in results] == ["pong"] * 32
    assert len(server.bodies) == 1
    assert sum(not r.cached for r in results) == 1


def test_a_hosted_models_answer_has_its_price(server):
    server.gate.set()
    response = LM("openai/gpt-4o-mini", base_url=server.url, api_key="k").complete(ask("ping"))
    assert response.usage.cost_usd == pytest.approx((600 * 0.15 + 400 * 0.075 + 100 * 0.6) / 1e6)
    assert server.bodies[0]["messages"] == [{"role": "user", "content": "ping"}]
    assert "cache" not in server.bodies[0]


def test_two_servers_with_one_model_name_do_not_share(server):
    server.gate.set()
    other = Server()
    other.gate.set()
    try:
        for url in (server.url, other.url, server.url):
            LM("openai/m", base_url=url, api_key="k")("ping")
        assert (len(server.bodies), len(other.bodies)) == (1, 1)
    finally:
        other.close()


def test_kept_answers_need_no_key_and_calls_say_which_is_missing():
    lm = LM("openai/gpt-4o-mini")
    with_key = LM("openai/gpt-4o-mini", api_key="k")
    assert lm._stack()[1].model_identity == with_key._stack()[1].model_identity
    with pytest.raises(NotConfiguredError, match="OPENAI_API_KEY"):
        lm("ping")
    with pytest.raises(NotConfiguredError, match="OPENAI_API_KEY"):
        asyncio.run(lm.acall("ping"))


def test_an_unknown_provider_is_refused_when_the_lm_is_made():
    with pytest.raises(UnknownProviderError, match="did you mean 'openai'"):
        LM("opnai/gpt-5")


class Louder(LM):
    """A subclass in DSPy's manner."""

    def forward(self, prompt=None, messages=None, **options):
        self.asked = getattr(self, "asked", 0) + 1
        response = super().forward(prompt, messages, **options)
        return response._replace(
            completions=tuple(c._replace(text=c.text.upper()) for c in response.completions)
        )


class Later(LM):
    async def aforward(self, prompt=None, messages=None, **options):
        response = await super().aforward(prompt, messages, **options)
        return response._replace(
            completions=tuple(c._replace(text=c.text.upper()) for c in response.completions)
        )


@pytest.mark.parametrize("kind", [Louder, Later])
def test_a_subclass_may_answer_calls_itself_behind_the_cache(client, kind):
    lm = kind("test/model", client=client)
    assert lm("a", temperature=0.5) == ["A!"]
    assert asyncio.run(lm.acall("b")) == ["B!"]
    assert (lm("a", temperature=0.5), lm("b")) == (["A!"], ["B!"])
    assert len(client.requests) == 2
    assert client.requests[0].options["temperature"] == 0.5
    assert LM("test/model", client=client)("a", temperature=0.5) == ["a!"]


def test_an_lm_goes_to_another_process_without_its_connections_and_history(client):
    with FaultServer("fine") as server:
        lm = LM("openai/m", api_key="sk-hush-12345678", base_url=server.url, temperature=0.5)
        assert lm("hi") == ["fine"]
        other = pickle.loads(pickle.dumps(lm))
        assert (other.kwargs, len(other.history), len(lm.history)) == (lm.kwargs, 0, 1)
        assert other("hello") == ["fine"]
        assert server.requests[1].headers["authorization"] == "Bearer sk-hush-12345678"
