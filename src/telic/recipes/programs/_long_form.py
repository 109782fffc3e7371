"""Long answers whose every sentence is cited.

The whole program is on this page: copy it, and change what you like.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any, Final

from telic.data import Prediction
from telic.modules import ChainOfThought, Module, Retrieve, Suggest
from telic.signatures import InputField, OutputField, Signature

_CITED: Final = re.compile(r"\[(\d{1,4})\]")
_SENTENCE: Final = re.compile(r"[^.!?]+[.!?]+(?:\s*\[\d{1,4}\])*|[^.!?]+$")


class SearchQueries(Signature):
    """Write search queries that together find what an answer to the question must say."""

    question: str = InputField()
    queries: list[str] = OutputField(desc="one to three, a few words each")


class CitedParagraph(Signature):
    """Answer the question in one paragraph, from the passages alone.

    Every sentence ends with the numbers of the passages that say it, as in "Water boils at 100 degrees [2]."
    """

    passages: list[str] = InputField(desc="numbered from 1")
    question: str = InputField()
    paragraph: str = OutputField(desc="each sentence with its [number]")


class LongFormQA(Module):
    """Search by several queries, then write a paragraph with citations.

    Args:
        k: How many passages are read.
        rm: The retriever; None: that of the settings.

    Calling it takes `question`.

    Returns (of a call): `paragraph`; `citations`, the passages that it names, by their number; `uncited`, sentences
    that name none; `context`, all passages that were read.

    Cost: two LM calls, and one more for each time that citations have to be put right (`max_backtracks`, 2).
    Source: the LongFormQA of Singhvi et al. 2023 (arXiv 2312.13382). Deviation: no LM judges whether a
    passage says what it is cited for.

    Example:
        >>> from telic.retrieve import BM25
        >>> from telic.testing import FunctionLM
        >>> program = LongFormQA(k=1, rm=BM25(["Water boils at 100 degrees.", "Ice is cold."]))
        >>> said = {"reasoning": "So.", "queries": ["water boils"], "paragraph": "It boils at 100 degrees [1]."}
        >>> program.set_lm(FunctionLM(lambda text: said))
        >>> str(program(question="When does water boil?").citations[1])
        'Water boils at 100 degrees.'
    """

    def __init__(self, k: int = 5, rm: Callable[..., Any] | None = None) -> None:
        super().__init__()
        self.write_queries = ChainOfThought(SearchQueries)
        self.retrieve = Retrieve(k=k, rm=rm)
        self.write = ChainOfThought(CitedParagraph)

    def forward(self, question: str) -> Prediction:
        """Search, write, look the citations up."""
        queries = [query for query in self.write_queries(question=question).queries if query.strip()]
        passages = self.retrieve([question, *queries]).passages
        paragraph = self.write(passages=passages, question=question).paragraph
        numbers = list(dict.fromkeys(int(number) for number in _CITED.findall(paragraph)))
        uncited = [sentence for sentence in sentences(paragraph) if not _CITED.search(sentence)]
        Suggest(
            all(1 <= number <= len(passages) for number in numbers),
            f"cite passages by their numbers, 1 to {len(passages)}",
            target_module=self.write,
        )
        Suggest(
            not uncited,
            f"every sentence needs the [number] of a passage; this one has none: {uncited[:1]}",
            target_module=self.write,
        )
        citations = {number: passages[number - 1] for number in numbers if 1 <= number <= len(passages)}
        return Prediction(paragraph=paragraph, citations=citations, uncited=uncited, context=passages)


def sentences(text: str) -> Sequence[str]:
    """Return the sentences of a paragraph, each with the citations behind it."""
    return [
        found.group().strip()
        for found in _SENTENCE.finditer(text)
        if re.search(r"\w", _CITED.sub("", found.group()))
    ]
