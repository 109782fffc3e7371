"""Embedders: servers over a real socket, functions, and a model in this process."""

from __future__ import annotations

import asyncio
import base64
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import telic
from telic.errors import (
    BudgetExceeded,
    CacheMissError,
    ConfigurationError,
    InputError,
    LMAuthError,
    LMResponseError,
    LMServerError,
    LMTimeoutError,
    MissingExtraError,
    RequestsForbiddenError,
    RetrievalError,
    UnknownProviderError,
)
from telic.retrieve import Embedder
from telic.testing import FaultServer, ScriptedLM, faults, forbid_requests


def answer(body):
    """The embedding of a text is its length, told out of order, as a server may."""
    rows = [{"index": place, "embedding": [len(text), 1.0]} for place, text in enumerate(body["input"])]
    return {"data": rows[::-1], "usage": {"prompt_tokens": 7 * len(rows)}}


def served(server, **options):
    return Embedder("openai/small", base_url=server.url, api_key="", num_retries=0, **options)


def test_a_list_gives_rows_and_a_text_gives_one():
    with FaultServer(answer) as server:
        embedder = served(server)

        assert embedder(["a", "bb"]).tolist() == [[1, 1], [2, 1]]
        assert embedder("ccc").tolist() == [3, 1]
        assert embedder(["a"]).dtype == np.float32
        assert embedder([]).shape == (0, 0)
        assert server.requests[0].path == "/v1/embeddings"
        assert server.requests[0].body == {"model": "small", "input": ["a", "bb"]}


def test_texts_go_in_batches_each_different_text_once():
    with FaultServer(answer) as server:
        vectors = served(server, batch_size=2)(["a", "bb", "ccc", "a", "dddd", "eeeee"])

        assert vectors[:, 0].tolist() == [1, 2, 3, 1, 4, 5]
        assert sorted(len(request.body["input"]) for request in server.requests) == [1, 2, 2]


def test_what_was_embedded_is_not_asked_again():
    with FaultServer(answer) as server:
        served(server)(["a", "bb"])
        served(server)(["bb", "ccc"])

        assert [request.body["input"] for request in server.requests] == [["a", "bb"], ["ccc"]]
        served(server, caching=False)(["a"])
        served(server)(["a"], caching=False)
        served(server, dimensions=2)(["a"])
        assert len(server.requests) == 5


def test_sync_and_async_share_the_cache_and_agree():
    with FaultServer(answer) as server:
        embedder = served(server, batch_size=1)
        sync = embedder(["a", "bb"])
        later = asyncio.run(embedder.acall(["a", "bb", "ccc"]))

        assert later[:2].tolist() == sync.tolist()
        assert len(server.requests) == 3


def test_batches_that_came_before_a_failure_are_kept():
    texts = [f"text {number}" for number in range(6)]
    with FaultServer(
        answer,
        lambda request: faults.status(500) if "text 5" in request.body["input"] and broken else None,
    ) as server:
        broken = True
        with pytest.raises(LMServerError):
            served(server, batch_size=2)(texts)
        asked = len(server.requests)
        broken = False
        vectors = served(server, batch_size=2)(texts)

        assert vectors.shape == (6, 2)
        assert [request.body["input"] for request in server.requests[asked:]] == [["text 4", "text 5"]]


def test_base64_answers_are_read():
    def packed(body):
        data = np.array([1.5, -2.0], dtype="<f4").tobytes()
        return {"data": [{"index": 0, "embedding": base64.b64encode(data).decode()}]}

    with FaultServer(packed) as server:
        assert served(server)("a").tolist() == [1.5, -2.0]


