"""LMs of the user's own: subclasses of `BaseLM` as they are written for DSPy, and plain functions."""

import asyncio
import threading
from types import SimpleNamespace as Obj

import pytest

from telic.context import context
from telic.data import Completion, Request, Response, Usage
from telic.errors import ConfigurationError, LMResponseError
from telic.lm import LM, BaseLM, as_lm
from telic.protocols import LanguageModel
from telic.tracing import BaseCallback


def shaped(text="hi", n=1, **message):
    choices = [
        Obj(message=Obj(content=text, tool_calls=None, **message), finish_reason="stop", index=i)
        for i in range(n)
    ]
    return Obj(choices=choices, usage=Obj(prompt_tokens=7, completion_tokens=3), model="served")


class Own(BaseLM):
    def __init__(self, answer=None, **kw):
        super().__init__("own", **kw)
        self.seen = []
        self.answer = shaped() if answer is None else answer

    def forward(self, prompt=None, messages=None, **kwargs):
        self.seen.append((prompt, messages, kwargs, threading.get_ident()))
        return self.answer


def test_forward_gets_messages_and_the_options_of_the_call_alone():
    lm = Own(temperature=0.5, max_tokens=7, foo=3)
    lm("a")
    with context(lm_options={"temperature": 1.0}):
        lm(messages=[{"role": "user", "content": "b"}], n=2)
    assert lm.kwargs == {"temperature": 0.5, "max_tokens": 7, "foo": 3}
    assert lm.seen[0][:3] == (None, [{"role": "user", "content": "a"}], {})
    assert lm.seen[1][2] == {"n": 2, "temperature": 1.0}


@pytest.mark.parametrize(
    "answer",
    [
        shaped(),
        {"choices": [{"message": {"content": "hi"}}], "usage": {"prompt_tokens": 7, "completion_tokens": 3}},
        {"choices": [{"text": "hi"}], "usage": {"input_tokens": 7, "output_tokens": 3}},
        Obj(choices=[Obj(text="hi")], usage={"prompt_tokens": 7, "completion_tokens": 3}),
        Obj(choices=[{"message": {"content": "hi"}}], usage={"prompt_tokens": 7, "completion_tokens": 3}),
        {"text": "hi", "usage": {"prompt_tokens": 7, "completion_tokens": 3}},
        Response((Completion("hi"),), Usage(7, 3)),
    ],
)
def test_answers_in_each_form_are_understood(answer):
    response = Own(answer).complete(Request([{"role": "user", "content": "q"}]))
    assert response.text == "hi"
    assert (response.usage.input_tokens, response.usage.output_tokens, response.usage.calls) == (7, 3, 1)


@pytest.mark.parametrize(
    ("answer", "texts"), [("hi", ["hi"]), (["a", "b"], ["a", "b"]), ([{"text": "a"}], ["a"])]
)
def test_texts_are_answers(answer, texts):
    assert Own(answer)("q") == texts


def test_tool_calls_and_reasoning_come_in_our_form():
    function = Obj(name="f", arguments='{"x": 1}')
    call = Obj(id="1", function=function)
    message = Obj(content=None, tool_calls=[call], reasoning_content="because")
    answer = Obj(choices=[Obj(message=message, finish_reason="tool_calls")], usage=None)
    assert Own(answer)("q") == [
        {
            "text": "",
            "reasoning_content": "because",
            "tool_calls": [{"id": "1", "name": "f", "arguments": {"x": 1}}],
        }
    ]


@pytest.mark.parametrize("answer", [42, None, {"choices": []}, Obj(choices=[]), [], [3], {"text": None}])
def test_what_is_no_answer_is_an_error_that_names_the_lm(answer):
    lm = Own("x")
    lm.answer = answer
    with pytest.raises(LMResponseError, match="'own'"):
        lm("q")


def test_without_aforward_the_async_path_runs_forward_in_a_thread():
    lm = Own()
    assert asyncio.run(lm.acall("q")) == ["hi"]
    assert lm.seen[0][3] != threading.get_ident()


