import csv
import datetime as dt
import json
import math

import pytest

from telic.data import Example, Prediction
from telic.errors import ConfigurationError, ProgramError
from telic.evaluate import EvaluationResult, Row


def result(scores, first=0, **prediction):
    return EvaluationResult(
        [Row(i, Example(x=first + i), Prediction(y=i, **prediction), float(s)) for i, s in enumerate(scores)]
    )


def test_the_score_is_the_mean_in_percent():
    found = result([1, 0, 1])

    assert found.score == float(found) == 66.67
    assert found.mean == pytest.approx(2 / 3)
    assert found.n == 3
    assert [score for _, _, score in found.results] == [1.0, 0.0, 1.0]
    assert found > 60 and found >= result([1, 0, 1]) and found < 70 and not found <= 66


def test_the_interval_covers_the_mean():
    found = result([1] * 8 + [0] * 2)

    assert found.interval == pytest.approx((0.4902, 0.9433), abs=1e-4)
    assert "95 % interval 49.0 to 94.3" in str(found)


def test_a_result_says_how_many_rows_failed():
    found = EvaluationResult(
        [
            Row(0, Example(x=1), Prediction(), 0.0, error=ProgramError("no")),
            Row(1, Example(x=2), Prediction(y=1), 1.0),
        ]
    )

    assert len(found.failures) == 1
    assert "1 failed row" in str(found)


def test_two_results_on_the_same_rows_are_compared_row_by_row():
    comparison = result([1] * 10).compare(result([0] * 6 + [1] * 4))

    assert comparison.difference == pytest.approx(0.6)
    assert (comparison.wins, comparison.losses, comparison.p_value) == (6, 0, 0.03125)
    assert comparison.better and not comparison.worse
    assert comparison.verdict.startswith("better: +60.0 points")


def test_the_worse_one_is_called_worse_and_chance_is_called_chance():
    assert result([0] * 8).compare(result([1] * 8)).verdict.startswith("worse: -100.0")
    assert result([0, 1, 1]).compare(result([1, 0, 1])).verdict.startswith("no difference shown")


def test_a_verdict_on_a_single_row_has_no_interval():
    assert "points (p = 1, 1 rows won, 0 lost of 1" in result([0.7]).compare(result([0.5])).verdict


def test_results_on_other_rows_are_not_compared():
    with pytest.raises(ConfigurationError, match="has 3 and the other 2"):
        result([1, 0, 1]).compare(result([1, 0]))
    with pytest.raises(ConfigurationError, match="row 0 differs"):
        result([1]).compare(result([1], first=5))


class Odd:
    def __repr__(self):
        raise RuntimeError("no text")


ODD_VALUES = [
    dt.date(2026, 1, 2),
    Odd(),
    "\ud800 lone",
    "nul\0",
    math.nan,
    {1: {2, 3}, (4,): b"\xff"},
    [[[1]]],
    '=1+1, "quoted"\nline',
]
LOOP: list = []
LOOP.append(LOOP)


@pytest.mark.parametrize("value", [*ODD_VALUES, LOOP], ids=lambda value: type(value).__name__)
def test_files_are_written_whatever_a_program_returned(tmp_path, value):
    found = result([1, 0], odd=value)

    found.to_csv(tmp_path / "rows.csv")
    found.to_json(tmp_path / "rows.json")
    found.to_jsonl(tmp_path / "rows.jsonl")

    assert len(json.loads((tmp_path / "rows.json").read_text())) == 2
    assert [json.loads(line)["x"] for line in (tmp_path / "rows.jsonl").read_text().splitlines()] == [0, 1]
    with (tmp_path / "rows.csv").open(newline="", encoding="utf-8") as file:
        assert [row["score"] for row in csv.DictReader(file)] == ["1.0", "0.0"]
    assert list(tmp_path.glob(".*")) == []


def test_the_columns_of_a_table_are_those_of_all_rows(tmp_path):
    found = EvaluationResult(
        [
            Row(0, Example(x=1), Prediction(y=1), 1.0),
            Row(1, Example(x=1, extra=2), Prediction(z=3), 0.0, "poor"),
        ],
        metric_name="right",
    )

    found.to_csv(tmp_path / "rows.csv")

    header, first, second = (tmp_path / "rows.csv").read_text().splitlines()
    assert header == "x,y,right,seconds,tokens,extra,z,feedback"
    assert first == "1,1,1.0,0.0,0,,,"
    assert second == "1,,0.0,0.0,0,2,3,poor"


def test_a_path_that_cannot_be_written_is_named(tmp_path):
    with pytest.raises(ConfigurationError, match="does not exist"):
        result([1]).to_csv(tmp_path / "missing" / "rows.csv")


class Stop:
    def to_dict(self):
        raise KeyboardInterrupt


def test_an_interrupted_write_leaves_the_old_file(tmp_path):
    target = tmp_path / "rows.jsonl"
    target.write_text("old")

    with pytest.raises(KeyboardInterrupt):
        result([1, 1], odd=Stop()).to_jsonl(target)

    assert target.read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]


def test_markup_in_data_is_shown_as_it_is(capsys):
    result([1], text="[bold]not markup[/bold]").display_table()

    assert "[bold]" in capsys.readouterr().out


def test_repeated_rows_are_no_more_rows():
    examples = [Example(x=i) for i in range(10)]
    scores = [float(i < 6) for i in range(10)]
    once = EvaluationResult(
        [Row(i, e, Prediction(), s) for i, (e, s) in enumerate(zip(examples, scores, strict=True))]
    )
    thrice = EvaluationResult(
        [Row(i, e, Prediction(), s) for i, (e, s) in enumerate(zip(examples * 3, scores * 3, strict=True))]
    )

    assert (thrice.score, thrice.interval, thrice.stderr) == (once.score, once.interval, once.stderr)
    assert thrice.n == 30
    assert "n = 30, 10 different rows, 95 % interval" in str(thrice)


def test_repetitions_of_a_varying_lm_are_compared_by_their_means():
    examples = [Example(x=i) for i in range(8)]
    low = EvaluationResult([Row(i, e, Prediction(), 0.0) for i, e in enumerate(examples * 4)])
    high = EvaluationResult([Row(i, e, Prediction(), float(i % 32 < 16)) for i, e in enumerate(examples * 4)])

    found = high.compare(low)
    assert (found.n, found.wins, found.losses, found.difference) == (8, 8, 0, 0.5)
    assert high.summary.method == "t"
