"""The command line shows what became of a program's assertions."""

from __future__ import annotations

import sys

import pytest

from telic.cli._app import run

PROGRAM = """
import telic
from telic.testing import FunctionLM

telic.configure(lm=FunctionLM(lambda text: {"answer": "blue" if "feedback" in text else "light blue"}))


class Program(telic.Module):
    def __init__(self):
        self.step = telic.Predict("question -> answer")

    def forward(self, question):
        made = self.step(question=question)
        telic.Assert(" " not in made.answer, "One word.", name="one word")
        return made
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    (tmp_path / "asserting.py").write_text(PROGRAM, encoding="utf-8")
    (tmp_path / "rows.csv").write_text("question,answer\nthe sky,blue\nthe sea,blue\n", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    yield tmp_path
    sys.modules.pop("asserting", None)


def test_eval_tells_how_often_each_held(folder, capsys):
    assert run(["eval", "asserting:Program", "--data", "rows.csv", "--metric", "exact_match"]) == 0

    out = capsys.readouterr().out
    assert "100.00 %" in out
    assert "assert one word: held 2 times of 2, 2 asked again" in out
