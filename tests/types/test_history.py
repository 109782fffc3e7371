import copy
import pickle

import pydantic
import pytest

import telic
from telic.testing import ScriptedLM
from telic.types import History, ToolCall, ToolCalls

TURN = {"question": "q", "answer": "a"}


def test_a_history_holds_copies_of_its_turns():
    turn = dict(TURN)
    history = History(messages=[turn])

    turn["question"] = "other"

    assert history.messages == [TURN]
    assert (len(history), list(history), bool(History())) == (1, [TURN], True)
    assert history.to_dict() == {"messages": [TURN]}


def test_with_turn_returns_a_longer_history():
    history = History(messages=[TURN])

    longer = history.with_turn(telic.Prediction(answer="b"), {"score": 1}, question="x")

    assert longer.messages == [TURN, {"question": "x", "answer": "b", "score": 1}]
    assert history.messages == [TURN]
    assert history.with_turn(question="y").messages[1] == {"question": "y"}
    with pytest.raises(TypeError, match="prediction or a dict"):
        history.with_turn("yes")


def test_a_conversation_is_state_that_survives_saving(tmp_path):
    chat = telic.Predict("history: History, question -> answer", max_tokens=9)
    calls = ToolCalls([ToolCall("look", {"n": 1}, "c1")])
    past = History([TURN, {"question": "x", "answer": 3, "tool_calls": calls}])
    chat.demos = [telic.Example(history=past, question="q", answer="a")]

    chat.save(tmp_path / "chat.json")
    loaded = telic.Predict("history: History, question -> answer").load(tmp_path / "chat.json")

    found = loaded.demos[0].history
    assert isinstance(found, History)
    assert found.messages[0] == TURN
    assert ToolCalls.of(found.messages[1]["tool_calls"]) == calls
    assert loaded.render(history=found, question="?") == chat.render(history=past, question="?")


def test_a_conversation_goes_on_turn_by_turn():
    lm = ScriptedLM([{"answer": "Ada."}, {"answer": "1815."}])
    chat = telic.Predict("history: History, question -> answer")
    history = History()
    with telic.context(lm=lm):
        for question in ("Who?", "Born?"):
            history = history.with_turn(chat(history=history, question=question), question=question)

    assert history.messages == [
        {"question": "Who?", "answer": "Ada."},
        {"question": "Born?", "answer": "1815."},
    ]
    assert [m["role"] for m in lm.requests[1].messages] == ["system", "user", "assistant", "user"]


def test_a_turn_must_be_a_mapping():
    with pytest.raises(TypeError, match="turn 0"):
        History(messages=["hello"])


def test_histories_are_values():
    history = History(messages=[TURN])

    assert history == History([TURN]) == copy.deepcopy(history) == pickle.loads(pickle.dumps(history))
    assert hash(history) == hash(History([TURN]))
    assert history != TURN
    assert repr(history) == f"History(messages=[{TURN!r}])"


def test_pydantic_takes_a_history_or_what_makes_one():
    adapter = pydantic.TypeAdapter(History)

    for value in (History([TURN]), {"messages": [TURN]}, [TURN]):
        assert adapter.validate_python(value) == History([TURN])
    with pytest.raises(pydantic.ValidationError):
        adapter.validate_python("x")
    assert adapter.json_schema()["type"] == "object"
