"""A program that a type checker must accept, with the types that it must find."""

from typing import Any, Literal, assert_type

from telic.data import Completions, Example, Prediction
from telic.modules import ChainOfThought, Module, Predict, ReAct
from telic.optimizers import BootstrapFewShot, improve
from telic.signatures import InputField, OutputField, Signature


class QA(Signature):
    """Answer the question."""

    question: str = InputField()
    answer: str = OutputField(desc="a word")
    score: float = OutputField(ge=0)
    kind: Literal["a", "b"] = OutputField()
    fields: list[int] = OutputField()  # named like something that signatures have
    labels: list[str] = OutputField()  # named like something that examples have


def signatures_are_classes_and_edits_keep_them() -> None:
    assert_type(QA.with_instructions("x"), type[QA])
    assert_type(QA.append("hint", InputField()).prepend("a", OutputField(), int).delete("a"), type[QA])
    assert_type(QA.instructions, str)
    assert_type(QA.output_fields["answer"].desc, str)
    made: type[Signature] = Signature("question -> answer")
    assert_type(made.instructions, str)
    assert_type(Predict(Signature("question -> answer"))(question="x").answer, Any)
    assert_type(Signature("question: T -> answer", "Do it.", custom_types={"T": int}).signature, str)


def a_predictor_answers_with_the_types_of_its_signature() -> None:
    prediction = Predict(QA)(question="x")
    assert_type(prediction.answer, str)
    assert_type(prediction.score, float)
    assert_type(prediction.kind, Literal["a", "b"])
    assert_type(prediction.fields, list[int])
    assert_type(prediction.labels, list[str])
    assert_type(prediction.completions, Completions)
    assert_type(float(prediction), float)
    assert_type(Predict(QA.with_instructions("x"))(question="x").answer, str)


class Program(Module):
    def __init__(self) -> None:
        self.answer = Predict(QA)

    def forward(self, question: str) -> Prediction:
        return self.answer(question=question)


def reasoning_is_text() -> None:
    assert_type(ChainOfThought(QA)(question="x").reasoning, str)


def a_string_signature_answers_with_a_prediction() -> None:
    assert_type(Predict("question -> answer")(question="x"), Prediction)
    Predict("question -> answer")(question="x").answer.upper()


def a_strategy_is_typed_as_a_predictor_is() -> None:
    assert_type(ReAct(QA, tools=[])(question="x").kind, Literal["a", "b"])
    assert_type(ReAct("question -> answer", tools=[])(question="x"), Prediction)


def _answer(program: Predict, question: str) -> str:  # one over any signature
    return program(question=question).answer


def a_predictor_of_a_class_serves_where_any_may() -> None:
    assert_type(_answer(Predict(QA), "x"), str)


async def async_calls_have_the_same_types() -> None:
    assert_type((await Predict(QA).acall(question="x")).answer, str)
    assert_type(await Predict("a -> b").acall(a="x"), Prediction)


def exact(example: Example, prediction: Prediction) -> bool:
    return bool(example.answer == prediction.answer)


def compiling_keeps_the_class_of_a_program(rows: list[Example]) -> None:
    predict = BootstrapFewShot(metric=exact).compile(Predict(QA), trainset=rows)
    assert_type(predict, Predict[QA])
    assert_type(predict(question="x").score, float)
    assert_type(improve(ChainOfThought(QA), rows, exact), ChainOfThought[QA])
