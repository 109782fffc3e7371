import copy
import gc
import pickle
import weakref

import pytest

from telic.adapters import Adapter, ChatAdapter, JSONAdapter, XMLAdapter
from telic.data import Completion, Example, Prediction
from telic.errors import AdapterParseError, ConfigurationError, InputError, TruncatedReplyError
from telic.protocols import Adapter as AdapterProtocol
from telic.protocols import Capabilities
from telic.signatures import InputField, OutputField, Signature

QA = Signature("question -> answer")
ALL = [ChatAdapter, JSONAdapter, XMLAdapter]


class Picture:
    def __init__(self, url):
        self.url = url

    def to_parts(self):
        return [
            {"type": "text", "text": "[[ ## answer ## ]]"},
            {"type": "image_url", "image_url": {"url": self.url}},
        ]


PictureQA = Signature("picture: Picture, question -> answer", custom_types={"Picture": Picture})


def test_adapters_satisfy_the_protocol():
    adapter: AdapterProtocol = ChatAdapter()

    assert adapter.name == "ChatAdapter"
    assert isinstance(adapter, Adapter)


@pytest.mark.parametrize("make", ALL)
def test_arguments_that_ask_for_nothing_are_accepted(make):
    assert make(None, use_native_function_calling=False, native_response_types=[], parallel_tool_calls=None)
    assert make(callbacks=[], use_json_adapter_fallback=False)


@pytest.mark.parametrize(
    ("options", "instead"),
    [
        ({"native_response_types": [str]}, "leave it out"),
        ({"use_json_adapter_fallback": True}, "max_retries"),
    ],
)
def test_arguments_that_ask_for_more_are_refused(options, instead):
    with pytest.raises(ConfigurationError, match=f"ChatAdapter.{next(iter(options))}=.*{instead}"):
        ChatAdapter(**options)


@pytest.mark.parametrize("make", ALL)
def test_examples_predictions_and_dicts_are_demos(make):
    rows = [
        {"question": "q", "answer": "a"},
        Example(question="q", answer="a"),
        Prediction(question="q", answer="a"),
    ]

    prompts = [make().format(QA, [row], {"question": "x"}) for row in rows]

    assert prompts[0] == prompts[1] == prompts[2]
    assert len(prompts[0]) == 4


def test_none_is_missing_where_the_type_does_not_allow_it():
    signature = Signature("question -> answer, note: str | None")
    demo = {"question": "q", "answer": None, "note": None}

    (_, user, assistant, _) = ChatAdapter().format(signature, [demo], {"question": "x"})

    assert user["content"].startswith("This is an example of the task, though")
    assert assistant["content"] == (
        "[[ ## answer ## ]]\nNot supplied for this particular example.\n\n"
        "[[ ## note ## ]]\nNone\n\n[[ ## completed ## ]]"
    )


def test_a_missing_input_is_refused_and_a_default_stands_in():
    class Task(Signature):
        """Do."""

        text: str = InputField()
        k: int = InputField(default=3)
        note: str | None = InputField()
        answer: str = OutputField()

    content = ChatAdapter().format(Task, [], {"text": "t"})[-1]["content"]

    assert content.startswith("[[ ## text ## ]]\nt\n\n[[ ## k ## ]]\n3\n\n[[ ## note ## ]]\nNone\n\nRespond")
    with pytest.raises(InputError, match="'text'"):
        ChatAdapter().format(Task, [], {"k": 1})


def test_outputs_that_may_be_left_out_get_their_default():
    class Task(Signature):
        """Do."""

        text: str = InputField()
        answer: str = OutputField()
        tags: list[str] = OutputField(default_factory=list)
        note: str | None = OutputField()

    parsed = ChatAdapter().parse(Task, "[[ ## answer ## ]]\nA\n\n[[ ## completed ## ]]")

    assert parsed == {"answer": "A", "tags": [], "note": None}


def test_a_signature_without_inputs_asks_at_once():
    signature = QA.delete("question")

    assert ChatAdapter().format(signature, [], {})[-1]["content"].startswith("Respond with")


@pytest.mark.parametrize("make", ALL)
def test_values_with_parts_become_parts_in_place(make):
    inputs = {"picture": Picture("http://x/1.png"), "question": "what?"}

    content = make().plan(PictureQA, []).render(inputs)[-1]["content"]

    kinds = [part["type"] for part in content]
    assert kinds == ["text", "image_url", "text"]
    assert "question" in content[-1]["text"]
    if make is not XMLAdapter:
        assert content[0]["text"].endswith("\n\\[[ ## answer ## ]]")


