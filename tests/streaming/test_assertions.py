"""What a stream tells of assertions: answers that are taken back, and outcomes."""

from __future__ import annotations

from telic import Assert, Module, Predict, Suggest
from telic.streaming import AssertionChecked, FieldDelta, Retracted
from telic.testing import ScriptedLM


class Chain(Module):
    def __init__(self):
        self.first = Predict("question -> query")
        self.second = Predict("query -> answer")

    def forward(self, question):
        query = self.first(question=question).query
        answer = self.second(query=query).answer
        Assert(query == "good", "bad query", target_module="first", name="query")
        Suggest(answer == "never", "no", name="answer", max_backtracks=0)
        return answer


def test_refused_answers_are_taken_back_and_what_followed_them_too():
    program = Chain()
    program.set_lm(ScriptedLM([{"query": "bad"}, {"answer": "one"}, {"query": "good"}, {"answer": "two"}]))

    events = list(program.stream(question="?"))

    told = [
        (type(event).__name__, event.path, event.text if isinstance(event, FieldDelta) else event.message)
        for event in events
        if isinstance(event, (FieldDelta, Retracted))
    ]
    assert told == [
        ("FieldDelta", "first", "bad"),
        ("FieldDelta", "second", "one"),
        ("Retracted", "first", "bad query"),
        ("FieldDelta", "first", "good"),
        ("Retracted", "second", "the steps before it have changed"),
        ("FieldDelta", "second", "two"),
    ]
    retracted = {event.path: event for event in events if isinstance(event, Retracted)}
    deltas = {event.text: event for event in events if isinstance(event, FieldDelta)}
    assert retracted["first"].call_id == deltas["bad"].call_id
    assert retracted["second"].call_id == deltas["one"].call_id
    assert [(e.name, e.passed, e.outcome.backtracks) for e in events if isinstance(e, AssertionChecked)] == [
        ("query", True, 1),
        ("answer", False, 0),
    ]
