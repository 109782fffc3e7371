import random
from functools import partial

import pytest

from telic.adapters import ChatAdapter, JSONAdapter, XMLAdapter
from telic.data import Example
from telic.datasets import tiny
from telic.datasets.tiny import _load, _words
from telic.datasets.tiny._arithmetic import arithmetic
from telic.datasets.tiny._classify import classification
from telic.datasets.tiny._qa import question_answering, searching
from telic.datasets.tiny._table import threshold
from telic.datasets.tiny._task import Field, Row, task_of
from telic.errors import ConfigurationError

FAMILIES = (
    partial(classification, told_by="demos"),
    partial(classification, told_by="instructions"),
    partial(classification, told_by="custom"),
    question_answering,
    searching,
    arithmetic,
)


@pytest.mark.parametrize("held_out", [False, True])
@pytest.mark.parametrize("family", FAMILIES)
def test_rows_have_the_fields_of_their_signature(family, held_out):
    rng = random.Random(5)
    for _ in range(20):
        task = family(rng, held_out)
        row = task.draw(rng)
        assert set(row.inputs) == set(task.signature.input_fields)
        assert list(row.outputs) == list(task.signature.output_fields)
        adapter = random.Random(len(str(row))).choice([ChatAdapter(), JSONAdapter(), XMLAdapter()])
        text = adapter.format_assistant_message_content(task.signature, row.outputs)
        assert adapter.parse(task.signature, text) == row.outputs


def test_a_task_that_reasons_keeps_the_instructions_of_the_signature_without():
    plain = task_of("x", [Field("a")], [Field("b")], None, lambda rng: Row({}, {}))
    thinks = task_of("x", [Field("a")], [Field("reasoning"), Field("b")], None, lambda rng: Row({}, {}))
    assert thinks.signature.instructions == plain.signature.instructions


def test_the_same_seed_draws_the_same_world():
    def world():
        rng = random.Random(3)
        tasks = [rng.choice(FAMILIES)(rng, False) for _ in range(30)]
        return [(t.family, t.signature.instructions, t.draw(rng)) for t in tasks]

    assert world() == world()


def test_names_of_evaluation_are_not_those_of_training():
    assert not set(_words.split(_words.PEOPLE, True)) & set(_words.split(_words.PEOPLE, False))
    rng = random.Random(0)
    trained = {_words.invented(rng) for _ in range(3000)}
    assert not trained & {_words.invented(rng, True) for _ in range(3000)}
    people = {_words.person(rng, False) for _ in range(3000)}
    assert not people & {_words.person(rng, True) for _ in range(3000)}


@pytest.mark.parametrize("name", tiny.TASKS)
def test_splits_repeat_are_disjoint_and_right_answers_score(name):
    first, second = (tiny.load(name, n_train=15, n_val=10, n_test=20) for _ in range(2))
    assert [e.toDict() for e in first.trainset] == [e.toDict() for e in second.trainset]
    rows = [*first.trainset, *first.valset, *first.testset]
    assert len(rows) == 45
    assert len({str(e.inputs().toDict()) for e in rows}) == 45
    assert list(first.signature.input_fields) == list(first.trainset[0].inputs().keys())
    assert all(first.metric(e, e) for e in rows)
    assert not first.metric(rows[0], Example(**dict.fromkeys(first.signature.output_fields, "?")))


def test_agents_get_tools_that_know_the_answers():
    data = tiny.load("agent_facts", n_train=5, n_val=0, n_test=5)
    search, calculator = data.tools
    found = 0
    for example in data.testset:  # the second hop is found by the words of the first fact
        first = search(example.question.rpartition(" of ")[2])
        found += any(example.answer in fact for seen in first for fact in search(seen))
    assert found >= 4
    assert calculator("3 + 4 - 2") == 5
    assert [tool.__name__ for tool in tiny.load("agent_sums", n_test=1).tools] == ["calculator"]


def test_more_rows_than_there_are_is_an_error(monkeypatch):
    make = partial(threshold, held_out=True, told=True, columns=("age",))
    monkeypatch.setitem(_load.TASKS, "threshold", _load.TASKS["threshold"]._replace(make=make))
    with pytest.raises(ConfigurationError, match="different rows"):
        tiny.load("threshold")


def test_another_seed_gives_other_labels():
    labels = [{e.label for e in tiny.load("hidden_labels", seed=s).trainset} for s in (0, 1)]
    assert labels[0] != labels[1]


def test_unknown_tasks_and_negative_sizes_are_refused():
    with pytest.raises(ConfigurationError, match="hidden_labels"):
        tiny.load("hiden_labels")
    with pytest.raises(ConfigurationError, match="negative"):
        tiny.load("qa", n_train=-1)


def test_what_can_be_retrieved_is_told_and_each_question_names_what_its_answer_rests_on():
    data = tiny.load("agent_facts", n_train=5, n_val=0, n_test=20)
    for example in data.testset:
        first, second = example.gold_passages
        assert {first, second} <= set(data.passages)
        assert example.answer in second
        assert example.answer not in first
    assert tiny.load("agent_sums", n_test=1).passages == ()
    assert "gold_passages" not in tiny.load("qa", n_test=1).testset[0]
