"""Whatever an LM writes, in whatever cuts: what a stream says in the end is what the prediction holds."""

import json
from typing import Literal

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, field_validator

from telic.adapters import BAMLAdapter, ChatAdapter, JSONAdapter, TwoStepAdapter, XMLAdapter
from telic.context import context
from telic.errors import AdapterParseError
from telic.lm import LM
from telic.modules import Predict
from telic.protocols import Capabilities
from telic.signatures import InputField, OutputField, Signature
from telic.streaming import Emitter, FieldDelta, FieldDone, Retracted
from telic.streaming._events import partial_value
from telic.testing import FunctionLM
from telic.types import Reasoning


class Collected:
    """A channel that keeps what it is told."""

    def __init__(self):
        self.events = []
        self.put = self.events.append

    def hand_over(self):
        pass

    def wait_for_room(self):
        pass

    async def await_room(self):
        pass


def told(look, predictor, adapter, parts):
    """Return the events of one call whose reply comes in `parts`, and its prediction or None."""
    channel = Collected()
    emitter = Emitter(channel, predictor)
    lm = LM("cut/lm", client=look.client(lambda request: list(parts), size=10**9), cache=False)
    with context(lm=lm, adapter=adapter, send_stream=emitter, callbacks=[emitter], max_retries=0):
        try:
            prediction = predictor(question="q")
        except AdapterParseError:
            prediction = None
    return channel.events, prediction


def cuts_of(text, places):
    at = sorted({min(place, len(text)) for place in places})
    return [part for a, b in zip([0, *at], [*at, len(text)], strict=True) if (part := text[a:b])]


class Person(BaseModel):
    name: str = ""
    tags: list[str] = []


class Shape(Signature):
    """Look."""

    question: str = InputField()
    answer: str = OutputField()
    tags: list[str] = OutputField(default=[])
    person: Person | None = OutputField(default=None)
    kind: Literal["a", "b"] = OutputField(default="a")
    count: int = OutputField(default=0)


WORDS = [
    "[[ ## answer ## ]]", "[[ ## tags ## ]]\n", "[[ ## person ## ]]", "[[ ## kind ## ]] b", "[[ ## count ## ]]\n12",
    "[[ ## completed ## ]]", "**[[ ## answer ## ]]**", "[[ ##answer## ]]", "<answer>", "</answer>", "<tags>", "</tags>",
    "<item>x</item>", "<count>3</count>", "<kind>b</kind>", '{"answer": "', '", "tags": ["x", "y', '"], ', '"count": 5', "}",
    '{"answer": 5, "kind": "b"}', '["p", "q"]', '{"name": "Al", "tags": []}', "```json\n", "\n```", "<think>hm</think>", "\n",
    "\n\n", " ", "words", "Sure: ", "\\", "'", "None", '"', "\\u00e9", "85%",
]  # fmt: skip
replies = st.one_of(st.lists(st.sampled_from(WORDS), max_size=12).map("".join), st.text(max_size=60))
places = st.lists(st.integers(0, 200), max_size=15)


