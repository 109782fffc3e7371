"""The numbers for the best of many, against simulations and sums done by hand."""

from __future__ import annotations

import random

import pytest

import telic
from telic.data import Example, Prediction
from telic.evaluate import Comparison, EvaluationResult, Row, compare_paired
from telic.optimizers._selection import (
    corrected,
    fresh_rows,
    optimism,
    rows_to_tell,
    split_rows,
    tell_rivals,
)
from telic.testing import FunctionLM
from telic.testing._optimizer_programs import Nested
from telic.testing._optimizer_task import equal_answer, sums


def test_optimism_is_about_what_the_choice_adds():
    """20 candidates that are right in 60 % of 50 rows: the best looks better than it is, by what is estimated."""
    rng = random.Random(0)
    true, estimated = [], []
    for trial in range(40):
        scores = [[float(rng.random() < 0.6) for _ in range(50)] for _ in range(20)]
        true.append(max(sum(row) / 50 for row in scores) - 0.6)
        estimated.append(optimism(scores, seed=trial))
    assert sum(estimated) / 40 == pytest.approx(sum(true) / 40, abs=0.035)


def test_one_candidate_or_equal_ones_are_no_choice():
    assert optimism([[1.0, 0.0]]) == 0.0
    assert optimism([[1.0, 0.0]] * 9) == 0.0
    assert optimism([]) == 0.0
    assert optimism([[1.0], [0.0]]) == 0.0


def test_a_clear_winner_is_hardly_lucky():
    rng = random.Random(1)
    scores = [[1.0] * 50, *([float(rng.random() < 0.3) for _ in range(50)] for _ in range(9))]
    assert optimism(scores) == pytest.approx(0.0, abs=0.001)


def test_optimism_of_large_searches_takes_little_work():
    scores = [[float((i * j) % 3 == 0) for i in range(2000)] for j in range(1, 60)]
    assert optimism(scores) >= 0.0


def test_the_p_value_is_corrected_for_the_choice():
    comparison = Comparison(0.2, (0.1, 0.3), 0.01, 50, 12, 2, "exact McNemar")

    assert corrected(comparison, 1) is comparison
    assert corrected(comparison, 4).p_value == pytest.approx(0.04)
    assert corrected(comparison, 400).p_value == 1.0
    assert corrected(comparison, 4).better
    assert not corrected(comparison, 6).better


def test_the_rows_needed_are_those_of_a_test_with_80_percent_power():
    first = [1.0] * 12 + [0.0] * 88
    second = [0.0] * 100
    # mean 0.12, variance 0.12 * 0.88 * 100 / 99; (1.96 + 0.84)² * variance / 0.12²
    assert rows_to_tell(first, second) == 59
    assert rows_to_tell([1.0, 0.0], [0.0, 1.0]) is None
    assert rows_to_tell([1.0], [0.0]) is None
    assert rows_to_tell([1.0] * 10, [0.0] * 10) == 10


def test_rows_that_a_program_shows_are_not_fresh():
    rows = sums(12)
    program = Nested()
    program.answer.demos = rows[:3]
    program.inner.steps[0].demos = [telic.Example(question=rows[3].question, note="n")]

    fresh = fresh_rows(rows, program, 100, seed=0)

    assert [row.question for row in fresh] == [row.question for row in rows[4:]]
    assert len(fresh_rows(rows, program, 5, seed=0)) == 5
    assert fresh_rows(rows[:8], program, 100, seed=0) == []


class Notes:
    """The part of a compile that takes notes."""

    def __init__(self):
        self.notes, self.warned = [], []

    def note(self, text, *, warn=False):
        self.notes.append(text)
        if warn:
            self.warned.append(text)


def result_of(scores):
    return EvaluationResult([Row(i, Example(x=i), Prediction(), score) for i, score in enumerate(scores)])


@pytest.mark.parametrize(
    ("count", "words"), [(5, "the choice is a guess"), (8, "75 points at best"), (20, None)]
)
def test_rows_that_can_show_little_are_named_before_anything_is_paid_for(count, words):
    run = Notes()
    rows = [Example(x=i) for i in range(count)]

    assert split_rows(run, rows, rows, 0) == (rows, rows)

    assert [str(words) in note and "pass 120 rows or more" in note for note in run.notes] == [True] * (
        words is not None
    )
    assert len(run.warned) == (count < 6)


def test_that_is_the_least_number_of_rows_that_shows_a_difference():
    assert compare_paired([0.0] * 6, [1.0] * 6).p_value < 0.05
    assert compare_paired([0.0] * 5, [1.0] * 5).p_value > 0.05


def test_candidates_that_the_rows_do_not_tell_apart_are_counted():
    run = Notes()
    best = [1.0] * 30 + [0.0] * 10
    near = [1.0] * 28 + [0.0] * 10 + [1.0] * 2
    far = [0.0] * 40

    tell_rivals(run, result_of(best), [result_of(near), result_of(far), result_of(best[:7])])

    (note,) = run.notes
    assert note == (
        "1 of 2 other candidates are not told from the best one on these 40 rows; to tell 5 points between them, "
        "pass about 322 rows as valset="
    )


def test_where_all_are_told_apart_nothing_is_said():
    run = Notes()

    tell_rivals(run, result_of([1.0] * 40), [result_of([0.0] * 40)])
    tell_rivals(run, result_of([1.0] * 40), [])

    assert run.notes == []


def test_rows_that_are_learned_from_and_scored_are_told_of(tmp_path):
    rows = sums(24)
    for name, valset, told in (
        ("apart", rows[12:], None),
        ("some", rows[:6] + rows[12:], "6 of the 18 rows of valset stand in trainset too"),
        ("all", rows[:12], "12 of the 12 rows of valset stand in trainset too"),
    ):
        optimizer = telic.BootstrapFewShotWithRandomSearch(equal_answer, num_candidate_programs=1)
        with telic.context(lm=FunctionLM(lambda text: {"answer": "1"})):
            compiled = optimizer.compile(
                telic.Predict("question -> answer"),
                trainset=rows[:12],
                valset=valset,
                run_dir=tmp_path / name,
            )
        found = [note for note in compiled.report.notes if "stand in" in note]
        assert [note.partition(":")[0] for note in found] == ([] if told is None else [told])


def test_a_split_that_parts_equal_questions_is_told_of(tmp_path):
    rows = sums(12)
    optimizer = telic.BootstrapFewShotWithRandomSearch(equal_answer, num_candidate_programs=1)
    with telic.context(lm=FunctionLM(lambda text: {"answer": "1"})):
        compiled = optimizer.compile(
            telic.Predict("question -> answer"), trainset=[*rows, *rows], run_dir=tmp_path / "run"
        )
    assert any("of the other stand in the one part too" in note for note in compiled.report.notes)
