import enum
from typing import Annotated, Any, Literal

import pydantic
import pytest

import telic
from telic.adapters import BAMLAdapter
from telic.adapters._baml import sketch
from telic.protocols import Capabilities
from telic.signatures import Signature
from telic.testing import ScriptedLM
from telic.types import Code, Image


class Mood(enum.Enum):
    CALM = "calm"
    WILD = 'wild "sea"'


class Street(pydantic.BaseModel):
    """Not shown."""

    name: str = pydantic.Field(description="as on\n  the sign")
    number: int | None = pydantic.Field(None, alias="no")


class Person(pydantic.BaseModel):
    name: str
    streets: list[Street]
    kind: Literal["a", 1]
    friends: "list[Person]" = []


@pytest.mark.parametrize(
    ("annotation", "shown"),
    [
        (str, "string"),
        (int, "int"),
        (bool, "bool"),
        (Any, "any value"),
        (None, "null"),
        (str | None, "string or null"),
        (int | float, "int or float"),
        (list[str], "string[]"),
        (list[int | None], "(int or null)[]"),
        (set[int], "int[]"),
        (dict[str, list[int]], "map<string, int[]>"),
        (tuple[int, str], "[int, string]"),
        (tuple[int, ...], "[int, ...]"),
        (Literal["a", 1, None], '"a" or 1 or null'),
        (Mood, '"calm" or "wild \\"sea\\""'),
        (Annotated[int, pydantic.Field(ge=0)], "int"),
        (list, "list"),
        (dict, "dict"),
        (Code, "string (must be python code and nothing else)"),
        (Image, "string"),
    ],
)
def test_a_type_is_shown_short(annotation, shown):
    assert sketch(annotation) == shown


def test_models_are_sketched_with_their_descriptions():
    assert sketch(Person) == (
        "{\n"
        '  "name": string,\n'
        '  "streets": {\n'
        "    # as on the sign\n"
        '    "name": string,\n'
        '    "no": int or null,\n'
        "  }[],\n"
        '  "kind": "a" or 1,\n'
        '  "friends": (Person, as above)[],\n'
        "}"
    )


def test_the_prompt_has_the_sketch_and_no_schema():
    signature = Signature("text -> person: Person, score: float", custom_types={"Person": Person})

    system = BAMLAdapter().format(signature, [], {"text": "x"})[0]["content"]

    assert '  "person": {\n    "name": string,\n' in system
    assert '  },\n  "score": float\n}' in system
    assert "properties" not in system
    assert len(system) < len(telic.JSONAdapter().format(signature, [], {"text": "x"})[0]["content"])


def test_replies_are_read_as_json():
    signature = Signature("text -> person: Person", custom_types={"Person": Person})
    lm = ScriptedLM(
        ['```json\n{"person": {"name": "n", "streets": [{"name": "s", "no": 3,}], "kind": "a"}}\n```']
    )

    with telic.context(lm=lm, adapter=BAMLAdapter()):
        person = telic.Predict(signature)(text="x").person

    assert person.streets[0].number == 3


def test_a_schema_is_sent_where_the_server_holds_to_one():
    options = BAMLAdapter().plan(Signature("q -> n: int"), [], Capabilities(response_schema=True)).options

    assert options["response_format"]["type"] == "json_schema"