@pytest.mark.parametrize(
    "adapter", [ChatAdapter(), JSONAdapter(), XMLAdapter()], ids=lambda adapter: adapter.name
)
@settings(
    max_examples=120,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
@given(reply=replies, places=places)
def test_the_end_is_what_the_parser_says_whatever_came(look, adapter, reply, places):
    predictor = Predict(Shape)
    events, prediction = told(look, predictor, adapter, cuts_of(reply, places) or [""])

    if prediction is None:
        return
    assert {field: value for (_, field), value in look.values(events).items()} == dict(prediction.items())
    texts = {field: text for (_, field), text in look.texts(events).items()}
    assert texts.get("answer", "") == prediction.answer
    assert set(texts) <= set(Shape.output_fields)


@pytest.mark.parametrize(
    "adapter", [ChatAdapter(), JSONAdapter(), XMLAdapter()], ids=lambda adapter: adapter.name
)
@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
@given(
    answer=st.text(max_size=30),
    tags=st.lists(st.text(max_size=8), max_size=3),
    name=st.text(max_size=8),
    places=places,
)
def test_nothing_is_taken_back_of_replies_as_asked_for(look, adapter, answer, tags, name, places):
    outputs = {"answer": answer, "tags": tags, "person": Person(name=name), "kind": "b", "count": 3}
    reply = adapter.format_assistant_message_content(Shape, outputs)

    events, prediction = told(look, Predict(Shape), adapter, cuts_of(reply, places))

    assert prediction is not None
    assert not look.of(events, Retracted)
    assert [event.field for event in look.of(events, FieldDone)] == list(outputs)
    tagged = [
        event.value
        for event in look.of(events, FieldDelta)
        if event.field == "tags" and adapter.name != "XMLAdapter"
    ]
    for value in tagged:  # partial values grow toward the whole
        assert value is None or len(value) <= len(tags)


def test_a_validator_that_changes_a_value_is_told(look):
    class Upper(Signature):
        """Shout."""

        question: str = InputField()
        answer: str = OutputField()

        @field_validator("answer")
        @classmethod
        def _loud(cls, value):
            return value.upper()

    events, prediction = told(look, Predict(Upper), None, list(look.chat(answer="hush")))

    assert prediction.answer == "HUSH"
    assert look.texts(events) == {("self", "answer"): "HUSH"}
    assert [event.value for event in look.of(events, FieldDone)] == ["hush", "HUSH"]


def test_a_field_that_is_left_out_is_done_with_its_default(look):
    events, prediction = told(look, Predict(Shape), None, [look.chat(answer="a")])

    assert look.values(events)["self", "tags"] == prediction.tags == []
    assert look.texts(events)["self", "tags"] == "[]"
    assert not look.of(events, Retracted)


def test_formats_of_others_are_told_when_they_are_whole(look):
    class Own(ChatAdapter):
        def parse(self, signature, completion):
            return {"answer": completion[::-1]}

    events, _ = told(look, Predict("question -> answer"), Own(), list("abc"))

    assert look.texts(events) == {("self", "answer"): "cba"}
    assert not look.of(events, Retracted)


def test_values_that_do_not_say_whether_they_are_equal_are_told(look):
    class Odd:
        def __eq__(self, other):
            raise ValueError("ambiguous")

        __hash__ = None

    class Own(ChatAdapter):
        def parse(self, signature, completion):
            return {"answer": Odd()}

    events, prediction = told(look, Predict("question -> answer"), Own(), ["x"])

    assert look.of(events, FieldDone)[-1].value is prediction.answer


def test_events_are_taken_apart_by_match(look):
    events, _ = told(look, Predict("question -> answer"), None, [look.chat(answer="a")])

    seen = []
    for event in events:
        match event:
            case FieldDelta(path="self", field="answer", text=text):
                seen.append(text)
            case FieldDone(field="answer", value=value):
                seen.append((json.dumps(value),))
    assert seen == ["a", ('"a"',)]


class Thoughtful(Signature):
    """Think."""

    question: str = InputField()
    reasoning: Reasoning = OutputField()
    answer: str = OutputField(max_length=5)


def test_text_of_other_kinds_is_text(look):
    reply = look.chat(reasoning="Hm, so.", answer="yes")

    events, prediction = told(look, Predict(Thoughtful), None, list(reply))

    assert [event.value for event in look.of(events, FieldDelta)][:3] == ["H", "Hm", "Hm,"]
    assert look.values(events) == {("self", "reasoning"): "Hm, so.", ("self", "answer"): "yes"}
    assert {type(event.value) for event in look.of(events, FieldDone)} == {Reasoning, str}
    assert not look.of(events, Retracted)
    assert prediction.reasoning == "Hm, so."


def test_the_models_own_reasoning_is_the_field_of_that_type(look):
    channel = Collected()
    predictor = Predict(Thoughtful)
    emitter = Emitter(channel, predictor)
    client = look.client(lambda request: look.chat(answer="yes"), reasoning="Let me see.")
    client.capabilities = Capabilities(reasoning=True, reasoning_text=True)
    with context(lm=LM("cut/lm", client=client, cache=False), send_stream=emitter, callbacks=[emitter]):
        prediction = predictor(question="q")

    events = channel.events
    assert prediction.reasoning == "Let me see."
    assert look.texts(events) == {("self", "reasoning"): "Let me see.", ("self", "answer"): "yes"}
    assert look.values(events) == {("self", "reasoning"): "Let me see.", ("self", "answer"): "yes"}
    assert not look.of(events, Retracted)


@pytest.mark.parametrize(
    "adapter", [BAMLAdapter(), TwoStepAdapter(FunctionLM(lambda text: "[[ ## answer ## ]]\nyes"))]
)
def test_the_other_formats_are_streamed_as_far_as_they_can_be(look, adapter):
    reply = '{"answer": "yes"}' if isinstance(adapter, BAMLAdapter) else "I would say: yes"

    events, prediction = told(look, Predict("question -> answer"), adapter, list(reply))

    assert prediction.answer == "yes"
    assert look.texts(events) == {("self", "answer"): "yes"}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("<item>a</item><item>b</it", ["a", "b"]),
        ("<item>a</item>\n<it", ["a"]),
        ("<it", None),
        ("<name>Al</name><tags><item>x</item><item>y", {"name": "Al", "tags": ["x", "y"]}),
        ("```json\n[1, 2", [1, 2]),
        ("[1, 2", [1, 2]),
        ('{"a": "b\\', {"a": "b"}),
        ('"quoted"', "quoted"),
        ('"quo', None),
        ("12", None),
        ("", None),
        ("<" * 500, None),
        ("[" * 100_000, None),
    ],
)
def test_what_can_be_read_of_a_beginning(text, value):
    assert partial_value(text) == value
