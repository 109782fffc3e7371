"""Retrieval-augmented generation: find passages, then answer from them; compiled with few-shot demonstrations.

Run it: python examples/rag.py (offline: the LM is a function; name a real one in `main(lm=…)`)
"""

import re

import telic
from telic.testing import FunctionLM

PASSAGES = [
    "The Rhine rises in the Swiss Alps and flows into the North Sea.",
    "Mount Kenya is the second-highest mountain in Africa.",
    "Marie Curie was born in Warsaw in 1867.",
    "The cello is tuned in fifths: C, G, D and A.",
]
ROWS = [
    ("Where was Marie Curie born?", "Warsaw"),
    ("Which sea does the Rhine flow into?", "the North Sea"),
    ("How is the cello tuned?", "in fifths"),
]


def words(text: str) -> set[str]:
    return set(re.findall(r"[a-z]+", text.lower()))


def search(query: str, *, k: int = 2) -> list[str]:
    return sorted(PASSAGES, key=lambda passage: -len(words(query) & words(passage)))[:k]


class Answer(telic.Signature):
    """Answer the question from the passages, in a few words."""

    passages: list[str] = telic.InputField()
    question: str = telic.InputField()
    answer: str = telic.OutputField(desc="a few words, as they stand in a passage")


class RAG(telic.Module):
    def __init__(self, k: int = 2) -> None:
        self.k = k
        self.answer = telic.ChainOfThought(Answer)

    def forward(self, question: str) -> telic.Prediction:
        passages = search(question, k=self.k)
        found = self.answer(passages=passages, question=question)
        return telic.Prediction(passages=passages, answer=found.answer)


def stand_in(text: str) -> dict[str, str]:
    """Answer as an LM might that knows three phrases."""
    for phrase in ("Warsaw", "the North Sea", "in fifths"):
        if phrase in text:
            return {"reasoning": "A passage says it.", "answer": phrase}
    return {"reasoning": "No passage says it.", "answer": "I do not know"}


def main(lm: object = None) -> float:
    telic.configure(lm=FunctionLM(stand_in) if lm is None else lm)
    rows = [
        telic.Example(question=question, answer=answer).with_inputs("question") for question, answer in ROWS
    ]
    metric = telic.evaluate.answer_exact_match
    compiled = telic.BootstrapFewShot(metric).compile(RAG(), trainset=rows)
    print(compiled(question="Where was Marie Curie born?").answer)
    result = telic.Evaluate(devset=rows, metric=metric)(compiled)
    print(result)
    return result.score


if __name__ == "__main__":
    main()
