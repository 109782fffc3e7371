"""Texts into classes; where there are many, the nearest examples make a short list first.

The whole program is on this page: copy it, and change what you like.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

from telic.data import Prediction
from telic.errors import ConfigurationError
from telic.modules import ChainOfThought, Module, Predict, Retrieve, Suggest
from telic.retrieve import Passage
from telic.signatures import InputField, OutputField, Signature

FEW: Final = 12
"""So many labels are shown all at once."""


class ChooseLabel(Signature):
    """Choose the label that fits the text best."""

    text: str = InputField()
    choices: list[str] = InputField(desc="the labels")
    label: str = OutputField(desc="one of the labels, as it is written there")


class Classify(Module):
    """Choose one of the labels.

    Args:
        labels: All of them, at least two.
        rm: A retriever of labelled examples: passages whose `label` (a fact of the passage) says what they are, such as
            `BM25(labelled(rows))`. None: all labels are shown.
        max_labels: How many labels the short list has.
        k: How many examples the short list is made from.
        reason: Let the LM reason before it chooses.

    Calling it takes `text`.

    Returns (of a call): `label`, always one of the labels or "" where the LM, asked again, named none; `choices`, those
    that it chose from.

    An example that is the text itself says nothing: it is left out, so that training rows cannot find themselves.

    Cost: one LM call, and `max_backtracks` (2) more where the reply is none of the labels.

    Example:
        >>> from telic.testing import FunctionLM
        >>> program = Classify(["refund", "delivery"])
        >>> program.set_lm(FunctionLM(lambda text: {"label": "Refund"}))
        >>> program(text="I want my money back").label
        'refund'
    """

    def __init__(
        self,
        labels: Sequence[str],
        rm: Callable[..., Any] | None = None,
        max_labels: int = FEW,
        k: int = 40,
        reason: bool = False,
    ) -> None:
        super().__init__()
        self.labels = list(dict.fromkeys(labels))
        if len(self.labels) < 2 or not all(isinstance(label, str) and label.strip() for label in self.labels):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise ConfigurationError(
                f"Classify needs two labels or more, texts that are not empty; got {labels!r:.200}"
            )
        if isinstance(max_labels, bool) or not isinstance(max_labels, int) or max_labels < 2:  # pyright: ignore[reportUnnecessaryIsInstance]
            raise ConfigurationError(f"Classify: max_labels must be at least 2, got {max_labels!r}")
        self.max_labels = max_labels
        self.retrieve = None if rm is None else Retrieve(k=k, rm=rm)
        self.choose = ChainOfThought(ChooseLabel) if reason else Predict(ChooseLabel)

    def forward(self, text: str) -> Prediction:
        """Make the short list, choose, and take the label as it is written."""
        choices = self.shortlist(text)
        said = self.choose(text=text, choices=choices).label
        label = next((known for known in choices if folded(known) == folded(said)), "")
        Suggest(label != "", f"{said!r:.200} is none of the labels: {choices}", target_module=self.choose)
        return Prediction(label=label, choices=choices)

    def shortlist(self, text: str) -> list[str]:
        """Return the labels of the nearest examples, the nearest first; then others, while there is room."""
        if self.retrieve is None:
            return self.labels
        near = [found.facts.get("label") for found in self.retrieve(text).passages if str(found) != text]
        ranked = [label for label in near if label in self.labels]
        return list(dict.fromkeys([*ranked, *self.labels]))[: self.max_labels]


def labelled(rows: Iterable[Any], text: str = "text", label: str = "label") -> list[Passage]:
    """Return labelled rows as passages for a retriever."""
    return [Passage(str(row[text]), label=str(row[label])) for row in rows]


def folded(label: str) -> str:
    """Return a label as labels are compared: case, blanks, quotes, and `_` or `-` for a blank aside."""
    return " ".join(str(label).casefold().replace("_", " ").replace("-", " ").strip(" .\"'`").split())
