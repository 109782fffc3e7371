import copy
import datetime as dt
import enum
import pickle
from dataclasses import dataclass

import pydantic
import pytest

from telic.data import Example, Prediction
from telic.errors import DatasetError


def test_fields_are_read_as_items_and_attributes():
    row = Example(question="2+2?", answer="4")

    assert row.question == row["question"] == row.get("question") == "2+2?"
    assert "answer" in row
    assert "other" not in row
    assert row.get("other", 5) == 5
    assert (len(row), list(row)) == (2, ["question", "answer"])
    assert row.items() == [("question", "2+2?"), ("answer", "4")]
    assert dict(row) == {"question": "2+2?", "answer": "4"}
    assert {**row} == dict(row)


def test_fields_are_written_as_items_and_attributes():
    row = Example()

    row.a = 1
    row["b"] = 2
    del row["b"]
    row.c = 3
    del row.c

    assert row == Example(a=1)
    with pytest.raises(AttributeError, match="no field 'c'"):
        del row.c


def test_a_missing_field_suggests_the_nearest_one():
    with pytest.raises(AttributeError, match="no field 'anwser'; did you mean 'answer'"):
        _ = Example(answer=1).anwser
    with pytest.raises(KeyError):
        _ = Example(answer=1)["anwser"]


def test_a_field_named_like_a_method_is_an_item():
    row = Example(items=4, keys=5)

    row.values = 6

    assert (row["items"], row["keys"], row["values"]) == (4, 5, 6)
    assert row.items() == [("items", 4), ("keys", 5), ("values", 6)]


def test_base_is_an_example_or_a_mapping_and_keywords_win():
    base = Example(a=1, b=2).with_inputs("a")

    assert Example(base, b=3) == Example(a=1, b=3)
    assert Example(base).inputs() == Example(a=1)
    assert Example({"a": 1}, b=2) == Example(a=1, b=2)


def test_inputs_and_labels_divide_the_fields():
    row = Example(a=1, b=2, c=3).with_inputs("a", "b")

    assert row.inputs() == Example(a=1, b=2)
    assert row.labels() == Example(c=3)
    assert row.inputs().inputs() == row.inputs()


@pytest.mark.parametrize("ask", ["inputs", "labels"])
def test_inputs_that_were_never_declared_are_an_error_that_says_what_to_do(ask):
    with pytest.raises(DatasetError, match=r"'question', 'answer'.*with_inputs"):
        getattr(Example(question=1, answer=2), ask)()


def test_copies_do_not_change_the_original():
    row = Example(a=1, b=2).with_inputs("a")

    assert row.copy(c=3) == Example(a=1, b=2, c=3)
    assert row.without("a", "none") == Example(b=2)
    assert row.copy().inputs() == Example(a=1)
    assert row == Example(a=1, b=2)


def test_notes_of_the_library_are_hidden():
    row = Example(a=1, dspy_uuid="x", telic_origin="y").with_inputs("a")

    assert (row.keys(), len(row), list(row)) == (["a"], 1, ["a"])
    assert row.keys(include_dspy=True) == ["a", "dspy_uuid", "telic_origin"]
    assert row.labels() == Example()
    assert row.dspy_uuid == "x"


def test_equality_is_that_of_the_fields():
    assert Example(a=[1]) == Example(a=[1]).with_inputs("a") == Prediction(a=[1])
    assert Example(a=1) != Example(a=2)
    assert Example(a=1) != {"a": 1}


def test_examples_are_hashable_whatever_they_hold():
    assert len({Example(a=1, b=2), Example(b=2, a=1), Example(a=[1]), Example(a=[1])}) == 2


def test_a_deep_copy_shares_nothing_that_can_change():
    row = Example(a=[1], b="x").with_inputs("a")

    other = copy.deepcopy(row)
    other.a.append(2)

    assert row.a == [1]
    assert other.inputs() == Example(a=[1, 2])


def test_a_row_that_holds_itself_can_be_copied():
    row = Example(a=1)
    row.me = row

    other = copy.deepcopy(row)

    assert other.me is other


def test_pickles_keep_fields_and_inputs():
    row = Example(a=[1], b=Example(c=2)).with_inputs("a")

    again = pickle.loads(pickle.dumps(row))

    assert again == row
    assert again.inputs() == row.inputs()


def test_a_subclass_keeps_its_own_attributes():
    class Row(Example):
        @property
        def short(self):
            return self.question[:3]

        def __init__(self, *args, **kwargs):
            super().__init__(*args, **kwargs)
            object.__setattr__(self, "weight", 2)

    row = Row(question="Where?")

    assert (row.short, copy.copy(row).weight, copy.deepcopy(row).weight) == ("Whe", 2, 2)
    assert isinstance(row.with_inputs("question"), Row)


class Colour(enum.Enum):
    RED = "red"


class City(pydantic.BaseModel):
    name: str
    founded: dt.date


@dataclass
class Point:
    x: int
    colour: Colour


def test_to_dict_is_plain_data():
    row = Example(
        rows=[Example(a=1)],
        pair=(1, {2}),
        city=City(name="Rome", founded=dt.date(1, 1, 1)),
        point=Point(1, Colour.RED),
        when=dt.datetime(2020, 1, 2, 3, 4),  # noqa: DTZ001
        raw=b"x",
    )

    assert row.to_dict() == {
        "rows": [{"a": 1}],
        "pair": [1, [2]],
        "city": {"name": "Rome", "founded": "0001-01-01"},
        "point": {"x": 1, "colour": "red"},
        "when": "2020-01-02T03:04:00",
        "raw": b"x",
    }
    assert row.toDict() == row.to_dict()


def test_repr_shows_fields_and_inputs():
    assert repr(Example(a=1).with_inputs("a")) == "Example({'a': 1}) (input_keys={'a'})"
