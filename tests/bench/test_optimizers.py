"""bench/optimizers.py: a cell runs end to end, once; both sides are asked in one wording and get the same proposals."""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path

import pytest

import telic

BENCH = Path(__file__).parents[2] / "bench"

pytestmark = pytest.mark.skipif(not BENCH.is_dir(), reason="the benchmarks lie in the repository alone")


@pytest.fixture
def bench(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCH))
    yield lambda name: importlib.import_module(name)
    for name in ("optimizers", "optimizers_endpoint", "optimizers_table"):
        sys.modules.pop(name, None)


def test_cells_run_once_and_make_a_table(bench, tmp_path, capsys):
    pytest.importorskip("numpy")
    results = tmp_path / "results.jsonl"
    arguments = ["--seeds", "1", "--rows", "4", "--train", "6", "--tasks", "answers as sentences"]
    arguments += ["--optimizers", "BootstrapFewShot", "--results", str(results)]

    bench("optimizers").main(arguments)
    first = capsys.readouterr()
    bench("optimizers").main(arguments)
    second = capsys.readouterr()

    assert first.out == second.out
    assert "1 of 2" in first.err and second.err == ""
    lines = [line for line in first.out.splitlines() if line.startswith("|")]
    assert len({line.count("|") for line in lines}) == 1
    assert [line.split(" | ")[1] for line in lines[2:]] == ["as given", "BootstrapFewShot"]
    cells = [json.loads(line) for line in results.read_text("utf-8").splitlines()]
    assert [len(cell["right"]) for cell in cells] == [4, 4]
    assert cells[0]["compile"]["calls"] == 0
    assert 1 <= cells[1]["compile"]["calls"] <= 6
    assert cells[1]["test"]["calls"] == 4


def test_a_cell_that_failed_is_told_and_run_again(bench, tmp_path, capsys):
    pytest.importorskip("numpy")
    results = tmp_path / "results.jsonl"
    arguments = ["--seeds", "1", "--rows", "2", "--train", "2", "--tasks", "answers as sentences"]
    arguments += ["--optimizers", "--results", str(results), "--dspy", sys.executable]

    for _ in range(2):  # the interpreter that is given has no DSPy
        bench("optimizers").main(arguments)
        said = capsys.readouterr()
        assert "No module named 'dspy'" in said.err
        assert "| as given |" in said.out and "compile failed in 1 of 1" in said.out


def test_the_prompts_of_dspy_are_put_into_our_words(bench):
    signature = telic.Signature("context, question -> answer", "Answer.")
    ours = telic.Predict(signature).render(context="a", question="b")
    system = ours[0]["content"]
    theirs = (
        system.replace("Input fields:", "Your input fields are:")
        .replace("\n\nOutput fields:", "\nYour output fields are:")
        .replace("(str)", "(str): ")
        .replace("\n\nEvery message follows this form:", "\nAll interactions will be …")
        .replace("\n\nYour objective:", "\nIn adhering to this, your objective is: ")
    )
    assert theirs != system

    endpoint = bench("optimizers_endpoint")

    assert endpoint.reworded(theirs) == system
    assert [endpoint.reworded(str(one["content"])) for one in ours] == [one["content"] for one in ours]
    assert endpoint.outputs_of(system) == ["answer"]


def test_the_script_answers_in_the_format_that_is_asked_for(bench):
    endpoint = bench("optimizers_endpoint")
    script = endpoint.Script(["Be brief.", "Be long."], seed=1)
    plain = telic.Predict("examples -> reasoning, proposed_instruction")
    request = telic.data.Request(plain.render(examples="x"), {})

    first = script.reply(request, ["reasoning", "proposed_instruction"])
    second = script.reply(telic.data.Request(request.messages, {"response_format": {}}), ["rules"])

    fields = telic.ChatAdapter().parse(plain.signature, first)
    assert {fields["proposed_instruction"], json.loads(second)["rules"]} == {"Be brief.", "Be long."}


def cell(right, calls, per_row=1):
    paid = {"calls": calls, "input_tokens": 10, "output_tokens": 5, "seconds": 1.0}
    return {"right": right, "compile": paid, "test": {"calls": per_row * len(right)}}


def test_a_difference_that_one_seed_speaks_against_is_no_verdict(bench):
    table = bench("optimizers_table")
    low, high, mixed = "0" * 20, "1" * 20, "1" * 5 + "0" * 15
    theirs = table.side([cell(low, 10), cell(mixed, 10)])

    line = table.Line("task", "COPRO", table.side([cell(high, 20), cell(high, 20)]), theirs)
    assert table.verdict(line) == "better"
    line = line._replace(ours=table.side([cell(high, 20), cell(low, 20)]))
    assert table.verdict(line) == ""
    assert "COPRO on task (20 against 10)" in "\n".join(table.rendered([line]))
    assert table.verdict(line._replace(ours=theirs, theirs=line.ours)) == ""


def test_a_side_that_was_not_measured_says_why(bench):
    table = bench("optimizers_table")
    assert table.side([cell("1", 1), None]) == "–"
    assert table.side([]) == "–"
    assert table.side([cell("1", 1), {"error": "no"}]) == "compile failed in 1 of 2"
    rows = list(table.rendered([table.Line("task", "COPRO", table.side([cell("1", 1)]), "–")]))
    assert {row.count("|") for row in rows if row.startswith("|")} == {12}
