import datetime as dt
import enum
import typing
from typing import Annotated, Any, Literal, NewType, Optional, TypeVar, Union

import pydantic
import pytest

from telic.signatures import type_name


class Colour(enum.Enum):
    RED = "red"


class City(pydantic.BaseModel):
    name: str


class Box(pydantic.BaseModel, typing.Generic[TypeVar("T")]):
    pass


@pytest.mark.parametrize(
    ("annotation", "name"),
    [
        (str, "str"),
        (None, "None"),
        (type(None), "None"),
        (Any, "Any"),
        (list[str], "list[str]"),
        (typing.List[str], "list[str]"),  # noqa: UP006
        (typing.List, "list"),  # noqa: UP006
        (dict[str, list[int]], "dict[str, list[int]]"),
        (tuple[int, ...], "tuple[int, ...]"),
        (Optional[int], "int | None"),  # noqa: UP045
        (Union[int, str], "int | str"),  # noqa: UP007
        (int | None, "int | None"),
        (Literal["a", 3, None, True], "Literal['a', 3, None, True]"),
        (Literal[Colour.RED], "Literal[Colour.RED]"),
        (Colour, "Colour"),
        (City, "City"),
        (list[City], "list[City]"),
        (Box[int], "Box[int]"),
        (Annotated[int, pydantic.Field(ge=0)], "int"),
        (typing.Callable[[int], str], "Callable[[int], str]"),
        (typing.Callable[..., str], "Callable[..., str]"),
        (dt.datetime, "datetime"),
        (NewType("Id", int), "Id"),
        (typing.Sequence[int], "Sequence[int]"),
        ("City", "City"),
        (typing.ForwardRef("City"), "City"),
        (TypeVar("T"), "T"),
    ],
)
def test_types_are_shown_as_they_are_written(annotation, name):
    assert type_name(annotation) == name
