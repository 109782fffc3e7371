import pytest

from telic.errors import SignatureError
from telic.signatures import InputField, OutputField, Signature


class QA(Signature):
    """Answer the question."""

    context: list[str] = InputField(desc="may help")
    question: str = InputField()
    answer: str = OutputField(desc="a word")
    score: float = OutputField(ge=0, default=0.5)


def test_a_signature_never_changes():
    with pytest.raises(SignatureError, match="with_instructions"):
        QA.instructions = "x"
    with pytest.raises(SignatureError, match="with_updated_fields"):
        QA.fields["new"] = InputField()
    with pytest.raises(SignatureError):
        QA.output_fields.pop("answer")
    with pytest.raises(SignatureError, match="field 'answer' cannot be changed"):
        QA.fields["answer"].desc = "x"


def test_names_that_are_not_there_get_a_hint():
    with pytest.raises(AttributeError, match=r"QA.fields\['answer'\]"):
        _ = QA.answer
    with pytest.raises(KeyError, match="did you mean 'answer'"):
        _ = QA.fields["anwser"]


def test_equals_sees_all_that_an_lm_or_a_parser_sees():
    same = Signature(QA.spec, QA.instructions)

    assert same.equals(QA)
    assert QA.equals(same)
    assert not QA.equals(QA.with_instructions("x"))
    assert not QA.equals(QA.with_updated_fields("question", type_=int))
    assert not QA.equals(QA.with_updated_fields("question", desc="x"))
    assert not QA.equals(QA.delete("question").append("question", InputField()).delete("context"))
    assert not QA.equals("QA")
    assert not Signature("a, b -> c").equals(Signature("b, a -> c", Signature("a, b -> c").instructions))


def test_repr_shows_fields_and_instructions():
    assert repr(QA) == (
        "QA(\"context: list[str] 'may help', question -> answer 'a word', "
        "score: Annotated[float, Field(ge=0)] = 0.5\", instructions='Answer the question.')"
    )


def test_the_base_has_neither_fields_nor_instructions():
    assert (dict(Signature.fields), Signature.instructions) == ({}, "")


def test_fields_are_asked_for_by_side():
    assert list(QA.input_fields) == ["context", "question"]
    assert list(QA.output_fields) == ["answer", "score"]
    assert QA.signature == "context, question -> answer, score"
    assert isinstance(QA.fields, dict)
