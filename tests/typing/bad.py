"""A program that a type checker must refuse at every marked line: a mark that is not needed is an error too."""

# pyright: reportUnnecessaryTypeIgnoreComment=true

from telic.modules import Predict
from telic.signatures import InputField, OutputField, Signature


class QA(Signature):
    """Answer the question."""

    question: str = InputField()
    answer: str = OutputField()


def misspelt_fields_are_errors() -> None:
    prediction = Predict(QA)(question="x")
    print(prediction.anwser)  # pyright: ignore[reportArgumentType]
    print(prediction.answer + 1)  # pyright: ignore[reportOperatorIssue, reportUnknownArgumentType]


def wrong_options_are_errors() -> None:
    OutputField(desc=3)  # pyright: ignore[reportArgumentType]
    QA.with_instructions(3)  # pyright: ignore[reportArgumentType]
    QA.missing_method()  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType]


def a_signature_is_made_from_text_or_fields() -> None:
    Signature(3)  # pyright: ignore[reportArgumentType]
