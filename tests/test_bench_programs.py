"""The command behind the grids of docs/benchmarks.md, on data of all kinds; LMs are scripted, or the embedded one."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import pytest

from telic.testing import FaultServer

BENCH = Path(__file__).parent.parent / "bench"
FIELD = re.compile(r"`\[\[ ## (\w+) ## \]\]`")
CAPITALS = {
    "France": "Paris",
    "Kenya": "Nairobi",
    "Peru": "Lima",
    "Japan": "Tokyo",
    "Italy": "Rome",
    "Cuba": "Havana",
}


@pytest.fixture
def programs(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCH))
    import programs

    yield programs
    for name in ("programs", "programs_tasks"):
        sys.modules.pop(name, None)


def reply(body):
    """Answer as an LM might that knows sums and reads what it is shown."""
    asked = str(body["messages"][-1]["content"])
    question = asked.partition("[[ ## question ## ]]\n")[2].partition("\n")[0]
    numbers = re.findall(r"\d+", question)
    land = next((land for land in CAPITALS if f"of {land}" in question), "")
    known = CAPITALS.get(land, "?") if CAPITALS.get(land, "?") in asked else "unknown"
    searched = "observation_0" in asked
    values = {
        "reasoning": "So it is.", "rationale": "All agree.", "answer": str(sum(map(int, numbers))) if numbers else known,
        "search_query": f"capital {land}", "next_thought": "On.", "next_tool_name": "finish" if searched else "search",
        "next_tool_args": json.dumps({} if searched else {"query": f"capital {land}"}),
    }  # fmt: skip
    wanted = [name for name in FIELD.findall(asked.rpartition("Respond with")[2]) if name != "completed"]
    return (
        "\n\n".join(f"[[ ## {name} ## ]]\n{values[name]}" for name in (*wanted,))
        + "\n\n[[ ## completed ## ]]"
    )


def written(folder, rows):
    folder.mkdir()
    for split, part in rows.items():
        text = "\n".join(json.dumps(row) for row in part)
        (folder / f"{split}.jsonl").write_text(text, encoding="utf-8")
    return folder


def sums(start, count):
    rows = range(start, start + count)
    return [{"question": f"Add {n} and {n + 1}.", "answer": f"They add up.\n#### {2 * n + 1}"} for n in rows]


def cells(file):
    return [json.loads(line) for line in file.read_text("utf-8").splitlines()]


def command(server, tmp_path, data, *more):
    return [
        "--data", data, "--path", str(tmp_path / data), "--lm", "openai/scripted", "--api-base", server.url,
        "--results", str(tmp_path / "cells.jsonl"), "--seeds", "1", "--rows", "2", "--train", "3", "--val", "2",
        "--candidates", "0", "--members", "2", *more,
    ]  # fmt: skip


def test_the_grid_of_sums_runs_on_gsm8k_with_any_lm(programs, tmp_path, capsys):
    written(tmp_path / "gsm8k", {"train": sums(0, 12), "test": sums(50, 8)})

    with FaultServer(reply) as server:
        programs.main(command(server, tmp_path, "gsm8k"))
        paid = len(server.requests)
        printed = capsys.readouterr().out
        programs.main(command(server, tmp_path, "gsm8k"))

        assert len(server.requests) == paid > 0
    assert capsys.readouterr().out == printed
    assert printed.count("| 100 (34–100) |") == 15
    assert len(cells(tmp_path / "cells.jsonl")) == 15
    assert not list(tmp_path.glob("cells.runs/*"))


def test_the_grid_of_two_hops_runs_on_hotpotqa_and_says_what_was_read(programs, tmp_path, capsys):
    rows = [
        {"question": f"What is the capital of {land}, {at}?", "answer": city, "gold_titles": [land]}
        for at in "abcd" for land, city in CAPITALS.items()
    ]  # fmt: skip
    folder = written(tmp_path / "hotpotqa", {"train": rows[:18], "test": rows[18:]})
    corpus = [
        {"title": land, "sentences": [f"The capital of {land}", f"is {city}."]}
        for land, city in CAPITALS.items()
    ]
    (folder / "corpus.jsonl").write_text("\n".join(map(json.dumps, corpus)), encoding="utf-8")

    with FaultServer(reply) as server:
        programs.main(command(server, tmp_path, "hotpotqa"))

    table = capsys.readouterr().out
    assert "| vanilla | none | 0 (0–66) | – |" in table
    for name in ("CoT RAG", "ReAct", "multi-hop"):
        for way in programs.COMPILERS:
            assert f"| {name} | {way} | 100 (34–100) | 100 (34–100) |" in table
    assert "| multi-hop | none | 100 (34–100) | 100 (34–100) | 3.0 | 0 | 0 |" in table


def test_contexts_of_published_rows_are_the_corpus_where_there_is_none(programs):
    from programs_tasks import corpus_of

    pair = ["Lima", ["Lima is ", "a city."]]
    lists, columns = {"context": [pair, pair]}, {"context": {"title": ["Lima"], "sentences": [pair[1]]}}

    assert (
        [*map(str, corpus_of(None, [lists]))]
        == [*map(str, corpus_of(None, [columns]))]
        == ["Lima | Lima is a city."]
    )
    with pytest.raises(SystemExit, match="nothing to retrieve"):
        corpus_of(None, [{"question": "?"}])


def test_a_cell_that_is_lost_is_run_again_and_the_others_are_not(programs, tmp_path, capsys):
    written(tmp_path / "gsm8k", {"train": sums(0, 12), "test": sums(50, 8)})
    only = ("--programs", "CoT")
    with FaultServer(reply) as server:
        programs.main(command(server, tmp_path, "gsm8k", *only))
        printed = capsys.readouterr().out
        file = tmp_path / "cells.jsonl"
        lines = file.read_text("utf-8").splitlines(keepends=True)
        file.write_text("".join(lines[:-1]) + lines[-1][:20], encoding="utf-8")  # killed while writing
        before = len(server.requests)

        programs.main(command(server, tmp_path, "gsm8k", *only))

        again = len(server.requests) - before
    assert capsys.readouterr().out == printed
    assert 0 < again < before
    assert len(cells_that_can_be_read(file)) == 5


def cells_that_can_be_read(file):
    return [
        line for line in file.read_text("utf-8").splitlines() if line.startswith("{") and line.endswith("}")
    ]


def test_seeds_measure_on_rows_of_their_own(programs):
    from programs_tasks import part_of

    parts = [part_of(range(20), seed, 6) for seed in range(3)]

    assert len({row for part in parts for row in part}) == 18


def test_too_few_test_rows_are_told_before_anything_is_asked(programs, tmp_path):
    written(tmp_path / "gsm8k", {"train": sums(0, 12), "test": sums(50, 1)})
    with FaultServer(reply) as server:
        with pytest.raises(SystemExit, match="needs test rows 0 to 2; there are 1"):
            programs.main(command(server, tmp_path, "gsm8k"))
        assert server.requests == []
