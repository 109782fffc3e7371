"""Known data sets from local files, and from a hub that is there or not."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

import telic
from telic.data import Example, Prediction
from telic.datasets import (
    GSM8K,
    MATH,
    Banking77,
    DataLoader,
    Dataset,
    HotPotQA,
    TextClassification,
    check_splits,
)
from telic.datasets._latex import boxed, same_answer
from telic.datasets.gsm8k import gsm8k_metric, parse_integer_answer
from telic.errors import DatasetError, MissingExtraError

EXTRACTS = Path(os.environ.get("TELIC_TEST_DATA", "nowhere"))
"""A folder with `hotpotqa`, `gsm8k` and `banking77`, each with `train.jsonl` and `test.jsonl`."""


def lines(path, rows):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(json.dumps(row) for row in rows))


def gsm(count, start=0):
    return [
        {"question": f"What is {n} + 1?", "answer": f"{n} + 1 = {n + 1}\n#### {n + 1:,}"}
        for n in range(start, start + count)
    ]


@pytest.fixture
def gsm_folder(tmp_path):
    lines(tmp_path / "train.jsonl", gsm(40))
    lines(tmp_path / "test.jsonl", gsm(10, start=1000))
    return tmp_path


# GSM8K


def test_gsm8k_has_questions_reasoning_and_answers(gsm_folder):
    data = GSM8K(gsm_folder, train_size=20, dev_size=10)

    assert (len(data.train), len(data.dev), len(data.test)) == (20, 10, 10)
    assert dict(data.test[0].items()) == {
        "question": "What is 1000 + 1?",
        "gold_reasoning": "1000 + 1 = 1001",
        "answer": "1001",
    }
    assert data.train[0].inputs().keys() == ["question"]
    assert (data.origin.licence, "grade-school-math" in data.origin.source) == ("MIT", True)
    check_splits(train=data.train, dev=data.dev, test=data.test)


def test_a_test_question_in_training_is_taken_out(gsm_folder):
    lines(gsm_folder / "train.jsonl", [*gsm(40), *gsm(3, start=1000)])
    data = GSM8K(gsm_folder, train_size=None, dev_size=0)

    assert len(data.train) == 40
    assert data.removed == {"train": 3, "dev": 0}


def test_splits_depend_on_the_seed_alone(gsm_folder):
    first, again = (
        GSM8K(gsm_folder, train_size=20, dev_size=10),
        GSM8K(gsm_folder, train_size=20, dev_size=10),
    )
    other = GSM8K(gsm_folder, train_size=20, dev_size=10, train_seed=1)

    assert [row.toDict() for row in first.train] == [row.toDict() for row in again.train]
    assert [row["dspy_uuid"] for row in first.train] == [row["dspy_uuid"] for row in again.train]
    assert [row.toDict() for row in first.train] != [row.toDict() for row in other.train]


@pytest.mark.parametrize(
    ("gold", "answer", "right"),
    [
        ("72", "The answer is 72.", True),
        ("1234", "$1,234", True),
        ("1234", "1,234.00 dollars", True),
        ("18", "18.5", False),
        ("-5", "it is -5", True),
        ("5", "-5", False),
        ("0", "I do not know", False),
        ("7", "first 3, then 7\nthen 9", True),
        ("7", "", False),
    ],
)
def test_the_last_number_of_an_answer_counts(gold, answer, right):
    assert gsm8k_metric(Example(answer=gold), Prediction(answer=answer)) is right
    assert GSM8K.metric(Example(answer=gold), Prediction(answer=answer)) is right


def test_whole_numbers_are_read_as_dspy_reads_them():
    assert [parse_integer_answer(text) for text in ("$1,234.50", "none", "It is 3 and 7", "#### 42")] == [
        1234,
        0,
        7,
        42,
    ]


# HotPotQA

HOTPOT = [
    {
        "_id": str(n),
        "question": f"Question {n}?",
        "answer": f"answer {n}",
        "level": "hard" if n % 3 else "easy",
        "type": "bridge",
        "supporting_facts": [["B", 0], ["A", 1], ["B", 2]],
        "context": [["A", ["x"]]],
    }
    for n in range(30)
]


def test_hotpotqa_reads_the_published_layout(tmp_path):
    (tmp_path / "hotpot_train_v1.1.json").write_text(json.dumps(HOTPOT[:24]))
    (tmp_path / "hotpot_dev_distractor_v1.json").write_text(json.dumps(HOTPOT[24:]))
    data = HotPotQA(tmp_path)

    assert (len(data.train), len(data.dev), len(data.test)) == (12, 4, 4)
    assert data.test[0].keys() == ["question", "answer", "gold_titles"]
    assert data.test[0].gold_titles == ["B", "A"]
    assert data.train[0].inputs().keys() == ["question"]
    assert data.metric(data.test[0], Prediction(answer=data.test[0].answer.upper()))
    assert len(HotPotQA(tmp_path, only_hard_examples=False).train) == 18
    assert HotPotQA(tmp_path, keep_details=True).test[0].id in "0123456789 24 25 26 27 28 29"
    assert HotPotQA(tmp_path, unofficial_dev=False).dev == []


def test_hotpotqa_reads_the_hubs_layout(tmp_path):
    row = {**HOTPOT[1], "supporting_facts": {"title": ["X", "Y", "X"], "sent_id": [0, 1, 2]}}
    lines(tmp_path / "train.jsonl", [row] * 1)
    data = HotPotQA(tmp_path, unofficial_dev=False)

    assert data.train[0].gold_titles == ["X", "Y"]


def test_sizes_seeds_and_seed_splits(tmp_path):
    lines(
        tmp_path / "train.jsonl", [{"question": f"q{n}", "answer": "a", "gold_titles": []} for n in range(80)]
    )
    data = HotPotQA(tmp_path, train_size=10, dev_size=5, train_seed=1, eval_seed=2023, test_size=0)
    first = [row.question for row in data.train]
    data.reset_seeds(train_seed=2, train_size=12)

    assert (len(first), len(data.dev), data.test) == (10, 5, [])
    assert len(data.train) == 12
    assert [row.question for row in data.train][:10] != first
    made = HotPotQA.prepare_by_seed([1, 2], train_size=8, dev_size=10, path=tmp_path)
    assert [len(part) for part in made.train_sets] == [8, 8]
    assert [len(part) for part in made.eval_sets] == [5, 5]
    assert made.train_sets[0] != made.train_sets[1]
    with pytest.raises(DatasetError, match="train has 60 rows, and 100 were asked for"):
        _ = HotPotQA(tmp_path, train_size=100).train


@pytest.mark.skipif(not EXTRACTS.is_dir(), reason="TELIC_TEST_DATA names no folder")
def test_the_extracts_load_without_leakage():
    hotpot, gsm8k = HotPotQA(EXTRACTS / "hotpotqa"), GSM8K(EXTRACTS / "gsm8k")
    bank = Banking77(EXTRACTS / "banking77")

    assert len(hotpot.test) == 500
    assert len(gsm8k.test) == 1319
    assert len(bank.labels) == 77
    for data in (hotpot, gsm8k, bank):
        check_splits(train=data.train, dev=data.dev, test=data.test)
    assert all(
        data.metric(row, Prediction(answer=row.answer)) for data in (gsm8k, hotpot) for row in data.test[:200]
    )


# MATH


def test_math_reads_the_published_folder(tmp_path):
    for split, count in (("train", 6), ("test", 3)):
        for kind in ("algebra", "geometry"):
            for n in range(count):
                file = tmp_path / split / kind / f"{n}.json"
                file.parent.mkdir(parents=True, exist_ok=True)
                solution = f"It is $\\boxed{{\\frac{{{n}}}{{7}}}}$."
                row = {
                    "problem": f"{split} {kind} {n}",
                    "level": "Level 1",
                    "type": kind.title(),
                    "solution": solution,
                }
                file.write_text(json.dumps(row, indent=4))
    data, all_of_it = MATH("algebra", tmp_path), MATH(path=tmp_path)

    assert (len(data.train), len(data.dev), len(data.test)) == (4, 2, 3)
    assert {row.subset for row in data.train} == {"algebra"}
    assert data.test[0].answer.startswith("\\frac{")
    assert data.metric(data.test[0], Prediction(answer=data.test[0].answer.replace("frac", "dfrac")))
    assert len(all_of_it.test) == 6
    with pytest.raises(DatasetError, match="no subset is called 'algebre'; did you mean 'algebra'"):
        MATH("algebre", tmp_path)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (r"\frac{1}{2}", "0.5"),
        (r"\dfrac12", r"\frac{1}{2}"),
        (r"\frac1{72}", r"\frac{1}{72}"),
        (r"x=5", "5"),
        (r"5\text{ cm}", "5"),
        (r"\text{Evelyn}", "Evelyn"),
        (r"10\%", "10"),
        (r"\$32,000", "32000"),
        (r"90^\circ", "90"),
        (r"\left( 3, \frac{\pi}{2} \right)", r"(3,\frac{\pi}{2})"),
        (r"1\frac{1}{2}", "1.5"),
        (r"-\frac{3}{4}", "-0.75"),
        (r"\sqrt2", r"\sqrt{2}"),
        (r"The answer is \boxed{7}.", "7"),
        ("1/3", r"\frac{1}{3}"),
    ],
)
def test_answers_that_say_the_same_are_the_same(one, other):
    assert same_answer(one, other)
    assert same_answer(other, one)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("1", "2"),
        ("(1,2)", "(2,1)"),
        ("x+1", "1+x"),
        ("1/0", "2/0"),
        ("", "0"),
        (r"\frac{1}{3}", "0.333"),
        ("9" * 500, "1"),
    ],
)
def test_others_are_not(one, other):
    assert not same_answer(one, other)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (r"\boxed{1} and \boxed{\frac{a}{b}}", r"\frac{a}{b}"),
        (r"\fbox{3}", "3"),
        (r"\boxed 5$", "5"),
        (r"\boxed{never closed", None),
        ("nothing", None),
    ],
)
def test_the_last_box_is_read(text, found):
    assert boxed(text) == found


# Classification


def test_texts_with_labels_from_a_folder_and_from_one_file(tmp_path):
    rows = [{"text": f"text {n}", "category": "ab"[n % 2]} for n in range(50)]
    lines(tmp_path / "folder" / "train.jsonl", rows[:40])
    lines(tmp_path / "folder" / "test.jsonl", rows[40:])
    lines(tmp_path / "all.jsonl", rows)
    folder = TextClassification(tmp_path / "folder", label="category")
    file = TextClassification(tmp_path / "all.jsonl", label="category", train_size=20)

    assert (len(folder.train), len(folder.dev), len(folder.test)) == (32, 8, 10)
    assert (len(file.train), len(file.dev), len(file.test)) == (20, 10, 10)
    assert folder.labels == ["a", "b"]
    assert folder.metric(Example(label="card_arrival"), Prediction(label="Card arrival"))
    assert not folder.metric(Example(label="card_arrival"), Prediction(label="card"))
    check_splits(train=folder.train, dev=folder.dev, test=folder.test)


def test_a_label_that_training_never_shows_is_refused(tmp_path):
    lines(tmp_path / "train.jsonl", [{"text": "x", "label": "a"}])
    lines(tmp_path / "test.jsonl", [{"text": "y", "label": "b"}])

    with pytest.raises(DatasetError, match="1 labels are in dev or test and never in train, first 'b'"):
        TextClassification(tmp_path)


# A set of one's own


def test_a_set_of_ones_own_is_written_as_in_dspy():
    class Mine(Dataset):
        def __init__(self, *args, **kwargs):
            super().__init__(*args, **kwargs)
            self._train = [{"q": str(n), "a": "x"} for n in range(20)]
            self._dev = [{"q": "1", "a": "x"}, {"q": "100", "a": "x"}]

    data = Mine(train_seed=1, train_size=5, dev_size=2, input_keys=["q"])

    assert len(data.train) == 5
    assert data.train[0].inputs().keys() == ["q"]
    assert data.train[0]["dspy_split"] == "train"
    assert {row.q for row in data.dev} == {"1", "100"}
    assert data.removed == {"train": 1, "dev": 0}
    assert telic.compat is not None


# Bad files, and the hub


def test_folders_and_rows_that_are_none_are_refused(tmp_path):
    with pytest.raises(DatasetError, match="GSM8K: there is no file or folder"):
        GSM8K(tmp_path / "nowhere")
    with pytest.raises(DatasetError, match="no file that begins with the name of a split"):
        HotPotQA(tmp_path)
    lines(tmp_path / "train.jsonl", [{"question": "q", "wrong": 1}])
    with pytest.raises(DatasetError, match="GSM8K: row 0 has no 'answer'; it has 'question', 'wrong'"):
        GSM8K(tmp_path)
    with pytest.raises(DatasetError, match="train_size is -1"):
        HotPotQA(tmp_path, train_size=-1)
    with pytest.raises(DatasetError, match="keep_details"):
        HotPotQA(tmp_path, keep_details="all")


LIBRARY = """
class Feature:
    def __init__(self, names):
        self.names = names

