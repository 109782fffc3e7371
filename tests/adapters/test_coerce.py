import math
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from enum import Enum
from typing import Annotated, Any, Literal

import pytest
from pydantic import BaseModel, Field, field_validator
from typing_extensions import TypedDict

from telic.adapters import ChatAdapter
from telic.adapters._coerce import FieldValueError, coercer
from telic.errors import AdapterParseError
from telic.signatures import InputField, OutputField, Signature
from telic.types import FieldType


class City(BaseModel):
    name: str
    population: int = Field(ge=0)


class Tag(BaseModel):
    name: str


class Filter(BaseModel):
    color: str | None = None
    size: int = 0


@dataclass
class Range:
    low: int = 0


@dataclass
class Point:
    x: int


class Options(TypedDict, total=False):
    size: int


class Color(Enum):
    RED = "red"
    DARK_BLUE = 2


class Shout(FieldType):
    def __init__(self, text):
        self.text = text

    def to_parts(self):
        return [{"type": "text", "text": self.text}]

    @classmethod
    def from_text(cls, text):
        if not text:
            raise ValueError("nothing to shout")
        return cls(text.upper())


def coerce(annotation, raw, **constraints):
    signature = Signature("q -> a").with_updated_fields("a", annotation)
    field = signature.output_fields["a"]
    return coercer(field.replace(constraints=constraints) if constraints else field, lambda text: text)(raw)


@pytest.mark.parametrize(
    ("annotation", "raw", "expected"),
    [
        (str, "a \\ b", "a \\ b"),
        (str, {"a": "é"}, '{"a": "é"}'),
        (str, 3, "3"),
        (bool, "True.", True),
        (bool, '"true"', True),
        (bool, "**No**", False),
        (bool, "yes\n\nBecause it is.", True),
        (bool, 0, False),
        (int, "1,234", 1234),
        (int, "85%", 85),
        (int, "3.0", 3),
        (int, 3.0, 3),
        (int, "7.", 7),
        (int, "−4", -4),
        (int, "1e3", 1000),
        (int, "12345678901234567890.0", 12345678901234567890),
        (int, '{"a": 5}', 5),
        (int, [5], 5),
        (float, "85%", 0.85),
        (float, "$3.50", 3.5),
        (float, "-$1,000.5", -1000.5),
        (float, ".5", 0.5),
        (float, "0.9        # must be a single float value", 0.9),
        (float, "inf", math.inf),
        (float, 1, 1.0),
        (Literal["yes", "no way"], "'Yes'.", "yes"),
        (Literal["yes", "no way"], "no_way", "no way"),
        (Literal["yes", "no way"], "`yes`", "yes"),
        (Literal["yes", "no way"], "Literal['no way']", "no way"),
        (Literal["yes", "no way"], "str[yes]", "yes"),
        (Literal["positive", "negative"], "postive", "positive"),
        (Literal["positive", "negative"], '{"a": "positive"}', "positive"),
        (Literal[1, 2], "2", 2),
        (Literal[1, 2], 2, 2),
        (Color, "RED", Color.RED),
        (Color, "2", Color.DARK_BLUE),
        (Color, "dark blue", Color.DARK_BLUE),
        (int | None, "None", None),
        (int | None, "", None),
        (int | None, None, None),
        (int | None, "3", 3),
        (str | None, "null", None),
        (str | None, '"None of them"', "None of them"),
        (str | None, '"half', '"half'),
        (str | None, '"a" or "b"', '"a" or "b"'),
        (float, "`5`", 5.0),
        (int | str, "5", 5),
        (int | str, "five", "five"),
        (int | list[int], "[1]", [1]),
        (int | list[int], "[1,", [1]),
        (bool | float, "yes", True),
        (int | str, 5, 5),
        (list[int], "[1, 2", [1, 2]),
        (list[int], '```json\n["1", 2,]\n```', [1, 2]),
        (list[str], "['it''s', 'b']", ["its", "b"]),
        (list[int], '{"items": [1]}', [1]),
        (tuple[int, str], "(1, 'a')", (1, "a")),
        (set[int], "{1, 2}", {1, 2}),
        (dict[str, int], "Here: {'a': 1} fine", {"a": 1}),
        (dict[str, bool], "{'a': True, 'b': False}", {"a": True, "b": False}),
        (City, '{"name": "x", "population": 1}', City(name="x", population=1)),
        (City, '{"city": {"name": "x", "population": "1"}}', City(name="x", population=1)),
        (City, {"name": "x", "population": 1}, City(name="x", population=1)),
        (list[City], {"name": "x", "population": 1}, [City(name="x", population=1)]),
        (list[Tag], {"name": "x"}, [Tag(name="x")]),
        (Filter, '{"size": 3}', Filter(size=3)),
        (Filter, '{"filter": {"size": 3}}', Filter(size=3)),
        (Filter, {"filter": {"size": 3}}, Filter(size=3)),
        (Filter, "<filter><size>3</size></filter>", Filter(size=3)),
        (Filter | None, '{"filter": {"size": 3}}', Filter(size=3)),
        (Filter, "{}", Filter()),
        (Filter, '{"filter": {}}', Filter()),
        (Options, '{"options": {"size": 3}}', {"size": 3}),
        (Range, '{"range": {"low": 3}}', Range(3)),
        (Range, '{"low": 0}', Range()),
        (Point, '{"point": {"x": 3}}', Point(3)),
        (Options, "{}", {}),
        (City | None, "null", None),
        (date, "2024-02-29", date(2024, 2, 29)),
        (Decimal, "1.10", Decimal("1.10")),
        (Decimal, "0.1234567890123456789", Decimal("0.1234567890123456789")),
        (Decimal, "**$1,234.50**", Decimal("1234.50")),
        (Decimal, 0.1, Decimal("0.1")),
        (Decimal | None, "12.5%", Decimal("0.125")),
        (Any, "[1]", [1]),
        (Any, "x", "x"),
        (Any, 1, 1),
        (Annotated[int, Field(gt=3)], "4.", 4),
    ],
)
def test_what_a_reply_means_is_read(annotation, raw, expected):
    value = coerce(annotation, raw)

    assert value == expected
    assert type(value) is type(expected)


