"""Adapters of the user's own, that define no more than DSPy's contract asks for."""

import pytest

import telic
from telic.adapters import Adapter
from telic.errors import ConfigurationError
from telic.testing import ScriptedLM


class Terse(Adapter):
    def format(self, signature, demos, inputs):
        return [{"role": "user", "content": "; ".join(f"{name}={value}" for name, value in inputs.items())}]

    def parse(self, signature, completion):
        name = next(iter(signature.output_fields))
        if not completion.startswith("="):
            raise telic.AdapterParseError("no '=' in front", adapter_name="Terse", lm_response=completion)
        return {name: completion[1:]}


def test_a_class_with_format_and_parse_alone_is_an_adapter():
    lm = ScriptedLM(["=Paris"])

    with telic.context(lm=lm, adapter=Terse()):
        answer = telic.Predict("question -> answer")(question="Where?").answer

    assert answer == "Paris"
    assert lm.requests[0].messages == [{"role": "user", "content": "question=Where?"}]


def test_what_its_parse_refuses_is_asked_for_again_in_the_same_conversation():
    lm = ScriptedLM(["Paris", "=Paris"])

    with telic.context(lm=lm, adapter=Terse()):
        answer = telic.Predict("question -> answer")(question="Where?").answer

    assert answer == "Paris"
    _, reply, again = lm.requests[1].messages
    assert reply["content"] == "Paris"
    assert "no '=' in front" in again["content"]


def test_a_class_that_cannot_read_replies_says_so():
    class Mute(Adapter):
        def format(self, signature, demos, inputs):
            return [{"role": "user", "content": "?"}]

    with (
        telic.context(lm=ScriptedLM(["x"]), adapter=Mute()),
        pytest.raises(ConfigurationError, match="define `parse"),
    ):
        telic.Predict("question -> answer")(question="Where?")