def test_aforward_is_awaited_in_the_task_and_serves_sync_callers_too():
    class Async(BaseLM):
        async def aforward(self, prompt=None, messages=None, **kwargs):
            await asyncio.sleep(0)
            return f"async {messages[0]['content']}"

    lm = Async("a")
    assert asyncio.run(lm.acall("q")) == ["async q"]
    assert lm("q") == ["async q"]


def test_an_lm_without_forward_says_so():
    with pytest.raises(ConfigurationError, match="neither forward nor aforward"):
        BaseLM("x")("q")


def test_answers_are_cached_only_on_request():
    plain, kept = Own(), Own(cache=True)
    for lm in (plain, kept):
        lm("q"), lm("q")
    assert (len(plain.seen), len(kept.seen)) == (2, 1)
    assert Own(cache=True, temperature=0.9)("q") == ["hi"]
    other = Own(cache=True, temperature=0.8)
    other("q")
    assert len(other.seen) == 1


def test_errors_of_forward_come_through_and_are_in_the_history():
    class Broken(BaseLM):
        def forward(self, prompt=None, messages=None, **kwargs):
            raise ZeroDivisionError("mine")

    lm = Broken("b")
    with pytest.raises(ZeroDivisionError):
        lm("q")
    assert lm.history[-1]["error"] == "ZeroDivisionError: mine"


def test_callbacks_of_the_lm_and_of_the_settings_are_told():
    told = []

    class Listener(BaseCallback):
        def on_lm_start(self, call_id, instance, inputs):
            told.append(("start", instance.model, inputs["messages"][0]["content"]))

        def on_lm_end(self, call_id, outputs, exception=None):
            told.append(("end", outputs, exception))

    lm = Own(callbacks=[Listener()])
    with context(callbacks=[Listener()]):
        lm("q")
    assert told == [("start", "own", "q")] * 2 + [("end", ["hi"], None)] * 2


# as_lm


def test_an_lm_stays_itself(client):
    own, named = Own(), LM("x/m", client=client)
    assert as_lm(own) is own
    assert as_lm(named) is named

    class Protocolled:
        model, capabilities = "p", None

        def complete(self, request): ...
        async def acomplete(self, request): ...

    other = Protocolled()
    assert as_lm(other) is other


def test_a_function_is_wrapped_and_gets_the_options_that_it_takes():
    def answer(messages, temperature=None):
        return f"{messages[-1]['content']} at {temperature}"

    lm = as_lm(answer)
    assert isinstance(lm, LanguageModel)
    assert lm.model == "answer"
    assert lm("q", temperature=0.5, top_p=0.1) == ["q at 0.5"]
    assert as_lm(lambda messages, **options: str(options))("q", top_p=0.1) == ["{'top_p': 0.1}"]
    assert asyncio.run(lm.acall("q")) == ["q at None"]


def test_an_async_function_and_a_callable_object_are_wrapped():
    async def answer(messages):
        return "async"

    class Callable:
        def __call__(self, messages):
            return ["a", "b"]

    assert as_lm(answer)("q") == ["async"]
    assert asyncio.run(as_lm(answer).acall("q")) == ["async"]
    assert as_lm(Callable())("q") == ["a", "b"]


@pytest.mark.parametrize("thing", ["openai/gpt-5", 3, None, LM])
def test_what_is_no_lm_is_refused_with_a_hint(thing):
    with pytest.raises(ConfigurationError, match="is no LM"):
        as_lm(thing)


def test_an_object_with_complete_alone_is_an_lm():
    class Plain:
        model = "plain"

        def complete(self, request):
            return request.messages[-1]["content"] + "!"

    assert as_lm(Plain())("hi") == ["hi!"]
    assert asyncio.run(as_lm(Plain()).acall("hi")) == ["hi!"]


def test_a_class_in_the_place_of_an_lm_is_named():
    with pytest.raises(ConfigurationError, match=r"it is a class: make one, BaseLM\(…\)"):
        as_lm(BaseLM)
