"""Joining rankings, and retrievers of several retrievers."""

from __future__ import annotations

import asyncio

import pytest

from telic.errors import ConfigurationError, RetrievalError
from telic.retrieve import BM25, Hybrid, Passage, fuse


def ranking(texts):
    return [Passage(text) for text in texts]


def test_what_both_have_comes_first_and_each_once():
    assert fuse([ranking("abc"), ranking("bd")]) == ["b", "a", "d", "c"]


def test_a_passage_twice_in_one_ranking_counts_once():
    assert fuse([ranking("aab"), ranking("b")]) == ["b", "a"]


def test_weights_move_the_order():
    assert fuse([ranking("a"), ranking("b")], weights=[1, 2]) == ["b", "a"]


def test_k_cuts_and_nothing_is_nothing():
    assert fuse([ranking("abc")], 2) == ["a", "b"]
    assert fuse([[], []]) == []
    assert fuse([]) == []


def test_hybrid_finds_what_either_finds():
    words = BM25(["Ada wrote programs.", "Paris is in France."])
    find = Hybrid([words, lambda query, k: ["Grace wrote a compiler."]], k=5)

    assert set(find("Who wrote programs?")) == {"Ada wrote programs.", "Grace wrote a compiler."}
    assert asyncio.run(find.acall("Who wrote programs?")) == find("Who wrote programs?")


def test_hybrid_asks_deeper_than_it_returns():
    asked = []

    def deep(query, k):
        asked.append(k)
        return [str(number) for number in range(k)]

    assert len(Hybrid([deep, deep], k=2)("x")) == 2
    assert len(Hybrid([deep, deep], k=2, depth=7)("x")) == 2
    assert asked == [30, 30, 7, 7]


def test_a_retriever_that_fails_fails_the_search():
    def broken(query, k):
        raise OSError("down")

    with pytest.raises(OSError, match="down"):
        Hybrid([broken, broken])("x")
    with pytest.raises(RetrievalError, match="must return a list"):
        Hybrid([lambda query, k: None, lambda query, k: []])("x")


def test_what_cannot_work_is_refused():
    with pytest.raises(ConfigurationError, match="at least two"):
        Hybrid([len])
    with pytest.raises(ConfigurationError, match="weights"):
        Hybrid([len, len], weights=[1])
    with pytest.raises(ConfigurationError, match="depth"):
        Hybrid([len, len], depth=0)
    with pytest.raises(ConfigurationError, match="constant"):
        Hybrid([len, len], constant=-1)
