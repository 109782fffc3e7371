"""`improve` on the embedded LM, which does the tasks and writes the instructions: seconds each, wide bands."""

import pytest

from telic import LM
from telic.context import context
from telic.datasets.tiny import load
from telic.modules import Predict
from telic.optimizers import improve

pytest.importorskip("numpy")


@pytest.fixture(scope="module")
def tiny():
    return LM("telic/tiny")


def improved(lm, task, *frozen):
    data = load(task)
    program = Predict(data.signature)
    if frozen:
        program.freeze(*frozen)
    with context(lm=lm, num_threads=2):
        return improve(program, data.trainset[:32], data.metric, num_instructions=5, max_rounds=2)


def test_labels_that_nobody_told_are_learned_from_a_few_rows(tiny):
    program = improved(tiny, "hidden_labels")
    report = program.report

    assert report.improved is True
    assert report.baseline < 15
    assert report.score > 80
    assert report.check_score > 70
    assert 0 < len(program.demos) <= 4


def test_how_answers_must_look_is_said_where_demos_are_frozen(tiny):
    program = improved(tiny, "units", "demos")
    report = program.report

    assert report.improved is True
    assert report.baseline < 50 < 75 < report.score
    assert program.demos == []
    assert "unit" in program.signature.instructions


def test_what_this_lm_cannot_do_is_no_better_for_trying(tiny):
    program = improved(tiny, "arithmetic", "instructions")

    assert program.report.improved is False
    assert program.demos == []
    assert program.report.score == program.report.baseline < 50
