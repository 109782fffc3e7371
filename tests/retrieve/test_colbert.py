"""The client of ColBERTv2 servers, against one over a real socket."""

from __future__ import annotations

import asyncio
from urllib.parse import parse_qs, urlsplit

import pytest

import telic
from telic.errors import (
    CacheMissError,
    ConfigurationError,
    InputError,
    RequestsForbiddenError,
    RetrievalError,
    RetrievalTimeoutError,
)
from telic.retrieve import ColBERTv2
from telic.testing import FaultServer, faults, forbid_requests

TOPK = {
    "topk": [
        {"text": f"passage {rank}", "pid": 100 + rank, "rank": rank, "score": 30.0 - rank, "prob": 0.5}
        for rank in range(1, 6)
    ],
    "latency": 3.5,
}


def test_it_asks_in_the_url_and_reads_the_answer():
    with FaultServer(TOPK) as server:
        found = ColBERTv2(f"{server.host}/wiki17_abstracts")("What's 5 + 5 & é?", k=3)

        parts = urlsplit(server.requests[0].path)
        assert server.requests[0].method == "GET"
        assert parts.path == "/wiki17_abstracts"
        assert parse_qs(parts.query) == {"query": ["What's 5 + 5 & é?"], "k": ["3"]}
        assert found == ["passage 1", "passage 2", "passage 3"]
        assert (found[0].pid, found[0].score, found[0].rank, found[0]["long_text"]) == (
            101,
            29.0,
            1,
            "passage 1",
        )


def test_it_asks_by_post_where_that_is_wanted():
    with FaultServer(TOPK) as server:
        search = ColBERTv2("http://127.0.0.1", port=server.port, post_requests=True)
        found = search("q", k=2, simplify=True)

        assert found == ["passage 1", "passage 2"]
        assert all(type(text) is str for text in found)
        assert (server.requests[0].method, server.requests[0].body) == ("POST", {"query": "q", "k": 2})


def test_answers_are_kept():
    with FaultServer(TOPK) as server:
        search = ColBERTv2(server.host)
        assert search("q", k=2) == search("q", k=2) == asyncio.run(search.acall("q", k=2))
        assert len(server.requests) == 1
        search("q", k=3)
        ColBERTv2(server.host, cache=False)("q", k=2)
        assert len(server.requests) == 3


def test_several_queries_are_asked_together_in_order():
    def answer(body):
        return {"topk": [{"text": body["query"]}]}

    with FaultServer(answer) as server:
        search = ColBERTv2(server.host, post_requests=True)

        assert search.search(["a", "b", "c"], 1) == [["a"], ["b"], ["c"]]
        assert asyncio.run(search.asearch(["d", "e"], 1)) == [["d"], ["e"]]


def test_a_server_that_stalls_is_a_timeout():
    with FaultServer(TOPK, latency_s=30) as server:
        with pytest.raises(RetrievalTimeoutError, match=r"did not answer within 0\.2 s"):
            ColBERTv2(server.host, timeout=0.2)("q")
        with pytest.raises(TimeoutError):
            asyncio.run(ColBERTv2(server.host, timeout=0.2).acall("q"))


def test_stray_failures_are_outlasted():
    with FaultServer(TOPK, [faults.status(500)]) as server:
        assert len(ColBERTv2(server.host)("q")) == 5


@pytest.mark.parametrize("status", [404, 500, 302])
def test_a_server_that_fails_is_told(status):
    with FaultServer(TOPK, faults.status(status)) as server, pytest.raises(RetrievalError, match=str(status)):
        ColBERTv2(server.host, num_retries=0)("q")


def test_a_server_that_is_not_there_is_told():
    with FaultServer(TOPK) as server:
        host = server.host
    with pytest.raises(RetrievalError, match="failed"):
        ColBERTv2(host, num_retries=0)("q")


@pytest.mark.parametrize("body", [{"results": []}, {"topk": [{"pid": 1}]}, {"topk": 3}, {"choices": []}])
def test_another_answer_is_told(body):
    with FaultServer(body) as server, pytest.raises(RetrievalError, match="answered without passages"):
        ColBERTv2(server.host)("q")


def test_an_error_of_the_server_is_told_in_its_words():
    body = {"error": True, "message": "index is not loaded"}
    with FaultServer(body) as server, pytest.raises(RetrievalError, match="index is not loaded"):
        ColBERTv2(server.host)("q")


def test_what_cannot_work_is_refused_before_anything_is_sent():
    with FaultServer(TOPK) as server:
        with pytest.raises(ConfigurationError, match="at most 100"):
            ColBERTv2(server.host)("q", k=101)
        with pytest.raises(ConfigurationError, match="k is 0"):
            ColBERTv2(server.host)("q", k=0)
        with pytest.raises(InputError, match="must be a text"):
            ColBERTv2(server.host)(None)
        with pytest.raises(ConfigurationError, match="URL"):
            ColBERTv2("somewhere")
        with pytest.raises(ConfigurationError, match="timeout"):
            ColBERTv2(server.host, timeout=0)

        assert server.requests == []


def test_requests_can_be_forbidden_and_replays_never_send():
    with FaultServer(TOPK) as server:
        search = ColBERTv2(server.host)
        search("q", k=2)
        with forbid_requests():
            assert len(search("q", k=2)) == 2
            with pytest.raises(RequestsForbiddenError):
                search("other")
        telic.lm.cache.flush()
        telic.configure_cache(mode="replay-only")
        assert len(search("q", k=2)) == 2
        with pytest.raises(CacheMissError):
            search("other")


def test_it_serves_programs_as_the_configured_retriever():
    with FaultServer(TOPK) as server, telic.context(rm=ColBERTv2(server.host)):
        found = telic.Retrieve(k=2)("q").passages

        assert found == ["passage 1", "passage 2"]
