"""What goes wrong in documents, indexes, retrieval and rows, end to end: what the user is told, and that no LM was asked.

One test for each item, through `telic recipe`, `telic run` and the ready-made programs, over real files, processes and
sockets. The same items, case by case: files in tests/retrieve/test_documents.py; indexes, embedders and writers in
test_bm25.py, test_embeddings.py and test_embedder.py there; servers in test_colbert.py; rows in
tests/datasets/test_loaders.py and test_splits.py and tests/recipes/test_recipes.py; the hub in tests/datasets/test_sets.py;
TOML files in tests/recipes/test_toml.py.
"""

from __future__ import annotations

import io
import json
import shutil
import subprocess
import sys

import pypdf
import pytest

import telic
from telic.cli._app import run
from telic.errors import ConfigurationError, RetrievalError, RetrievalTimeoutError, StoredIndexError
from telic.recipes.programs import RAG
from telic.retrieve import BM25, Embedder
from telic.testing import FaultServer, ScriptedLM

QUESTIONS = [(f"Which team uses room {n}?", f"team {n + 30}") for n in range(12)]
PASSAGES = ["apples are red", "bananas are yellow", "cherries are sweet", "dates are brown"]


def csv_of(rows, header="question,answer"):
    return "\n".join([header, *(",".join(row) for row in rows)]) + "\n"


@pytest.fixture
def server(monkeypatch):
    """An OpenAI-compatible server that answers as a good model would; its requests are counted."""

    def reply(body):
        room = body["messages"][-1]["content"].rpartition("uses room ")[2].partition("?")[0]
        return f"[[ ## reasoning ## ]]\nSo.\n\n[[ ## answer ## ]]\nteam {int(room) + 30}\n\n[[ ## sources ## ]]\n[1]"

    with FaultServer(reply) as server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.url)
        monkeypatch.setenv("OPENAI_API_KEY", "none")
        yield server


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A folder with documents and questions that work."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "docs").mkdir()
    text = "\n\n".join(f"Room {n} is used by team {n + 30}." for n in range(12))
    (tmp_path / "docs" / "rooms.md").write_text(text)
    (tmp_path / "questions.csv").write_text(csv_of(QUESTIONS))
    return tmp_path


def recipe(*words):
    return run(["recipe", "rag", "docs", "questions.csv", "--lm", "openai/scripted", "--yes", *words])


# Documents


def test_an_empty_folder_is_refused(here, server, capsys):
    (here / "docs" / "rooms.md").unlink()

    assert recipe() == 2

    assert capsys.readouterr().err == "telic: DatasetError: the folder 'docs' has no files\n"
    assert server.requests == []


def test_files_that_cannot_be_read_are_told_and_the_others_are_used(here, server, capsys):
    docs = here / "docs"
    (docs / "nothing.txt").write_bytes(b"")
    (docs / "binary.txt").write_bytes(bytes(range(256)) * 20)
    (docs / "latin.txt").write_bytes("Frühstück um acht.".encode("latin-1"))
    with (docs / "huge.txt").open("wb") as file:
        file.truncate(200_000_000)
    writer = pypdf.PdfWriter()
    writer.add_blank_page(width=10, height=10)
    writer.encrypt("secret", algorithm="RC4-128")
    locked = io.BytesIO()
    writer.write(locked)
    (docs / "locked.pdf").write_bytes(locked.getvalue())
    (docs / "broken.pdf").write_bytes(b"%PDF-1.7 and then nothing")

    assert recipe() == 0

    told = capsys.readouterr().out
    for name in ("nothing.txt", "binary.txt", "latin.txt", "huge.txt", "locked.pdf", "broken.pdf"):
        assert f"skipped docs/{name}: " in told
    assert "of 1 file" in told
    assert "compiled:   100.00 %" in told


def test_a_corpus_of_one_passage_answers():
    program = RAG(k=5, rm=BM25(["Ada leads the office in Lima."]))
    program.set_lm(ScriptedLM([{"reasoning": "r", "answer": "Ada", "sources": [1]}]))

    found = program(question="Who leads the office?")

    assert (found.answer, len(found.context)) == ("Ada", 1)


