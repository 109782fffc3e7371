from __future__ import annotations

from typing import Any, ClassVar, Literal, Optional

import pydantic
import pytest

from telic.errors import SignatureError
from telic.signatures import InputField, OutputField, Signature
from telic.signatures._body import clean_text


class Early(Signature):
    """Find it."""

    query: str = InputField()
    place: Later = OutputField()
    kind: Literal["a", "b"] = OutputField()
    more: list[Later] | None = OutputField()


class Later(pydantic.BaseModel):
    name: str


class Never(Signature):
    query: strr = InputField()  # noqa: F821


class Child(Early):
    extra: Later | None = OutputField()


def test_types_may_be_defined_after_the_class():
    assert Early.output_fields["place"].annotation is Later
    assert Early.fields["more"].annotation == Optional[list[Later]]  # noqa: UP045
    assert Early.with_instructions("x").fields["kind"].annotation == Literal["a", "b"]
    assert list(Child.fields) == ["query", "place", "kind", "more", "extra"]
    assert Child.instructions == "Find it."


def test_a_type_that_never_comes_is_named_when_it_is_needed():
    with pytest.raises(
        SignatureError, match="Never has a field of the unknown type 'strr'; did you mean 'str'"
    ):
        _ = Never.fields


def test_types_may_be_local_to_a_function():
    class Here(pydantic.BaseModel):
        name: str

    class Local(Signature):
        places: list[Here] = OutputField()

    assert Local.fields["places"].annotation == list[Here]


def test_a_name_shadows_a_builtin():
    bool = Literal["yes", "no"]  # noqa: F841

    class Local(Signature):
        sure: bool = OutputField()

    assert Local.fields["sure"].annotation == Literal["yes", "no"]


def test_text_inside_a_type_is_looked_up():
    class Local(Signature):
        places: list["Later"] = OutputField()  # noqa: UP037
        word: Literal["Later"] = OutputField()

    assert Local.fields["places"].annotation == list[Later]
    assert Local.fields["word"].annotation == Literal["Later"]


def test_a_missing_annotation_is_str():
    class Plain(Signature):
        a = InputField()
        b: int = OutputField()
        c = OutputField()

    assert Plain.spec == "a -> b: int, c"


def test_subclasses_add_and_replace_fields():
    class Base(Signature):
        """Do it."""

        a: str = InputField()
        b: int = OutputField()

    class More(Base):
        b = OutputField(desc="new")
        a: float = OutputField()

    class Other(Base):
        """Do that."""

    assert More.spec == "-> a: float, b: int 'new'"
    assert (More.instructions, Other.instructions) == ("Do it.", "Do that.")
    assert Base.spec == "a -> b: int"


def test_without_a_docstring_the_fields_are_the_instructions():
    class Base(Signature):
        a: str = InputField()
        b: str = OutputField()

    class More(Base):
        c: str = OutputField()

    assert More.instructions == "Given the fields `a`, produce the fields `b`, `c`."


def test_fields_of_several_bases_are_joined():
    class Left(Signature):
        """Left."""

        a: str = InputField()

    class Right(Signature):
        b: str = OutputField()

    class Both(Left, Right):
        pass

    assert Both.signature == "a -> b"
    assert Both.instructions == "Left."


def test_methods_and_constants_stay_on_the_class():
    class Rich(Signature):
        limit: ClassVar[int] = 3
        _note: str = "x"
        a: str = OutputField()

        @classmethod
        def twice(cls):
            return 2 * cls.limit

    assert Rich.twice() == Rich.with_instructions("x").twice() == 6


@pytest.mark.parametrize("value", [None, "default", pydantic.Field(default=1)])
def test_an_annotated_name_that_is_no_field_is_refused(value):
    with pytest.raises(SignatureError, match=r"Wrong.answer is annotated, .*InputField"):
        type(Signature)("Wrong", (Signature,), {"__annotations__": {"answer": "str"}, "answer": value})


def test_an_annotation_without_a_value_is_refused():
    with pytest.raises(SignatureError, match=r"Wrong.answer is annotated"):

        class Wrong(Signature):
            answer: str


def test_a_field_with_an_underscore_is_refused():
    with pytest.raises(SignatureError, match="underscore"):

        class Wrong(Signature):
            _answer: str = OutputField()


def test_constraints_that_cannot_apply_are_refused():
    with pytest.raises(SignatureError, match="'a' is of type str, to which the constraint 'ge'"):

        class Wrong(Signature):
            a: str = OutputField(ge=0)

    with pytest.raises(SignatureError, match="'a' is of type float, to which the constraint 'max_length'"):

        class AlsoWrong(Signature):
            a: float = OutputField(max_length=0)


def test_any_is_a_type_like_others():
    class Loose(Signature):
        a: Any = InputField()
        b: None = OutputField()

    assert Loose.fields["a"].annotation is Any
    assert Loose.fields["b"].annotation is type(None)


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("One.", "One."),
        ("\n    One.\n\n      Two.\n    ", "One.\n\n  Two."),
        ("One.\n    Two.\n", "One.\nTwo."),
        ("", ""),
        ("\n\n", ""),
    ],
)
def test_docstrings_lose_their_indentation(text, clean):
    assert clean_text(text) == clean
