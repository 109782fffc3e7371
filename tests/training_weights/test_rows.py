"""Rows from traces: the student's own prompts, replies as its adapter writes them, by predictor."""

from __future__ import annotations

import json

import pytest

import telic
from telic.adapters import JSONAdapter
from telic.errors import ConfigurationError, DatasetError
from telic.testing import FunctionLM
from telic.training import (
    Call,
    ChatRow,
    TracedRun,
    calls_of_trace,
    pairs_of_runs,
    read_rows,
    rows_of_runs,
    write_pairs,
    write_rows,
)


class Branching(telic.Module):
    """Calls `draft` as often as it is told, and `check` now and then, before or after."""

    def __init__(self):
        self.draft = telic.Predict("question, turn: int -> answer")
        self.check = telic.Predict(
            "question, turn: int -> answer"
        )  # the same signature: places in a trace tell nothing

    def forward(self, question):
        for turn in range(len(question) % 3 + 1):
            self.draft(question=question, turn=turn)
        if question.startswith("a"):
            self.check(question=question, turn=9)
        return self.draft(question=question, turn=7)


def answering(request):
    return f"[[ ## answer ## ]]\n{len(str(request.messages))}\n\n[[ ## completed ## ]]"


def run_of(program, question, score=1.0, example=0, lm=None):
    trace = []
    paths = {id(predictor): path for path, predictor in program.named_predictors()}
    with telic.context(lm=FunctionLM(answering) if lm is None else lm, trace=trace):
        program(question=question)
    return TracedRun(calls_of_trace(trace, paths), score, example)


def call(answer="4", question="2+2?", path="self"):
    return Call(path, {"question": question}, {"answer": answer})


QA = telic.Predict("question -> answer")


def test_a_row_is_the_exact_prompt_of_the_student_and_a_reply_that_its_adapter_reads():
    student = telic.Predict("question -> answer")
    student.demos = [telic.Example(question="1+1?", answer="2")]

    (row,) = rows_of_runs(student, [TracedRun([call()], 1.0, 3)]).rows

    assert list(row.messages) == student.render(question="2+2?")
    assert row.reply == "[[ ## answer ## ]]\n4\n\n[[ ## completed ## ]]"
    assert (row.predictor, row.score, row.example, row.weight) == ("self", 1.0, 3, 1.0)
    assert telic.ChatAdapter().parse(student.signature, row.reply) == {"answer": "4"}


def test_prompts_are_the_students_even_where_a_teacher_with_demos_answered():
    teacher, student = telic.Predict("question -> answer"), telic.Predict("question -> answer")
    teacher.demos = [telic.Example(question="1+1?", answer="2")]
    teacher.signature = teacher.signature.with_instructions("Be brilliant.")
    run = run_of(teacher, "2+2?")

    (row,) = rows_of_runs(student, [run]).rows

    assert list(row.messages) == student.render(question="2+2?")


def test_demos_can_be_left_out():
    student = telic.Predict("question -> answer")
    student.demos = [telic.Example(question="1+1?", answer="2")]

    (row,) = rows_of_runs(student, [TracedRun([call()], 1.0, 0)], exclude_demos=True).rows

    assert list(row.messages) == QA.render(question="2+2?")
    assert len(student.demos) == 1


def test_calls_belong_to_predictors_whatever_their_place_in_the_trace():
    program = Branching()
    runs = [run_of(program, question, example=at) for at, question in enumerate(["abc", "bcde", "ab", "x"])]

    rows = rows_of_runs(program, runs).rows

    assert {row.predictor for row in rows} == {"draft", "check"}
    for row in rows:
        turn = int(row.messages[-1]["content"].split("[[ ## turn ## ]]\n")[1].split("\n")[0])
        assert (row.predictor == "check") == (turn == 9)
    assert len(rows) == sum(len(run.calls) for run in runs)


def test_an_adapter_can_be_named():
    (row,) = rows_of_runs(QA, [TracedRun([call()], 1.0, 0)], adapter=JSONAdapter()).rows

    assert json.loads(row.reply) == {"answer": "4"}


def test_equal_rows_count_once_with_the_best_of_their_weights():
    runs = [TracedRun([call()], score, at) for at, score in enumerate([0.5, 2.0, 1.0])]

    made = rows_of_runs(QA, [*runs, TracedRun([call("5")], 1.0, 3)])

    assert [(row.reply.split("\n")[1], row.weight) for row in made.rows] == [("4", 1.0), ("5", 0.5)]
    assert (made.calls, made.repeated) == (4, 2)
    assert str(made) == "2 rows of 4 calls, 2 repeated"


