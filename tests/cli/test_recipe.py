"""`telic recipe`: from a folder of documents and a file of questions to a program that is left in a folder."""

from __future__ import annotations

import io
import json
import os
import pty
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pypdf
import pytest
from pypdf.generic import DecodedStreamObject, DictionaryObject, NameObject

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


def pdf_of(pages):
    """A PDF file, a page for each list of lines."""
    writer = pypdf.PdfWriter()
    kinds = {"/Type": "/Font", "/Subtype": "/Type1", "/BaseFont": "/Helvetica"}
    font = DictionaryObject({NameObject(key): NameObject(value) for key, value in kinds.items()})
    for lines in pages:
        page = writer.add_blank_page(width=595, height=842)
        stream = DecodedStreamObject()
        shown = " ".join(f"({line}) Tj T*" for line in lines)
        stream.set_data(f"BT /F1 12 Tf 14 TL 50 790 Td {shown} ET".encode("latin-1"))
        page[NameObject("/Contents")] = writer._add_object(stream)
        fonts = DictionaryObject({NameObject("/F1"): writer._add_object(font)})
        page[NameObject("/Resources")] = DictionaryObject({NameObject("/Font"): fonts})
    out = io.BytesIO()
    writer.write(out)
    return out.getvalue()


def test_the_commands_of_the_readme_lead_from_pdfs_to_a_program(tmp_path, monkeypatch, server, capsys):
    readme = (Path(__file__).parent.parent.parent / "README.md").read_text(encoding="utf-8")
    commands = readme.partition("## Your own documents")[2].split("```")[1].strip().splitlines()
    monkeypatch.chdir(tmp_path)
    (tmp_path / "papers").mkdir()
    for part in range(3):
        lines = [f"Room {n} is used by team {n + 30}." for n in range(part * 10, part * 10 + 10)]
        (tmp_path / "papers" / f"paper{part}.pdf").write_bytes(pdf_of([lines[:5], lines[5:]]))
    rows = "".join(f"Which team uses room {n}?,team {n + 30}\n" for n in range(30))
    (tmp_path / "questions.csv").write_text("question,answer\n" + rows)

    assert len(commands) == 3
    assert commands[0].startswith("pip install")
    compile_words = shlex.split(commands[1].replace("openai/gpt-5-mini", "openai/scripted"))
    assert run([*compile_words[1:], "--yes"]) == 0, capsys.readouterr().err
    told = capsys.readouterr().out
    assert "6 passages of 3 files" in told
    assert "compiled:   100.00 %" in told
    run_words = shlex.split(commands[2])
    assert run([*run_words[1:-1], "Which team uses room 17?"]) == 0
    assert "answer: team 47" in (answer := capsys.readouterr().out)
    assert "papers/paper1.pdf, page 2: Room 15" in answer


def test_killed_the_same_command_goes_on_and_nothing_is_paid_for_twice(handbook, monkeypatch, capsys):
    words = [
        "recipe",
        "rag",
        "docs",
        "questions.csv",
        "--lm",
        "openai/scripted",
        "--yes",
        "--num-threads",
        "2",
    ]
    with FaultServer(reply, latency_s=0.02) as server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.url)
        monkeypatch.setenv("OPENAI_API_KEY", "none")
        killed = subprocess.Popen(
            [sys.executable, "-m", "telic", *words], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        assert server.wait_until(lambda: len(server.requests) >= 12, timeout_s=60)
        killed.kill()
        killed.wait()
        assert run(words) == 0, capsys.readouterr().err
        bodies = [json.dumps(request.body, sort_keys=True) for request in server.requests]

    assert "compiled:   100.00 %" in capsys.readouterr().out
    assert len(bodies) - len(set(bodies)) <= 2  # those that were under way when it was killed


def test_whoever_is_asked_may_say_no(handbook, server):
    """A real terminal, of which the other end types n."""
    controller, terminal = pty.openpty()
    asked = subprocess.Popen(
        [sys.executable, "-m", "telic", "recipe", "rag", "docs", "questions.csv", "--lm", "openai/scripted"],
        stdin=terminal,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    os.write(controller, b"n\n")
    out, err = asked.communicate(timeout=60)
    os.close(controller)
    os.close(terminal)

    assert asked.returncode == 1
    assert "Go on?" in out
    assert "Aborted" in err
    assert "Traceback" not in err
    assert server.requests == []
    assert not (handbook / "rag").exists()


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
