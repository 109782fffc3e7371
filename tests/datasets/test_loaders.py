"""Files as examples: what is read, and what is refused with file and row."""

from __future__ import annotations

import json

import pytest

from telic.data import Example
from telic.datasets import DataLoader, load_examples, split
from telic.errors import DatasetError


def write(folder, name, text, encoding="utf-8"):
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode(encoding))
    return path


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.csv", "question,answer\nWho?,me\nWhere?,here\n"),
        ("a.tsv", "question\tanswer\nWho?\tme\nWhere?\there\n"),
        ("a.jsonl", '{"question": "Who?", "answer": "me"}\n\n{"answer": "here", "question": "Where?"}'),
        ("a.json", '[{"question": "Who?", "answer": "me"}, {"question": "Where?", "answer": "here"}]'),
        (
            "lines.json",
            '{"question": "Who?", "answer": "me"}\r\n{"question": "Where?", "answer": "here"}\r\n',
        ),
        ("bom.csv", "\ufeffquestion,answer\r\nWho?,me\r\n\r\nWhere?,here\r\n"),
    ],
)
def test_the_same_rows_come_out_of_every_format(tmp_path, name, text):
    rows = load_examples(write(tmp_path, name, text), inputs="question")

    assert [row.toDict() for row in rows] == [
        {"question": "Who?", "answer": "me"},
        {"question": "Where?", "answer": "here"},
    ]
    assert rows[1].inputs().toDict() == {"question": "Where?"}


def test_cells_keep_line_breaks_quotes_and_line_separators(tmp_path):
    path = write(tmp_path, "a.csv", 'text,n\n"two\r\nlines, ""quoted""",1\nsep\u2028arator\u0085x,2\n')

    rows = load_examples(path)

    assert [row.text for row in rows] == ['two\r\nlines, "quoted"', "sep\u2028arator\u0085x"]
    assert rows[0].n == "1"


def test_json_values_stay_what_they_are(tmp_path):
    value = {"a": 1, "b": None, "c": [1.5, {"d": "\u2028\ud800"}], "e": False}
    path = write(tmp_path, "a.jsonl", json.dumps(value) + "\n" + json.dumps(value, ensure_ascii=True))

    assert load_examples(path)[1].toDict() == value


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("a.csv", "", "has no rows"),
        ("a.csv", "question,answer\n", "has no rows"),
        ("a.csv", "question,answer\nWho?\n", "row at line 2: 1 cells where the header has 2"),
        ("a.csv", "question,answer\nWho?,me\nWhere, then?,here\n", "row at line 3: 3 cells"),
        ("a.csv", "question,question\nWho?,me\n", "column 'question' twice"),
        ("a.csv", "question,,\nWho?,me,x\n", "a column without a name|twice"),
        ("a.csv", 'question\n"never closed\n', "row at line 2"),
        ("a.csv", b"question\n\xff\xfe\n", "not UTF-8 .byte 9"),
        ("a.jsonl", '{"a": 1}\n{"a": \n', "line 2.*not JSON"),
        ("a.jsonl", '{"a": 1}\n[1]\n', "line 2: expected an object"),
        ("a.jsonl", '{"a": 1}\n{"b": 1}\n', "row at 2: lacks `a` and also has `b`"),
        ("a.json", '[{"a": 1}, {"a": 1, "b": 2}]', "row at 2: also has `b`"),
        ("a.json", '[{"a": 1},\n {"a": }]', "line 2: not JSON"),
        ("a.json", '{\n "data": []\n}', "line 1.*one object a line, or"),
        ("a.json", "[" * 100_000, "nested too deeply|not JSON"),
        ("a.jsonl", '{"base": 1}', "cannot be called 'base'"),
        ("a.xlsx", "x", "cannot read '.xlsx' files; use `.csv`"),
        ("a.parquet", "x", "is no parquet file that can be read"),
    ],
)
def test_what_cannot_be_used_is_refused_with_file_and_row(tmp_path, name, text, said):
    path = write(tmp_path, name, text)

    with pytest.raises(DatasetError, match=said) as caught:
        load_examples(path)
    assert name in str(caught.value)


def test_missing_files_and_folders_are_named(tmp_path):
    with pytest.raises(DatasetError, match="no file '.*gone.csv'"):
        load_examples(tmp_path / "gone.csv")
    (tmp_path / "folder.csv").mkdir()
    with pytest.raises(DatasetError, match="has no data files; it needs `.csv`"):
        load_examples(tmp_path / "folder.csv")


def test_an_unknown_input_column_has_a_suggestion(tmp_path):
    path = write(tmp_path, "a.csv", "question,answer\nWho?,me\n")

    with pytest.raises(DatasetError, match="no column 'questoin'; did you mean 'question'"):
        load_examples(path, inputs=["questoin"])


def test_a_split_is_seeded_disjoint_and_complete():
    rows = [Example(n=n) for n in range(101)]

    first = split(rows, 0.5, 0.25, 0.25, seed=3)

    assert [len(part) for part in first] == [50, 25, 26]
    assert sorted(row.n for part in first for row in part) == list(range(101))
    assert split(rows, 0.5, 0.25, 0.25, seed=3) == first
    assert split(rows, 0.5, 0.25, 0.25, seed=4) != first
    assert [len(part) for part in split(rows, 10, 20)] == [10, 20]


@pytest.mark.parametrize("sizes", [(200,), (0.5, 0.6), (0,), (1.5,), (0.001,)])
def test_impossible_splits_are_refused(sizes):
    with pytest.raises(DatasetError):
        split([Example(n=n) for n in range(100)], *sizes)


def test_dataloader_speaks_dspys_names(tmp_path):
    path = write(
        tmp_path, "a.csv", "question,answer,note\nWho?,me,x\nWhere?,here,y\nWhen?,now,z\nWhy?,so,w\n"
    )

    rows = DataLoader().from_csv(str(path), fields=("question", "answer"), input_keys=("question",))

    assert rows[0].toDict() == {"question": "Who?", "answer": "me"}
    assert rows[0].labels().toDict() == {"answer": "me"}
    parts = DataLoader().train_test_split(rows, train_size=0.75, random_state=1)
    assert (len(parts["train"]), len(parts["test"])) == (3, 1)
    assert len(DataLoader().sample(rows, 2)) == 2
    with pytest.raises(DatasetError, match="cannot sample 9 of 4"):
        DataLoader().sample(rows, 9)
    with pytest.raises(DatasetError, match="did you mean 'answer'"):
        DataLoader().from_csv(path, fields=("anwser",))


class Frame:
    """As much of a pandas frame as is read."""

    columns = ("question", "n")

    def __init__(self, *rows):
        self.rows = rows

    def __len__(self):
        return len(self.rows)

    def iterrows(self):
        return ((index, dict(zip(self.columns, row, strict=True))) for index, row in enumerate(self.rows))


def test_a_data_frames_rows_become_examples():
    rows = DataLoader().from_pandas(Frame(("a", 1), ("b", 2)), input_keys=("question",))

    assert [row.toDict() for row in rows] == [{"question": "a", "n": 1}, {"question": "b", "n": 2}]
    assert rows[0].inputs().toDict() == {"question": "a"}
    assert DataLoader().from_pandas(Frame(("a", 1)), fields=["n"])[0].toDict() == {"n": 1}


def test_a_data_frame_without_the_column_or_without_rows_is_refused():
    with pytest.raises(DatasetError, match="no column 'anwser'"):
        DataLoader().from_pandas(Frame(("a", 1)), input_keys=("anwser",))
    with pytest.raises(DatasetError, match="no rows"):
        DataLoader().from_pandas(Frame())
