import asyncio
import threading

import numpy as np
import pytest

import telic
from telic.errors import ConfigurationError, InputError, LMServerError, MissingExtraError
from telic.modules import KNN
from telic.testing import DummyVectorizer

WORDS = ("cat", "cats", "house", "mouse")
ROWS = [telic.Example(word=word, label=word.upper()).with_inputs("word") for word in WORDS]


class Counting:
    """A vectorizer that remembers its texts."""

    def __init__(self):
        self.asked = []
        self.vectorize = DummyVectorizer()

    def __call__(self, texts):
        self.asked.append(list(texts))
        return self.vectorize(texts)


def test_the_nearest_rows_come_first_and_are_the_rows_themselves():
    near = KNN(k=2, trainset=ROWS, vectorizer=DummyVectorizer())

    assert near(word="cat") == [ROWS[0], ROWS[1]]
    assert near(word="cat")[0] is ROWS[0]
    assert near.trainset == ROWS


def test_it_is_the_same_async_and_with_every_kind_of_vectorizer():
    plain = DummyVectorizer()

    async def later(texts):
        await asyncio.sleep(0)
        return plain(texts)

    class Both:
        def __call__(self, texts):
            return plain(texts)

        async def acall(self, texts):
            return plain(texts)

    for vectorizer in (plain, later, Both(), lambda texts: plain(texts).tolist()):
        near = KNN(2, ROWS, vectorizer)
        assert [row.word for row in near(word="mous")] == ["mouse", "house"]
        assert [row.word for row in asyncio.run(KNN(2, ROWS, vectorizer).acall(word="mous"))] == [
            "mouse",
            "house",
        ]


def test_rows_are_embedded_once_also_by_many_threads_and_copies():
    vectorizer = Counting()
    near = KNN(1, ROWS, vectorizer)
    assert vectorizer.asked == []
    copied = near.deepcopy()
    threads = [
        threading.Thread(target=(near if n % 2 else copied), kwargs={"word": "cat"}) for n in range(16)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert [len(texts) for texts in vectorizer.asked].count(4) == 1
    assert vectorizer.asked.count(["word: cat"]) == 16


def test_a_failure_of_the_vectorizer_is_raised_and_asked_for_again():
    failing = [True]

    def vectorizer(texts):
        if failing:
            failing.pop()
            raise LMServerError("down")
        return DummyVectorizer()(texts)

    near = KNN(1, ROWS, vectorizer)
    with pytest.raises(LMServerError):
        near(word="cat")
    assert near(word="cat") == [ROWS[0]]


def test_the_text_is_that_of_the_inputs_alone_in_the_order_of_the_rows():
    vectorizer = Counting()
    rows = [telic.Example(b=1, a=["x"], label="secret").with_inputs("a", "b")]

    KNN(1, rows, vectorizer)(a=["y"], b=2)

    assert vectorizer.asked == [['b: 1 | a: ["x"]'], ['b: 2 | a: ["y"]']]


def test_equally_near_rows_keep_their_order_and_k_may_be_larger():
    same = [telic.Example(word="x", n=n).with_inputs("word") for n in range(5)]

    assert [row.n for row in KNN(3, same, DummyVectorizer())(word="x")] == [0, 1, 2]
    assert len(KNN(9, same, DummyVectorizer())(word="x")) == 5


def test_length_of_vectors_does_not_count():
    def vectorizer(texts):
        return [
            [100.0, 100.0] if "long" in text else [0.0, 1.0] if "short" in text else [0.0, 3.0]
            for text in texts
        ]

    rows = [telic.Example(word=word).with_inputs("word") for word in ("long", "short")]
    assert KNN(1, rows, vectorizer)(word="query")[0].word == "short"


def test_vectors_of_nothing_are_near_to_nothing():
    rows = [telic.Example(word=word).with_inputs("word") for word in ("", "cat")]

    assert KNN(1, rows, DummyVectorizer())(word="cat")[0].word == "cat"
    assert len(KNN(2, rows, lambda texts: np.zeros((len(texts), 3)))(word="")) == 2


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: KNN(0, ROWS, DummyVectorizer()), "k must be"),
        (lambda: KNN(True, ROWS, DummyVectorizer()), "k must be"),
        (lambda: KNN(1, [], DummyVectorizer()), "empty"),
        (lambda: KNN(1, ["cat"], DummyVectorizer()), "row 0"),
        (lambda: KNN(1, [telic.Example(a=1)], DummyVectorizer()), "with_inputs"),
        (lambda: KNN(1, ROWS, "openai/embed"), "vectorizer"),
    ],
)
def test_what_cannot_work_is_refused_at_once(make, said):
    with pytest.raises(ConfigurationError, match=said):
        make()


@pytest.mark.parametrize(
    "vectors",
    [
        lambda n: None,
        lambda n: ["a"] * n,
        lambda n: np.ones(n),
        lambda n: np.ones((n + 1, 2)),
        lambda n: np.full((n, 2), np.nan),
        lambda n: [[1.0], [1.0, 2.0]] * n,
    ],
)
def test_vectors_that_are_none_are_refused(vectors):
    with pytest.raises(ConfigurationError, match="vectorizer"):
        KNN(1, ROWS, lambda texts: vectors(len(texts)))(word="cat")


def test_vectors_of_two_sizes_are_refused():
    with pytest.raises(ConfigurationError, match="size 4 .* size 1"):
        KNN(1, ROWS, lambda texts: np.ones((len(texts), len(texts))))(word="cat")


@pytest.mark.parametrize(
    ("inputs", "said"),
    [({"wrod": "cat"}, "did you mean 'word'"), ({}, "word"), ({"word": "a", "x": 1}, "'x'")],
)
def test_inputs_are_checked(inputs, said):
    with pytest.raises(InputError, match=said):
        KNN(1, ROWS, DummyVectorizer())(**inputs)
    with pytest.raises(InputError, match="position"):
        KNN(1, ROWS, DummyVectorizer())("cat")


def test_rows_may_have_different_inputs():
    rows = [telic.Example(a="x", b="y").with_inputs("a", "b"), telic.Example(a="x").with_inputs("a")]

    assert KNN(1, rows, DummyVectorizer())(a="x")[0] is rows[1]
    assert KNN(1, rows, DummyVectorizer())(a="x", b="y")[0] is rows[0]
    with pytest.raises(InputError, match="`a` is missing|'a' is missing"):
        KNN(1, rows, DummyVectorizer())(b="y")


def test_without_numpy_the_error_names_the_extra(monkeypatch):
    import sys

    near = KNN(1, ROWS, lambda texts: [[1.0]] * len(texts))
    monkeypatch.setitem(sys.modules, "numpy", None)
    with pytest.raises(MissingExtraError, match=r"telic\[tiny\]"):
        near(word="cat")
