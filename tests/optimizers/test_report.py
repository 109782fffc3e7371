import json
import math

from telic.data import Usage
from telic.evaluate import Comparison
from telic.optimizers import Candidate, CandidatePrograms, Report

COMPARISON = Comparison(0.1, (math.nan, 0.2), 0.04, 10, 3, 2, "exact McNemar")


def report(**changes):
    return Report(
        **{
            "optimizer": "Search",
            "score": 60.0,
            "baseline": 50.0,
            "comparison": COMPARISON,
            "candidates": [Candidate("a program", 60.0, (50.0, math.nan), 3, "shuffled", (1.0, 0.0), 1)],
            "spend": {"task": Usage(10, 5, calls=2), "teacher": Usage(1, 1, cost_usd=0.5, calls=1)},
            "failures": ["row 3: no"],
            "notes": ["a note"],
            **changes,
        }
    )


def test_a_report_is_plain_data():
    data = json.loads(json.dumps(report().to_dict(), allow_nan=False))

    assert data["candidates"][0]["interval"] == [50.0, None]
    assert data["comparison"]["interval"] == [None, 0.2]
    assert data["spend"]["task"]["calls"] == 2


def test_an_unknown_price_stays_unknown_in_the_total():
    assert report().total_spend.calls == 3
    assert report().total_spend.cost_usd is None


def test_a_report_reads_as_text():
    text = str(report(stopped="budget"))

    for part in (
        "Search: stopped: budget",
        "60.00 % (before: 50.00 %)",
        "better: +10.0",
        "1 failure",
        "a note",
    ):
        assert part in text
    assert report(comparison=None).verdict.startswith("not compared")


def test_a_report_shows_itself_on_one_line():
    shown = repr(report(stopped="budget"))
    assert shown.startswith("<Report ")
    assert "stopped: budget; " in shown
    assert "\n" not in shown


def test_candidate_programs_are_a_sequence_but_no_list():
    programs = CandidatePrograms(report().candidates)

    assert not isinstance(programs, list)
    assert len(programs) == 1
    assert programs[0]["program"] == "a program"
    assert [item["seed"] for item in programs] == [3]
    assert programs[:1][0]["subscores"] == [1.0, 0.0]


def test_what_both_sets_of_rows_show_together_is_the_verdict():
    weak = COMPARISON._replace(p_value=0.125)

    told = report(check=weak, improved=True).verdict

    assert told.startswith("improved: +10.0 points")
    assert "with what those that did say, it is shown" in told
    assert report(check=weak, improved=None).verdict.startswith("no difference shown: +10.0 points")
    assert report(check=weak, improved=True).to_dict()["verdict"] == told
