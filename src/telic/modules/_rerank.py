"""`Rerank`: many passages found by one step, put in order by a program.

The program is a part of this module like any other, so optimizers see its predictors. It answers for a query and its
passages either `ranking` (the numbers of the passages, best first, counted from 1 as prompts show them) or `scores`
(one number a passage).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, cast, final

from telic.data import Prediction
from telic.errors import RetrievalError
from telic.modules._flow import Call, Flow
from telic.modules._module import FlowModule
from telic.modules._predict import Predict
from telic.retrieve import as_passages, checked_k
from telic.signatures import ensure_signature

_RANK = (
    "Put the passages in the order of how well they help to answer the query. "
    "`ranking` holds the numbers of the passages, best first; leave out those that do not help."
)


@final
class Rerank(FlowModule):
    """Let a program choose among the passages that a retriever found.

    Args:
        retrieve: Finds candidates: `Retrieve(k=20)`, or any module or callable that takes a query and returns passages
            or a prediction with `passages`.
        program: Called with `query` and `passages` (a list of texts); its `ranking` or `scores` decide. None: a
            `Predict` that ranks.
        k: How many passages are kept.

    Calling it with `query` returns a `Prediction` with `passages`, best first: those that the ranking names, then
    (where it names fewer than `k`) the others in the order in which they were found. Numbers that name no passage, or
    one a second time, are passed over.

    Raises:
        RetrievalError: The program answered neither a ranking nor scores that can be used.

    Cost: one call of the program (one LM call with the default) for each query.

    Example:
        >>> found = lambda query: ["about Paris", "about Ada"]
        >>> by_length = lambda query, passages: Prediction(scores=[-len(text) for text in passages])
        >>> [str(passage) for passage in Rerank(found, by_length, k=1)("Ada?").passages]
        ['about Ada']
    """

    def __init__(
        self, retrieve: Callable[..., Any], program: Callable[..., Any] | None = None, k: int = 5
    ) -> None:
        super().__init__()
        self.retrieve = retrieve
        self.program: Any = (
            Predict(ensure_signature("query, passages: list[str] -> ranking: list[int]", _RANK))
            if program is None
            else program
        )
        self.k = checked_k(k, "Rerank")

    def flow(self, query: str, k: int | None = None) -> Flow[Prediction]:
        """See the class."""
        number = self.k if k is None else checked_k(k, "Rerank")
        found = as_passages((yield Call(self.retrieve, query=query)))
        if len(found) < 2:
            return Prediction(passages=found[:number])
        verdict: Any = yield Call(self.program, query=query, passages=[str(passage) for passage in found])
        order = _order(verdict, len(found))
        rest = [place for place in range(len(found)) if place not in order]
        return Prediction(passages=[found[place] for place in [*order, *rest][:number]])


def _order(verdict: Any, count: int) -> list[int]:
    """Return the places of passages, best first, as the program wants them."""
    scores: Any = getattr(verdict, "scores", None)
    if _is_numbers(scores) and len(scores) == count and all(math.isfinite(score) for score in scores):
        return sorted(range(count), key=lambda place: -scores[place])
    ranking: Any = getattr(verdict, "ranking", None)
    if _is_numbers(ranking):
        return list(dict.fromkeys(int(number) - 1 for number in ranking if 1 <= number <= count))
    raise RetrievalError(
        f"the reranking program answered {verdict!r:.300} for {count} passages; it must have `ranking` (numbers of "
        "passages from 1, best first) or `scores` (one finite number for each passage)"
    )


def _is_numbers(value: Any) -> bool:
    return isinstance(value, (list, tuple)) and all(
        isinstance(item, (int, float)) for item in cast("Sequence[Any]", value)
    )
