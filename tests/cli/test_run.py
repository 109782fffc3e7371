"""`telic run`, and `telic eval` and `telic compile` of folders and TOML files that say the rest themselves."""

from __future__ import annotations

import json

import pytest

from telic.cli._app import run
from telic.testing import FaultServer

TOML = """\
lm = "openai/scripted"
metric = "answer_exact_match"

[[steps]]
name = "colour"
signature = "thing -> answer"

[data]
rows = "rows.csv"
"""
PROGRAM = """\
import telic


class Two(telic.Module):
    def __init__(self):
        super().__init__()
        self.step = telic.Predict("thing, count: int -> answer")

    def forward(self, thing, count=2):
        return self.step(thing=thing, count=count)


def make():
    return Two()


def metric(example, prediction, trace=None):
    return prediction.answer == example.answer
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "program.toml").write_text(TOML)
    (tmp_path / "rows.csv").write_text("thing,answer\n" + "".join(f"thing {n},blue\n" for n in range(10)))
    (tmp_path / "two").mkdir()
    (tmp_path / "two" / "program.py").write_text(PROGRAM)
    (tmp_path / "two" / "telic.toml").write_text('lm = "openai/scripted"\n[data]\ntest = "test.jsonl"\n')
    (tmp_path / "two" / "test.jsonl").write_text('{"thing": "sky", "answer": "blue"}\n')
    return tmp_path


@pytest.fixture
def server(monkeypatch):
    with FaultServer("[[ ## answer ## ]]\nblue\n\n[[ ## completed ## ]]") as server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.url)
        monkeypatch.setenv("OPENAI_API_KEY", "none")
        yield server


def asked(server):
    return server.requests[-1].body["messages"][-1]["content"]


@pytest.mark.parametrize("words", [["the sky"], ["thing=the sky"]])
def test_a_toml_file_answers(folder, server, capsys, words):
    assert run(["run", "program.toml", *words]) == 0

    assert capsys.readouterr().out == "answer: blue\n"
    assert "the sky" in asked(server)


def test_a_text_with_an_equals_sign_is_a_text(folder, server, capsys):
    assert run(["run", "program.toml", "is a = b blue?"]) == 0
    assert "is a = b blue?" in asked(server)


def test_a_folder_answers_with_typed_inputs_and_as_json(folder, server, capsys):
    assert run(["run", "two", "thing=sky", "count=3", "--json"]) == 0

    assert json.loads(capsys.readouterr().out) == {"answer": "blue"}
    assert "[[ ## count ## ]]\n3" in asked(server)


def test_a_signature_is_run_as_well(folder, server, capsys):
    assert run(["run", "thing -> answer", "sky", "--lm", "openai/scripted"]) == 0
    assert "blue" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["two"], "'thing' is missing"),
        (["two", "sky"], "write inputs as name=value"),
        (["two", "thin=sky"], "did you mean 'thing'"),
        (["two", "thing=a", "colour=b"], "'colour=b'"),
        (["program.toml", "a", "b"], "'b'"),
        (["nowhere.toml", "a"], "cannot be read"),
        (["nowhere", "a"], "must be written as module:attribute"),
    ],
)
def test_inputs_that_do_not_fit_are_refused_before_a_call(folder, server, capsys, words, message):
    assert run(["run", *words]) == 2

    assert message in capsys.readouterr().err
    assert server.requests == []


def test_eval_takes_rows_metric_and_lm_of_the_program(folder, server, capsys):
    assert run(["eval", "program.toml"]) == 0
    assert "100.00 %" in capsys.readouterr().out
    assert run(["eval", "two"]) == 0
    assert "100.00 % (n = 1" in capsys.readouterr().out


def test_what_nobody_says_is_asked_for(folder, server, capsys):
    assert run(["compile", "two"]) == 2
    assert "--data is needed; 'two' says none" in capsys.readouterr().err
    assert run(["eval", "a -> b", "--data", "rows.csv", "--inputs", "thing"]) == 2
    assert "--metric is needed" in capsys.readouterr().err
    assert run(["compile", "thing -> answer", "--data", "rows.csv", "--metric", "answer_exact_match"]) == 2
    assert "--out is needed" in capsys.readouterr().err


def test_compile_leaves_what_was_learned_beside_the_file(folder, server, capsys):
    assert run(["compile", "program.toml", "--run-dir", "run"]) == 0
    state = json.loads((folder / "program.state.json").read_text())
    assert [entry["demos"] != [] for entry in state["predictors"].values()] == [True]
    paid = len(server.requests)
    assert run(["run", "program.toml", "sky"]) == 0
    assert len(server.requests[-1].body["messages"]) > 2
    capsys.readouterr()
    assert run(["compile", "program.toml", "--run-dir", "run"]) == 0
    assert len(server.requests) <= paid + 1