class Rows(list):
    features = {"label": Feature(["no", "yes"])}

def load_dataset(name, *args, split=None, **options):
    if name == "gone":
        raise ConnectionError("cannot reach https://huggingface.co")
    rows = Rows({"question": f"{name} {args} {n}", "label": n % 2} for n in range(3))
    return rows if split else {"train": rows, "test": Rows(rows[:1])}
"""


@pytest.fixture
def hub(tmp_path, monkeypatch):
    (tmp_path / "datasets.py").write_text(LIBRARY)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(__import__("sys").modules, "datasets", raising=False)
    yield
    __import__("sys").modules.pop("datasets", None)


def test_rows_of_the_hub_become_examples(hub):
    found = DataLoader().from_huggingface("own/set", "small", input_keys=("question",))
    one = DataLoader().from_huggingface("own/set", split="train", fields=("label",))

    assert {name: len(rows) for name, rows in found.items()} == {"train": 3, "test": 1}
    assert found["train"][1].toDict() == {"question": "own/set ('small',) 1", "label": "yes"}
    assert found["train"][0].inputs().keys() == ["question"]
    assert [row.toDict() for row in one] == [{"label": "no"}, {"label": "yes"}, {"label": "no"}]


def test_a_hub_that_cannot_be_reached_names_the_local_way(hub):
    with pytest.raises(
        DatasetError, match=r"'gone' could not be loaded .*ConnectionError.*load_examples\(path\)"
    ):
        DataLoader().from_huggingface("gone")
    with pytest.raises(DatasetError, match="trust_remote_code"):
        DataLoader().from_huggingface("x", trust_remote_code=True)
    with pytest.raises(DatasetError, match="no column 'qestion'; did you mean 'question'"):
        DataLoader().from_huggingface("x", input_keys=("qestion",))


def test_without_the_package_the_extra_is_named(monkeypatch):
    import importlib.util

    if importlib.util.find_spec("datasets") is not None:
        pytest.skip("the package is installed")
    with pytest.raises(MissingExtraError, match=r"without it, use GSM8K\(path\).*pip install 'telic\[hub\]'"):
        GSM8K()


def test_rows_of_a_retriever():
    class Objects:
        def __call__(self, query, k):
            return []

        def get_objects(self, num_samples, fields):
            return [{field: f"{field} {n}" for field in fields} for n in range(num_samples)]

    with telic.context(rm=Objects()):
        rows = DataLoader().from_rm(2, fields=["a", "b"], input_keys=["a"])
    assert [row.toDict() for row in rows] == [{"a": "a 0", "b": "b 0"}, {"a": "a 1", "b": "b 1"}]
    with telic.context(rm=lambda query, k: []), pytest.raises(DatasetError, match="get_objects"):
        DataLoader().from_rm(2, ["a"], [])
    with pytest.raises(telic.NotConfiguredError):
        DataLoader().from_rm(2, ["a"], [])


def test_parquet_files_and_folders_are_read(tmp_path):
    arrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    table = arrow.table({"question": ["a", "b"], "n": [1, None]})
    parquet.write_table(table, tmp_path / "one.parquet")
    lines(tmp_path / "two.jsonl", [{"question": "c", "n": 3}])
    rows = telic.datasets.load_examples(tmp_path, inputs="question")

    assert [row.toDict() for row in rows] == [
        {"question": "a", "n": 1},
        {"question": "b", "n": None},
        {"question": "c", "n": 3},
    ]
    assert DataLoader().from_parquet(tmp_path / "one.parquet", fields=["n"])[0].toDict() == {"n": 1}
    (tmp_path / "three.csv").write_text("other\n1\n")
    with pytest.raises(DatasetError, match="need the same ones"):
        telic.datasets.load_examples(tmp_path)