def test_lists_of_values_with_parts_become_parts_too():
    signature = Signature("pictures: list[Picture] -> answer", custom_types={"Picture": Picture})

    content = ChatAdapter().format(signature, [], {"pictures": ["see", Picture("u1"), Picture("u2")]})[-1][
        "content"
    ]

    assert [part["type"] for part in content].count("image_url") == 2


def test_parts_in_a_demo_stand_in_its_turn():
    demo = {"picture": Picture("u"), "answer": "a"}

    user = ChatAdapter().format(PictureQA, [demo], {"picture": Picture("v"), "question": "q"})[1]

    assert user["content"][0]["text"].startswith("This is an example")
    assert user["content"][-1]["text"].endswith("Not supplied for this particular example.")


# What subclasses override


class Overriding(ChatAdapter):
    def __init__(self):
        self.seen = []

    def format_field_description(self, signature):
        return "FIELDS"

    def format_user_message_content(self, signature, inputs, prefix="", suffix="", main_request=False):
        self.seen.append(main_request)
        return f"{prefix}|{inputs['question']}|{main_request}"

    def format_assistant_message_content(self, signature, outputs, missing_field_message=None):
        return f"A:{outputs.get('answer', missing_field_message)}"

    def parse(self, signature, completion):
        if not completion.startswith("A:"):
            raise AdapterParseError("not mine")
        return {"answer": completion[2:]}


def test_overridden_parts_are_honoured_by_plan():
    plan = Overriding().plan(QA, [{"question": "q1", "answer": "a1"}])

    messages = plan.render({"question": "now"})

    assert messages[0]["content"].startswith("FIELDS\n\nEvery message")
    assert [m["content"] for m in messages[1:]] == ["|q1|False", "A:a1", "|now|True"]
    assert plan.parse(Completion("A:yes")) == {"answer": "yes"}
    with pytest.raises(AdapterParseError, match="not mine"):
        plan.parse(Completion("yes"))
    with pytest.raises(TruncatedReplyError):
        plan.parse(Completion("yes", finish_reason="length"))


def test_an_overridden_format_is_the_whole_prompt():
    class Whole(ChatAdapter):
        def format(self, signature, demos, inputs):
            return [
                *super().format(signature, demos, inputs),
                {"role": "user", "content": f"{len(demos)} demos"},
            ]

    plan = Whole().plan(QA, [{"question": "q", "answer": "a"}])

    assert plan.prefix == ()
    assert [m["content"] for m in plan.render({"question": "x"})][-1] == "1 demos"
    assert len(plan.render({"question": "x"})) == 5


def test_overridden_demos_and_system_are_honoured():
    class Own(JSONAdapter):
        def format_system_message(self, signature):
            return "SYSTEM"

        def format_demos(self, signature, demos):
            return [{"role": "user", "content": "DEMOS"}]

    messages = Own().plan(QA, [], Capabilities()).render({"question": "x"})

    assert [m["content"] for m in messages[:2]] == ["SYSTEM", "DEMOS"]


def test_parts_of_the_prompt_can_be_asked_for_by_name():
    adapter = ChatAdapter()

    user = adapter.format_user_message_content(
        QA, {"question": "q"}, prefix="P", suffix="S", main_request=True
    )
    bare = adapter.format_user_message_content(QA, {})

    assert user.startswith("P\n\n[[ ## question ## ]]\nq\n\nRespond with")
    assert user.endswith("\n\nS")
    assert bare == ""


def test_adapters_are_copied_and_forget_signatures_that_are_gone():
    adapter = copy.deepcopy(ChatAdapter())
    signature = Signature("question -> answer").with_instructions("only here")
    adapter.plan(signature, [])
    gone = weakref.ref(signature)

    del signature
    gc.collect()

    assert gone() is None
    assert len(adapter._layouts) == 0


@pytest.mark.parametrize("kind", ALL)
def test_an_adapter_that_was_used_can_be_sent_to_another_process(kind):
    adapter = kind()
    before = adapter.format(QA, [], {"question": "q"})
    again = pickle.loads(pickle.dumps(adapter))
    assert again.format(QA, [], {"question": "q"}) == before
