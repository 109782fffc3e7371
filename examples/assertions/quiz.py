"""A quiz card as JSON: the question, the choices, and an answer that is one of them, word for word.

Run it: python examples/assertions/quiz.py [--lm telic/tiny]
"""

import json

from world import Task, facts_of, from_command_line, questions, short_first

import telic


class Quiz(telic.Module):
    def __init__(self) -> None:
        self.choose = telic.Predict("context, question -> answer")

    def forward(self, context: str, question: str) -> telic.Prediction:
        choices = facts_of(context)
        answer = self.choose(context=context, question=question).answer
        telic.Suggest(answer.endswith("."), "Use a full sentence.", name="a sentence")
        telic.Suggest(
            answer in choices,
            f"It is not one of the sentences. Choose from {' '.join(choices)}",
            name="a choice",
        )
        card = {"question": question, "choices": choices, "answer": answer}
        return telic.Prediction(card=json.dumps(card), answer=answer)


def right_choice(example: telic.Example, made: telic.Prediction, trace: object = None) -> bool:
    card = json.loads(made.card)
    return card["answer"] in card["choices"] and example.answer in card["answer"]


TASK = Task(Quiz, questions, right_choice, short_first)

if __name__ == "__main__":
    from_command_line(TASK)
