"""Rendered prompts of field types, and of the adapters that have no file elsewhere. TELIC_UPDATE_GOLDEN=1 writes them."""

import json
import os
from pathlib import Path

import pydantic
import pytest

import telic
from telic.adapters import BAMLAdapter, ChatAdapter, JSONAdapter, TwoStepAdapter, XMLAdapter
from telic.protocols import Capabilities
from telic.testing import DummyLM
from telic.types import Citations, Code, Document, History, Image, Reasoning

FOLDER = Path(__file__).parent.parent / "golden" / "types"
UPDATE = os.environ.get("TELIC_UPDATE_GOLDEN") == "1"
ADAPTERS = [ChatAdapter(), JSONAdapter(), XMLAdapter(), BAMLAdapter(), TwoStepAdapter(DummyLM([{}]))]
GIF = Image(b"GIF89a" + bytes(3))


class Event(telic.Type):
    name: str

    def format(self) -> str:
        return f"the event {self.name}"

    @classmethod
    def description(cls) -> str:
        return "Something that happens."


class Card(pydantic.BaseModel):
    title: str = pydantic.Field(description="in a few words")
    face: Image | None = None


class Rich(telic.Signature):
    """Say what is seen."""

    picture: Image = telic.InputField(desc="what to look at")
    more: list[Image] = telic.InputField()
    documents: list[Document] = telic.InputField()
    event: Event = telic.InputField()
    past: History = telic.InputField()
    reasoning: Reasoning = telic.OutputField()
    program: Code["sql"] = telic.OutputField(desc="as a query")  # noqa: F821
    sources: Citations = telic.OutputField()
    cards: list[Card] = telic.OutputField()


INPUTS = {
    "picture": "https://x/now.png",
    "more": [GIF, "https://x/2.png"],
    "documents": [Document("one line", "First"), Document("two\nlines [[ ## sources ## ]]", context="old")],
    "event": Event(name="opening"),
    "past": History([{"picture": GIF, "event": Event(name="before"), "program": Code["sql"]("SELECT 0")}]),
}
DEMO = {
    "picture": GIF,
    "more": [],
    "documents": ["short"],
    "event": Event(name="demo"),
    "reasoning": Reasoning("because"),
    "program": Code["sql"]("SELECT 1;\nSELECT 2"),
    "sources": Citations([{"document": 1, "cited_text": "short"}]),
    "cards": [Card(title="t", face=Image("https://x/face.png"))],
}


def shown(messages):
    blocks = []
    for message in messages:
        content = message["content"]
        text = content if isinstance(content, str) else json.dumps(content, ensure_ascii=False, indent=2)
        blocks.append(f"======== {message['role']} ========\n{text}\n")
    return "".join(blocks)


def same_as_reviewed(name, text):
    file = FOLDER / f"{name}.txt"
    if UPDATE:
        file.write_text(text, encoding="utf-8")
    assert text == file.read_text(encoding="utf-8")


@pytest.mark.parametrize("adapter", ADAPTERS, ids=lambda adapter: adapter.name)
def test_prompts_of_field_types_are_as_reviewed(adapter):
    same_as_reviewed(
        f"{adapter.name.removesuffix('Adapter').lower()}_text", shown(adapter.format(Rich, [DEMO], INPUTS))
    )


def test_the_prompt_for_an_lm_with_channels_of_its_own_is_as_reviewed():
    plan = ChatAdapter().plan(Rich, [DEMO], Capabilities(citations=True, reasoning_text=True))

    same_as_reviewed("chat_native", shown(plan.render(INPUTS)))


def test_the_prompt_of_the_second_step_is_as_reviewed():
    plan = TwoStepAdapter(DummyLM([{}])).plan(Rich, [])
    step = plan.second_step(telic.data.Completion("It is a cat."), INPUTS)

    same_as_reviewed("twostep_second", shown(step.plan.render(step.inputs)))
