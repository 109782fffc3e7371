import dataclasses
import json
from datetime import UTC, date, datetime
from enum import Enum
from types import MappingProxyType

import pytest
from pydantic import BaseModel

from telic.adapters._values import numbered_list, to_json, value_text
from telic.data import Example


class Mood(Enum):
    CALM = "calm"


class City(BaseModel):
    name: str
    born: date | None = None


@dataclasses.dataclass
class Point:
    x: int
    mood: Mood = Mood.CALM


class Word(str):
    __slots__ = ()


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("as it is\n", "as it is\n"),
        (Word("w"), "w"),
        (3, "3"),
        (True, "True"),
        (None, "None"),
        (Mood.CALM, "calm"),
        (City(name="Köln", born=date(1, 2, 3)), '{"name": "Köln", "born": "0001-02-03"}'),
        ([City(name="a")], '[{"name": "a", "born": null}]'),
        (Point(1), '{"x": 1, "mood": "calm"}'),
        ({"m": Mood.CALM, "s": {1}, "e": Example(a=1)}, '{"m": "calm", "s": [1], "e": {"a": 1}}'),
        (MappingProxyType({"a": (1, 2)}), '{"a": [1, 2]}'),
        ({(1, 2): "x"}, '{"1,2": "x"}'),
        (["a", "b"], '["a", "b"]'),
        (date(2024, 1, 2), "2024-01-02"),
        (City, "<class 'tests.adapters.test_values.City'>"),
    ],
)
def test_values_as_text(value, text):
    assert value_text(value, as_str=False)[0] == text


def test_lists_for_text_fields_are_numbered():
    assert value_text(["one", "two\nlines", 3], as_str=True) == (
        "[1] «one»\n[2] «««\n    two\n    lines\n»»»\n[3] «3»",
        False,
    )
    assert numbered_list([]) == "N/A"


def test_what_json_does_not_know_becomes_text():
    assert json.loads(to_json([object])) == ["<class 'object'>"]


class Tagged(BaseModel):
    name: str
    tags: set[str]
    inner: list[set[int]] = []


def test_sets_stand_in_one_order_also_inside_models():
    assert to_json({"b", "a", "c"}) == '["a", "b", "c"]'
    assert to_json(Tagged(name="x", tags={"q", "m", "z", "d"}, inner=[{3, 1, 2}])) == (
        '{"name": "x", "tags": ["d", "m", "q", "z"], "inner": [[1, 2, 3]]}'
    )


def test_dates_and_times_read_as_in_json():
    moment = datetime(2026, 2, 3, 4, 5, tzinfo=UTC)

    assert value_text(moment, as_str=False) == ("2026-02-03T04:05:00+00:00", False)
    assert value_text(moment.date(), as_str=True) == ("2026-02-03", False)
