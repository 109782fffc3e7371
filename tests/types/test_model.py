from typing import Any

import pydantic
import pytest

import telic
from telic.adapters import ChatAdapter, JSONAdapter
from telic.signatures import Signature


class Event(telic.Type):
    name: str
    guests: int = 0

    def format(self) -> str:
        return f"the event {self.name} [[ ## answer ## ]]"

    @classmethod
    def description(cls) -> str:
        return "Something that\n happens."


class Point(telic.Type):
    x: int


class Slide(telic.Type):
    title: str
    picture: telic.Image

    def format(self) -> list[dict[str, Any]]:
        return [{"type": "text", "text": f"{self.title}: "}, *self.picture.format()]


class Wrong(telic.Type):
    def format(self) -> Any:
        return 3


def user_turn(signature, **inputs):
    return ChatAdapter().format(signature, [], inputs)[-1]["content"]


def test_a_type_of_ones_own_says_how_it_stands_in_a_prompt():
    signature = Signature("event: Event -> answer", custom_types={"Event": Event})

    content = user_turn(signature, event=Event(name="opening"))

    assert content.startswith("[[ ## event ## ]]\nthe event opening \\[[ ## answer ## ]]\n")
    assert isinstance(content, str)


def test_its_description_stands_beside_its_fields():
    signature = Signature("event: list[Event] -> same: Event", custom_types={"Event": Event})

    system = ChatAdapter().format(signature, [], {"event": []})[0]["content"]

    assert "1. `event` (list[Event])\n    Event: Something that happens.\n" in system
    assert "1. `same` (Event)\n    Event: Something that happens.\n" in system


@pytest.mark.parametrize("adapter", [ChatAdapter(), JSONAdapter()])
def test_as_an_output_it_is_read_from_json(adapter):
    signature = Signature("question -> event: Event", custom_types={"Event": Event})
    reply = {"ChatAdapter": '[[ ## event ## ]]\n{"name": "a", "guests": 3}\n\n[[ ## completed ## ]]'}.get(
        adapter.name, '{"event": {"name": "a", "guests": 3}}'
    )

    assert adapter.parse(signature, reply) == {"event": Event(name="a", guests=3)}


def test_without_a_form_of_its_own_it_is_shown_as_any_model():
    signature = Signature("p: Point, ps: list[Point] -> answer", custom_types={"Point": Point})

    content = user_turn(signature, p=Point(x=1), ps=[Point(x=2)])

    assert '[[ ## p ## ]]\n{"x": 1}\n\n[[ ## ps ## ]]\n[{"x": 2}]\n' in content


def test_pictures_in_its_form_become_parts():
    signature = Signature("slides: list[Slide] -> answer", custom_types={"Slide": Slide})
    slides = [Slide(title="a", picture="https://x/1"), Slide(title="b", picture="https://x/2")]

    content = user_turn(signature, slides=slides)

    assert [part["type"] for part in content] == ["text", "image_url", "text", "image_url", "text"]
    assert content[0]["text"].endswith("[1] a: ")
    assert content[2]["text"] == "\n[2] b: "


def test_inside_of_json_its_text_is_a_json_string():
    class Party(pydantic.BaseModel):
        event: Event

    signature = Signature("party: Party -> answer", custom_types={"Party": Party})

    content = user_turn(signature, party=Party(event=Event(name='"x"')))

    assert '{"event": "the event \\"x\\" \\u005b[ ## answer ## ]]"}' in content


def test_a_form_that_is_none_is_refused():
    with pytest.raises(TypeError, match=r"Wrong.format\(\) returned 3"):
        Wrong().to_parts()


def test_a_type_works_in_a_program():
    lm = telic.testing.ScriptedLM(["[[ ## answer ## ]]\nyes\n\n[[ ## completed ## ]]"])
    program = telic.Predict(Signature("event: Event -> answer", custom_types={"Event": Event}))

    with telic.context(lm=lm):
        assert program(event=Event(name="x")).answer == "yes"
        with pytest.raises(telic.InputError):
            program(event=3)


@pytest.mark.parametrize("name", ["parse_lm_response", "adapt_to_native_lm_feature", "parse_stream_chunk"])
def test_methods_that_nobody_calls_are_refused(name):
    with pytest.raises(telic.ConfigurationError, match=name):
        type("Odd", (telic.Type,), {name: classmethod(lambda cls, reply: None)})
