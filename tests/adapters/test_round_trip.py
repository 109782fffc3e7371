"""parse(render(x)) == x, for values that nobody thought of."""

import json
from typing import Literal

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

from telic.adapters import ChatAdapter, JSONAdapter, XMLAdapter
from telic.data import Completion
from telic.signatures import Signature


class Inner(BaseModel):
    label: str
    weights: list[float]


class Outer(BaseModel):
    name: str
    inner: Inner | None
    table: dict[str, int]


TYPES = {"Outer": Outer, "Literal": Literal}
FORMATS = [ChatAdapter(), JSONAdapter(), XMLAdapter()]
NASTY = st.one_of(
    st.text(alphabet=st.characters(), max_size=40),
    st.lists(
        st.sampled_from(
            ["[[ ## a ## ]]", "<a>", "</a>", "\\", "\n", "[[", "## ]]", '"', "{", "}", "```", "x", "null"]
        ),
        max_size=8,
    ).map("".join),
)
KEYS = NASTY.map(
    lambda text: text.encode(errors="replace").decode()
)  # pydantic dumps no lone surrogates in keys
VALUES = {
    "str": NASTY.map(str.strip),
    "int": st.integers(),
    "float": st.floats(allow_nan=False),
    "bool": st.booleans(),
    "list[str]": st.lists(NASTY, max_size=4),
    "list[float]": st.lists(st.floats(allow_nan=False, allow_infinity=False), max_size=4),
    "dict[str, list[int]]": st.dictionaries(NASTY, st.lists(st.integers(), max_size=3), max_size=3),
    "Literal['yes', 'no', 'not sure']": st.sampled_from(["yes", "no", "not sure"]),
    "Outer": st.builds(
        Outer,
        name=NASTY,
        inner=st.none()
        | st.builds(Inner, label=NASTY, weights=st.lists(st.floats(allow_nan=False, allow_infinity=False))),
        table=st.dictionaries(KEYS, st.integers(), max_size=3),
    ),
}
SIGNATURES = {kind: Signature(f"q -> a: {kind}, b", custom_types=TYPES) for kind in VALUES}


@pytest.mark.parametrize("adapter", FORMATS, ids=lambda a: a.name)
@pytest.mark.parametrize("kind", VALUES)
@given(data=st.data())
@settings(max_examples=40, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
def test_outputs_come_back_with_value_and_type(adapter, kind, data):
    value = data.draw(VALUES[kind])
    signature = SIGNATURES[kind]
    reply = adapter.format_assistant_message_content(signature, {"a": value, "b": "end"})

    parsed = adapter.plan(signature, []).parse(Completion(reply))

    assert parsed == {"a": value, "b": "end"}
    assert type(parsed["a"]) is type(value)


@pytest.mark.parametrize("adapter", FORMATS, ids=lambda a: a.name)
@given(text=NASTY)
@settings(max_examples=60, deadline=None, derandomize=True)
def test_any_reply_is_read_or_is_an_adapter_error(adapter, text):
    from telic.errors import AdapterParseError

    plan = adapter.plan(SIGNATURES["Outer"], [])
    for reply in (text, f"{{{text}", f"[[ ## a ## ]]{text}", f"<a>{text}", json.dumps({"a": text})):
        try:
            plan.parse(Completion(reply))
        except AdapterParseError as error:
            assert error.problems
