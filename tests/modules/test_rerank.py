"""`Rerank`: a program chooses among passages that were found."""

from __future__ import annotations

import asyncio

import pytest

import telic
from telic.errors import ConfigurationError, RetrievalError
from telic.modules import Rerank
from telic.testing import DummyLM


def found(query):
    return telic.Prediction(passages=["a", "b", "c", "d"])


def ranks(*numbers):
    return lambda query, passages: telic.Prediction(ranking=list(numbers))


def test_a_ranking_decides_and_the_rest_follows():
    assert Rerank(found, ranks(3, 1), k=3)("q").passages == ["c", "a", "b"]


def test_scores_decide():
    assert Rerank(found, lambda query, passages: telic.Prediction(scores=[0, 3, 2, 3]), k=2)(
        "q"
    ).passages == ["b", "d"]


@pytest.mark.parametrize("numbers", [(9, 2, 2, 0, -1, 1), (2, 1)])
def test_numbers_that_name_no_passage_are_passed_over(numbers):
    assert Rerank(found, ranks(*numbers), k=4)("q").passages == ["b", "a", "c", "d"]


def test_one_or_no_passage_needs_no_program():
    def never(**inputs):
        raise AssertionError

    assert Rerank(lambda query: ["only"], never)("q").passages == ["only"]
    assert Rerank(lambda query: [], never)("q").passages == []


@pytest.mark.parametrize(
    "verdict",
    [
        None,
        telic.Prediction(answer="a"),
        telic.Prediction(scores=[1.0]),
        telic.Prediction(scores=[float("nan")] * 4),
    ],
)
def test_a_verdict_that_cannot_be_used_is_told(verdict):
    with pytest.raises(RetrievalError, match="must have `ranking`"):
        Rerank(found, lambda query, passages: verdict)("q")


def test_the_default_program_asks_the_lm_and_is_a_part_that_optimizers_see():
    program = Rerank(telic.Retrieve(k=4, rm=lambda query, k: list("abcd")), k=2)
    with telic.context(lm=DummyLM([{"ranking": "[4, 2]"}, {"ranking": "[1]"}])):
        assert program("q").passages == ["d", "b"]
        assert asyncio.run(program.acall(query="q")).passages == ["a", "b"]
    assert [path for path, _ in program.named_predictors()] == ["program"]


def test_an_impossible_k_is_refused():
    with pytest.raises(ConfigurationError, match="k is 0"):
        Rerank(found, k=0)
