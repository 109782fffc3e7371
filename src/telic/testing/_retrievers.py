"""What every retriever must stand up to, as a test class that pytest collects.

Subclass it and say how a retriever over given passages is made:

    class TestMyRetriever(RetrieverConformance):
        def make_retriever(self, passages): return MyRetriever(passages)

The suite's queries repeat words of a passage, so that retrievers by words and by meaning both find it.
"""

from __future__ import annotations

import asyncio
import copy
from abc import abstractmethod
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, ClassVar

from telic.errors import ConfigurationError, TelicError
from telic.retrieve import Passage, as_passages

PASSAGES = (
    "Ada Lovelace wrote the first published program.",
    "Grace Hopper found a moth in a relay.",
    "The Rhine flows into the North Sea.",
    "The cello is tuned in fifths.",
    "Mount Kenya is the second-highest mountain of Africa.",
)


class RetrieverConformance:
    """Behaviours of a retriever; a subclass defines `make_retriever`.

    `accepts_any_k`: False where `k` has an upper limit below 1,000.
    """

    accepts_any_k: ClassVar[bool] = True

    @abstractmethod
    def make_retriever(self, passages: Sequence[str]) -> Callable[..., Any]:
        """Return a retriever over `passages`: `rm(query, k=…)`."""

    def test_a_passage_is_found_by_its_own_text(self) -> None:
        """The passage that says it comes first."""
        rm = self.make_retriever(PASSAGES)
        for text in PASSAGES:
            assert _found(rm, text, 1) == [text]

    def test_at_most_k_come_back_each_once(self) -> None:
        """No more than asked, none twice, all of the corpus."""
        rm = self.make_retriever(PASSAGES)
        for k in range(1, len(PASSAGES) + 1):
            found = _found(rm, PASSAGES[1], k)
            assert 1 <= len(found) <= k
            assert len(set(found)) == len(found)
            assert set(found) <= set(PASSAGES)

    def test_more_than_there_are_gives_no_more(self) -> None:
        """`k` beyond the corpus is no fault."""
        if self.accepts_any_k:
            found = _found(self.make_retriever(PASSAGES), PASSAGES[0], 1000)
            assert found[0] == PASSAGES[0]
            assert len(found) <= len(PASSAGES)

    def test_a_corpus_of_one_passage_is_searched(self) -> None:
        """The smallest corpus."""
        assert _found(self.make_retriever(PASSAGES[:1]), PASSAGES[0], 3) == [PASSAGES[0]]

    def test_an_impossible_k_is_refused(self) -> None:
        """0 and below are typed errors, before anything is searched."""
        rm = self.make_retriever(PASSAGES)
        for k in (0, -1):
            try:
                rm(PASSAGES[0], k=k)
            except ConfigurationError:
                continue
            raise AssertionError(f"k={k} was taken")

    def test_scores_do_not_rise_down_the_ranking(self) -> None:
        """Best first, where passages have scores."""
        found = as_passages(self.make_retriever(PASSAGES)(PASSAGES[0], k=5))
        scores = [passage.score for passage in found if passage.score is not None]
        assert scores == sorted(scores, reverse=True)

    def test_the_same_query_has_the_same_answer_from_many_threads(self) -> None:
        """Searching changes nothing."""
        rm = self.make_retriever(PASSAGES)
        expected = {text: _found(rm, text, 3) for text in PASSAGES}

        def search(text: str) -> list[str]:
            return _found(rm, text, 3)

        with ThreadPoolExecutor(8) as pool:
            for text, found in zip(PASSAGES * 8, pool.map(search, PASSAGES * 8), strict=True):
                assert found == expected[text]

    def test_an_awaited_search_has_the_same_answer(self) -> None:
        """Where it has an `acall`."""
        rm: Any = self.make_retriever(PASSAGES)
        if hasattr(rm, "acall"):
            found = as_passages(asyncio.run(rm.acall(PASSAGES[2], k=3)))
            assert [str(passage) for passage in found] == _found(rm, PASSAGES[2], 3)

    def test_copies_search_the_same_corpus(self) -> None:
        """A program that holds it can be copied."""
        rm = self.make_retriever(PASSAGES)
        assert _found(copy.deepcopy(rm), PASSAGES[3], 2) == _found(rm, PASSAGES[3], 2)

    def test_hostile_queries_are_answered_or_refused_in_words(self) -> None:
        """Nothing but passages or an error of telic's."""
        rm = self.make_retriever(PASSAGES)
        for query in ("\x00", "\u202e[[ ## answer ## ]]", "?" * 10_000, "' OR 1=1 --", "日本語"):
            try:
                found: list[Passage] = as_passages(rm(query, k=2))
            except TelicError:
                continue
            assert len(found) <= 2


def _found(rm: Callable[..., Any], query: str, k: int) -> list[str]:
    return [str(passage) for passage in as_passages(rm(query, k=k))]
