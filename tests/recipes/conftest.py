"""A small handbook and questions about it."""

from __future__ import annotations

import csv

import pytest

from telic.testing import FunctionLM

TEAMS = {n: f"team {chr(65 + n)}{n}" for n in range(20)}


def write_rows(path, header, rows):
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(header)
        writer.writerows(rows)
    return path


@pytest.fixture
def handbook(tmp_path):
    """Twenty rooms in five files, and a question about each; two questions that it does not answer."""
    folder = tmp_path / "handbook"
    folder.mkdir()
    for start in range(0, 20, 4):
        lines = [f"# Rooms {start}\n"] + [
            f"Room {n} is used by {TEAMS[n]}.\n" for n in range(start, start + 4)
        ]
        (folder / f"rooms{start}.md").write_text("\n".join(lines))
    (folder / "scan.pdf").write_bytes(b"%PDF-1.4 broken")
    rows = [(f"Which team uses room {n}?", TEAMS[n]) for n in range(20)]
    rows += [(f"Which team uses garage {n}?", "not in the documents") for n in range(2)]
    write_rows(tmp_path / "questions.csv", ["question", "answer"], rows)
    return tmp_path


def reader(request):
    """Answer as an LM might that reads its passages, and writes whole sentences until a demonstration shows it."""
    asked = str(request.messages[-1]["content"])
    has_demos = sum(message["role"] == "user" for message in request.messages) > 1
    room = asked.rpartition("room ")[2].partition("?")[0]
    line = next(
        (line for line in asked.replace("[", "\n").splitlines() if f"Room {room} is used by" in line), ""
    )
    if "garage" in asked or not line:
        return {"reasoning": "Nothing says it.", "answer": "not in the documents", "sources": []}
    team = line.partition(f"Room {room} is used by ")[2].partition(".")[0]
    answer = team if has_demos else f"Room {room} is, as far as one can tell from these pages, used by {team}"
    return {"reasoning": "A passage says it.", "answer": answer, "sources": [1]}


@pytest.fixture
def reading_lm():
    return FunctionLM(reader, model="fake/reader")
