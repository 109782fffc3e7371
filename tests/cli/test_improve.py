"""`telic improve`: one command that makes a program better, or says that nothing did."""

import json
import sys

import pytest

from telic.cli._app import run

PROGRAM = """
import telic
from telic.testing import FunctionLM


def reply(request):
    text = str(request.messages)
    if "proposed_instruction" in text:
        return {"proposed_instruction": "Answer in capitals."}
    if "observations" in text or "summary" in text:
        return {"observations": "short", "summary": "short"}
    return {"answer": "YES" if "capitals" in request.messages[0]["content"] else "yes"}


telic.configure(lm=FunctionLM(reply), num_threads=2)
program = telic.Predict("question -> answer")


def metric(example, prediction, trace=None):
    return example.answer == prediction.answer


def other(example, prediction, trace=None):
    return len(prediction.answer) == 3
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    (tmp_path / "capitals.py").write_text(PROGRAM, encoding="utf-8")
    rows = "".join(f"Is {n} a number?,YES\n" for n in range(40))
    (tmp_path / "rows.csv").write_text(f"question,answer\n{rows}", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    yield tmp_path
    sys.modules.pop("capitals", None)


def improve(*more, metric="capitals:metric"):
    return run(["improve", "capitals:program", "--data", "rows.csv", "--metric", metric, *more])


def test_the_improved_program_is_saved_and_loads(folder, capsys):
    assert improve() == 0

    told = capsys.readouterr().out
    assert "saved: improved.json" in told
    assert "improved: +100.0 points" in told
    saved = json.loads((folder / "improved.json").read_text(encoding="utf-8"))
    assert saved["predictors"]["self"]["signature"]["instructions"] == "Answer in capitals."
    assert saved["report"]["improved"] is True


def test_where_nothing_helps_it_says_so(folder, capsys):
    assert improve("--out", "same.json", metric="capitals:other") == 0

    assert "no improvement found" in capsys.readouterr().out
    assert json.loads((folder / "same.json").read_text(encoding="utf-8"))["report"]["improved"] is False


def test_the_plan_is_told_without_a_call(folder, capsys):
    assert improve("--plan") == 0

    told = capsys.readouterr().out
    assert "calls" in told
    assert "racing demonstrations" in told
    assert not (folder / "improved.json").exists()


def test_options_reach_it_and_an_lm_is_given_by_name(folder, capsys):
    options = ["--option", "max_rounds=0", "--option", "prompt_model=telic/tiny", "--seed", "3"]

    assert improve(*options, "--budget", "calls=200", "--run-dir", "run") == 0

    assert "no improvement found" in capsys.readouterr().out  # labelled rows alone do not say it
    assert (folder / "run" / "journal.jsonl").exists()


def test_a_run_of_it_is_resumed_by_its_name(folder, capsys, monkeypatch):
    monkeypatch.setenv("TELIC_DATA_DIR", str(folder / "data"))
    improve("--budget", "calls=30")
    assert "budget" in capsys.readouterr().out

    assert run(["runs", "resume", "Improve"]) == 0
    assert "saved: improved.json" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--option", "rounds=3"], "has no option 'rounds'"),
        (["--option", "confidence=2"], "confidence"),
        (["--budget", "calls=1"], "less than"),
        (["--budget", "dollars=1"], "is no limit"),
    ],
)
def test_what_cannot_work_is_refused_with_one_line(folder, capsys, more, said):
    assert improve(*more) == 2
    told = capsys.readouterr().err
    assert said in told
    assert len(told.strip().splitlines()) == 1
