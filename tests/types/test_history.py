import copy
import pickle

import pydantic
import pytest

from telic.types import History

TURN = {"question": "q", "answer": "a"}


def test_a_history_holds_copies_of_its_turns():
    turn = dict(TURN)
    history = History(messages=[turn])

    turn["question"] = "other"

    assert history.messages == [TURN]
    assert (len(history), list(history), bool(History())) == (1, [TURN], True)
    assert history.to_dict() == {"messages": [TURN]}


def test_plus_returns_a_longer_history():
    history = History(messages=[TURN])

    assert len(history.plus(question="x").messages) == 2
    assert len(history.messages) == 1


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
