"""The command line as a user meets it: a process, its output, its files, its exit code."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap

import pytest

import telic
from telic.cli._app import run

PROGRAM = """
import time
import telic
from telic.testing import FunctionLM


def answer(text):
    if "slow" in text:
        open("started", "w").close()
        time.sleep(60)
    if "fail" in text:
        raise ValueError("no answer to this")
    return {"reasoning": "r", "answer": "blue" if "sky" in text or "sea" in text else "unknown"}


telic.configure(lm=FunctionLM(answer), num_threads=1)


class Colour(telic.Signature):
    question: str = telic.InputField()
    answer: str = telic.OutputField()


class Program(telic.Module):
    def __init__(self):
        self.step = telic.Predict(Colour)

    def forward(self, question):
        return self.step(question=question)


class Needy(Program):
    def __init__(self, what):
        super().__init__()


instance = Program()
signature = "question -> answer"
number = 3


def function(question):
    return telic.Prediction(answer="blue")


def open_function(**inputs):
    return telic.Prediction(answer="blue")


class TwoSteps(telic.Module):
    def __init__(self):
        self.look = telic.Predict("question, place -> answer")
        self.say = telic.Predict(Colour)

    def forward(self, question, place="outside"):
        self.look(question=question, place=place)
        return self.say(question=question)


def metric(example, prediction, trace=None):
    return example.answer == prediction.answer


def broken_metric(example, prediction, trace=None):
    raise RuntimeError("metric is broken")
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    (tmp_path / "prog.py").write_text(PROGRAM, encoding="utf-8")
    (tmp_path / "bad_import.py").write_text("import nothing_of_this_name\n", encoding="utf-8")
    write_rows(tmp_path / "rows.csv", [("the sky", "blue"), ("the sea", "Blue."), ("grass", "green")])
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    yield tmp_path
    for name in ("prog", "bad_import"):
        sys.modules.pop(name, None)


def write_rows(path, rows):
    path.write_text("question,answer\n" + "".join(f"{q},{a}\n" for q, a in rows), encoding="utf-8")


def eval_rows(*arguments, program="prog:Program", metric="exact_match", data="rows.csv"):
    return run(["eval", program, "--data", data, "--metric", metric, *arguments])


@pytest.mark.parametrize(
    "program", ["prog:Program", "prog:instance", "prog:Colour", "prog:signature", "question -> answer"]
)
def test_eval_scores_every_kind_of_program(folder, capsys, program):
    run(["eval", "prog:Program", "--data", "rows.csv", "--metric", "exact_match"])  # configures the LM

    assert eval_rows(program=program) == 0
    assert "66.67 %" in capsys.readouterr().out


@pytest.mark.parametrize("program", ["prog:function", "prog:TwoSteps"])
def test_inputs_are_the_parameters_of_the_program(folder, program):
    assert eval_rows(program=program) == 0


def test_eval_of_an_open_function_needs_its_inputs_named(folder, capsys):
    assert eval_rows(program="prog:open_function") == 2
    assert "--inputs" in capsys.readouterr().err
    assert eval_rows("--inputs", "question", program="prog:open_function") == 0


@pytest.mark.parametrize("ending", ["jsonl", "json", "csv"])
def test_eval_writes_its_rows(folder, ending):
    assert eval_rows("--out", f"deep/folder/rows.{ending}", metric="prog:metric") == 0

    assert "the sea" in (folder / "deep" / "folder" / f"rows.{ending}").read_text(encoding="utf-8")


def test_compile_saves_a_program_that_eval_loads(folder, capsys):
    done = run([
        "compile", "prog:Program", "--data", "rows.csv", "--metric", "exact_match", "--out", "out/better.json",
        "--optimizer", "bootstraprs", "--option", "num_candidate_programs=1", "--valset", "rows.csv", "--seed", "3",
        "--num-threads", "2",
    ])  # fmt: skip

    assert done == 0
    assert "saved: out/better.json" in capsys.readouterr().out
    assert json.loads((folder / "out" / "better.json").read_text(encoding="utf-8"))
    assert eval_rows("--load", "out/better.json") == 0


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["eval", "prog:Nothing"], "has no 'Nothing'"),
        (["eval", "prog:Programm"], "did you mean 'Program'"),
        (["eval", "prog:number"], "which is no program"),
        (["eval", "prog:Needy"], "cannot be made without arguments"),
        (["eval", "bad_import:x"], "ModuleNotFoundError: No module named 'nothing_of_this_name'"),
        (["eval", "no_such_module:x"], "cannot be imported"),
        (["eval", "prog"], "must be written as module:attribute"),
        (["eval", "prog:Program", "--metric", "exct_match"], "did you mean 'exact_match'"),
        (["eval", "prog:Program", "--metric", "prog:number"], "cannot be called"),
        (["eval", "prog:Program", "--data", "gone.csv"], "there is no file 'gone.csv'"),
        (["eval", "prog:Program", "--inputs", "qestion"], "did you mean 'question'"),
        (
            ["eval", "questions -> answer"],
            "takes the input 'questions', and 'rows.csv' has no such column; did you",
        ),
        (["eval", "prog:Program", "--lm", "nosuch/model"], "'nosuch' is no provider"),
        (["eval", "prog:Program", "--out", "rows.txt"], "must end in `.jsonl`, `.json` or `.csv`"),
        (["eval", "prog:Program", "--out", "."], "must end in"),
        (["eval", "prog:Program", "--load", "gone.json"], "gone.json"),
        (
            ["eval", "prog:function", "--load", "gone.json", "--inputs", "question"],
            "--load needs a telic.Module",
        ),
        (["compile", "prog:function", "--out", "a.json"], "compiling needs a telic.Module"),
        (["compile", "prog:Program", "--out", "a.json", "--optimizer", "GEPAA"], "unknown optimizer 'GEPAA'"),
        (
            ["compile", "prog:Program", "--out", "a.json", "--option", "max_rouns=3"],
            "did you mean 'max_rounds'",
        ),
        (["compile", "prog:Program", "--out", "a.json", "--option", "nonsense"], "name=value"),
        (["compile", "prog:Program", "--out", "a.json", "--option", "max_rounds=-3"], "max_rounds"),
    ],
)
def test_what_cannot_work_is_one_line_and_code_2(folder, capsys, arguments, said):
    defaults = {"--data": "rows.csv", "--metric": "exact_match"}
    given = [item for pair in defaults.items() if pair[0] not in arguments for item in pair]

    code = run([*arguments, *given])

    error = capsys.readouterr().err
    assert code == 2
    assert said in error
    assert error.startswith("telic: ")
    assert "Traceback" not in error


