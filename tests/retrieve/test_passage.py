"""Passages: texts that know where they are from."""

from __future__ import annotations

import copy
import json
import pickle

import orjson
import pytest

from telic.errors import RetrievalError
from telic.retrieve import Passage, as_passage, as_passages


class Found:
    def __init__(self, text, score):
        self.long_text = text
        self.score = score


def test_a_passage_is_its_text():
    passage = Passage("Ada", source="a.txt")

    assert passage == "Ada"
    assert hash(passage) == hash("Ada")
    assert passage in {"Ada": 1}
    assert f"{passage}!" == "Ada!"
    assert type(str(passage)) is str
    assert json.dumps([passage]) == '["Ada"]'
    assert orjson.dumps([passage]) == b'["Ada"]'


def test_facts_survive_copies_and_pickles():
    passage = Passage("Ada", source="a.txt", page=3, score=0.5)

    for other in (copy.copy(passage), copy.deepcopy(passage), pickle.loads(pickle.dumps(passage))):
        assert (other, other.facts) == (passage, passage.facts)


def test_it_is_read_as_dspy_programs_read_it():
    passage = Passage("Ada", pid=4)

    assert passage.long_text == passage["long_text"] == passage["text"] == "Ada"
    assert passage["pid"] == 4
    assert passage[0] == "A"
    with pytest.raises(KeyError):
        passage["nothing"]


@pytest.mark.parametrize(
    "item", ["Ada", {"long_text": "Ada", "score": 1}, {"text": "Ada"}, Found("Ada", 1.0), Passage("Ada")]
)
def test_what_retrievers_return_becomes_a_passage(item):
    assert as_passage(item) == "Ada"
    assert as_passages([item])[0] == "Ada"


def test_facts_are_taken_over():
    assert as_passage(Found("Ada", 2.5)).score == 2.5
    assert as_passage({"text": "Ada", "url": "x"}).url == "x"


@pytest.mark.parametrize("item", [None, 3, {"body": "Ada"}, {"long_text": 3}])
def test_what_is_no_passage_is_refused(item):
    with pytest.raises(RetrievalError, match="is no passage"):
        as_passage(item)


@pytest.mark.parametrize("items", [None, "one text", {"text": "Ada"}, 3])
def test_what_is_no_list_is_refused(items):
    with pytest.raises(RetrievalError, match="must return a list"):
        as_passages(items)
