"""LMs that are Python classes with a `__call__` or `acall` of their own, as programs for DSPy have them."""

from __future__ import annotations

import asyncio

import pytest

import telic
from telic.errors import UnknownProviderError
from telic.testing import DummyLM, FaultServer


class Spy(telic.LM):
    """Answers without asking anybody, and notes what it was asked."""

    def __init__(self, model, **options):
        super().__init__(model, **options)
        self.asked = []

    def __call__(self, prompt=None, messages=None, **options):
        self.asked.append((prompt, messages, options))
        return ["[[ ## answer ## ]]\nspied"]


def test_a_call_of_its_own_answers_predictors_whatever_the_model_is_called():
    lm = Spy("no such provider", cache=False, temperature=0.5)

    assert telic.Predict("question -> answer")(question="Who?", lm=lm).answer == "spied"
    prompt, messages, options = lm.asked[0]
    assert (prompt, messages[-1]["role"], options) == (None, "user", {"temperature": 0.5})
    assert "Who?" in messages[-1]["content"]
    assert lm.history[-1]["outputs"] == ["[[ ## answer ## ]]\nspied"]


def test_what_it_passes_on_reaches_the_layer_below_once():
    times = []

    class Loud(DummyLM):
        def __call__(self, *args, **kwargs):
            times.append(1)
            return [text.upper() for text in super().__call__(*args, **kwargs)]

    lm = Loud([{"answer": "quiet"}] * 2)

    assert telic.Predict("question -> answer")(question="?", lm=lm).answer == "QUIET"
    assert len(lm.history) == 1
    assert lm("?") == ["[[ ## ANSWER ## ]]\nQUIET"]
    assert (len(times), len(lm.history)) == (2, 2)


def test_what_it_passes_on_is_sent_by_the_providers_client():
    class Polite(telic.LM):
        def __call__(self, prompt=None, messages=None, **options):
            return super().__call__(messages=[*messages, {"role": "user", "content": "please"}], **options)

    with FaultServer() as server:
        lm = Polite("openai/m", base_url=server.url, api_key="k", cache=False)
        assert lm.complete(telic.data.Request([{"role": "user", "content": "hi"}], {})).text
        assert server.requests[-1].body["messages"][-1]["content"] == "please"


def test_tasks_go_through_an_acall_of_its_own():
    class Late(Spy):
        async def acall(self, prompt=None, messages=None, **options):
            await asyncio.sleep(0)
            return ["[[ ## answer ## ]]\nlate"]

    lm = Late("any")

    assert asyncio.run(telic.Predict("question -> answer").acall(question="?", lm=lm)).answer == "late"
    assert lm.asked == []


def test_a_name_that_nobody_answers_to_is_said_when_it_is_asked():
    class Passing(telic.LM):
        def __call__(self, prompt=None, messages=None, **options):
            return super().__call__(prompt, messages, **options)

    with pytest.raises(UnknownProviderError, match="no-such"):
        telic.Predict("question -> answer")(question="?", lm=Passing("no-such"))
    with pytest.raises(UnknownProviderError):
        telic.LM("no-such")


def test_a_call_of_its_own_is_asked_each_time_and_what_it_passes_on_is_kept():
    class Passing(Spy):
        def __call__(self, prompt=None, messages=None, **options):
            self.asked.append(messages)
            return telic.LM.__call__(self, messages=messages, **options)

    request = telic.data.Request([{"role": "user", "content": "kept, or not?"}], {})
    spy = Spy("openai/m")
    assert [spy.complete(request).text for _ in range(2)] == ["[[ ## answer ## ]]\nspied"] * 2
    assert len(spy.asked) == 2
    with FaultServer() as server:
        lm = Passing("openai/m", base_url=server.url, api_key="k")
        assert lm.complete(request).text == lm.complete(request).text
        assert (len(lm.asked), len(server.requests)) == (2, 1)