def test_k_beyond_the_corpus_gives_all_there_is(here, server, capsys):
    assert recipe("--k", "500", "--plan") == 0
    assert "RAG(k=500" in capsys.readouterr().out
    assert len(BM25(PASSAGES)("are", k=500)) <= 4


@pytest.mark.parametrize("k", ["0", "-3"])
def test_k_of_none_or_less_is_refused(here, server, capsys, k):
    assert recipe("--k", k) == 2

    assert "a whole number of at least 1" in capsys.readouterr().err
    assert server.requests == []


# Indexes


def test_the_index_of_another_corpus_is_refused(here, server, capsys):
    assert recipe("--k", "3") == 0
    paid = len(server.requests)
    (here / "docs" / "more.md").write_text("Room 99 is used by nobody.")

    assert recipe("--k", "3") == 2

    assert "was built for something else: it has another corpus" in capsys.readouterr().err
    assert len(server.requests) == paid


def test_a_cut_index_is_refused_when_the_program_is_asked(here, server, capsys):
    assert recipe() == 0
    paid = len(server.requests)
    passages = here / "rag" / "index" / "passages.jsonl"
    passages.write_bytes(passages.read_bytes()[:-20])

    assert run(["run", "rag", "Which team uses room 3?"]) == 2

    err = capsys.readouterr().err
    assert "passages.jsonl has" in err
    assert "build it again" in err
    assert len(server.requests) == paid


def test_two_processes_that_write_one_index_leave_a_whole_one(tmp_path):
    code = (
        "import sys, telic\n"
        "from telic.errors import StoredIndexError\n"
        "sys.stdin.readline()\n"
        "try:\n"
        "    telic.retrieve.BM25([f'passage {n} of word{n}' for n in range(2000)], folder=sys.argv[1])\n"
        "except StoredIndexError as error:\n"
        "    assert 'being written by another process' in str(error), error\n"
        "    print('refused')\n"
        "else:\n"
        "    print('written')\n"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "index")]
    both = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(2)
    ]
    for one in both:
        one.stdin.write("go\n")
        one.stdin.flush()
    said = [one.communicate(timeout=60)[0].strip() for one in both]

    assert "written" in said
    assert set(said) <= {"written", "refused"}
    assert BM25.open(tmp_path / "index")("word1234", k=1)[0].pid == 1234


def letters(texts):
    return [[text.count(letter) + 0.1 for letter in "abcde"] for text in texts]


def test_the_index_of_another_embedder_is_refused(tmp_path):
    telic.Embeddings(PASSAGES, letters, folder=tmp_path)

    with pytest.raises(StoredIndexError, match="another embedder"):
        telic.Embeddings.from_saved(tmp_path, lambda texts: [[-1.0, 5.0, 0.0, 0.0, 9.0] for _ in texts])(
            "apples"
        )


@pytest.mark.parametrize(
    ("vectors", "message"),
    [
        (lambda texts: [[1.0, float("nan")]] * len(texts), "NaN|not finite"),
        (lambda texts: [[1.0] * (2 + n) for n, _ in enumerate(texts)], "vector|dimension|numbers"),
        (lambda texts: [[1.0, 2.0]], "for 4 texts"),
    ],
)
def test_an_embedder_that_gives_no_vectors_is_told(tmp_path, vectors, message):
    with pytest.raises(RetrievalError, match=message):
        telic.Embeddings(PASSAGES, vectors, folder=tmp_path)


def test_an_embedder_that_fails_midway_goes_on_where_it_was(tmp_path):
    seen: list[str] = []

    def fails_once(texts):
        if len(seen) == 2:
            seen.append("failed")
            raise OSError("the network is gone")
        seen.extend(texts)
        return letters(texts)

    with pytest.raises(OSError, match="gone"):
        telic.Embeddings(PASSAGES, Embedder(fails_once, batch_size=1), folder=tmp_path)
    search = telic.Embeddings(PASSAGES, Embedder(fails_once, batch_size=1), folder=tmp_path)

    assert [text for text in seen if text in PASSAGES] == PASSAGES
    assert search("dates", k=1).passages


