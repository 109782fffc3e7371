import collections.abc
import datetime as dt
import enum
import sys
import typing
from decimal import Decimal
from typing import Any, Literal, Optional, Union

import pydantic
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from telic.errors import SignatureSyntaxError
from telic.signatures import InputField, OutputField, Signature, make_signature
from telic.signatures._grammar import parse
from telic.types import History


class City(pydantic.BaseModel):
    name: str

    class Mayor(pydantic.BaseModel):
        name: str


class Colour(enum.Enum):
    RED = "red"


CUSTOM = {"City": City, "geo.City": City, "Colour": Colour}


def only(text, custom_types=None):
    _, outputs = parse(f"-> x: {text}", custom_types)
    return outputs["x"]


@pytest.mark.parametrize(
    ("text", "annotation"),
    [
        ("str", str),
        ("bool", bool),
        ("None", None),
        ("dict[str, list[int]]", dict[str, list[int]]),
        ("tuple[int, ...]", tuple[int, ...]),
        ("Optional[int]", Optional[int]),  # noqa: UP045
        ("Union[int, str]", Union[int, str]),  # noqa: UP007
        ("int | str | None", int | str | None),
        ("(int | str)", int | str),
        ("list[int | None]", list[int | None]),
        ("Literal[\"a\", 'b', 3, -1, True, None]", Literal["a", "b", 3, -1, True, None]),
        (r"Literal['it\'s', 'a,b]', '\u00e9\n']", Literal["it's", "a,b]", "é\n"]),
        ("Any", Any),
        ("typing.List[typing.Any]", typing.List[Any]),  # noqa: UP006
        ("Callable[[int, str], bool]", typing.Callable[[int, str], bool]),
        ("Callable[..., int]", typing.Callable[..., int]),
        ("collections.abc.Sequence[str]", collections.abc.Sequence[str]),
        ("datetime.datetime", dt.datetime),
        ("date", dt.date),
        ("Decimal", Decimal),
        ("History", History),
        ("dspy.History", History),
        ("telic.History", History),
        ("City", City),
        ("geo.City", City),
        ("City.Mayor", City.Mayor),
        ("list[dict[str, City]]", list[dict[str, City]]),
        ("Literal[Colour.RED]", Literal[Colour.RED]),
        ("City | None", City | None),
    ],
)
def test_types_mean_what_they_mean_in_python(text, annotation):
    assert only(text, CUSTOM).annotation == annotation


def test_constraints_are_written_as_in_pydantic():
    field = only("Annotated[float, Field(ge=0, le=1.5)]")

    assert field.annotation is float
    assert dict(field.constraints) == {"ge": 0, "le": 1.5}
    assert only("Annotated[int, Field(gt=1, description='a')]").desc == "a"


def test_constraints_inside_a_type_stay_inside():
    inner = only("list[Annotated[int, Field(gt=1)]] | None").annotation

    with pytest.raises(pydantic.ValidationError):
        pydantic.TypeAdapter(inner).validate_python([1])
    assert pydantic.TypeAdapter(inner).validate_python([2]) == [2]
    assert only("Annotated[int, 'words'] | None").annotation == Optional[typing.Annotated[int, "words"]]  # noqa: UP045


@pytest.mark.parametrize(
    ("text", "default"),
    [
        ("3", 3),
        ("-3.5", -3.5),
        ("1e3", 1000.0),
        ("1_000", 1000),
        ("'a, b -> c'", "a, b -> c"),
        ("True", True),
        ("None", None),
        ("[1, 'x', [2]]", [1, "x", [2]]),
        ("[]", []),
        ("(1, 2)", (1, 2)),
        ("{'a': {'b': 1}}", {"a": {"b": 1}}),
        ("{}", {}),
        ("{1, 2}", {1, 2}),
    ],
)
def test_defaults_are_kept(text, default):
    inputs, _ = parse(f"x: Any = {text}, y -> z")

    assert inputs["x"].default == default
    assert type(inputs["x"].default) is type(default)


