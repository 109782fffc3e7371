import copy
import pickle
from typing import Annotated, Any, Literal, Optional

import pytest

from telic._unset import UNSET
from telic.signatures import FieldInfo, InputField, OutputField, Signature, infer_prefix


def field(annotation=str, **options):
    return Signature({"x": (annotation, OutputField(**options))}).fields["x"]


def test_plain_text_needs_neither_parsing_nor_checking():
    assert field().is_plain_str
    assert not field(max_length=3).is_plain_str
    assert not field(Annotated[str, "x"]).is_plain_str
    assert not field(Literal["a"]).is_plain_str


def test_a_field_is_required_unless_it_has_a_default_or_takes_none():
    assert field().required
    assert not field(default=None).required
    assert not field(default="").required
    assert not field(list, default_factory=list).required
    assert not field(Optional[int]).required  # noqa: UP045
    assert not field(Annotated[int | None, "x"]).required
    assert not field(Literal["a", None]).required
    assert field(Any).required
    assert field(default=...).required


def test_defaults_are_fresh_each_time():
    listed = field(list, default=[1])

    listed.get_default().append(2)

    assert listed.get_default() == [1]
    assert field(dict, default_factory=dict).get_default() == {}
    assert field().get_default() is UNSET
    assert field(default=None).get_default() is None


def test_constraints_are_put_into_words():
    assert (
        field(int, gt=0, le=9, multiple_of=3).constraints_text
        == "greater than 0, less than or equal to 9, a multiple of 3"
    )
    assert field(min_length=1, max_length=2, pattern="a+").constraints_text == (
        "minimum length 1, maximum length 2, matching the pattern 'a+'"
    )
    assert field(float, allow_inf_nan=False).constraints_text == "finite"
    assert field().constraints_text == ""


def test_fields_are_values():
    one = field(int, desc="d", ge=0, default=1, mine=2)

    assert one == copy.deepcopy(one) == pickle.loads(pickle.dumps(one)) == one.replace()
    assert hash(one) == hash(one.replace())
    assert one != one.replace(desc="e")
    assert one.replace(desc="e").desc == "e"
    assert repr(one) == "FieldInfo(output, 'x', int, desc='d', default=1, ge=0)"


def test_the_form_of_old_adapters_is_there():
    assert field(desc="d", mine=2).json_schema_extra == {
        "mine": 2,
        "desc": "d",
        "prefix": "X:",
        "__dspy_field_type": "output",
    }
    assert field(int, ge=0).json_schema_extra["constraints"] == "greater than or equal to 0"
    assert field().json_schema_extra["desc"] == "${x}"


def test_a_field_without_a_place_has_no_name_and_no_type():
    loose = InputField()

    assert isinstance(loose, FieldInfo)
    assert (loose.name, loose.annotation, loose.kind) == ("", UNSET, "input")


@pytest.mark.parametrize(
    ("name", "title"),
    [
        ("question", "Question"),
        ("myField", "My Field"),
        ("some_Name2", "Some Name 2"),
        ("HTMLPage", "HTML Page"),
        ("x", "X"),
        ("output2value", "Output 2 Value"),
        ("größe_der_stadt", "Größe Der Stadt"),
    ],
)
def test_names_become_titles(name, title):
    assert infer_prefix(name) == title
    assert field().replace(name=name).prefix == f"{title}:"
    assert field(prefix="Own:").prefix == "Own:"