def test_a_retrieval_server_that_stalls_is_a_timeout_and_no_lm_is_asked():
    lm = ScriptedLM([])
    with FaultServer({"topk": []}, latency_s=30) as stalled:
        program = RAG(rm=telic.ColBERTv2(stalled.host, timeout=0.2))
        program.set_lm(lm)
        with pytest.raises(RetrievalTimeoutError, match="did not answer within"):
            program(question="Who?")

    assert lm.requests == []


# Rows


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (csv_of(QUESTIONS, "query,answer"), "there is no column 'question'"),
        (csv_of([*QUESTIONS, ("Which?",)]), "1 cells where the header has 2"),
        (csv_of([*QUESTIONS, ("Which?", "")]), "'answer' is empty"),
        (csv_of([*QUESTIONS, ("", "team 3")]), "'question' is empty"),
        (csv_of([*QUESTIONS, ("Which team uses room 3?", "nobody")]), "answered differently"),
        (csv_of([(f"{q} It is {a}.", a) for q, a in QUESTIONS]), "contains 'answer' word for word"),
        (csv_of(QUESTIONS[:4] * 6), "has 4 rows, 20 doubled ones left out|4 rows"),
        ("", "no rows"),
    ],
)
def test_rows_that_cannot_work_are_refused_before_an_lm_is_asked(here, server, capsys, text, message):
    (here / "questions.csv").write_text(text)

    assert recipe() == 2

    err = capsys.readouterr().err
    assert any(part in err for part in message.split("|")), err
    assert err.count("\n") == 1
    assert server.requests == []


def test_rows_of_other_types_are_refused(here, server, capsys):
    rows = [{"question": q, "answer": a} for q, a in QUESTIONS]
    (here / "rows.jsonl").write_text(
        "".join(json.dumps(row) + "\n" for row in [*rows, {"question": 7, "answer": "x"}])
    )

    assert run(["recipe", "rag", "docs", "rows.jsonl", "--lm", "openai/scripted", "--yes"]) == 2

    assert "row 12 (counted from 0): 'question' is int 7" in capsys.readouterr().err
    assert server.requests == []


def test_doubled_rows_are_left_out_and_told(here, server, capsys):
    (here / "questions.csv").write_text(csv_of([*QUESTIONS, *QUESTIONS[:2]]))

    assert recipe("--plan") == 0
    assert "2 rows said the same as another" in capsys.readouterr().out


def test_a_hub_that_cannot_be_reached_names_the_local_way(tmp_path, monkeypatch):
    (tmp_path / "datasets.py").write_text(
        "def load_dataset(*args, **options):\n    raise ConnectionError('cannot reach https://huggingface.co')\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "datasets", raising=False)
    try:
        with pytest.raises(telic.errors.DatasetError, match=r"ConnectionError.*GSM8K\(path\)"):
            telic.datasets.GSM8K()
    finally:
        sys.modules.pop("datasets", None)


# What a recipe leaves


def test_a_folder_of_somebody_elses_is_left_alone(here, server, capsys):
    (here / "rag").mkdir()
    (here / "rag" / "thesis.txt").write_text("years of work")

    assert recipe() == 2

    assert "holds other files (first 'thesis.txt')" in capsys.readouterr().err
    assert [path.name for path in (here / "rag").iterdir()] == ["thesis.txt"]
    assert server.requests == []


def test_a_state_that_is_damaged_or_of_another_program_is_told(here, server, capsys):
    assert recipe() == 0
    state = here / "rag" / "state.json"
    shutil.copy(state, here / "kept.json")
    for text, message in (("{", "is not JSON"), (json.dumps({"telic": {"format": 99}}), "format 99")):
        state.write_text(text)
        assert run(["run", "rag", "Which team uses room 3?"]) == 2
        assert message in capsys.readouterr().err
    with pytest.raises(ConfigurationError, match="no function `make`"):
        (here / "rag" / "program.py").write_text("")
        telic.recipes.Project("rag").program()
