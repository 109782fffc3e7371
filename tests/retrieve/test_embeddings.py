"""Dense retrieval: exact and by a graph, in memory and in folders that builds are resumed in."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import textwrap
from collections import Counter

import numpy as np
import pytest

import telic
from telic.errors import (
    ConfigurationError,
    DatasetError,
    InputError,
    LMServerError,
    RetrievalError,
    StoredIndexError,
)
from telic.retrieve import Embedder, Embeddings, Passage, _nearest
from telic.retrieve._folder import WriterLock
from telic.testing import FaultServer, faults

CORPUS = ["aaa", "abb", "bbb", "ccc"]
LETTERS = "abc"


def letters(texts):
    return [[float(text.count(letter)) for letter in LETTERS] for text in texts]


def other_letters(texts):
    return [[float(text.count(letter)) for letter in "bca"] for text in texts]


class Counted:
    """An embedder that counts texts, and fails at the call with number `fails_at`."""

    def __init__(self, fails_at=None, embed=letters):
        self.texts = Counter()
        self.calls = 0
        self.fails_at = fails_at
        self.embed = embed

    def __call__(self, texts):
        self.calls += 1
        if self.calls == self.fails_at:
            raise OSError("the model is gone")
        self.texts.update(texts)
        return self.embed(texts)


def test_the_nearest_come_first_with_scores_and_places():
    found = Embeddings(CORPUS, letters, k=2)("ab")

    assert found.passages == ["abb", "aaa"]
    assert found.indices == [1, 0]
    assert found.scores == pytest.approx([3 / np.sqrt(10), 1 / np.sqrt(2)])
    assert found.passages[0].score == found.scores[0]


def test_it_is_called_as_dspy_calls_it_and_as_a_retriever():
    search = Embeddings(
        corpus=CORPUS, embedder=letters, k=1, normalize=True, cache=False, brute_force_threshold=9
    )

    assert search("c").passages == search.forward("c").passages == ["ccc"]
    assert search("b", k=2).passages == ["bbb", "abb"]
    assert asyncio.run(search.acall("c")).passages == ["ccc"]
    assert [[str(p) for p in row] for row in search.search(["c", "a"], 1)] == [["ccc"], ["aaa"]]
    assert search.search([], 1) == []


def test_a_plain_function_gets_the_whole_corpus_at_once_and_an_embedder_its_batches():
    sizes = []

    def embed(texts):
        sizes.append(len(texts))
        return [[float(len(text)), float(number)] for number, text in enumerate(texts)]

    corpus = [f"text {number}" for number in range(500)]
    Embeddings(corpus, embed)
    Embeddings(corpus, Embedder(embed))

    assert sizes == [500, 200, 200, 100]


def test_products_are_scores_where_vectors_are_not_brought_to_length_one():
    search = Embeddings(["a", "aaaa"], letters, normalize=False)

    assert search("a").passages == ["aaaa", "a"]
    assert search("a").scores == [4.0, 1.0]


def test_a_passage_without_direction_is_like_nothing():
    search = Embeddings(["xyz", "a"], letters)

    assert search("a").scores == [1.0, 0.0]
    assert search("xyz").scores == [0.0, 0.0]


def test_sizes_at_the_edge():
    assert Embeddings(["a"], letters, k=10)("b").indices == [0]
    assert len(Embeddings(CORPUS, letters)("a", k=1000).passages) == 4
    with pytest.raises(ConfigurationError, match="k is 0"):
        Embeddings(CORPUS, letters, k=0)
    with pytest.raises(ConfigurationError, match="k is -3"):
        Embeddings(CORPUS, letters)("a", k=-3)
    with pytest.raises(DatasetError, match="no passages"):
        Embeddings([], letters)
    with pytest.raises(InputError, match="must be a text"):
        Embeddings(CORPUS, letters)(["a"])


def test_options_that_cannot_work_are_refused():
    with pytest.raises(ConfigurationError, match="cache=True"):
        Embeddings(CORPUS, letters, cache=True)
    with pytest.raises(ConfigurationError, match="normalize=False"):
        Embeddings(CORPUS, letters, brute_force_threshold=1, normalize=False)
    with pytest.raises(ConfigurationError, match="min_recall"):
        Embeddings(CORPUS, letters, min_recall=0)


def test_an_embedder_that_misbehaves_is_told():
    with pytest.raises(RetrievalError, match="NaN"):
        Embeddings(CORPUS, lambda texts: [[float("nan")]] * len(texts))
    search = Embeddings(CORPUS, letters)
    search.embedder = Embedder(lambda texts: [[1.0, 2.0]] * len(texts))
    with pytest.raises(RetrievalError, match="vectors of 2 numbers, and 3 before"):
        search("a")


def test_callbacks_hear_of_searches():
    heard = []

    class Listener:
        def on_module_start(self, call_id, instance, inputs):
            heard.append(inputs["query"])

        def on_module_end(self, call_id, outputs, exception=None):
            heard.append(outputs.indices)

    Embeddings(CORPUS, letters, k=1, callbacks=[Listener()])("c")

    assert heard == ["c", [3]]


# Folders


def test_a_folder_is_built_once_and_opened_by_name(tmp_path):
    embedder = Counted()
    built = Embeddings(CORPUS, embedder, k=2, folder=tmp_path / "index")
    again = Embeddings(CORPUS, embedder, k=2, folder=tmp_path / "index")
    opened = Embeddings.from_saved(tmp_path / "index", embedder, k=2)

    assert embedder.texts["bbb"] == 1
    assert built("ab").passages == again("ab").passages == opened("ab").passages == ["abb", "aaa"]
    assert isinstance(opened.corpus_embeddings, np.memmap)


def test_an_index_in_memory_is_saved_and_loaded(tmp_path):
    search = Embeddings([Passage("aaa", source="x.md", page=2), "bbb"], letters)
    search.save(tmp_path)
    found = Embeddings.from_saved(tmp_path, letters)("a").passages[0]

    assert (found, found.source, found.page, found.pid) == ("aaa", "x.md", 2, 0)
    Embeddings.from_saved(tmp_path, letters).save(tmp_path / "copy")
    assert Embeddings.from_saved(tmp_path / "copy", letters)("b").passages[0] == "bbb"


def test_saving_replaces_and_whoever_has_the_old_index_open_keeps_it(tmp_path):
    Embeddings(CORPUS, letters).save(tmp_path)
    old = Embeddings.from_saved(tmp_path, letters)
    Embeddings(["cab"], letters).save(tmp_path)
    old.save(tmp_path / "old")
    itself = Embeddings.from_saved(tmp_path, letters)
    itself.save(tmp_path)

    assert old("ab", k=1).passages == ["abb"]
    assert Embeddings.from_saved(tmp_path, letters)("a").passages == ["cab"]
    assert Embeddings.from_saved(tmp_path / "old", letters)("ab", k=1).passages == ["abb"]
    assert itself("c").passages == ["cab"]
    assert sorted(path.name for path in tmp_path.iterdir() if path.is_file()) == [
        "index.json", "lock", "passages.jsonl", "passages.npy", "vectors.f32",
    ]  # fmt: skip


def test_an_embedder_that_fails_midway_is_resumed(tmp_path):
    first = Counted(fails_at=3)
    with pytest.raises(OSError, match="gone"):
        Embeddings(CORPUS, Embedder(first, batch_size=1), folder=tmp_path)
    with pytest.raises(StoredIndexError, match="no finished index"):
        Embeddings.from_saved(tmp_path, letters)
    second, told = Counted(), []
    search = Embeddings(
        CORPUS,
        Embedder(second, batch_size=1),
        folder=tmp_path,
        progress=lambda done, total: told.append((done, total)),
    )

    assert list(first.texts) == ["aaa", "abb"]
    assert list(second.texts) == ["bbb", "ccc"]
    assert told == [(3, 4), (4, 4)]
    assert search("ab", k=1).passages == ["abb"]


def test_a_torn_last_row_is_made_again(tmp_path):
    with pytest.raises(OSError, match="gone"):
        Embeddings(CORPUS, Embedder(Counted(fails_at=3), batch_size=1), folder=tmp_path)
    with (tmp_path / "vectors.f32").open("ab") as file:
        file.write(b"\xff" * 7)
    again = Counted()
    search = Embeddings(CORPUS, Embedder(again, batch_size=1), folder=tmp_path)

    assert list(again.texts) == ["bbb", "ccc"]
    assert search("c", k=1).passages == ["ccc"]


def test_a_build_that_is_killed_is_resumed(tmp_path):
    program = textwrap.dedent(
        f"""
        import os, signal
        from telic.retrieve import Embedder, Embeddings
        calls = []
        def embed(texts):
            calls.append(texts)
            if len(calls) == 3:
                os.kill(os.getpid(), signal.SIGKILL)
            return [[float(text.count(letter)) for letter in "abc"] for text in texts]
        Embeddings({CORPUS!r}, Embedder(embed, batch_size=1), folder={str(tmp_path)!r})
        """
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr
    again = Counted()
    search = Embeddings(CORPUS, Embedder(again, batch_size=1), folder=tmp_path)

    assert list(again.texts) == ["bbb", "ccc"]
    assert search("ab", k=1).passages == ["abb"]


def test_a_server_that_fails_midway_is_paid_once_for_each_text(tmp_path):
    def answer(body):
        rows = letters(body["input"])
        return {"data": [{"index": place, "embedding": row} for place, row in enumerate(rows)]}

    down = True
    with FaultServer(
        answer, lambda r: faults.status(500) if down and "ccc" in r.body["input"] else None
    ) as server:

        def embedder():
            return Embedder("openai/m", base_url=server.url, api_key="", batch_size=1, num_retries=0)

        with pytest.raises(LMServerError):
            Embeddings(CORPUS, embedder(), folder=tmp_path)
        down = False
        search = Embeddings(CORPUS, embedder(), folder=tmp_path)
        asked = Counter(text for request in server.requests for text in request.body["input"])

        assert {text: asked[text] for text in CORPUS} == {"aaa": 1, "abb": 1, "bbb": 1, "ccc": 2}
        assert search("ab", k=1).passages == ["abb"]


def test_an_unfinished_index_of_something_else_is_refused(tmp_path):
    with pytest.raises(OSError, match="gone"):
        Embeddings(CORPUS, Embedder(Counted(fails_at=3), batch_size=1), folder=tmp_path)

    with pytest.raises(StoredIndexError, match="unfinished index .* another corpus, embedder or setting"):
        Embeddings([*CORPUS, "abc"], letters, folder=tmp_path)
    with pytest.raises(StoredIndexError, match="unfinished index"):
        Embeddings(CORPUS, letters, folder=tmp_path, normalize=False)
    with pytest.raises(StoredIndexError, match="vectors of 3 numbers, and .* gives 2"):
        Embeddings(CORPUS, lambda texts: [[1.0, 2.0]] * len(texts), folder=tmp_path)


def test_a_finished_index_of_another_corpus_is_refused(tmp_path):
    Embeddings(CORPUS, letters, folder=tmp_path)

    with pytest.raises(StoredIndexError, match="another corpus"):
        Embeddings(["other"], letters, folder=tmp_path)
    with pytest.raises(StoredIndexError, match="normalize was True and is now False"):
        Embeddings(CORPUS, letters, folder=tmp_path, normalize=False)


def test_another_embedder_is_found_out_at_the_first_query(tmp_path):
    Embeddings(CORPUS, letters, folder=tmp_path)

    with pytest.raises(
        StoredIndexError, match=r"another embedder .* embedded differently now \(cosine 0\.00\)"
    ):
        Embeddings.from_saved(tmp_path, other_letters)("a")
    with pytest.raises(RetrievalError, match="vectors of 1 numbers, and 3 before"):
        Embeddings.from_saved(tmp_path, lambda texts: [[1.0]] * len(texts))("a")


def test_another_model_is_found_out_when_the_index_is_opened(tmp_path):
    def answer(body):
        return {"data": [{"embedding": row} for row in letters(body["input"])]}

    with FaultServer(answer) as server:

        def embedder(model, **options):
            return Embedder(model, base_url=server.url, api_key="", **options)

        Embeddings(CORPUS, embedder("openai/one"), folder=tmp_path)

        with pytest.raises(StoredIndexError, match="embedder was 'openai/one' and is now 'openai/two'"):
            Embeddings.from_saved(tmp_path, embedder("openai/two"))
        with pytest.raises(StoredIndexError, match="dimensions=8"):
            Embeddings.from_saved(tmp_path, embedder("openai/one", dimensions=8))
        assert Embeddings.from_saved(tmp_path, embedder("openai/one"))("c", k=1).passages == ["ccc"]


def test_the_proof_of_the_embedder_is_asked_once(tmp_path):
    Embeddings(CORPUS, letters, folder=tmp_path)
    embedder = Counted()
    search = Embeddings.from_saved(tmp_path, Embedder(embedder))
    search("a")
    search("b")

    assert embedder.texts == {"a": 1, "aaa": 1, "b": 1}
    assert embedder.calls == 2


@pytest.mark.parametrize("name", ["vectors.f32", "passages.jsonl", "passages.npy"])
def test_a_cut_file_is_refused(tmp_path, name):
    Embeddings(CORPUS, letters, folder=tmp_path)
    os.truncate(tmp_path / name, (tmp_path / name).stat().st_size - 3)

    with pytest.raises(StoredIndexError, match=rf"is cut: {name} has"):
        Embeddings.from_saved(tmp_path, letters)


def test_a_damaged_passage_is_told(tmp_path):
    Embeddings(CORPUS, letters, folder=tmp_path)
    data = (tmp_path / "passages.jsonl").read_bytes()
    (tmp_path / "passages.jsonl").write_bytes(data.replace(b'"ccc"', b"\x00ccc\x00"))

    with pytest.raises(StoredIndexError, match="passage 3 .* damaged"):
        Embeddings.from_saved(tmp_path, letters)("c", k=1)


def test_a_second_writer_is_refused_and_named(tmp_path):
    ready = textwrap.dedent(
        f"""
        from pathlib import Path
        from telic.retrieve._folder import WriterLock
        with WriterLock(Path({str(tmp_path)!r})):
            print("held", flush=True)
            input()
        """
    )
    with subprocess.Popen(
        [sys.executable, "-c", ready], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as holder:
        assert holder.stdout.readline() == b"held\n"
        with pytest.raises(
            StoredIndexError, match=rf"being written by another process \(process {holder.pid} on "
        ):
            Embeddings(CORPUS, letters, folder=tmp_path)
        holder.kill()
    Embeddings(CORPUS, letters, folder=tmp_path)

    assert Embeddings.from_saved(tmp_path, letters)("c", k=1).passages == ["ccc"]


def test_a_folder_that_cannot_be_written_is_refused(tmp_path):
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(StoredIndexError, match="cannot be written"):
        Embeddings(CORPUS, letters, folder=tmp_path / "file" / "index")


def test_a_passage_that_json_cannot_hold_is_told_with_its_place(tmp_path):
    with pytest.raises(DatasetError, match="passage 1 cannot be stored"):
        Embeddings(["a", "\ud800"], letters, folder=tmp_path)
    with WriterLock(tmp_path):
        pass  # and the folder is free again


# Graphs


def blobs(count=600, dimension=16):
    random = np.random.default_rng(3)
    centres = random.standard_normal((40, dimension))
    vectors = centres[random.integers(0, 40, count)] + 0.3 * random.standard_normal((count, dimension))
    return vectors.astype(np.float32)


def by_number(vectors):
    return Embedder(lambda texts: np.stack([vectors[int(text)] for text in texts]))


def test_a_graph_tells_how_well_it_finds_and_finds(tmp_path):
    vectors = blobs()
    texts = [str(number) for number in range(len(vectors))]
    exact = Embeddings(texts, by_number(vectors), k=10)
    near = Embeddings(texts, by_number(vectors), k=10, brute_force_threshold=100, folder=tmp_path)
    opened = Embeddings.from_saved(tmp_path, by_number(vectors), k=10)

    assert exact.recall is None
    assert near.recall.value >= 0.95
    assert near.recall.k == 10
    assert opened.recall == near.recall
    for query in texts[::50]:
        assert near(query).indices[0] == int(query)
        assert near(query).indices == opened(query).indices
        assert near(query).scores[:3] == pytest.approx(exact(query).scores[:3], abs=1e-5)


def test_a_graph_that_cannot_find_enough_is_refused(monkeypatch):
    monkeypatch.setattr(_nearest.Graph, "_candidates", lambda self, query, reach: np.arange(reach))

    with pytest.raises(
        RetrievalError, match=r"finds .*% of the 10 nearest at its widest, and 95\.0% was asked for"
    ):
        Embeddings([str(n) for n in range(600)], by_number(blobs()), brute_force_threshold=1)


class Keys:
    """Stands for a graph that answers with places that are none, as faiss does where a cell is empty."""

    def __init__(self, keys):
        self.keys = keys

    def search(self, query, count):
        return self


@pytest.mark.parametrize("keys", [[-1, -1, 3], [2**40, 5], [], [4, 4, 4]])
def test_places_that_are_none_never_come_back(keys):
    vectors = blobs(50)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    graph = _nearest.Graph(vectors)
    graph._graph = Keys(np.array(keys, dtype=np.int64))
    places, scores = graph.find(vectors[:1], 5)[0]

    assert places == _nearest.Exact(vectors).find(vectors[:1], 5)[0][0]
    assert len(set(places)) == len(scores) == 5


def test_a_corpus_smaller_than_the_sample_has_a_graph_too():
    search = Embeddings(["a", "b", "c"], letters, brute_force_threshold=1, k=10)

    assert search("b").indices[0] == 1
    assert len(search("b").indices) == 3


def test_the_header_says_what_the_index_is(tmp_path):
    Embeddings(CORPUS, letters, folder=tmp_path)
    header = json.loads((tmp_path / "index.json").read_text())

    assert (header["kind"], header["passages"], header["notes"]["dimension"]) == ("dense", 4, 3)
    assert not (tmp_path / "building.json").exists()


def test_dspy_names_are_the_same_class():
    from telic.retrievers import EmbeddingsWithScores

    assert EmbeddingsWithScores is telic.Embeddings is Embeddings


@pytest.mark.parametrize(
    ("part", "value"),
    [
        ("passages", "4"), ("passages", 5), ("files", []), ("settings", {}), ("notes", {}), ("notes", {"dimension": "3"}),
        ("notes", {"dimension": 5}), ("notes", {"dimension": 3, "recall": 1}), ("kind", 3), ("corpus", None),
    ],
)  # fmt: skip
def test_a_damaged_header_is_told(tmp_path, part, value):
    Embeddings(CORPUS, letters, folder=tmp_path)
    header = json.loads((tmp_path / "index.json").read_text())
    (tmp_path / "index.json").write_text(json.dumps({**header, part: value}))

    with pytest.raises(StoredIndexError, match="damaged|cut|cannot be read"):
        Embeddings.from_saved(tmp_path, letters)
