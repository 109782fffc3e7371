import pytest

from telic.adapters import ChatAdapter
from telic.data import Completion
from telic.protocols import RenderPlan
from telic.signatures import Signature

QA = Signature("question -> answer: int")


def test_a_plan_satisfies_the_protocol_and_keeps_its_prefix():
    plan: RenderPlan = ChatAdapter().plan(QA, [{"question": "q", "answer": 1}])

    messages = plan.render({"question": "x"})

    assert len(plan.prefix) == 3
    assert all(a is b for a, b in zip(messages, plan.prefix, strict=False))
    assert "3 messages" in repr(plan)


def test_a_plan_cannot_be_changed():
    plan = ChatAdapter().plan(QA, [])

    with pytest.raises(AttributeError):
        plan.prefix = ()


def test_asking_again_for_an_empty_reply_has_no_assistant_turn():
    plan = ChatAdapter().plan(QA, [])

    turns = plan.reask(Completion(" "), ValueError("nothing came"))

    assert turns == [
        {
            "role": "user",
            "content": "The reply could not be used: nothing came.\n\nRespond again with the output fields, starting "
            "with the field `[[ ## answer ## ]]` (must be formatted as a valid Python int), and then ending with "
            "the marker for `[[ ## completed ## ]]`.",
        }
    ]
