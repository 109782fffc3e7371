"""A paragraph that answers several questions, each sentence with the passage that it stands on.

Run it: python examples/assertions/longform.py [--lm telic/tiny]
"""

from world import Task, facts_of, from_command_line, questions, short_first, subject_of

import telic
from telic.data import Example


def passage_of(sentence: str, subject: str, passages: list[str]) -> int | None:
    """Return the number of a passage that names the subject and what the sentence ends with."""
    last = sentence.rstrip(".").split()[-1:]
    for number, passage in enumerate(passages, 1):
        if subject in passage and any(word in passage for word in last):
            return number
    return None


class LongForm(telic.Module):
    def __init__(self) -> None:
        self.write = telic.Predict("context, question -> answer")

    def forward(self, context: str, questions: list[str]) -> telic.Prediction:
        passages = facts_of(context)
        cited: list[str] = []
        for question in questions:
            sentence = self.write(context=context, question=question).answer
            subject = subject_of(question)
            telic.Suggest(sentence.endswith("."), "Use a full sentence.", name="sentences")
            telic.Suggest(subject in sentence, f"Mention {subject}.", name="name their subject")
            source = passage_of(sentence, subject, passages)
            telic.Suggest(
                source is not None, "That is wrong. Read the context again.", name="stand on a passage"
            )
            cited.append(sentence if source is None else f"{sentence} [{source}]")
        return telic.Prediction(answer=" ".join(cited))


def rows(seed: int, count: int) -> tuple[list[Example], list[Example]]:
    """Return rows with two questions each, over the facts of both."""
    train, test = questions(seed, 2 * count)
    return _paired(train), _paired(test)


def _paired(singles: list[Example]) -> list[Example]:
    return [
        Example(
            context=f"{a.context} {b.context}",
            questions=[a.question, b.question],
            answers=[a.answer, b.answer],
        ).with_inputs("context", "questions")
        for a, b in zip(singles[::2], singles[1::2], strict=True)
    ]


def says_both(example: Example, made: telic.Prediction, trace: object = None) -> float:
    return sum(answer.lower() in made.answer.lower() for answer in example.answers) / len(example.answers)


TASK = Task(LongForm, rows, says_both, short_first)

if __name__ == "__main__":
    from_command_line(TASK)
