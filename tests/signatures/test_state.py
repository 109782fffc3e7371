import json

import pytest

from telic.errors import StateError, StateMismatchError
from telic.signatures import InputField, OutputField, Signature


class QA(Signature):
    """Answer."""

    question: str = InputField(desc="what is asked")
    answer: list[str] = OutputField()


def test_a_state_is_json_and_loads_into_the_same_signature():
    tuned = QA.with_instructions("Guess.").with_updated_fields("answer", desc="words", prefix="Say:")

    state = json.loads(json.dumps(tuned.dump_state()))

    assert state == {
        "instructions": "Guess.",
        "fields": [
            {
                "name": "question",
                "kind": "input",
                "type": "str",
                "prefix": "Question:",
                "description": "what is asked",
            },
            {
                "name": "answer",
                "kind": "output",
                "type": "list[str]",
                "prefix": "Say:",
                "description": "words",
            },
        ],
    }
    assert QA.load_state(state).equals(tuned)
    assert QA.load_state(QA.dump_state()) is QA
    assert QA.instructions == "Answer."


def test_fields_are_found_by_name_in_any_order():
    state = QA.with_updated_fields("answer", desc="words").dump_state()
    state["fields"].reverse()

    assert QA.load_state(state).fields["answer"].desc == "words"


def test_a_state_of_dspy_is_read_by_position():
    state = {
        "instructions": "Guess.",
        "fields": [
            {"prefix": "Question:", "description": "${question}"},
            {"prefix": "Answer:", "description": "words"},
        ],
    }

    loaded = QA.load_state(state)

    assert (loaded.instructions, loaded.fields["question"].desc, loaded.fields["answer"].desc) == (
        "Guess.",
        "",
        "words",
    )


@pytest.mark.parametrize("count", [0, 1, 3])
def test_another_number_of_fields_is_a_mismatch(count):
    state = {"instructions": "", "fields": [{"prefix": "A:", "description": "x"}] * count}

    with pytest.raises(StateMismatchError, match=f"{count} fields, QA has 2"):
        QA.load_state(state)


def test_other_names_are_a_mismatch():
    with pytest.raises(StateMismatchError, match=r"`a` and `b`.*`question` and `answer`"):
        QA.load_state(Signature("a -> b").dump_state())


@pytest.mark.parametrize(
    "state", [None, [], {}, {"instructions": 3, "fields": []}, {"instructions": "", "fields": [1, 2]}]
)
def test_what_is_no_state_is_refused(state):
    with pytest.raises(StateError, match="saved"):
        QA.load_state(state)


def test_spec_leaves_out_what_a_string_cannot_say():
    signature = Signature({"a": (float, InputField(default=float("inf"), le=float("inf")))})

    assert signature.spec == "a: Annotated[float, Field(le=1e999)] = 1e999 ->"
