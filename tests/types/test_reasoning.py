import copy
import json

import pydantic
import pytest

from telic.types import Reasoning


def test_reasoning_is_text():
    thought = Reasoning(content="step one")

    assert thought == "step one" == str(thought) == thought.content
    assert (thought + "x", "x" + thought, thought.upper(), len(thought), thought[0]) == (
        "step onex",
        "xstep one",
        "STEP ONE",
        8,
        "s",
    )
    assert "one" in thought
    assert isinstance(thought, str)
    assert json.dumps(thought) == '"step one"'
    assert {thought: 1}["step one"] == 1
    assert copy.deepcopy(thought) == thought


def test_every_form_is_read():
    assert (
        Reasoning("x")
        == Reasoning({"content": "x"})
        == Reasoning.of({"content": "x"})
        == Reasoning.from_text("x")
    )
    assert type(Reasoning.of("x")) is Reasoning
    assert Reasoning() == ""


@pytest.mark.parametrize("value", [3, None, ["x"], {"text": "x"}])
def test_what_is_no_text_is_refused(value):
    with pytest.raises(ValueError, match="reasoning is text"):
        Reasoning(value)


def test_a_model_holds_reasoning():
    class Answer(pydantic.BaseModel):
        why: Reasoning

    answer = Answer(why="because")

    assert type(answer.why) is Reasoning
    assert answer.model_dump_json() == '{"why":"because"}'
    assert Answer.model_validate_json(answer.model_dump_json()) == answer
