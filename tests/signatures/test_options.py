import pytest

from telic.errors import SignatureError
from telic.signatures import InputField, OutputField


def test_desc_and_description_are_the_same():
    assert InputField(desc="x").desc == OutputField(description="x").desc == "x"
    assert InputField(desc=None).desc == ""
    with pytest.raises(SignatureError, match="must be text"):
        InputField(desc=3)


def test_a_misspelt_option_is_refused():
    with pytest.raises(SignatureError, match="no option 'max_lenght'; did you mean 'max_length'"):
        OutputField(max_lenght=3)
    with pytest.raises(SignatureError, match="did you mean 'default'"):
        InputField(defualt=3)


def test_other_keywords_are_kept_for_adapters():
    assert dict(InputField(colour="red", json_schema_extra={"weight": 2}).extra) == {
        "colour": "red",
        "weight": 2,
    }


def test_dead_options_are_accepted():
    dead = OutputField(format=lambda x: x, parser=lambda x: x, prefix="A:")

    assert (dict(dead.extra), dead.prefix) == ({}, "A:")


def test_falsy_defaults_are_defaults():
    assert InputField(default=None).default is None
    assert InputField(default=0).has_default
    with pytest.raises(SignatureError, match="not both"):
        InputField(default=1, default_factory=int)
