"""Calls through a batch service: together, out of order, with what such services do wrong."""

from __future__ import annotations

import asyncio
import json
import logging
from concurrent.futures import ThreadPoolExecutor

import pytest
from tests.lm.batch.service import BatchService

import telic
from telic.data import Request
from telic.errors import (
    ConfigurationError,
    LMAuthError,
    LMInvalidRequestError,
    LMResponseError,
    LMServerError,
    LMTimeoutError,
)
from telic.lm import set_price
from telic.lm._registry import client_for
from telic.lm.wire._batch import BatchClient
from telic.lm.wire._batch_jobs import Answer
from telic.lm.wire._openai import OpenAIDialect
from telic.testing import faults


def echo(body):
    return f"re: {body['messages'][-1]['content']}"


def ask_all(lm, texts):
    with ThreadPoolExecutor(len(texts)) as pool:
        return [reply[0] for reply in pool.map(lm, texts)]


def test_calls_that_wait_together_are_one_job(opened):
    service = BatchService(echo)
    texts = [f"question {n}" for n in range(20)]

    with opened(service) as lm:
        replies = ask_all(lm, texts)

    assert replies == [f"re: {text}" for text in texts]
    assert service.sizes == [20]
    assert service.seen[0] == ("POST", "files")


def test_tasks_wait_together_as_threads_do(opened):
    service = BatchService(echo)

    async def main(lm):
        return await asyncio.gather(*(lm.acall(f"question {n}") for n in range(10)))

    with opened(service) as lm:
        replies = asyncio.run(main(lm))

    assert [reply[0] for reply in replies] == [f"re: question {n}" for n in range(10)]
    assert service.sizes == [10]


def test_a_job_holds_no_more_than_it_may(opened):
    service = BatchService(echo)

    with opened(service, most_calls=4, gather_s=0.3) as lm:
        ask_all(lm, [f"question {n}" for n in range(10)])

    assert sum(service.sizes) == 10
    assert max(service.sizes) <= 4


def test_an_evaluation_goes_as_a_whole(opened):
    service = BatchService(lambda body: "[[ ## answer ## ]]\n4\n\n[[ ## completed ## ]]")
    rows = [telic.Example(question=str(n), answer="4").with_inputs("question") for n in range(100)]

    with opened(service) as lm, telic.context(lm=lm):
        result = telic.Evaluate(devset=rows, metric=lambda e, p, trace=None: e.answer == p.answer)(
            telic.Predict("question -> answer")
        )

    assert result.score == 100
    assert sum(service.sizes) == 100
    assert len(service.sizes) <= 3


def test_usage_is_that_of_the_answers_and_counts_for_budgets(opened):
    service = BatchService(echo)
    budget = telic.Budget(calls=3)

    with opened(service) as lm, telic.track_usage() as tracker, telic.context(budget=budget):
        replies = [lm(f"q{n}") for n in range(3)]
        with pytest.raises(telic.BudgetExceeded):
            lm("one too many")

    assert len(replies) == 3
    assert tracker.total.calls == 3
    assert tracker.total.input_tokens == 30


def test_several_completions_of_one_call(opened):
    service = BatchService(echo)

    with opened(service) as lm:
        assert lm("hello", n=3) == ["re: hello"] * 3

    assert sum(service.sizes) == 1


def test_a_server_that_ignores_n_is_asked_for_the_rest(opened):
    service = BatchService(
        lambda body: echo({**body, "n": 1}) if body.get("n", 1) == 1 else (200, one("first"))
    )

    with opened(service) as lm:
        assert lm("hello", n=3) == ["first", "re: hello", "re: hello"]


