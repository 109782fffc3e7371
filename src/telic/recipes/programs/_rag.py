"""Answers from documents, with their sources, or "not in the documents".

The whole program is on this page: copy it, and change what you like.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from telic.data import Prediction
from telic.modules import ChainOfThought, Module, Retrieve, Suggest
from telic.signatures import InputField, OutputField, Signature

NOT_FOUND: Final = "not in the documents"
"""What is answered where no passage says it."""


class AnswerFromPassages(Signature):
    """Answer the question from the passages alone, in as few words as will do.

    Give the numbers of the passages that say so. If none does, answer "not in the documents".
    """

    passages: list[str] = InputField(desc="numbered from 1")
    question: str = InputField()
    answer: str = OutputField(desc='a few words, or "not in the documents"')
    sources: list[int] = OutputField(default=[], desc="the numbers of the passages that say so")


class RAG(Module):
    """Retrieval-augmented generation: find passages, then answer from them.

    Args:
        k: How many passages are read.
        rm: The retriever; None: that of the settings.

    Calling it takes `question`.

    Returns (of a call): `answer`; `found`, False where the documents do not say it; `citations`, the passages that the
    answer rests on, with `source` and `page` (where the LM names none, those that hold the answer word for word);
    `context`, all passages that were read.

    Cost: one LM call, and one more where the answer names passages that are not there.
    Source: Lewis et al. 2020 (arXiv 2005.11401) in the form of Khattab et al. 2023 (arXiv 2310.03714).

    Example:
        >>> from telic.retrieve import BM25
        >>> from telic.testing import ScriptedLM
        >>> program = RAG(k=1, rm=BM25(["Ada leads the office in Lima.", "Trains leave at noon."]))
        >>> program.set_lm(ScriptedLM([{"reasoning": "It says so.", "answer": "Ada", "sources": [1]}]))
        >>> found = program(question="Who leads the office?")
        >>> found.answer, str(found.citations[0])
        ('Ada', 'Ada leads the office in Lima.')
    """

    def __init__(self, k: int = 5, rm: Callable[..., Any] | None = None) -> None:
        super().__init__()
        self.retrieve = Retrieve(k=k, rm=rm)
        self.answer = ChainOfThought(AnswerFromPassages)

    def forward(self, question: str) -> Prediction:
        """Find, answer, look the citations up."""
        passages = self.retrieve(question).passages
        if not passages:
            return Prediction(answer=NOT_FOUND, found=False, citations=[], context=[])
        said = self.answer(passages=passages, question=question)
        there = [number for number in dict.fromkeys(said.sources) if 1 <= number <= len(passages)]
        Suggest(
            len(there) == len(set(said.sources)),
            f"sources are numbers of passages: 1 to {len(passages)}",
            target_module=self.answer,
        )
        found = not is_not_found(said.answer)
        named = [passages[number - 1] for number in there] or [p for p in passages if holds(p, said.answer)]
        citations = named if found else []
        return Prediction(
            reasoning=said.reasoning, answer=said.answer, found=found, citations=citations, context=passages
        )


def holds(passage: str, answer: str) -> bool:
    """Return whether a passage has an answer in it, word for word."""
    return f" {words(answer)} " in f" {words(passage)} "


def words(text: str) -> str:
    """Return a text as words with single blanks between them, without case and punctuation."""
    return " ".join("".join(sign if sign.isalnum() else " " for sign in text.casefold()).split())


def is_not_found(answer: str) -> bool:
    """Return whether an answer says that the documents do not."""
    return words(answer) == NOT_FOUND
