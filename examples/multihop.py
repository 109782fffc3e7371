"""Questions that need two searches (simplified Baleen): a loop that asks for a query, reads, and asks again.

Run it: python examples/multihop.py (offline: the LM is a function; name a real one in `main(lm=…)`)
"""

import telic
from telic.data import Request
from telic.testing import FunctionLM

PASSAGES = {
    "painter of The Milkmaid": "The Milkmaid was painted by Johannes Vermeer.",
    "Johannes Vermeer birthplace": "Johannes Vermeer was born in Delft.",
}


def search(query: str) -> str:
    return PASSAGES.get(query, "Nothing was found.")


class SearchQuery(telic.Signature):
    """Write the search that would help most to answer the question; write "none" if the notes suffice."""

    notes: list[str] = telic.InputField()
    question: str = telic.InputField()
    query: str = telic.OutputField()


class MultiHop(telic.Module):
    def __init__(self, max_hops: int = 3) -> None:
        self.queries = [telic.ChainOfThought(SearchQuery) for _ in range(max_hops)]
        self.answer = telic.ChainOfThought("notes: list[str], question -> answer")

    def forward(self, question: str) -> telic.Prediction:
        notes: list[str] = []
        for ask in self.queries:
            query = ask(notes=notes, question=question).query
            if query == "none":
                break
            notes.append(search(query))
        found = self.answer(notes=notes, question=question)
        return telic.Prediction(notes=notes, answer=found.answer)


def stand_in(request: Request) -> dict[str, str]:
    """Reason as an LM might about this one question."""
    text = str(request.messages[-1]["content"])
    if "`[[ ## query ## ]]`" not in text:
        return {"reasoning": "The notes say it.", "answer": "Delft" if "Delft" in text else "I do not know"}
    if "Delft" in text:
        return {"reasoning": "The notes suffice.", "query": "none"}
    query = "Johannes Vermeer birthplace" if "by Johannes Vermeer" in text else "painter of The Milkmaid"
    return {"reasoning": "One fact is missing.", "query": query}


def main(lm: object = None) -> str:
    telic.configure(lm=FunctionLM(stand_in) if lm is None else lm)
    program = MultiHop()
    question = "In which town was the painter of The Milkmaid born?"

    prediction = program(question=question)
    print(prediction.notes, "->", prediction.answer)

    rows = [telic.Example(question=question, answer="Delft").with_inputs("question")]
    compiled = telic.BootstrapFewShot(telic.evaluate.answer_exact_match).compile(program, trainset=rows)
    print({name: len(predictor.demos) for name, predictor in compiled.named_predictors()})
    return prediction.answer


if __name__ == "__main__":
    main()
