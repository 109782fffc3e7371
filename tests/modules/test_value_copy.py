"""Copies that keep what was recorded as it was."""

from __future__ import annotations

import pydantic

from telic.data import Example, Prediction
from telic.modules._value_copy import value_copy


class City(pydantic.BaseModel):
    name: str
    parts: list[str]


def test_plain_containers_rows_and_models_are_copied_with_all_in_them():
    city = City(name="Rome", parts=["Trastevere"])
    inner = ["a"]
    value = {
        "list": [inner],
        "tuple": (inner, 1),
        "set": {1, 2},
        "row": Prediction(items=inner, note="n"),
        "example": Example(x=inner).with_inputs("x"),
        "city": city,
    }
    kept = value_copy(value)

    inner.append("b")
    city.parts.append("Prati")
    value["row"]["note"] = "changed"
    value["set"].add(3)

    assert kept["list"] == [["a"]]
    assert kept["tuple"] == (["a"], 1)
    assert kept["set"] == {1, 2}
    assert dict(kept["row"].items()) == {"items": ["a"], "note": "n"}
    assert kept["example"].inputs().toDict() == {"x": ["a"]}
    assert kept["city"].parts == ["Trastevere"]


def test_other_objects_and_what_contains_itself_are_shared():
    thing = object()
    loop = ["a"]
    loop.append(loop)

    assert value_copy([thing])[0] is thing
    assert value_copy(loop) is loop
    assert value_copy("text") == "text"
