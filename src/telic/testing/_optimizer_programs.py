"""Programs of the shapes that users write, for the suite for optimizers."""

from __future__ import annotations

from typing import Any

from telic.modules import Module, Predict, Suggest
from telic.testing._optimizer_task import share


class Nested(Module):
    """A step inside of a module inside of a program."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = Inner()
        self.answer = Predict("question, note -> answer")

    def forward(self, question: str) -> Any:
        """Ask for a note, then for the answer."""
        return self.answer(question=question, note=self.inner(question=question).note)


class Inner(Module):
    """The step inside."""

    def __init__(self) -> None:
        super().__init__()
        self.steps = [Predict("question -> note")]

    def forward(self, question: str) -> Any:
        """Ask for a note."""
        return self.steps[0](question=question)


class Looping(Module):
    """One predictor, called twice."""

    def __init__(self) -> None:
        super().__init__()
        self.step = Predict("question, hint -> answer")

    def forward(self, question: str) -> Any:
        """Ask twice."""
        first = self.step(question=question, hint="none")
        return self.step(question=question, hint=first.answer)


class Branching(Module):
    """One of two predictors, by the question."""

    def __init__(self) -> None:
        super().__init__()
        self.small = Predict("question -> answer")
        self.large = Predict("question -> reasoning, answer")

    def forward(self, question: str) -> Any:
        """Ask one of them."""
        return (self.small if share(question) < 0.5 else self.large)(question=question)


class Asynchronous(Module):
    """A program that is awaited."""

    def __init__(self) -> None:
        super().__init__()
        self.step = Predict("question -> answer")

    async def aforward(self, question: str) -> Any:
        """Ask."""
        return await self.step.acall(question=question)


class Asserting(Module):
    """A program that wants its first answer otherwise, sometimes."""

    def __init__(self) -> None:
        super().__init__()
        self.step = Predict("question -> answer")

    def forward(self, question: str) -> Any:
        """Ask, again where the answer is not liked."""
        made = self.step(question=question)
        Suggest(share(question + made.answer) < 0.7, "another one, please")
        return made


PROGRAMS = {
    "plain": lambda: Predict("question -> answer"),
    "nested": Nested,
    "looping": Looping,
    "branching": Branching,
    "asynchronous": Asynchronous,
    "asserting": Asserting,
}
CALLS_PER_RUN = {"nested": (2, 4), "looping": (2, 4), "asserting": (1, 6)}
