"""Splits without leakage, and what a look at rows finds."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from telic.data import Example
from telic.datasets import check_examples, check_splits, split, without_overlap
from telic.errors import DatasetError


def rows(*questions):
    return [Example(question=q, answer=str(n)).with_inputs("question") for n, q in enumerate(questions)]


@given(st.lists(st.integers(0, 30), min_size=12, max_size=80), st.integers(0, 5))
def test_equal_questions_are_never_in_two_parts(questions, seed):
    examples = rows(*(f"Q  {n}" if n % 2 else f"q {n}" for n in questions))
    try:
        parts = split(examples, 0.5, 0.25, 0.25, seed=seed)
    except DatasetError as error:
        assert "would be empty" in str(error)
        return

    assert sorted(row.answer for part in parts for row in part) == sorted(row.answer for row in examples)
    check_splits(train=parts[0], val=parts[1], test=parts[2])


def test_rows_without_declared_inputs_are_equal_where_all_is():
    parts = split([Example(n=n % 5, m=0) for n in range(50)], 0.6, 0.4)

    assert {row.n for row in parts[0]}.isdisjoint(row.n for row in parts[1])


def test_a_part_that_nothing_is_left_for_is_refused():
    with pytest.raises(DatasetError, match="1 different inputs, and equal ones stay together"):
        split(rows(*["same"] * 10), 0.5, 0.5)


def test_counts_and_shares_that_leave_rows_over():
    parts = split(rows(*map(str, range(100))), 10, 20)

    assert [len(part) for part in parts] == [10, 20]


def test_shared_questions_are_told_and_dropped():
    train, test = rows("a", "b", "C "), rows("c", "d")

    with pytest.raises(DatasetError, match=r"1 examples of 'test' are in 'train' too, first .*'c'"):
        check_splits(train=train, test=test)
    assert [row.question for row in without_overlap(train, test)] == ["a", "b"]
    check_splits(train=without_overlap(train, test), test=test)


def kinds(examples):
    return [(finding.kind, finding.rows) for finding in check_examples(examples)]


def test_clean_rows_have_no_findings():
    assert check_examples(rows("What is 2+2?", "Who was Ada?")) == []
    assert check_examples([]) == []


def test_missing_empty_and_mixed_fields_are_found():
    examples = [Example(q="a", n=1), Example(q="b", n="two"), Example(q="c"), Example(q=" ", n=2.5)]

    assert kinds(examples) == [("empty", (3,)), ("missing", (2,)), ("types", (1,))]
    assert [str(finding) for finding in check_examples(examples)] == [
        "'q' is empty in row 3",
        "row 2 lacks the field 'n'",
        "'n' is a number in most rows, and str in row 1",
    ]


def test_duplicates_and_contradictions_are_told_apart():
    same = [Example(q="A", a="1").with_inputs("q"), Example(q="a ", a="1.").with_inputs("q")]
    other = [Example(q="b", a="1").with_inputs("q"), Example(q="b", a="2").with_inputs("q")]

    assert kinds([*same, *other]) == [("duplicate", (0, 1)), ("contradiction", (2, 3))]


def test_an_answer_in_an_input_is_found_as_whole_words():
    examples = [
        Example(question="Is it the Nile? (answer: The Nile)", answer="the nile").with_inputs("question"),
        Example(question="Niles's brother?", answer="the nile").with_inputs("question"),
        Example(question="A or b?", answer="a").with_inputs("question"),
    ]

    assert kinds(examples) == [("leak", (0,))]


def test_strict_raises_all_that_was_found():
    with pytest.raises(DatasetError, match="rows 0 and 1 are the same"):
        check_examples([Example(q="a"), Example(q="a")], strict=True)
