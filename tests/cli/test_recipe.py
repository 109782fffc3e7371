"""`telic recipe`: from a folder of documents and a file of questions to a program that is left in a folder."""

from __future__ import annotations

import json
import re

import pytest

from telic.cli._app import run
from telic.testing import FaultServer


@pytest.fixture
def handbook(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "rooms.md").write_text(
        "\n\n".join(f"Room {n} is used by team {n + 30}." for n in range(12))
    )
    rows = "".join(f"Which team uses room {n}?,team {n + 30}\n" for n in range(12))
    (tmp_path / "questions.csv").write_text("question,answer\n" + rows)
    return tmp_path


def reply(body):
    """Answer in the chat format, as a server's model would."""
    asked = body["messages"][-1]["content"]
    room = re.search(r"uses room (\d+)\?", asked)
    return f"[[ ## reasoning ## ]]\nIt says so.\n\n[[ ## answer ## ]]\nteam {int(room[1]) + 30}\n\n[[ ## sources ## ]]\n[1]"


@pytest.fixture
def server(monkeypatch):
    with FaultServer(reply) as server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.url)
        monkeypatch.setenv("OPENAI_API_KEY", "none")
        yield server


def test_rag_over_a_real_socket(handbook, server, capsys):
    code = run(["recipe", "rag", "docs", "questions.csv", "--lm", "openai/scripted", "--yes"])

    told = capsys.readouterr()
    assert code == 0, told.err
    assert "compiled:   100.00 %" in told.out
    assert "telic run rag" in told.out
    assert json.loads((handbook / "rag" / "state.json").read_text())["program"] == "RAG"
    assert 'lm = "openai/scripted"' in (handbook / "rag" / "telic.toml").read_text()
    assert server.requests


def test_the_plan_asks_no_lm_and_leaves_nothing(handbook, server, capsys):
    assert run(["recipe", "rag", "docs", "questions.csv", "--plan", "--lm", "openai/scripted"]) == 0

    told = capsys.readouterr().out
    assert "calls" in told
    assert "checking the winner" in told or "scoring candidates" in told
    assert server.requests == []
    assert not (handbook / "rag").exists()


def test_where_nobody_can_be_asked_yes_must_be_said(handbook, server, capsys):
    assert run(["recipe", "rag", "docs", "questions.csv", "--lm", "openai/scripted"]) == 2

    assert "--yes" in capsys.readouterr().err
    assert server.requests == []


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["rag", "docs", "questions.csv", "--yes"], "--lm"),
        (["rag", "nowhere", "questions.csv"], "there is no file or folder"),
        (["rag", "docs", "nothing.csv"], "there is no file"),
        (["rag", "docs", "questions.csv", "--question", "query"], "no column 'query'"),
        (["rag", "docs", "questions.csv", "--k", "0"], "k is 0"),
        (["rag", "docs", "questions.csv", "--budget", "money=3"], "no limit"),
        (["classify", "questions.csv", "--text", "question", "--label", "answer", "--yes"], "--lm"),
        (["extract", "questions.csv"], "no column 'text'"),
        (["multihop", "docs", "docs"], "no data files"),
    ],
)
def test_what_cannot_work_is_one_line_and_code_2(handbook, server, capsys, words, message):
    assert run(["recipe", *words]) == 2

    err = capsys.readouterr().err
    assert message in err
    assert err.count("\n") == 1
    assert server.requests == []
