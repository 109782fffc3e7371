"""Questions that need two searches, with rules for what is searched (simplified Baleen).

Run it: python examples/assertions/multihop.py [--lm telic/tiny]
"""

from collections.abc import Callable

from world import Task, fact_for, facts_of, from_command_line, subject_of

import telic
from telic.data import Example, Request
from telic.datasets import tiny

HOPS = 2
LONGEST = 40


class MultiHop(telic.Module):
    def __init__(self) -> None:
        self.ask = [telic.Predict("context, question -> search_query") for _ in range(HOPS)]
        self.answer = telic.Predict("context, question -> answer")

    def forward(self, question: str, search: Callable[[str], list[str]]) -> telic.Prediction:
        look = telic.Tool(search, name="search", desc="Search for facts.")
        queries: list[str] = []
        found: list[str] = []
        for ask in self.ask:
            query = ask(context=" ".join(found), question=question).search_query
            telic.Suggest(len(query) <= LONGEST, "It must be shorter.", ask, name="short queries")
            new = subject_of(f"? {query}") not in " ".join(queries)
            telic.Suggest(query not in queries and new, f"Not {query}. Look again.", ask, name="new queries")
            queries.append(query)
            found += [fact for fact in look(query=query) if fact not in found]
        answer = self.answer(context=" ".join(found), question=question).answer
        telic.Suggest(
            answer in " ".join(found), "Only the name or the word.", name="an answer that was found"
        )
        return telic.Prediction(queries=queries, found=found, answer=answer)


def rows(seed: int, count: int) -> tuple[list[Example], list[Example]]:
    data = tiny.load("agent_facts", n_train=12, n_val=0, n_test=count, seed=seed)
    search = data.tools[0]
    made = [
        [Example(row, search=search).with_inputs("question", "search") for row in split]
        for split in (data.trainset, data.testset)
    ]
    return made[0], made[1]


def exact(example: Example, made: telic.Prediction, trace: object = None) -> bool:
    return example.answer == made.answer


def stand_in(request: Request) -> dict[str, str]:
    """Search for the question itself at first; told to look again, for what the first fact names."""
    text = str(request.messages[-1]["content"])
    context = text.partition("## context ## ]]\n")[2].partition("\n\n[[")[0]
    question = text.partition("## question ## ]]\n")[2].partition("\n")[0]
    subject = subject_of(question)
    first = fact_for(context, question)
    other = subject_of(f"? {first.replace(subject, '')}")  # whom the first fact names beside the subject
    if "`[[ ## answer ## ]]`" in text:
        rest = [fact for fact in facts_of(context) if fact != first and other in fact]
        fact = fact_for(" ".join(rest) or context, f"{question} {other}")
        return {"answer": subject_of(f"? {fact.replace(other, '')}") or fact.rstrip(".").split()[-1]}
    asked = question.partition(" the ")[0]
    return {"search_query": f"{asked} {other}" if context and "feedback" in text else subject}


TASK = Task(MultiHop, rows, exact, stand_in)

if __name__ == "__main__":
    from_command_line(TASK)
