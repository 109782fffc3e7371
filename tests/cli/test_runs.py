"""`telic runs`, and what `telic compile` does for it."""

from __future__ import annotations

import json
import os
import sys
import textwrap

import pytest

from telic.cli._app import run
from telic.journal import Run, list_runs

PROGRAM = """
import os
import telic
from telic.testing import FunctionLM

telic.configure(lm=FunctionLM(lambda text: {"answer": "blue"}), num_threads=1)

if os.environ.get("DIE_AT"):
    left = [int(os.environ["DIE_AT"])]

    def tap(event):
        left[0] -= 1
        if left[0] < 0:
            raise SystemExit(9)

    telic.configure(journal_tap=tap)


class Program(telic.Module):
    def __init__(self):
        self.step = telic.Predict("question -> answer")

    def forward(self, question):
        return self.step(question=question)
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    (tmp_path / "shade.py").write_text(textwrap.dedent(PROGRAM), encoding="utf-8")
    (tmp_path / "rows.csv").write_text("question,answer\nsky,blue\nsea,blue\ngrass,green\n", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    yield tmp_path
    sys.modules.pop("shade", None)


def compile_rows(*more, optimizer="BootstrapFewShot"):
    return run([
        "compile", "shade:Program", "--data", "rows.csv", "--valset", "rows.csv", "--metric", "exact_match",
        "--out", "better.json", "--optimizer", optimizer, *more,
    ])  # fmt: skip


def test_a_compile_is_listed_and_shown(folder, capsys):
    assert compile_rows() == 0
    name = list_runs()[0].name
    capsys.readouterr()

    assert run(["runs", "list"]) == 0
    assert name[:20] in capsys.readouterr().out
    assert run(["runs", "show", name]) == 0
    shown = capsys.readouterr().out
    assert "BootstrapFewShot, finished" in shown
    assert "as given" in shown
    assert "teacher: " in shown


def test_lists_and_runs_are_json_for_programs(folder, capsys):
    assert compile_rows("--run-dir", "mine") == 0
    capsys.readouterr()

    assert run(["runs", "list", ".", "--json"]) == 0
    listed = json.loads(capsys.readouterr().out)
    assert run(["runs", "show", "mine", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == listed[0]
    assert listed[0]["status"] == "finished"
    assert listed[0]["best"]["score"] == pytest.approx(66.67, abs=0.01)


def test_a_killed_compile_is_resumed_by_name(folder, capsys, monkeypatch):
    monkeypatch.setenv("DIE_AT", "6")
    assert compile_rows() != 0
    killed = list_runs()[0]
    assert Run(killed).status == "killed"
    monkeypatch.delenv("DIE_AT")
    sys.modules.pop("shade")
    monkeypatch.chdir("/")

    from telic import context as telic_context

    telic_context.configure(journal_tap=None)
    assert run(["runs", "resume", killed.name]) == 0

    assert Run(killed).status == "finished"
    assert (folder / "better.json").is_file()
    assert len(list_runs()) == 1


def test_the_same_command_goes_on_where_it_was_killed(folder, monkeypatch):
    monkeypatch.setenv("DIE_AT", "6")
    assert compile_rows() != 0
    monkeypatch.delenv("DIE_AT")
    sys.modules.pop("shade")

    from telic import context as telic_context

    telic_context.configure(journal_tap=None)
    assert compile_rows() == 0
    assert [Run(path).status for path in list_runs()] == ["finished"]


def test_a_folder_from_elsewhere_is_not_run(folder, capsys):
    assert compile_rows("--run-dir", "mine") == 0
    capsys.readouterr()

    assert run(["runs", "resume", "mine"]) == 2
    assert "telic compile shade:Program" in capsys.readouterr().err


def test_a_run_begun_from_python_says_how_to_go_on(folder, capsys):
    assert compile_rows("--run-dir", "mine") == 0
    os.remove("mine/command.json")
    capsys.readouterr()

    assert run(["runs", "resume", "mine"]) == 2
    assert "run_dir=" in capsys.readouterr().err


def test_two_runs_are_compared(folder, capsys):
    assert compile_rows("--run-dir", "a") == 0
    assert compile_rows("--run-dir", "b", "--option", "max_bootstrapped_demos=1") == 0
    capsys.readouterr()

    assert run(["runs", "compare", "a", "b"]) == 0
    shown = capsys.readouterr().out
    assert "settings" in shown
    assert "no difference shown" in shown


def test_a_plan_costs_nothing_and_writes_nothing(folder, capsys):
    assert compile_rows("--plan") == 0
    assert "calls" in capsys.readouterr().out
    assert list_runs() == []
    assert not (folder / "better.json").exists()


@pytest.mark.parametrize(
    ("budget", "said"),
    [
        ("calls=0", "allows no call"),
        ("dollars=3", "'dollars' is no limit"),
        ("calls=x", "calls must be a number"),
    ],
)
def test_budgets_that_cannot_work_are_refused(folder, capsys, budget, said):
    assert compile_rows("--budget", budget) == 2
    assert said in capsys.readouterr().err


def test_an_unknown_run_is_named(folder, capsys):
    assert run(["runs", "show", "nothing"]) == 2
    assert "'nothing' is no run" in capsys.readouterr().err


def test_a_damaged_run_is_told_beside_the_others(folder, capsys):
    assert compile_rows("--run-dir", "a") == 0
    data = bytearray((folder / "a" / "journal.jsonl").read_bytes())
    data[30] ^= 1
    (folder / "a" / "journal.jsonl").write_bytes(data)
    capsys.readouterr()

    assert run(["runs", "list", "."]) == 0
    assert "damaged: a: line 1" in capsys.readouterr().out


def test_an_evaluation_is_kept_too(folder, capsys):
    arguments = [
        "eval",
        "shade:Program",
        "--data",
        "rows.csv",
        "--metric",
        "exact_match",
        "--run-dir",
        "measured",
    ]
    assert run(arguments) == 0
    assert run(arguments) == 0

    one = Run("measured")
    assert (one.kind, one.status, one.total_spend.calls) == ("evaluate", "finished", 3)
