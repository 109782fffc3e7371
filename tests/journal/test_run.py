import json

import pytest

import telic
from telic.errors import JournalError
from telic.journal import LiveRun, Run, find_run, list_runs, runs_folder
from telic.testing import FunctionLM


def live(folder, **settings):
    return LiveRun(folder, **{"kind": "compile", "name": "Mine", "identity": {"program": "p"}, **settings})


def test_reading_changes_nothing(tmp_path):
    run = live(tmp_path / "run")
    run.note("half a line follows")
    run.close()
    journal = tmp_path / "run" / "journal.jsonl"
    with journal.open("ab") as file:
        file.write(b'{"e":"step","k":"torn')
    before = {path.name: path.read_bytes() for path in (tmp_path / "run").iterdir()}

    seen = Run(tmp_path / "run")

    assert (seen.status, seen.notes) == ("killed", ["half a line follows"])
    assert {path.name: path.read_bytes() for path in (tmp_path / "run").iterdir()} == before


def test_the_end_is_that_of_the_last_opening(tmp_path):
    run = live(tmp_path / "run")
    run.end("interrupted", "Ctrl-C")
    run.close()
    assert (Run(tmp_path / "run").status, Run(tmp_path / "run").why) == ("interrupted", "Ctrl-C")

    run = live(tmp_path / "run")
    assert Run(tmp_path / "run").status == "running"
    run.close()
    assert Run(tmp_path / "run").status == "killed"


def test_a_run_killed_in_its_first_line_says_so_and_can_begin_anew(tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "journal.jsonl").write_bytes(b'{"e":"ru')

    with pytest.raises(JournalError, match="delete the folder"):
        Run(tmp_path / "run")
    live(tmp_path / "run").close()
    assert Run(tmp_path / "run").name == "Mine"


def test_runs_are_found_by_the_beginning_of_their_names(tmp_path):
    for name in ("first-1", "first-2", "second-1"):
        live(runs_folder() / name).close()

    assert [path.name for path in list_runs()] == ["first-1", "first-2", "second-1"]
    assert find_run("second") == runs_folder() / "second-1"
    assert find_run("first-1") == runs_folder() / "first-1"
    with pytest.raises(JournalError, match="several runs are called 'first'"):
        find_run("first")
    with pytest.raises(JournalError, match=r"'third' is no run.*second-1"):
        find_run("third")


def test_candidates_without_a_score_come_last_and_are_not_the_best(tmp_path):
    program = telic.Predict("question -> answer")
    run = live(tmp_path / "run")
    run.candidate("unscored", {"score": None}, program.save)
    with pytest.raises(JournalError, match="has no candidate 'with a score'"):
        Run(tmp_path / "run").load(program)
    run.candidate("half", {"score": 50.0, "interval": [10.0, None]}, program.save)
    run.candidate("better", {"score": 60.0, "interval": [40.0, 80.0]}, program.save)
    run.close()

    seen = Run(tmp_path / "run")

    assert [one.label for one in seen.candidates] == ["better", "half", "unscored"]
    assert (seen.best.interval, seen.candidates[1].interval) == ((40.0, 80.0), None)
    assert seen.load(program, "half") is program
    with pytest.raises(JournalError, match=r"no candidate 'worse'; there are .*'half'"):
        seen.load(program, "worse")


def test_the_files_are_json_lines_that_any_reader_reads(tmp_path):
    run = live(tmp_path / "run", about={"rows": 3})
    run.decide("a", {"b": [1, 2.5, None, "ü"]})
    run.close()

    lines = (tmp_path / "run" / "journal.jsonl").read_text(encoding="utf-8").splitlines()

    assert [json.loads(line)["e"] for line in lines] == ["run", "open", "decision"]


def test_what_was_paid_is_known_by_role_predictor_and_model(tmp_path):
    class Grade(telic.Signature):
        answer: str = telic.InputField()
        hint: str = telic.OutputField()

    class Twice(telic.Module):
        def __init__(self):
            self.first = telic.Predict("question -> hint")
            self.second = [telic.ChainOfThought("question, hint -> answer")]

        def forward(self, question):
            return self.second[0](question=question, hint=self.first(question=question).hint)

    lm = FunctionLM(lambda text: {"hint": "h", "reasoning": "r", "answer": "a"})
    run = live(tmp_path / "run")
    with run.active(), telic.context(lm=lm):
        Twice()(question="1?")
        Twice()(question="2?")
        with telic.context(role="judge"):
            telic.Predict("answer -> hint")(answer="4")
            telic.ChainOfThought(Grade)(answer="4")
        lm("direct")
    run.close()

    parts = {part[:3]: part.usage.calls for part in Run(tmp_path / "run").spend_parts}

    assert parts == {
        ("task", "first", "function"): 2,
        ("task", "second[0].predict", "function"): 2,
        ("judge", "Grade", "function"): 1,
        ("judge", "answer -> hint", "function"): 1,
        ("task", "", "function"): 1,
    }
    assert Run(tmp_path / "run").total_spend.calls == 7
