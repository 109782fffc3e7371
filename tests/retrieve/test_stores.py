"""Passages in stores of the user's: Qdrant in its local mode, and SQL."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sqlite3
import warnings
from collections import Counter

import numpy as np
import pytest

import telic
from telic.errors import ConfigurationError, RetrievalError
from telic.retrieve import Passage, QdrantStore, SqlStore, StoreRetriever

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    qdrant_client = pytest.importorskip("qdrant_client")

CORPUS = [Passage("aaa", source="one.pdf", page=3), "abb", "bbb"]


class Letters:
    def __init__(self):
        self.texts = Counter()

    def __call__(self, texts):
        self.texts.update(texts)
        return [[float(text.count(letter)) for letter in "ab"] for text in texts]


@pytest.fixture
def client():
    made = qdrant_client.QdrantClient(":memory:")
    yield made
    made.close()


def test_qdrant_keeps_and_finds_passages_with_their_facts(client):
    store = QdrantStore(client, "letters")
    assert store.add(CORPUS, Letters()) == 3
    find = StoreRetriever(store, Letters(), k=2)
    found = find("a")

    assert found == ["aaa", "abb"]
    assert (found[0].source, found[0].page) == ("one.pdf", 3)
    assert found[0].score == pytest.approx(1.0, abs=1e-4)
    assert asyncio.run(find.acall("b", k=1)) == ["bbb"]
    assert find.search(["a", "b"], 1) == [["aaa"], ["bbb"]]
    assert len(find("a", k=50)) == 3


def test_what_is_in_the_collection_is_not_embedded_again(client):
    store, embedder, told = QdrantStore(client, "letters"), Letters(), []
    store.add(CORPUS[:2], embedder)

    assert (
        store.add(CORPUS, embedder, batch_size=2, progress=lambda done, total: told.append((done, total)))
        == 1
    )
    assert embedder.texts == {"aaa": 1, "abb": 1, "bbb": 1}
    assert told == [(2, 3), (3, 3)]


def test_a_collection_of_another_dimension_is_refused(client):
    store = QdrantStore(client, "letters")
    store.add(CORPUS, Letters())

    with pytest.raises(RetrievalError, match="vectors of 2 numbers, and .* gives 3"):
        store.add(["new"], lambda texts: [[1.0, 2.0, 3.0]] * len(texts))
    with pytest.raises(RetrievalError, match="the store QdrantStore failed"):
        StoreRetriever(store, lambda texts: [[1.0, 2.0, 3.0]] * len(texts))("a")


def test_a_collection_that_is_not_there_or_has_no_texts_is_told(client):
    with pytest.raises(RetrievalError, match="the store QdrantStore failed"):
        StoreRetriever(QdrantStore(client, "nothing"), Letters())("a")
    QdrantStore(client, "letters", text_field="body").add(CORPUS, Letters())
    with pytest.raises(RetrievalError, match="no text in 'text' .*'body'.* set text_field"):
        StoreRetriever(QdrantStore(client, "letters"), Letters())("a")


def test_named_vectors_are_served(client):
    store = QdrantStore(client, "letters", vector_name="small")
    store.add(CORPUS, Letters())

    assert StoreRetriever(store, Letters())("a", k=1) == ["aaa"]


@pytest.fixture
def connect(tmp_path):
    """A database whose `closeness` compares vectors in text form, as pgvector's operators do."""
    file = tmp_path / "passages.sqlite"

    def closeness(one, other):
        a, b = np.array(json.loads(one)), np.array(json.loads(other))
        return float(a @ b / (np.linalg.norm(a) * np.linalg.norm(b)))

    def open_():
        connection = sqlite3.connect(file)
        connection.create_function("closeness", 2, closeness)
        return contextlib.closing(connection)

    with open_() as connection:
        connection.execute("CREATE TABLE passages (text TEXT, source TEXT, embedding TEXT)")
        for text in CORPUS:
            vector = json.dumps(Letters()([text])[0])
            connection.execute("INSERT INTO passages VALUES (?, ?, ?)", (str(text), "db", vector))
        connection.commit()
    return open_


STATEMENT = (
    "SELECT text, source, closeness(embedding, :query) AS score FROM passages ORDER BY score DESC LIMIT :k"
)


def test_a_sql_store_finds_passages_with_their_facts(connect):
    find = StoreRetriever(SqlStore(connect, statement=STATEMENT), Letters(), k=2)

    assert find("a") == ["aaa", "abb"]
    assert (find("a")[0].source, find("a")[0].score) == ("db", 1.0)
    assert asyncio.run(find.acall("b", k=1)) == ["bbb"]
    with telic.context(rm=find):
        assert telic.Retrieve(k=1)("b").passages == ["bbb"]


def test_the_statement_for_pgvector_orders_by_distance():
    store = SqlStore(contextlib.nullcontext, "docs.passages", facts=("source", "page"))

    assert store.statement == (
        "SELECT text, source, page, 1 - (embedding <=> %(query)s::vector) AS score FROM docs.passages "
        "ORDER BY embedding <=> %(query)s::vector LIMIT %(k)s"
    )


@pytest.mark.parametrize("name", ["a; DROP TABLE x", "a b", "", 'a"b', "a.b.c"])
def test_names_that_are_none_are_refused(name):
    with pytest.raises(ConfigurationError, match="is no name"):
        SqlStore(contextlib.nullcontext, name)


def test_failures_of_the_database_are_told(connect):
    with pytest.raises(RetrievalError, match="OperationalError"):
        StoreRetriever(SqlStore(connect, statement="SELECT nothing FROM nowhere"), Letters())("a")
    with pytest.raises(RetrievalError, match="no column 'text'"):
        StoreRetriever(SqlStore(connect, statement="SELECT source FROM passages"), Letters())("a")