def test_runs_without_a_positive_score_are_no_rows():
    assert rows_of_runs(QA, [TracedRun([call()], 0.0, 0), TracedRun([call()], -1.0, 1)]).rows == ()


def test_scores_can_be_left_out_of_account():
    runs = [TracedRun([call(str(score))], score, 0) for score in (0.25, 1.0)]

    assert [row.weight for row in rows_of_runs(QA, runs, weighted=False).rows] == [1.0, 1.0]


def test_calls_that_do_not_fit_are_counted_by_reason():
    odd = [Call("self", {"question": "?"}, {}), Call("self", {}, {"answer": "4"})]

    made = rows_of_runs(QA, [TracedRun([call(), *odd], 1.0, 0)])

    assert len(made.rows) == 1
    assert sum(made.skipped.values()) == 2
    assert "1 left out (without a value of 'answer')" in str(made)


def test_a_predictor_that_the_student_has_not_is_named():
    with pytest.raises(
        ConfigurationError, match="a call of the predictor 'other', and the student has 'self'"
    ):
        rows_of_runs(QA, [TracedRun([call(path="other")], 1.0, 0)])


def test_a_score_that_is_no_number_is_refused():
    with pytest.raises(ConfigurationError, match="the run of example 4 has the score nan"):
        rows_of_runs(QA, [TracedRun([call()], float("nan"), 4)])


def test_pairs_set_the_best_reply_to_a_prompt_beside_each_worse_one():
    runs = [
        TracedRun([call("4"), call("x", "other?")], 1.0, 0),
        TracedRun([call("5")], 0.0, 0),
        TracedRun([call("6")], 0.5, 0),
        TracedRun([call("4")], 0.25, 0),
    ]

    pairs = pairs_of_runs(QA, runs)

    assert [(p.chosen.split("\n")[1], p.rejected.split("\n")[1], p.margin) for p in pairs] == [
        ("4", "5", 1.0),
        ("4", "6", 0.5),
    ]
    assert len(pairs_of_runs(QA, runs, min_margin=0.5)) == 1


def test_rows_written_and_read_again_are_the_same(tmp_path):
    student = telic.Predict("question -> answer")
    student.demos = [telic.Example(question="1+1?", answer="2")]
    hostile = "x\ud800 \u2028 [[ ## answer ## ]] \x00 שלום"
    rows = rows_of_runs(student, [TracedRun([call(), call(hostile)], 0.5, 0)], weighted=True).rows

    write_rows(tmp_path / "rows.jsonl", rows)

    assert read_rows(tmp_path / "rows.jsonl") == list(rows)
    first = json.loads((tmp_path / "rows.jsonl").read_text().splitlines()[0])
    assert [turn.get("weight") for turn in first["messages"] if turn["role"] == "assistant"] == [0, 1]


def test_the_plain_shape_has_messages_alone(tmp_path):
    write_rows(tmp_path / "rows.jsonl", [ChatRow(({"role": "user", "content": "?"},), "!")], plain=True)

    assert json.loads((tmp_path / "rows.jsonl").read_text()) == {
        "messages": [{"role": "user", "content": "?"}, {"role": "assistant", "content": "!", "weight": 1}]
    }


def test_pairs_are_written_as_trl_reads_them(tmp_path):
    pairs = pairs_of_runs(QA, [TracedRun([call("4")], 1.0, 0), TracedRun([call("5")], 0.0, 0)])

    write_pairs(tmp_path / "pairs.jsonl", pairs)

    line = json.loads((tmp_path / "pairs.jsonl").read_text())
    assert line["prompt"] == QA.render(question="2+2?")
    assert line["chosen"][0]["content"] != line["rejected"][0]["content"]


@pytest.mark.parametrize(
    "line",
    [
        "[]",
        "{",
        '{"messages": []}',
        '{"messages": [{"role": "user", "content": "?"}]}',
        '{"messages": [{"role": "assistant", "content": null}]}',
        '{"messages": [{"role": "assistant", "content": "!"}], "telic": {"weight": -1}}',
        '{"messages": [{"role": "assistant", "content": "!"}], "telic": {"weight": NaN}}',
    ],
)
def test_a_line_that_is_no_row_is_named(tmp_path, line):
    path = tmp_path / "rows.jsonl"
    path.write_text('{"messages": [{"role": "assistant", "content": "!"}]}\n' + line)

    with pytest.raises(DatasetError, match="line 2 of .*rows.jsonl' is no training row"):
        read_rows(path)


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(DatasetError, match="cannot be read"):
        read_rows(tmp_path / "none.jsonl")