def test_a_folder_that_cannot_be_written_is_told_before_any_call(folder, capsys):
    (folder / "blocked").write_text("a file", encoding="utf-8")

    assert eval_rows("--out", "blocked/rows.jsonl") == 2
    assert "its folder cannot be made" in capsys.readouterr().err


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_read_only_folder_is_told_before_any_call(folder, capsys):
    (folder / "locked").mkdir(mode=0o500)

    assert eval_rows("--out", "locked/rows.jsonl") == 2
    assert "permission denied" in capsys.readouterr().err


def test_too_many_failures_keep_the_finished_rows(folder, capsys):
    write_rows(folder / "many.csv", [("the sky", "blue"), *[(f"fail {i}", "x") for i in range(9)]])

    code = eval_rows("--max-errors", "2", "--out", "rows.jsonl", data="many.csv")

    assert code == 2
    assert "EvaluationError" in capsys.readouterr().err
    kept = [json.loads(line) for line in (folder / "rows.jsonl").read_text(encoding="utf-8").splitlines()]
    assert kept[0]["question"] == "the sky"
    assert len(kept) == 3


def test_a_broken_metric_is_told(folder, capsys, caplog):
    assert eval_rows(metric="prog:broken_metric") == 0

    assert "3 failed rows" in capsys.readouterr().out
    assert "metric is broken" in caplog.text


def test_usage_errors_are_code_2(folder, capsys):
    assert run(["eval", "prog:Program", "--dta", "rows.csv"]) == 2
    assert "--dta" in capsys.readouterr().err
    assert run(["evl"]) == 2


def test_version_and_help(capsys):
    assert run(["--version"]) == 0
    assert capsys.readouterr().out.startswith("telic 0.")
    assert run(["compile", "--help"]) == 0
    assert "--optimizer" in capsys.readouterr().out


def test_ctrl_c_keeps_the_finished_rows(folder):
    write_rows(
        folder / "many.csv", [("the sky", "blue"), ("the sea", "blue"), ("slow", "x"), ("grass", "green")]
    )
    command = [sys.executable, "-m", "telic", "eval", "prog:Program", "--data", "many.csv"]
    process = subprocess.Popen(
        [*command, "--metric", "exact_match", "--out", "rows.jsonl"],
        cwd=folder,
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    watch = textwrap.dedent("""
        import os, time
        while not os.path.exists("started"): time.sleep(0.02)
    """)
    subprocess.run([sys.executable, "-c", watch], cwd=folder, check=True, timeout=30)

    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=30)

    assert process.returncode == 130, errors
    assert "Traceback" not in errors
    kept = [json.loads(line) for line in (folder / "rows.jsonl").read_text(encoding="utf-8").splitlines()]
    assert [row["question"] for row in kept] == ["the sky", "the sea"]


def test_the_demo_compiles_a_better_program(folder, capsys):
    code = run(["demo", "--out", "results"])

    out = capsys.readouterr().out
    assert code == 0, out
    assert "better: +" in out
    assert "after: 8 demonstrations" in out
    assert (folder / "results" / "demo-hidden_labels.json").is_file()


def test_the_demo_names_its_tasks(folder, capsys):
    assert run(["demo", "--task", "hiden_labels"]) == 2
    assert "did you mean 'hidden_labels'" in capsys.readouterr().err


def test_a_plan_needs_no_place_for_the_result(folder, capsys):
    command = ["compile", "prog:Program", "--data", "rows.csv", "--metric", "exact_match"]

    assert run([*command, "--plan"]) == 0
    assert "calls" in capsys.readouterr().out
    assert run(command) == 2
    assert "--out is needed" in capsys.readouterr().err


def test_what_an_optimizer_lacks_is_told_in_words_of_the_command_line(folder, capsys):
    command = ["compile", "prog:Program", "--data", "rows.csv", "--metric", "exact_match", "--plan"]

    assert run([*command, "--optimizer", "gepa"]) == 2
    assert "auto='light'" in (told := capsys.readouterr().err)
    assert "--option name=value" in told


def test_a_missing_lm_is_told_in_words_of_the_command_line(folder, capsys):
    (folder / "bare.py").write_text(
        "import telic\nprogram = telic.Predict('question -> answer')\n", encoding="utf-8"
    )
    with telic.context(lm=None):
        assert eval_rows(program="bare:program") == 2
    assert "--lm provider/model" in capsys.readouterr().err