def test_failures_of_the_server_are_typed():
    with FaultServer(answer, faults.status(401)) as server, pytest.raises(LMAuthError):
        served(server)("a")
    with (
        FaultServer({"data": [{"vector": []}]}) as server,
        pytest.raises(LMResponseError, match="embeddings"),
    ):
        served(server)("a")
    with FaultServer({"object": "list"}) as server, pytest.raises(LMResponseError, match="embeddings"):
        served(server)("a")
    with FaultServer(answer, latency_s=5) as server, pytest.raises(LMTimeoutError):
        served(server, timeout=0.1)("a")


def test_retries_outlast_a_stray_failure():
    with FaultServer(answer, [faults.status(500)]) as server:
        embedder = Embedder("openai/small", base_url=server.url, api_key="", num_retries=2)

        assert embedder("a").tolist() == [1, 1]


def test_too_few_vectors_or_nan_is_refused():
    short = {"data": [{"index": 0, "embedding": [1.0]}]}
    with FaultServer(short) as server, pytest.raises(RetrievalError, match=r"shape \(1, 1\) for 2 texts"):
        served(server)(["a", "bb"])
    with pytest.raises(RetrievalError, match="NaN or infinite numbers for 1 of 2 texts, first for number 1"):
        Embedder(lambda texts: [[1.0], [float("nan")]])(["a", "b"])
    with pytest.raises(RetrievalError, match="no array of numbers"):
        Embedder(lambda texts: [[1.0], [1.0, 2.0]])(["a", "b"])
    with pytest.raises(RetrievalError, match="no array of numbers"):
        Embedder(lambda texts: "nothing")(["a"])
    with pytest.raises(RetrievalError, match="no array of numbers|shape"):
        Embedder(lambda texts: None)(["a"])


def test_a_dimension_that_changes_is_refused():
    embedder = Embedder(lambda texts: [[1.0] * len(texts[0])] * len(texts))
    embedder("ab")

    with pytest.raises(RetrievalError, match="vectors of 3 numbers, and 2 before"):
        embedder("abc")


@pytest.mark.parametrize("inputs", [["a", ""], [None], ["a", 3]])
def test_what_is_no_text_is_refused_before_anything_is_sent(inputs):
    with FaultServer(answer) as server:
        with pytest.raises(InputError, match="takes texts"):
            served(server)(inputs)

        assert server.requests == []


def test_calls_count_in_a_budget():
    with FaultServer(answer) as server, telic.context(budget=telic.Budget(calls=1)):
        embedder = served(server)
        embedder("a")
        embedder("a")
        with pytest.raises(BudgetExceeded):
            embedder("b")

        assert len(server.requests) == 1


def test_requests_can_be_forbidden_and_replays_never_send():
    with FaultServer(answer) as server:
        embedder = served(server)
        embedder("a")
        with forbid_requests():
            assert embedder("a").tolist() == [1, 1]
            with pytest.raises(RequestsForbiddenError):
                embedder("b")
        telic.lm.cache.flush()
        telic.configure_cache(mode="replay-only")
        assert embedder("a").tolist() == [1, 1]
        with pytest.raises(CacheMissError, match="1 texts are not in the cache"):
            embedder("b")


def test_functions_are_called_with_lists_sync_and_async():
    async def later(texts):
        await asyncio.sleep(0)
        return [[float(len(text))] for text in texts]

    calls = []

    def now(texts, scale=1):
        calls.append(list(texts))
        return np.array([[len(text) * scale] for text in texts])

    assert Embedder(later)(["a", "bb"]).tolist() == [[1], [2]]
    assert asyncio.run(Embedder(later).acall("bb")).tolist() == [2]
    assert asyncio.run(Embedder(now).acall("bb")).tolist() == [2]
    assert Embedder(now, batch_size=1, scale=3)(["a", "bb"]).tolist() == [[3], [6]]
    assert calls == [["bb"], ["a"], ["bb"]]


