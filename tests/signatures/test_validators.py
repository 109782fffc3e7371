import pydantic
import pytest

from telic.signatures import InputField, OutputField, Signature


class Cite(Signature):
    """Answer and cite."""

    passages: list[str] = InputField()
    answer: str = OutputField()
    source: int = OutputField(ge=0)

    @pydantic.field_validator("answer")
    @classmethod
    def short(cls, value):
        if len(value) > 5:
            raise ValueError("use at most 5 letters")
        return value.strip()

    @pydantic.model_validator(mode="after")
    def known(self):
        if self.passages is not None and self.source >= len(self.passages):
            raise ValueError(f"there are only {len(self.passages)} passages")
        return self


def test_validators_of_the_class_body_hold_on_outputs():
    assert Cite.check_outputs({"answer": "a ", "source": 0}) == {"answer": "a", "source": 0}
    with pytest.raises(ValueError, match=r"^`answer`: use at most 5 letters$"):
        Cite.check_outputs({"answer": "much too long", "source": 0})


def test_validators_may_compare_outputs_with_inputs():
    inputs = {"passages": ["one"], "unknown": 1}

    assert Cite.check_outputs({"answer": "a", "source": 0}, inputs)["source"] == 0
    with pytest.raises(ValueError, match=r"^there are only 1 passages$"):
        Cite.check_outputs({"answer": "a", "source": 3}, inputs)


def test_validators_survive_edits_and_inheritance():
    class Child(Cite):
        more: str = OutputField()

        @pydantic.field_validator("more")
        @classmethod
        def lower(cls, value):
            return value.lower()

    assert Child.check_outputs({"answer": "a ", "source": 0, "more": "X"})["more"] == "x"
    assert Child.check_outputs({"answer": "a ", "source": 0, "more": "X"})["answer"] == "a"
    for edited in (Cite.with_instructions("x"), Cite.append("hint", InputField())):
        with pytest.raises(ValueError, match="use at most"):
            edited.check_outputs({"answer": "much too long", "source": 0})
    assert Cite.delete("answer").check_outputs({"source": 1}) == {"source": 1}


def test_without_validators_the_check_is_free():
    values = {"b": object()}

    assert Signature("a -> b").check_outputs(values) is values
    assert not Signature("a -> b").validators
    assert set(Cite.validators) == {"short", "known"}


def test_defaults_and_optional_outputs_may_be_left_out():
    class Loose(Signature):
        a: str = OutputField()
        b: int = OutputField(default=3)
        c: list = OutputField(default_factory=list)
        d: str | None = OutputField()

        @pydantic.field_validator("a")
        @classmethod
        def lower(cls, value):
            return value.lower()

    assert Loose.check_outputs({"a": "X"}) == {"a": "x", "b": 3, "c": [], "d": None}
