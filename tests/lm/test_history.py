"""The calls of one LM: bounded, cheap until read, in the shape that tools know."""

import io

from telic.context import configure, context
from telic.lm import LM


def test_an_entry_has_the_keys_that_tools_look_for(client):
    lm = LM("test/m", client=client, temperature=0.5)
    lm("hello")
    entry = lm.history[-1]
    assert entry["prompt"] == "hello"
    assert entry["messages"] == [{"role": "user", "content": "hello"}]
    assert entry["kwargs"] == {"temperature": 0.5}
    assert entry["outputs"] == ["hello!"]
    assert entry["usage"]["prompt_tokens"] == 10
    assert (entry["cost"], entry["model"], entry["response_model"]) == (None, "test/m", "served-model")
    assert (entry["model_type"], entry["cached"], entry["error"]) == ("chat", False, None)
    assert entry["timestamp"].count("T") == 1
    assert len(entry["uuid"]) == 32 and entry["uuid"] == lm.history[-1]["uuid"]


def test_it_reads_like_a_list(lm):
    assert not lm.history
    lm("a"), lm("b"), lm("c")
    assert len(lm.history) == 3
    assert [entry["prompt"] for entry in lm.history] == ["a", "b", "c"]
    assert [entry["prompt"] for entry in lm.history[-2:]] == ["b", "c"]
    assert lm.history == list(lm.history)
    lm.history.clear()
    assert list(lm.history) == []
    lm("a")
    lm.history = []
    assert list(lm.history) == []


def test_it_is_bounded_by_the_setting(lm):
    configure(max_history_size=3)
    for i in range(10):
        lm(str(i))
    assert [entry["prompt"] for entry in lm.history] == ["7", "8", "9"]
    with context(disable_history=True):
        lm("x")
    assert lm.history[-1]["prompt"] == "9"


def test_kept_answers_are_in_it_and_marked(lm):
    lm("a"), lm("a")
    assert [entry["cached"] for entry in lm.history] == [False, True]


def test_conversations_have_no_prompt(lm):
    lm(messages=[{"role": "system", "content": "s"}, {"role": "user", "content": "u"}])
    assert lm.history[0]["prompt"] is None


def test_it_can_be_looked_at_as_text(lm):
    lm("first"), lm("second")
    out = io.StringIO()
    lm.inspect_history(1, file=out)
    assert "second!" in out.getvalue()
    assert "first" not in out.getvalue()


def test_options_that_may_hold_a_key_are_not_shown(lm, capsys):
    lm("hi", extra_headers={"X-Key": "hush-12345678"}, temperature=0.5)
    lm.inspect_history()
    assert lm.history[-1]["kwargs"] == {"temperature": 0.5}
    assert "hush" not in capsys.readouterr().out
