"""An agent that may search: ReAct over a retriever.

The whole program is on this page: copy it, and change what you like.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from telic.data import Prediction
from telic.modules import Module, ReAct, Retrieve


class SearchAgent(Module):
    """Answer with as many searches as it takes.

    Args:
        k: How many passages a search shows.
        max_iters: How many steps at most.
        rm: The retriever; None: that of the settings.

    Calling it takes `question`.

    Returns (of a call): `answer`, `reasoning`, `trajectory`; as `ReAct`.

    Cost: one LM call a step (at most `max_iters`), and one for the answer.
    Source: Yao et al. 2022 (arXiv 2210.03629), as in arXiv 2310.03714.

    Example:
        >>> from telic.retrieve import BM25
        >>> from telic.testing import ScriptedLM
        >>> agent = SearchAgent(k=1, rm=BM25(["Ada was born in London.", "Bees fly."]))
        >>> step = {"next_thought": "Look.", "next_tool_name": "search", "next_tool_args": {"query": "Ada born"}}
        >>> end = {"next_thought": "Known.", "next_tool_name": "finish", "next_tool_args": {}}
        >>> agent.set_lm(ScriptedLM([step, end, {"reasoning": "It says so.", "answer": "London"}]))
        >>> agent(question="Where was Ada born?").answer
        'London'
    """

    def __init__(self, k: int = 3, max_iters: int = 5, rm: Callable[..., Any] | None = None) -> None:
        super().__init__()
        retrieve = Retrieve(k=k, rm=rm)

        def search(query: str) -> list[str]:
            """Search the documents and return the passages that fit the query best."""
            return retrieve(query).passages

        self.agent = ReAct("question -> answer", tools=[search], max_iters=max_iters)

    def forward(self, question: str) -> Prediction:
        """Run the agent."""
        return self.agent(question=question)
