"""Optimizers on the embedded LM, which does the tasks and writes the instructions: small runs, wide bands."""

import pytest

from telic import LM
from telic.context import context
from telic.datasets.tiny import load
from telic.modules import Predict
from telic.optimizers import COPRO, BootstrapFewShotWithOptuna, MIPROv2

pytest.importorskip("numpy")


@pytest.fixture(scope="module")
def tiny():
    return LM("telic/tiny")


def compiled(lm, task, optimizer, **arguments):
    data = load(task)
    with context(lm=lm):
        return optimizer(data.metric).compile(
            Predict(data.signature), trainset=data.trainset[:16], valset=data.valset[:12], **arguments
        )


def test_copro_finds_the_instruction_that_says_how_answers_must_look(tiny):
    program = compiled(
        tiny,
        "qa_style",
        lambda metric: COPRO(
            metric=metric, breadth=4, depth=2, init_temperature=0.7, num_threads=2, recheck=False
        ),
    )

    assert program.report.baseline < 60 < program.report.score
    assert "sentence" in program.signature.instructions


def test_miprov2_reads_the_labels_off_the_examples(tiny):
    program = compiled(
        tiny,
        "hidden_labels",
        lambda metric: MIPROv2(
            metric,
            auto=None,
            num_candidates=4,
            init_temperature=0.5,
            max_bootstrapped_demos=0,
            max_labeled_demos=0,
            num_threads=2,
            recheck=False,
        ),
        num_trials=6,
        data_aware_proposer=False,
    )

    assert program.report.baseline < 10 < 25 < program.report.score
    assert "nswer" in program.signature.instructions
    assert program.demos == []


def test_one_demonstration_that_was_searched_for_shows_how_answers_must_look(tiny):
    program = compiled(
        tiny,
        "units",
        lambda metric: BootstrapFewShotWithOptuna(
            metric, max_labeled_demos=4, num_candidate_programs=4, num_threads=2, recheck=False
        ),
        max_demos=2,
    )

    assert program.report.baseline < 60 < program.report.score
    assert len(program.demos) == 1