def test_a_model_of_sentence_transformers_is_loaded_when_it_is_needed(tmp_path, monkeypatch):
    (tmp_path / "sentence_transformers.py").write_text(
        "class SentenceTransformer:\n"
        "    def __init__(self, name):\n"
        "        self.name = name\n"
        "    def encode(self, texts, show_progress_bar=True, **options):\n"
        "        assert not show_progress_bar\n"
        "        return [[float(len(text)), float(len(self.name))] for text in texts]\n"
    )
    embedder = Embedder("sentence-transformers/mini")
    with pytest.raises(MissingExtraError, match="pip install sentence-transformers"):
        embedder("a")
    monkeypatch.syspath_prepend(tmp_path)

    assert embedder(["a", "bb"]).tolist() == [[1, 4], [2, 4]]


def test_what_cannot_work_is_refused():
    with pytest.raises(UnknownProviderError, match="no embedding endpoint is called 'opnai'"):
        Embedder("opnai/small")
    with pytest.raises(ConfigurationError, match="must look like"):
        Embedder("small")
    with pytest.raises(ConfigurationError, match="batch_size is 0"):
        Embedder(len, batch_size=0)
    with pytest.raises(ConfigurationError, match="the model is 3"):
        Embedder(3)
    with pytest.raises(telic.NotConfiguredError, match="OPENAI_API_KEY"):
        Embedder("openai/small")


def test_keys_never_show():
    with FaultServer(answer, faults.status(401)) as server:
        embedder = Embedder("openai/small", base_url=server.url, api_key="sk-very-secret", num_retries=0)
        with pytest.raises(LMAuthError) as caught:
            embedder("a")

    assert "very-secret" not in str(caught.value) + repr(embedder) + embedder.fingerprint


def test_the_price_of_known_models_counts_in_a_budget():
    budget = telic.Budget(usd=1.0)
    with FaultServer(answer) as server, telic.context(budget=budget):
        Embedder("openai/text-embedding-3-small", base_url=server.url, api_key="")(["a", "b"])

        assert budget.used.cost_usd == pytest.approx(14 * 0.02 / 1e6)


def test_equal_texts_that_are_asked_at_once_are_sent_once():
    with FaultServer(answer, latency_s=0.05) as server:
        embedder = served(server)
        with ThreadPoolExecutor(16) as pool:
            vectors = list(pool.map(lambda _: embedder("same").tolist(), range(16)))

        async def together():
            return await asyncio.gather(*(embedder.acall("other") for _ in range(16)))

        later = asyncio.run(together())

        assert vectors == [[4, 1]] * 16
        assert [vector.tolist() for vector in later] == [[5, 1]] * 16
        assert len(server.requests) == 2


class Nearest(telic.Module):
    """Embeds what it was asked, and asserts something of the answer."""

    def __init__(self, embed):
        self.embed, self.ask = embed, telic.Predict("question, near: float -> answer")
        self.embedded = []

    def take(self, vector):
        self.embedded.append(vector.tolist())
        vector *= 0  # what forward does to it is not in the run that is made again
        return 0.5

    def check(self, made):
        telic.Assert(made.answer == "right", "That is wrong.")
        return made

    def forward(self, question):
        return self.check(self.ask(question=question, near=self.take(self.embed(question))))


class AwaitedNearest(Nearest):
    async def aforward(self, question):
        near = self.take(await self.embed.acall(question))
        return self.check(await self.ask.acall(question=question, near=near))


@pytest.mark.parametrize("program", [Nearest, AwaitedNearest], ids=["sync", "async"])
def test_in_a_run_that_an_assertion_lets_be_made_again_nothing_is_embedded_again(program):
    calls = []

    def embed(texts):
        calls.append(texts)
        return [[1.0, 2.0] for _ in texts]

    made = program(Embedder(embed))
    made.set_lm(ScriptedLM([{"answer": "wrong"}, {"answer": "right"}]))
    found = made(question="?") if program is Nearest else asyncio.run(made.acall(question="?"))

    assert found.answer == "right"
    assert calls == [["?"]]
    assert made.embedded == [[1.0, 2.0]] * 2
