import copy
import pickle
from typing import Literal

import pytest

from telic.errors import SignatureError, SignatureSyntaxError
from telic.signatures import (
    InputField,
    OutputField,
    Signature,
    SignatureMeta,
    ensure_signature,
    make_signature,
)


class QA(Signature):
    """Answer the question."""

    context: list[str] = InputField(desc="may help")
    question: str = InputField()
    answer: str = OutputField(desc="a word")
    score: float = OutputField(ge=0, default=0.5)


def names(signature):
    return signature.signature


def test_a_string_makes_a_class():
    signature = Signature("context: list[str], question -> answer: Literal['a', 'b']")

    assert issubclass(signature, Signature)
    assert isinstance(signature, SignatureMeta)
    assert signature.__name__ == "StringSignature"
    assert list(signature.input_fields) == ["context", "question"]
    assert signature.output_fields["answer"].annotation == Literal["a", "b"]
    assert list(signature.fields) == ["context", "question", "answer"]
    assert signature.instructions == "Given the fields `context`, `question`, produce the fields `answer`."


def test_a_string_seen_before_gives_the_same_class():
    assert Signature("a -> b") is Signature("a -> b")
    assert Signature("a -> b", "Do it.") is not Signature("a -> b")
    assert Signature("a -> b", "Do it.").instructions == "Do it."


def test_custom_types_do_not_stay_behind():
    Signature("a: Mine -> b", custom_types={"Mine": int})

    with pytest.raises(SignatureSyntaxError):
        Signature("a: Mine -> b")


def test_a_dict_of_fields_makes_a_class():
    signature = Signature({"a": (int, InputField()), "b": OutputField(desc="x")}, "Do it.")

    assert signature.spec == "a: int -> b 'x'"
    assert signature.instructions == "Do it."
    assert make_signature("a -> b", signature_name="Named").__name__ == "Named"


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"a": int}, "make it with InputField"),
        ({"_a": InputField()}, "cannot name a field"),
        ({"class": InputField()}, "cannot name a field"),
        (3, "from a string or from fields"),
        (None, "from a string or from fields"),
    ],
)
def test_what_makes_no_signature_is_refused(given, words):
    with pytest.raises(SignatureError, match=words):
        Signature(given)


def test_custom_types_may_be_the_third_argument():
    assert Signature("a: Mine -> b", "Do it.", {"Mine": int}).spec == "a: int -> b"
    with pytest.raises(SignatureError, match="no option 'nothing'"):
        Signature("a -> b", nothing=1)


def test_instructions_must_be_text():
    with pytest.raises(SignatureError, match="must be text"):
        Signature("a -> b", 3)
    with pytest.raises(SignatureError, match="must be text"):
        QA.with_instructions(None)


def test_a_signature_has_no_instances():
    with pytest.raises(SignatureError, match=r"Predict\(QA\)\(context=…, question=…\)"):
        QA(question="x")


def test_instructions_are_replaced_in_a_new_class():
    other = QA.with_instructions("Guess.")

    assert other.instructions == "Guess."
    assert other.__doc__ == "Guess."
    assert QA.instructions == "Answer the question."
    assert other.fields is QA.fields
    assert other.__name__ == "QA"
    assert issubclass(other, QA)
    assert QA.append_instructions("Be brief.").instructions == "Answer the question.\n\nBe brief."
    assert QA.with_instructions("").instructions == ""


def test_many_edits_do_not_pile_up():
    signature = QA
    for number in range(50):
        signature = signature.with_instructions(str(number))

    assert len(signature.__mro__) == len(QA.__mro__) + 1


def test_fields_are_inserted_into_their_section():
    assert names(QA.append("hint", InputField())) == "context, question, hint -> answer, score"
    assert names(QA.prepend("reasoning", OutputField())) == "context, question -> reasoning, answer, score"
    assert names(QA.insert(1, "x", InputField())) == "context, x, question -> answer, score"
    assert names(QA.insert(-2, "x", InputField())) == "context, x, question -> answer, score"
    assert names(QA.insert(2, "x", InputField())) == names(QA.insert(-1, "x", InputField()))
    assert names(QA) == "context, question -> answer, score"


def test_the_type_of_an_inserted_field_comes_from_the_argument_the_field_or_is_str():
    assert QA.append("x", InputField(), int).fields["x"].annotation is int
    assert QA.append("x", QA.fields["context"]).fields["x"].annotation == list[str]
    assert QA.append("x", InputField()).fields["x"].annotation is str


@pytest.mark.parametrize("index", [3, -4])
def test_an_index_out_of_range_is_refused(index):
    with pytest.raises(SignatureError, match=f"index {index} is out of range"):
        QA.insert(index, "x", InputField())


def test_a_field_cannot_be_inserted_twice():
    with pytest.raises(SignatureError, match="has a field 'answer' already"):
        QA.append("answer", InputField())


def test_edits_keep_the_instructions_they_found():
    made = Signature("question -> answer").prepend("reasoning", OutputField())

    assert made.instructions == "Given the fields `question`, produce the fields `answer`."


def test_delete_takes_a_field_out():
    assert names(QA.delete("context")) == "question -> answer, score"
    assert QA.delete("nothing").equals(QA)


def test_a_field_is_updated_in_a_new_class():
    other = QA.with_updated_fields("score", type_=int, desc="points", le=1)

    assert other.fields["score"].annotation is int
    assert other.fields["score"].desc == "points"
    assert dict(other.fields["score"].constraints) == {"ge": 0, "le": 1}
    assert other.fields["score"].default == 0.5
    assert QA.fields["score"].annotation is float
    assert names(other) == names(QA)
    with pytest.raises(SignatureError, match="no field 'scroe'; did you mean 'score'"):
        QA.with_updated_fields("scroe", desc="x")
    with pytest.raises(SignatureError, match="cannot apply"):
        QA.with_updated_fields("answer", ge=0)


def test_ensure_signature_takes_strings_classes_and_none():
    assert ensure_signature(QA) is QA
    assert ensure_signature("a -> b") is Signature("a -> b")
    assert ensure_signature("a -> b", "Do it.").instructions == "Do it."
    assert ensure_signature(None) is None
    with pytest.raises(SignatureError, match="instructions of its own"):
        ensure_signature(QA, "x")


def test_signatures_pickle_and_copy_as_values():
    edited = QA.with_instructions("x").append("hint", InputField(), int)
    string = Signature("a: list[int] = [1] -> b 'c'")

    assert pickle.loads(pickle.dumps(QA)) is QA
    for signature in (edited, string):
        assert pickle.loads(pickle.dumps(signature)).equals(signature)
        assert copy.deepcopy(signature) is signature
    assert pickle.loads(pickle.dumps(QA.fields)) == QA.fields


@pytest.mark.parametrize("name", ["labels", "items", "keys"])
def test_an_output_that_a_method_hides_is_told_of(name, caplog):
    class Named(Signature):
        text: str = InputField()
        labels: list[str] = OutputField()

    Signature(f"text -> {name}: list[str]" + " " * len(name))
    assert f"read the output {name!r} of StringSignature as prediction[{name!r}]" in caplog.text
    assert "read the output 'labels' of Named" in caplog.text


def test_inputs_and_other_outputs_are_not_told_of(caplog):
    Signature("items, keys -> label, answer ")
    assert not caplog.text