def test_a_quoted_string_at_the_end_of_a_field_is_its_description():
    inputs, outputs = parse("""a "one", b: str 'two', c: str = "x" "three" -> d: Literal["p"] "four" """)

    assert [field.desc for field in (*inputs.values(), *outputs.values())] == ["one", "two", "three", "four"]
    assert inputs["c"].default == "x"


def test_layout_does_not_matter():
    inputs, outputs = parse(
        """
        context: list[str],
        question,
        -> answer
        """
    )

    assert (list(inputs), list(outputs)) == (["context", "question"], ["answer"])


def test_a_signature_may_have_no_inputs():
    inputs, outputs = parse("-> joke")

    assert (list(inputs), list(outputs)) == ([], ["joke"])


@pytest.mark.parametrize(
    ("text", "column", "words"),
    [
        ("", 0, "needs '->'"),
        ("question, answer", 16, "needs '->'"),
        ("a -> ", 5, "at least one output"),
        ("a -> b -> c", 7, "this is the second"),
        ("a, b, a -> c", 6, "'a' is declared twice"),
        ("a, b -> a", 8, "'a' is declared twice"),
        ("a, *, b -> c", 3, "no '*'"),
        ("**a -> c", 0, "no '*'"),
        ("class -> b", 0, "keyword of Python.*'class_'"),
        ("True -> b", 0, "keyword"),
        ("_a -> b", 0, "underscore"),
        ("a,, b -> c", 2, "name of a field, found ','"),
        (", a -> b", 0, "name of a field, found ','"),
        ("3a -> b", 0, "name of a field, found '3'"),
        ("a b -> c", 2, "expected ',' or '->' after a field, found 'b'"),
        ("a -> b c", 7, "expected ',' or the end after a field, found 'c'"),
        ("a: -> b", 3, "expected a type"),
        ("a: list[int -> b", 12, r"expected '\]'"),
        ("a: list[] -> b", 8, "nothing between the brackets"),
        ("a: list] -> b", 7, "found '\\]'"),
        ("a: dict[str] -> b", 3, "a key type and a value type"),
        ("a: int[str] -> b", 3, "cannot be made"),
        ("a: list[...] -> b", 3, "stands only in tuple"),
        ("a: 'int' -> b", 3, "without quotes"),
        ("a: Literal -> b", 3, "needs brackets"),
        ("a: Literal[1.5] -> b", 11, "not 1.5"),
        ("a: Literal[int] -> b", 11, "not int"),
        ("a: Optional[int, str] -> b", 3, "cannot be made"),
        ("a: flaot -> b", 3, "unknown type 'flaot'; did you mean 'float'"),
        ("a: list[Cty] -> b", 8, "unknown type 'Cty'; did you mean 'City'"),
        ("a: this -> b", 3, "unknown type 'this'.*custom_types"),
        ("a: os.PathLike -> b", 3, "unknown type 'os.PathLike'"),
        ("a: City.Nothing -> b", 3, "unknown type 'City.Nothing'"),
        ("a = -> b", 4, "expected a value"),
        ("a = x -> b", 4, "expected a value"),
        ("a = -'x' -> b", 5, "number after '-'"),
        ("a = {1: 2, 3} -> b", 4, "either a dict or a set"),
        ("a = {[1]: 2} -> b", 4, "unhashable"),
        ("a = 'x -> b", 4, "a quote that is never closed"),
        (r"a = 'x\q' -> b", 6, r"unknown escape"),
        ("a = 3 4 -> b", 6, "found '4'"),
        ("a: Annotated[str, Field(ge=0)] -> b", 0, "cannot apply"),
        ("a: Annotated[int, Field(gee=0)] -> b", 18, "did you mean 'ge'"),
        ("a: Annotated[int, Field(0)] -> b", 24, "option of Field"),
        ("a ; b -> c", 2, "found ';'"),
    ],
)
def test_a_fault_is_shown_at_its_column(text, column, words):
    with pytest.raises(SignatureSyntaxError, match=words) as caught:
        parse(text, CUSTOM)

    assert caught.value.column == column
    assert caught.value.text == text