def one(text):
    return {
        "choices": [{"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}]
    }


def test_a_failure_of_one_request_is_that_callers_alone(opened):
    def answer(body):
        text = echo(body)
        return (400, {"error": {"message": "too odd"}}) if "odd" in text else text

    service = BatchService(answer)
    with opened(service) as lm, ThreadPoolExecutor(2) as pool:
        good, odd = pool.submit(lm, "even"), pool.submit(lm, "odd")
        assert good.result() == ["re: even"]
        with pytest.raises(LMInvalidRequestError, match="too odd"):
            odd.result()


def test_what_may_pass_goes_into_the_next_job(opened):
    tries = []

    def answer(body):
        tries.append(body)
        return (500, {"error": {"message": "oops"}}) if len(tries) < 3 else "at last"

    service = BatchService(answer)
    with opened(service) as lm:
        assert lm("hello") == ["at last"]
    assert service.sizes == [1, 1, 1]


def test_it_is_not_tried_for_ever(opened):
    service = BatchService(lambda body: (500, {"error": {"message": "oops"}}))

    with opened(service) as lm, pytest.raises(LMServerError, match="oops"):
        lm("hello")

    assert service.sizes == [1, 1, 1, 1]


@pytest.mark.parametrize(
    ("end", "error", "words"),
    [
        ("failed", LMInvalidRequestError, "line 1 is not JSON"),
        ("cancelled", LMInvalidRequestError, "cancelled"),
    ],
)
def test_a_job_that_ends_without_answers_says_why(opened, end, error, words):
    service = BatchService(echo, ends=[end])

    with opened(service) as lm, pytest.raises(error, match=words):
        lm("hello")


def test_a_job_that_expired_is_made_again(opened):
    service = BatchService(echo, ends=["expired", "completed"])

    with opened(service) as lm:
        assert lm("hello") == ["re: hello"]

    assert service.sizes == [1, 1]
    with opened(BatchService(echo, ends=["expired"])) as lm, pytest.raises(LMTimeoutError, match="expired"):
        lm("hello")


@pytest.mark.parametrize(
    "lines",
    [
        lambda lines: lines[:-1],
        lambda lines: [lines[0], lines[1][:-20]],
        lambda lines: [lines[0], '{"custom_id": "x"}', "", "null", '{"custom_id": 99, "response": null}'],
    ],
    ids=["missing", "cut", "foreign"],
)
def test_an_answer_that_is_not_there_is_an_error_of_that_call(opened, lines):
    service = BatchService(echo, lines=lines)

    with opened(service) as lm, ThreadPoolExecutor(2) as pool:
        results = [pool.submit(lm, text) for text in ("a", "b")]
        errors = [result.exception() for result in results]

    assert sum(error is None for error in errors) == 1
    assert [type(error) for error in errors if error is not None] == [LMResponseError]


def test_a_service_that_stumbles_is_asked_again(opened):
    def fault(number, method, path):
        return {
            1: faults.status(503),
            3: faults.status(429, retry_after=0.01),
            5: faults.reset_mid_body(),
        }.get(number)

    service = BatchService(echo, fault=fault)

    with opened(service) as lm:
        assert ask_all(lm, ["a", "b", "c"]) == ["re: a", "re: b", "re: c"]

    assert service.sizes == [3]


def test_a_job_whose_making_was_not_confirmed_is_found_not_made_again(opened):
    lost = []

    def fault(number, method, path):
        if (method, path) == ("POST", "batches") and not lost:
            lost.append(number)
            return "lost"
        return None

    service = BatchService(echo, fault=fault)
    with opened(service) as lm:
        assert lm("before") == ["re: before"]
        assert ask_all(lm, ["a", "b"]) == ["re: a", "re: b"]

    assert sorted(service.paid) == ["a", "b", "before"]


def test_looks_may_fail_for_a_while(opened):
    def fault(number, method, path):
        return faults.status(500) if method == "GET" and number < 14 else None

    service = BatchService(echo, fault=fault)
    with opened(service) as lm:
        assert lm("hello") == ["re: hello"]
    assert service.sizes == [1]


def test_but_not_longer_than_patience(opened):
    service = BatchService(
        echo, fault=lambda number, method, path: faults.status(500) if method == "GET" else None
    )

    with opened(service, patience_s=0.05) as lm, pytest.raises(LMServerError):
        lm("hello")


@pytest.mark.parametrize("end", ["in_progress", "", None, "paused"])
def test_a_job_that_never_ends_is_given_up(opened, end):
    with (
        opened(BatchService(echo, ends=[end]), window_s=0.1) as lm,
        pytest.raises(LMTimeoutError, match="is still"),
    ):
        lm("hello")


def test_a_call_made_again_waits_for_the_job_that_was_given_up(opened):
    broken = [True]

    def fault(number, method, path):
        return faults.status(500) if method == "GET" and broken[0] else None

    service = BatchService(echo, fault=fault)
    with opened(service, patience_s=0.02) as lm:
        for _ in range(3):
            with pytest.raises(LMServerError):
                lm("hello")
        assert service.sizes == [1]
        broken[0] = False
        assert lm("hello") == ["re: hello"]
        assert lm("hello") == ["re: hello"]

    assert service.sizes == [1, 1]


def test_a_key_that_is_refused_is_told_to_all(opened):
    service = BatchService(echo, fault=lambda *_: faults.status(401, "bad key hush"))

    with opened(service) as lm, ThreadPoolExecutor(2) as pool:
        results = [pool.submit(lm, text) for text in ("a", "b")]
        errors = [result.exception() for result in results]

    assert all(isinstance(error, LMAuthError) for error in errors)
    assert all("hush" not in str(error) for error in errors)


def test_a_server_without_such_a_service_says_so(opened):
    service = BatchService(echo, fault=lambda *_: faults.body(b'{"object": "list"}'))

    with opened(service) as lm, pytest.raises(LMResponseError, match="has it a batch API"):
        lm("hello")


def test_texts_of_any_kind_come_and_go_whole(opened):
    service = BatchService(echo)
    texts = ['"}\n{"custom_id": "0"', "--telic-\r\n\r\n", "\u2028\u0000 naïve 🙂", "x" * 200_000]

    with opened(service) as lm:
        assert ask_all(lm, texts) == [f"re: {text}" for text in texts]


def test_answers_are_cached_and_equal_calls_share_one(opened, tmp_path):
    service = BatchService(echo)
    with opened(service, cache=True) as lm:
        assert ask_all(lm, ["same once"] * 5) == ["re: same once"] * 5
        assert lm("same once") == ["re: same once"]
    assert sum(service.sizes) == 1


def test_progress_is_logged(opened, caplog):
    with opened(BatchService(echo)) as lm, caplog.at_level(logging.INFO, "telic.lm"):
        lm("hello")

    assert "openai/m: batch batch_0 is in_progress, 0 of 1 answered" in caplog.text


def test_a_stream_is_refused(opened):
    with opened(BatchService(echo)) as lm, pytest.raises(ConfigurationError, match="without batch=True"):
        list(lm.stream(Request([{"role": "user", "content": "hi"}])))


@pytest.mark.parametrize("model", ["anthropic/claude-x", "azure/gpt", "telic/tiny", "litellm/x"])
def test_models_without_such_a_service_are_refused_at_the_door(model):
    with pytest.raises(ConfigurationError, match="batch=True works with batch endpoints as OpenAI has them"):
        telic.LM(model, batch=True)


def test_an_lm_says_by_its_argument_how_it_sends():
    lm = telic.LM("openai/gpt-5-mini", batch=True, api_key="none")

    assert lm.batch
    assert isinstance(client_for(lm._spec()), BatchClient)
    assert not lm.copy(batch=False).batch
    assert "batch" not in lm.dump_state()


def test_prices_are_halved_where_the_price_list_says_so():
    set_price("openai/half", input=2.0, output=4.0)
    body = json.dumps({**one("x"), "usage": {"prompt_tokens": 1_000_000, "completion_tokens": 0}}).encode()
    costs = []
    for url in (None, "http://127.0.0.1:9/v1"):
        client = BatchClient(OpenAIDialect("openai", "half", api_key="k", base_url=url))
        costs.append(client._read(Answer(200, body)).usage.cost_usd)
    assert costs == [1.0, 2.0]
