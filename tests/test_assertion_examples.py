"""The four programs of the assertions paper in miniature run offline, and assertions do what they are for."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parent.parent / "examples" / "assertions"
NAMES = ("multihop", "longform", "quiz", "tweet")


@pytest.fixture(autouse=True)
def _importable(monkeypatch):
    monkeypatch.syspath_prepend(str(FOLDER))
    yield
    for name in (*NAMES, "world"):
        sys.modules.pop(name, None)


@pytest.mark.parametrize("name", NAMES)
def test_conditions_hold_with_assertions_that_did_not_hold_without(name, capsys):
    task = importlib.import_module(name).TASK

    without, corrected = importlib.import_module("world").main(task, rows=6)

    assert without < 0.2
    assert corrected == 1.0
    assert "asked again" in capsys.readouterr().out


def test_searches_of_the_multi_hop_program_are_not_made_again():
    import telic

    multihop = importlib.import_module("multihop")
    _, (row, *_) = multihop.rows(0, 2)
    program = multihop.MultiHop()
    from telic.testing import FunctionLM

    program.set_lm(FunctionLM(multihop.stand_in))
    calls = []

    def search(query: str) -> list[str]:
        calls.append(query)
        return row.search(query)

    made = program(question=row.question, search=search)

    assert calls == made.queries
    assert isinstance(made, telic.Prediction)
    assert sum(outcome.backtracks for outcome in made.get_assertions()) > 0


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.py")), ids=lambda path: path.stem)
def test_they_are_short_and_say_how_they_are_run(path):
    text = path.read_text(encoding="utf-8")

    assert text.count("\n") <= 100
    if path.stem != "world":
        assert f"python examples/assertions/{path.name}" in text


def test_the_table_is_printed_as_markdown(monkeypatch, capsys):
    monkeypatch.syspath_prepend(str(FOLDER.parent.parent / "bench"))
    table = importlib.import_module("assertions")

    table.main(["--rows", "2", "--train", "4", "--seeds", "2", "--programs", "tweet", "--stand-in"])

    out = capsys.readouterr().out
    assert "| tweet | none | 0 % (0–" in out
    assert "| tweet | both |" in out
    sys.modules.pop("assertions", None)
