import enum
from collections.abc import Callable
from typing import Annotated, Literal, Union

import pydantic
import pytest

from telic.errors import SignatureError
from telic.signatures import OutputField, Signature, json_schema, type_adapter
from telic.types import History


class City(pydantic.BaseModel):
    name: str
    size: int = 0


class Strange:
    pass


def test_adapters_are_made_once():
    assert type_adapter(list[int]) is type_adapter(list[int])
    one, two = (Signature(f"-> x: list[int], y{n}").fields["x"] for n in (1, 2))
    assert type_adapter(one) is type_adapter(two) is type_adapter(list[int])


def test_types_that_only_look_equal_are_told_apart():
    assert type_adapter(Union[int, str]) is not type_adapter(Union[str, int])  # noqa: UP007
    assert type_adapter(Literal[1]).validate_python(1) == 1
    with pytest.raises(pydantic.ValidationError):
        type_adapter(Literal[True]).validate_python("x")
    assert type_adapter(list[Literal[True]]) is not type_adapter(list[Literal[1]])


def test_constraints_hold():
    field = Signature("-> x: Annotated[float, Field(ge=0, le=1)]").fields["x"]

    assert type_adapter(field).validate_python("0.5") == 0.5
    with pytest.raises(pydantic.ValidationError):
        type_adapter(field).validate_python(2)
    assert json_schema(field) == {"type": "number", "minimum": 0, "maximum": 1}
    assert type_adapter(field) is type_adapter(field)


def test_schemas_are_those_of_pydantic():
    assert json_schema(City) == City.model_json_schema()
    assert json_schema(list[City])["items"] == {"$ref": "#/$defs/City"}
    assert json_schema(Literal["a", "b"]) == {"enum": ["a", "b"], "type": "string"}
    assert json_schema(enum.Enum("Colour", {"RED": "red"}))["enum"] == ["red"]


def test_classes_unknown_to_pydantic_are_checked_by_isinstance():
    thing = Strange()

    assert type_adapter(Strange).validate_python(thing) is thing
    assert type_adapter(list[Strange]).validate_python([thing]) == [thing]
    assert type_adapter(History).validate_python({"messages": []}) == History()
    with pytest.raises(SignatureError, match="Strange has no JSON schema"):
        json_schema(Strange)
    with pytest.raises(SignatureError, match="has no JSON schema"):
        json_schema(Callable[[int], str])


def test_a_type_that_cannot_be_checked_is_an_error_that_names_the_field():
    class Broken:
        @classmethod
        def __get_pydantic_core_schema__(cls, source, handler):
            raise TypeError("no")

    field = Signature({"x": (Broken, OutputField(mine=1))}).fields["x"]

    with pytest.raises(SignatureError, match="field 'x' has the type Broken, which cannot be checked: no"):
        type_adapter(field)


def test_types_that_cannot_be_keys_work():
    unhashable = pydantic.Field(json_schema_extra={"a": [1]})

    assert type_adapter(Annotated[int, unhashable, []]).validate_python("3") == 3
