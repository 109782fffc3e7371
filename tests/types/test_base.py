import pydantic
import pytest

from telic.types import FieldType


class Shout(FieldType):
    def __init__(self, text):
        self.text = text

    def to_parts(self):
        return [{"type": "text", "text": self.text.upper()}]

    @classmethod
    def from_text(cls, text):
        return cls(text.lower())


class Given(FieldType):
    def to_parts(self):
        return []


def test_the_base_is_abstract():
    with pytest.raises(TypeError):
        FieldType()


def test_a_type_without_from_text_is_an_input_only():
    with pytest.raises(ValueError, match="a Given is an input only"):
        Given.from_text("x")


def test_field_types_stand_inside_pydantic_models():
    class Box(pydantic.BaseModel):
        shouts: list[Shout]

    shout = Shout("a")
    box = Box(shouts=[shout, "B"])

    assert box.shouts[0] is shout
    assert box.shouts[1].text == "b"
    assert "shouts" in Box.model_json_schema()["properties"]
    with pytest.raises(pydantic.ValidationError):
        Box(shouts=[1])
