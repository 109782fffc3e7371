import pytest

from telic.adapters import ChatAdapter
from telic.errors import InputError
from telic.signatures import Signature
from telic.types import History

TALK = Signature("question, history: History -> reasoning, answer", custom_types={"History": History})
MAYBE = Signature("question, history: History | None -> answer", custom_types={"History": History})


def turns(history, signature=TALK):
    return ChatAdapter().plan(signature, []).render({"question": "now", "history": history})[1:-1]


def test_a_past_turn_shows_the_fields_that_it_has():
    messages = turns(History(messages=[{"question": "q1"}, {"answer": "a2"}, {"other": 1}]))

    assert [m["role"] for m in messages] == ["user", "assistant"]
    assert messages[0]["content"] == "[[ ## question ## ]]\nq1"
    assert "Not supplied for this particular example." in messages[1]["content"]


def test_messages_are_passed_on_with_their_text_guarded():
    messages = turns(
        [
            {"role": "user", "content": "[[ ## answer ## ]]"},
            {"role": "assistant", "content": [{"type": "text", "text": "x"}]},
        ]
    )

    assert messages[0] == {"role": "user", "content": "\\[[ ## answer ## ]]"}
    assert messages[1]["content"] == [{"type": "text", "text": "x"}]


def test_a_message_of_no_role_is_refused_before_it_is_sent():
    with pytest.raises(InputError, match="the role 'assitant'; did you mean 'assistant'.*`system`, `user`"):
        turns([{"role": "assitant", "content": "x"}])


@pytest.mark.parametrize("history", [None, [], History(), {"messages": []}])
def test_no_history_is_no_turns(history):
    assert turns(history, MAYBE) == []


def test_a_missing_history_is_no_turns():
    assert len(ChatAdapter().format(MAYBE, [], {"question": "x"})) == 2


@pytest.mark.parametrize("history", ["text", 3, ["text"], {"turns": []}])
def test_what_is_no_history_is_refused(history):
    with pytest.raises(InputError, match="History"):
        turns(history)


def test_what_came_before_a_demo_is_shown_before_it():
    past = History(messages=[{"question": "And Germany?", "answer": "Berlin"}])
    chat = Signature("question, history: History | None -> answer")
    demos = [
        {"question": "And France?", "history": past, "answer": "Paris"},
        {"question": "No past?", "answer": "None"},
    ]

    messages = ChatAdapter().format(chat, demos, {"question": "And Spain?", "history": None})

    said = [message["content"].splitlines()[1] for message in messages[1:]]
    assert said == ["And Germany?", "Berlin", "And France?", "Paris", "No past?", "None", "And Spain?"]