@pytest.mark.parametrize(
    ("annotation", "raw", "message"),
    [
        (str, None, "expected str, got null"),
        (float, "high", "expected float, got 'high'"),
        (float, "0,85", "expected float"),
        (Decimal, "high", "expected Decimal, got 'high'"),
        (Decimal, "NaN", "expected Decimal"),
        (float, "1-2", "expected float"),
        (float, True, "expected float, got 'true'"),
        (float, "", "expected float, got ''"),
        (float, "5 of 10", "expected float"),
        (int, "3.7", "expected int, got '3.7'"),
        (int, "1.5e0", "expected int"),
        (int, "9" * 5000, "expected int"),
        (int, [1, 2], "expected int"),
        (bool, "maybe", "expected bool, got 'maybe'"),
        (bool, 2, "expected bool"),
        (Literal["safe", "danger"], "unsafe", "expected Literal"),
        (Literal["typical", "odd"], "atypical", "expected Literal"),
        (Literal["cat", "car"], "cab", "expected Literal"),
        (Color, "green", "expected Color, got 'green'"),
        (int | None, "some", "expected int | None, got 'some'"),
        (int | list[int], "x", "expected"),
        (Literal["yes", "no way"], "", "expected Literal"),
        (Literal["yes", "no way"], '["yes", "no way"]', "expected Literal"),
        (Literal["yes", "no way"], "[" * 5000, "expected Literal"),
        (float, "-$-5", "expected float"),
        (float, "{", "expected float"),
        (list[int], "<5", "expected list[int], got '<5'"),
        (int | list[int], {"a": "b", "c": 1}, "expected"),
        (list[int], "no list", "expected list[int], got 'no list'"),
        (list[int], '["x"]', "at 0: Input should be a valid integer"),
        (
            City,
            '{"name": "x", "population": -1}',
            "at population: Input should be greater than or equal to 0",
        ),
        (list[int], "[" * 50_000, "expected list[int]"),
        (Annotated[int, Field(gt=3)], "2", "greater than 3"),
        (Shout, "", "nothing to shout"),
    ],
)
def test_what_a_reply_does_not_say_is_an_error_that_names_it(annotation, raw, message):
    with pytest.raises(FieldValueError) as caught:
        coerce(annotation, raw)

    assert message in str(caught.value)


def test_limits_of_a_field_hold():
    assert coerce(float, "85%", le=100) == 85.0
    assert coerce(float, "85%", le=1) == 0.85
    with pytest.raises(FieldValueError, match=r"expected int \(greater than or equal to 0\), got '-3'"):
        coerce(int, "-3", ge=0)
    with pytest.raises(FieldValueError, match="maximum length 2"):
        coerce(str, "long", max_length=2)
    with pytest.raises(FieldValueError, match="at most 1 item"):
        coerce(list[int], "[1, 2]", max_length=1)


def test_a_field_type_reads_itself():
    assert coerce(Shout, "hey").text == "HEY"
    assert coerce(Shout, ["a"]).text == '["A"]'


def test_only_three_findings_are_told():
    with pytest.raises(FieldValueError, match="2 more"):
        coerce(list[int], '["a", "b", "c", "d", "e"]')


def test_validators_of_the_signature_speak_to_the_lm():
    class Even(Signature):
        """Count."""

        q: str = InputField()
        n: int = OutputField()

        @field_validator("n")
        @classmethod
        def even(cls, value):
            if value % 2:
                raise ValueError("n must be even")
            return value

    with pytest.raises(AdapterParseError, match="n must be even") as caught:
        ChatAdapter().parse(Even, "[[ ## n ## ]] 3")

    assert len(caught.value.problems) == 1
    assert ChatAdapter().parse(Even, "[[ ## n ## ]] 4") == {"n": 4}
