import random
from typing import Literal

import pytest

from telic.adapters import ChatAdapter
from telic.data import Example
from telic.datasets import tiny
from telic.datasets.tiny import _render, _words
from telic.datasets.tiny._mix import draw_task
from telic.errors import ConfigurationError
from telic.signatures import InputField, OutputField, make_signature


def annotation(field):
    if field.choices:
        return Literal[field.choices]
    return {"str": str, "int": int}[field.type]


def signature_of(task):
    fields = {
        f.name: (annotation(f), InputField(desc=f.desc) if f.desc else InputField()) for f in task.inputs
    }
    fields |= {
        f.name: (annotation(f), OutputField(desc=f.desc) if f.desc else OutputField()) for f in task.outputs
    }
    return make_signature(fields, task.instructions)


@pytest.mark.parametrize("held_out", [False, True])
@pytest.mark.parametrize("incomplete", [False, True])
def test_the_training_text_is_the_chat_adapters_byte_for_byte(held_out, incomplete):
    """If this fails, the adapter's text has changed: `telic/tiny` must be trained again."""
    rng = random.Random(5)
    for _ in range(60):
        task = draw_task(rng, held_out=held_out)
        if incomplete and task.outputs[0].name != "reasoning":
            continue
        *shown, asked = (task.draw(rng) for _ in range(3))
        expected = [
            {"role": "system", "content": _render.system_text(task.inputs, task.outputs, task.instructions)}
        ]
        demos = []
        for row in shown:
            outputs = {k: v for k, v in row.outputs.items() if not incomplete or k != "reasoning"}
            user = _render.user_text(task.inputs, row.inputs)
            expected.append({"role": "user", "content": _render.INCOMPLETE * incomplete + user})
            expected.append({"role": "assistant", "content": _render.assistant_text(task.outputs, outputs)})
            demos.append(Example(row.inputs | outputs))
        request = _render.user_text(task.inputs, asked.inputs) + _render.request_text(task.outputs)
        expected.append({"role": "user", "content": request})
        messages = ChatAdapter().format(signature_of(task), demos, asked.inputs)
        assert [dict(m) for m in messages] == expected


def test_the_default_instructions_are_the_signatures():
    fields = (_render.Field("a"), _render.Field("b")), (_render.Field("c"),)
    assert _render.default_instructions(*fields) == make_signature("a, b -> c").instructions


def test_the_same_seed_draws_the_same_world():
    def world():
        rng = random.Random(3)
        tasks = [draw_task(rng) for _ in range(30)]
        return [(t.family, t.instructions, t.draw(rng)) for t in tasks]

    assert world() == world()


def test_names_of_evaluation_are_not_those_of_training():
    assert not set(_words.split(_words.PEOPLE, True)) & set(_words.split(_words.PEOPLE, False))
    rng = random.Random(0)
    trained = {_words.invented(rng) for _ in range(3000)}
    assert not trained & {_words.invented(rng, True) for _ in range(3000)}


@pytest.mark.parametrize("name", tiny.TASKS)
def test_splits_repeat_are_disjoint_and_right_answers_score(name):
    first, second = (tiny.load(name, n_train=15, n_val=10, n_test=20) for _ in range(2))
    assert [e.toDict() for e in first.trainset] == [e.toDict() for e in second.trainset]
    rows = [*first.trainset, *first.valset, *first.testset]
    assert len(rows) == 45
    assert len({str(e.inputs().toDict()) for e in rows}) == 45
    assert list(first.signature.input_fields) == list(first.trainset[0].inputs().keys())
    assert all(first.metric(e, e) for e in rows)
    assert not first.metric(rows[0], Example(**{next(iter(first.signature.output_fields)): "?"}))


def test_another_seed_gives_other_labels():
    labels = [{e.label for e in tiny.load("hidden_labels", seed=s).trainset} for s in (0, 1)]
    assert labels[0] != labels[1]


def test_unknown_tasks_and_negative_sizes_are_refused():
    with pytest.raises(ConfigurationError, match="hidden_labels"):
        tiny.load("hiden_labels")
    with pytest.raises(ConfigurationError, match="negative"):
        tiny.load("qa", n_train=-1)
