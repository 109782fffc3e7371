"""Questions that need several searches: simplified Baleen.

The whole program is on this page: copy it, and change what you like.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from telic.data import Prediction
from telic.errors import ConfigurationError
from telic.modules import ChainOfThought, Module, Predict, Retrieve
from telic.signatures import InputField, OutputField, Signature


class SearchQuery(Signature):
    """Write a search query that finds what is missing to answer the question."""

    context: list[str] = InputField(desc="passages that were found so far")
    question: str = InputField()
    search_query: str = OutputField(desc="a few words")


class AnswerFromContext(Signature):
    """Answer the question from the context, in as few words as will do."""

    context: list[str] = InputField(desc="passages that may say it")
    question: str = InputField()
    answer: str = OutputField(desc="a few words")


class MultiHop(Module):
    """Search, read, search again with what was read, then answer.

    Args:
        max_hops: How many searches.
        k: How many passages each search adds.
        rm: The retriever; None: that of the settings.

    Calling it takes `question`.

    Returns (of a call): `answer`; `context`, all passages, each once, in the order in which they were found; `queries`.

    Cost: `max_hops` + 1 LM calls.
    Source: Baleen (Khattab, Potts & Zaharia 2021, arXiv 2101.00436), simplified as in arXiv 2310.03714:
    no condensing. Deviations: a query that was asked before is not searched again, and queries are written without
    reasoning first.

    Example:
        >>> from telic.retrieve import BM25
        >>> from telic.testing import FunctionLM
        >>> program = MultiHop(rm=BM25(["The Milkmaid is by Vermeer.", "Vermeer was born in Delft."]), k=1)
        >>> def reply(request):
        ...     asked = request.messages[-1]["content"]
        ...     query = "Vermeer born" if "by Vermeer" in asked else "Milkmaid"
        ...     return {"reasoning": "So.", "search_query": query, "answer": "Delft" if "Delft" in asked else "?"}
        >>> program.set_lm(FunctionLM(reply))
        >>> program(question="Where was the painter of The Milkmaid born?").answer
        'Delft'
    """

    def __init__(self, max_hops: int = 2, k: int = 3, rm: Callable[..., Any] | None = None) -> None:
        super().__init__()
        if isinstance(max_hops, bool) or not isinstance(max_hops, int) or max_hops < 1:  # pyright: ignore[reportUnnecessaryIsInstance]
            raise ConfigurationError(
                f"MultiHop: max_hops must be a whole number of at least 1, got {max_hops!r}"
            )
        self.write_query = [Predict(SearchQuery) for _ in range(max_hops)]
        self.retrieve = Retrieve(k=k, rm=rm)
        self.answer = ChainOfThought(AnswerFromContext)

    def forward(self, question: str) -> Prediction:
        """Search hop by hop, then answer."""
        context: dict[str, Any] = {}  # by text: no passage is shown twice
        queries: list[str] = []
        for write_query in self.write_query:
            query = write_query(context=list(context.values()), question=question).search_query
            if query.strip() and query not in queries:
                queries.append(query)
                context.update((str(passage), passage) for passage in self.retrieve(query).passages)
        found = self.answer(context=list(context.values()), question=question)
        return Prediction(
            reasoning=found.reasoning, answer=found.answer, context=list(context.values()), queries=queries
        )
