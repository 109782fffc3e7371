"""Signature strings that name types of their callers, as DSPy's do."""

from __future__ import annotations

import subprocess
import sys
import textwrap

import pytest

import telic
from telic.compat._callers import CallerTypes, read_callers
from telic.errors import SignatureSyntaxError
from telic.signatures import SCOPE


class Shelf:
    class Book: ...


@pytest.fixture
def _read_callers(monkeypatch):
    monkeypatch.setattr(SCOPE, "types", SCOPE.types)  # put back afterwards
    read_callers()


def output_type(text):
    return telic.Signature(text).output_fields["found"].annotation


@pytest.mark.usefixtures("_read_callers")
def test_types_of_functions_and_modules_are_found_by_name():
    class City: ...

    Alias = list[City]

    assert telic.Signature("q -> found: City").output_fields["found"].annotation is City
    assert (
        telic.Signature("q -> found: list[City] | None").output_fields["found"].annotation
        == list[City] | None
    )
    assert telic.Predict("q -> found: Alias").signature.output_fields["found"].annotation == Alias
    assert output_type("q -> found: Shelf.Book") is Shelf.Book


@pytest.mark.usefixtures("_read_callers")
def test_the_same_string_means_each_callers_own_type():
    def one():
        class Thing: ...

        return telic.Signature("q -> found: Thing"), Thing

    (first, a), (second, b) = one(), one()
    assert first.output_fields["found"].annotation is a
    assert second.output_fields["found"].annotation is b


@pytest.mark.usefixtures("_read_callers")
def test_only_types_are_taken_and_known_names_keep_their_meaning():
    str = 3
    Image = type("Image", (), {})
    number = 7

    assert telic.Signature("q: str -> found: Image").output_fields["found"].annotation is telic.Image
    with pytest.raises(SignatureSyntaxError, match="unknown type 'number'"):
        telic.Signature("q -> found: number")
    with pytest.raises(SignatureSyntaxError, match="unknown type 'nowhere'"):
        telic.Signature("q -> found: nowhere")
    assert (str, number, Image.__name__) == (3, 7, "Image")


@pytest.mark.usefixtures("_read_callers")
def test_strings_that_borrow_nothing_are_still_read_once():
    assert telic.Signature("borrows, nothing -> found: int") is telic.Signature(
        "borrows, nothing -> found: int"
    )


def test_without_the_alias_callers_are_not_looked_at():
    class City: ...

    assert CallerTypes()["City"] is City
    with pytest.raises(SignatureSyntaxError, match="custom_types"):
        telic.Signature("q -> found: City")


def test_a_script_served_by_compat_is_read_as_dspy_reads_it(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(
        textwrap.dedent(
            """
            import dspy, pydantic

            class City(pydantic.BaseModel):
                name: str

            find = dspy.Predict("text -> cities: list[City]")
            lm = dspy.utils.DummyLM([{"cities": [{"name": "Rome"}]}])
            print(find(text="All roads lead there.", lm=lm).cities[0])
            """
        )
    )
    ran = subprocess.run(
        [sys.executable, "-m", "telic.compat", str(script)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (ran.stdout.strip(), ran.stderr) == ("name='Rome'", "")
