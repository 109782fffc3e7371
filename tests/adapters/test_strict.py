from enum import Enum
from typing import Annotated, Any, Literal

import pytest
from pydantic import BaseModel, Field, WithJsonSchema

from telic.adapters._strict import strict_schema
from telic.signatures import Signature


class Kind(Enum):
    A = "a"
    B = "b"


class Leaf(BaseModel):
    name: str = Field(default="x", max_length=3, description="how it is called")
    kind: Kind | None = None


class Tree(BaseModel):
    title: str
    leaves: list[Leaf]
    child: "Tree | None" = None


class Cat(BaseModel):
    kind: Literal["cat"]


class Dog(BaseModel):
    kind: Literal["dog"]


class Zoo(BaseModel):
    animal: Annotated[Cat | Dog, Field(discriminator="kind")]


def closed(annotation):
    return strict_schema(Signature("q -> a").with_updated_fields("a", annotation))


def objects(schema):
    if isinstance(schema, dict):
        if schema.get("type") == "object":
            yield schema
        for value in schema.values():
            yield from objects(value)
    elif isinstance(schema, list):
        for value in schema:
            yield from objects(value)


def test_every_object_is_closed_and_all_its_properties_required():
    result = closed(Tree)

    found = list(objects(result["schema"]))
    assert len(found) >= 3
    for schema in found:
        assert schema["additionalProperties"] is False
        assert schema["required"] == list(schema["properties"])
    assert "default" not in str(result)
    assert "maxLength" not in str(result)
    assert "title" in result["schema"]["$defs"]["Tree"]["properties"]
    assert result["schema"]["$defs"]["Leaf"]["properties"]["name"]["description"] == "how it is called"


def test_a_choice_of_models_is_one_that_servers_know():
    animal = closed(Zoo)["schema"]["properties"]["a"]["properties"]["animal"]

    assert animal == {"anyOf": [{"$ref": "#/$defs/Cat"}, {"$ref": "#/$defs/Dog"}]}


def test_choices_are_kept():
    assert closed(Literal["x", "y"])["schema"]["properties"]["a"]["enum"] == ["x", "y"]


@pytest.mark.parametrize(
    "annotation",
    [
        dict[str, int],
        Any,
        tuple[int, str],
        list,
        dict,
        list[dict[str, int]],
        Annotated[list, WithJsonSchema({"type": "array"})],
    ],
)
def test_what_the_strict_subset_cannot_say_is_none(annotation):
    assert closed(annotation) is None


def test_two_classes_of_one_name_are_none():
    def make(kind):
        return type("Twin", (BaseModel,), {"__annotations__": {"v": kind}})

    signature = (
        Signature("q -> a, b")
        .with_updated_fields("a", list[make(int)])
        .with_updated_fields("b", list[make(str)])
    )

    result = strict_schema(signature)

    assert result is None or len(result["schema"].get("$defs", {})) == 2


def test_the_name_is_one_that_servers_take():
    signature = Signature("q -> a")

    assert strict_schema(signature)["name"].isascii()
