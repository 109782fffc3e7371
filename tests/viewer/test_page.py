"""The page as text: what is in it, and that nothing of a run becomes markup."""

from __future__ import annotations

import json
import re
import sys
from html.parser import HTMLParser

import pytest
from tests.viewer.conftest import HOSTILE

import telic
from telic.errors import JournalError, MissingExtraError
from telic.journal import LiveRun, Run
from telic.testing import FunctionLM
from telic.viewer import report_page
from telic.viewer._changes import pieces
from telic.viewer._document import read
from telic.viewer._figures import by_spend, label, lineage, rows_by_candidates, spending

pytest.importorskip("plotly")


class Elements(HTMLParser):
    """All elements with their attributes, and the visible text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self._silent = 0
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))
        self._silent += tag in ("script", "style")

    def handle_endtag(self, tag):
        self._silent -= tag in ("script", "style")

    def handle_data(self, data):
        if not self._silent:
            self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(self.words)


def page_of(folder, **options):
    return Elements(report_page(Run(folder), **options))


def figures_of(page: str):
    return json.loads(
        re.search(r'<script type="application/json" id="figures">(.*?)</script>', page).group(1)
    )


def test_a_finished_run_is_told(make):
    one = make()
    one.family(8)
    one.end(
        notes=["a note for readers"],
        check={"verdict": "better: +12.0 points (p = 0.01)"},
        check_score=71.0,
        failures=["row 3: ValueError"],
    )

    shown = page_of(one.folder)

    for words in (
        "GEPA",
        "finished",
        "better",
        "a note for readers",
        "row 3: ValueError",
        "71.0 %",
        "ProposeInstructions",
    ):
        assert words in shown.text
    assert "33% of input from the provider's cache" in shown.text
    assert {attrs.get("data-plot") for _, attrs in shown.found} >= {
        "scores-calls",
        "lineage",
        "rows",
        "spend-calls",
    }


def test_nothing_is_asked_of_the_network(make):
    one = make()
    one.family(3)
    one.end()
    page = report_page(Run(one.folder))

    assert not [attrs for _, attrs in Elements(page).found if {"src", "href"} & attrs.keys()]
    policy = next(attrs["content"] for _, attrs in Elements(page).found if "http-equiv" in attrs)
    assert "default-src 'none'" in policy
    assert "unsafe-eval" not in policy
    assert "'unsafe-inline'" not in policy.partition("style-src")[0]


def test_hostile_text_stays_text(make):
    one = make()
    one.candidate(0, [0.0, 1.0])
    one.candidate(1, [1.0, 1.0], text=HOSTILE.replace("\ud800", ""), label=HOSTILE, parents=[0])
    one.call(role=HOSTILE, predictor=HOSTILE)
    one.end(notes=[HOSTILE], failures=[HOSTILE], check={"verdict": HOSTILE})

    page = report_page(Run(one.folder))
    shown = Elements(page)

    page.encode()  # no lone surrogates
    assert "\x00" not in page
    assert not [tag for tag, _ in shown.found if tag in ("img", "a")]
    assert [tag for tag, _ in shown.found].count("script") == 3
    assert not [attrs for _, attrs in shown.found if any(name.startswith("on") for name in attrs)]
    assert "document.title='owned'" in shown.text
    for figure in figures_of(page).values():
        assert "<img" not in json.dumps(figure)


def test_every_plot_is_one_that_plotly_knows(make):
    figures = pytest.importorskip("plotly.graph_objects")
    one = make()
    one.family(12)
    one.end()
    document = read(Run(one.folder))
    made = [*by_spend(document).values(), lineage(document), rows_by_candidates(document)]
    made += spending(document.run.spend_parts).values()

    def with_colors(value):
        if isinstance(value, str) and value.startswith("var("):
            return "#123456"
        if isinstance(value, list):
            return [with_colors(item) for item in value]
        return {k: with_colors(v) for k, v in value.items()} if isinstance(value, dict) else value

    for figure in made:
        figures.Figure(with_colors({"data": figure["data"], "layout": figure["layout"]}))


@pytest.mark.parametrize("status", ["stopped", "interrupted", "failed"])
def test_a_run_that_ended_early_says_why(make, status):
    one = make()
    one.family(2)
    one.end(status, "budget: no more than 40 calls")

    text = page_of(one.folder).text

    assert status in text
    assert "no more than 40 calls" in text


def test_a_run_at_work_and_a_killed_one_are_told(make):
    one = make()
    one.family(3)
    one.live.note("the trainset was split")

    assert "At work: process" in page_of(one.folder).text
    assert "the trainset was split" in page_of(one.folder).text
    one.live.close()
    assert "It was killed" in page_of(one.folder).text


def test_a_run_that_has_just_begun_has_a_page(make):
    text = page_of(make().folder).text

    assert "running" in text
    assert "None was written down yet" in text


def test_an_evaluation_has_a_page(tmp_path):
    rows = [telic.Example(question=str(k), answer=str(k % 2)).with_inputs("question") for k in range(6)]
    evaluate = telic.Evaluate(devset=rows, metric=lambda e, p, trace=None: e.answer == p.answer)
    with telic.context(lm=FunctionLM(lambda text: {"answer": "1"})):
        evaluate(telic.Predict("question -> answer"), run_dir=tmp_path / "run")

    text = page_of(tmp_path / "run").text

    assert "Evaluate" in text
    assert "50.0 %" in text
    assert "Candidates" not in text


def test_a_compile_shows_what_changed(tmp_path):
    def answer(text):
        return {"answer": "4" if "2+2 is 4" in text else "5"}

    rows = [
        telic.Example(question=f"2+2 is {k}", answer="4").with_inputs("question") for k in (4, 4, 5, 6, 7, 8)
    ]
    optimizer = telic.BootstrapFewShotWithRandomSearch(
        lambda e, p, trace=None: e.answer == p.answer, num_candidate_programs=2, max_labeled_demos=2
    )
    with telic.context(lm=FunctionLM(answer)):
        made = optimizer.compile(
            telic.Predict("question -> answer"), trainset=rows[:3], valset=rows[3:], run_dir=tmp_path / "run"
        )

    document = read(Run(tmp_path / "run"))

    assert document.given is not None
    assert document.given.record["label"] == "without demos"
    assert document.chosen.score == made.report.score
    assert made.report.spend_by_predictor.keys() == {"self"}
    assert "2 demonstrations" in page_of(tmp_path / "run", candidate="-2: labelled demos").text


def test_another_candidate_may_be_looked_at(make):
    one = make()
    one.family(4)
    one.end()

    assert "Hint 2" in page_of(one.folder, candidate="2: mutation 2").text
    assert "Hint 2" in page_of(one.folder, candidate="2").text
    with pytest.raises(JournalError, match="no candidate 'nothing'; there are '0: as given'"):
        report_page(Run(one.folder), candidate="nothing")


def test_many_candidates_on_many_rows_stay_readable(make):
    one = make()
    one.family(500, rows=200)
    one.candidate(900, [1.0, 0.0], label="given up after 2 rows")
    one.end()
    page = report_page(Run(one.folder))
    figures = figures_of(page)

    assert len(figures["rows"]["data"][0]["z"]) == 500
    assert "error_y" not in figures["scores-calls"]["data"][1]
    assert "1 scored on other rows or fewer are left out" in page
    assert len(page) < 9_000_000


def test_of_very_many_scores_the_best_candidates_are_shown(make, monkeypatch):
    monkeypatch.setattr("telic.viewer._figures._MOST_CELLS", 90)
    one = make()
    one.family(8, rows=30)
    one.end()
    page = report_page(Run(one.folder))
    best = max(candidate.score for candidate in Run(one.folder).candidates)

    shown = figures_of(page)["rows"]["data"][0]["z"]

    assert len(shown) == 3
    assert 100 * sum(shown[-1]) / 30 == pytest.approx(best, abs=0.01)
    assert "best candidates at the top: 3 of 8" in page


def test_a_lost_candidate_file_is_named(make):
    one = make()
    one.family(2)
    one.end()
    (one.folder / "candidates" / "0001.json").write_text("{", encoding="utf-8")

    with pytest.raises(JournalError, match="0001.json"):
        report_page(Run(one.folder), candidate="1")


def test_without_plotly_the_extra_is_named(make, monkeypatch):
    monkeypatch.setitem(sys.modules, "plotly.offline", None)

    with pytest.raises(MissingExtraError, match=r"telic\[report\]"):
        report_page(Run(make().folder))


def test_labels_of_plots_are_text():
    assert label("a <b>\n c & d") == "a &lt;b&gt; c &amp; d"
    assert len(label("x" * 100)) == 30


def test_calls_that_cost_nothing_have_no_bars_of_dollars(tmp_path):
    live = LiveRun(tmp_path / "run", kind="compile", name="Mine", identity={"program": "p"})
    with live.active():
        FunctionLM(lambda text: "4")("hello")
    live.close()

    assert set(spending(Run(tmp_path / "run").spend_parts)) == {"calls", "tokens"}


def test_what_was_paid_after_the_best_was_found_shows_too(make):
    one = make()
    one.family(3)
    for _ in range(40):
        one.call()
    one.end()

    line = by_spend(read(Run(one.folder)))["calls"]["data"][0]

    assert line["x"] == [13, 26, 39, 79]
    assert line["y"][-1] == line["y"][-2] == max(line["y"])


def test_on_a_narrow_page_candidates_go_by_their_numbers(make):
    one = make()
    one.family(4)
    one.end()
    figure = rows_by_candidates(read(Run(one.folder)))

    assert sorted(figure["narrow"]["layout"]["yaxis"]["ticktext"]) == ["0", "1", "2", "3"]
    assert figure["narrow"]["layout"]["yaxis"]["tickvals"] == figure["data"][0]["y"]


def test_another_text_is_shown_whole_and_a_changed_one_by_its_words():
    before = "Given the fields `question`, produce the fields `answer`."

    assert [piece.kind for piece in pieces(before, "Answer the question in one word.")] == ["gone", "new"]
    changed = pieces(before, f"{before} Be short.")
    assert [piece.kind for piece in changed] == ["same", "new"]
    assert "".join(piece.text for piece in changed) == f"{before} Be short."