def test_depth_and_size_are_limited():
    for text in (
        "a: " + "list[" * 2000 + "int",
        "a = " + "[" * 2000,
        "a: " + "(" * 2000,
        "a = " + "9" * 5000,
    ):
        with pytest.raises(SignatureSyntaxError):
            parse(f"{text} -> b")


def test_a_string_imports_nothing():
    before = set(sys.modules)

    for name in ("this", "antigravity", "xml.dom", "turtle.Turtle"):
        with pytest.raises(SignatureSyntaxError):
            parse(f"a: {name} -> b")

    assert set(sys.modules) == before


def test_a_string_does_not_see_the_variables_of_its_caller():
    Hidden = City

    with pytest.raises(SignatureSyntaxError, match=r"custom_types=\{'Hidden': Hidden\}"):
        Signature("a: Hidden -> b")
    assert Signature("a: Hidden -> b", custom_types={"Hidden": Hidden}).input_fields["a"].annotation is City


WORDS = [
    "a",
    "b: int",
    "->",
    ",",
    ":",
    "=",
    "[",
    "]",
    "|",
    "(",
    ")",
    "{",
    "}",
    "'x'",
    '"',
    "'",
    "\\",
    "list",
    "dict",
]
WORDS += [
    "Literal",
    "Annotated",
    "Field",
    "Union",
    "Optional",
    "...",
    ".",
    "-",
    "3",
    "1e9",
    "None",
    "Callable",
    "*",
    " ",
]
WORDS += [
    "tuple",
    "Any",
    "é",
    "²",
    "\x00",
    "\n",
    "\ud800",
    "City",
    "Colour.RED",
    "datetime",
    "Tuple",
    "Type",
    "type",
]


@settings(max_examples=400, deadline=None)
@given(st.lists(st.sampled_from(WORDS), max_size=14).map("".join) | st.text(max_size=30))
@example("-> a: Literal[Colour]")
@example("-> a: Annotated[int, Field(pattern=3)] | None")
@example("-> a: type[type[...]]")
def test_hostile_strings_raise_nothing_but_syntax_errors(text):
    for candidate in (text, f"a -> b: {text}", f"a = {text} -> b"):
        try:
            parse(candidate, CUSTOM)
        except SignatureSyntaxError as error:
            assert 0 <= error.column <= len(candidate)


ATOMS = st.sampled_from([str, int, float, bool, Any, dt.date, City, History])
LITERAL_VALUES = st.text(max_size=5) | st.integers(-99, 99) | st.booleans() | st.none()
LITERALS = st.lists(LITERAL_VALUES, min_size=1, max_size=3).map(lambda values: Literal[tuple(values)])
TYPES = st.recursive(
    ATOMS | LITERALS,
    lambda inner: st.one_of(
        inner.map(lambda one: list[one]),
        inner.map(lambda one: Optional[one]),  # noqa: UP045
        inner.map(lambda one: tuple[one, ...]),
        st.tuples(ATOMS, inner).map(lambda two: dict[two]),
        st.tuples(inner, inner).map(lambda two: Union[two]),  # noqa: UP007
    ),
    max_leaves=4,
)
DEFAULTS = st.recursive(
    LITERAL_VALUES | st.floats(allow_nan=False),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=4,
)
OPTIONS = st.fixed_dictionaries({}, optional={"default": DEFAULTS, "desc": st.text(max_size=8)})
NAMES = st.sampled_from(["question", "context", "k", "größe", "answer", "x1", "list", "Literal"])


@settings(max_examples=150, deadline=None)
@given(st.dictionaries(NAMES, st.tuples(TYPES, OPTIONS, st.booleans()), min_size=1, max_size=4))
def test_a_printed_signature_reads_back_as_itself(columns):
    fields = {
        name: (annotation, (InputField if is_input else OutputField)(**options))
        for name, (annotation, options, is_input) in columns.items()
    }
    signature = make_signature({**fields, "last": OutputField()})

    again = Signature(signature.spec, custom_types={"City": City})

    assert again.equals(signature)
    assert again.spec == signature.spec
