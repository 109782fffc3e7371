"""The folders of runs that each release has left behind: all later ones read them, and this one goes on with its own.

Made by `asset_task.py`. Where this release's own are to be made anew (before it is out, its optimizers may change), run that
for `finished` and for `killed` (at event 115), and leave the files `lock` out.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import shutil
from pathlib import Path

import pytest

import telic
from telic.cli._app import run as command
from telic.errors import RunMismatchError
from telic.evaluate import callable_key
from telic.journal import Run
from telic.testing import FunctionLM

HERE = Path(__file__).parent
RELEASES = sorted(path.name for path in (HERE / "assets").iterdir() if path.is_dir())
THIS = importlib.metadata.version("telic")


def task():
    spec = importlib.util.spec_from_file_location("asset_task", HERE / "asset_task.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(params=RELEASES)
def kept(request, tmp_path):
    """The folder of a release's runs, to be worked in."""
    shutil.copytree(HERE / "assets" / request.param, tmp_path / request.param)
    return tmp_path / request.param


@pytest.mark.parametrize("state", ["finished", "killed"])
def test_they_can_be_read(kept, state):
    run = Run(kept / state)

    assert (run.status, run.kind, run.name) == (state, "compile", "BootstrapFewShotWithRandomSearch")
    assert run.identity.keys() >= {"program", "trainset", "metric", "lm", "version"}
    assert run.spend.keys() == {"task", "teacher"}
    assert {part.predictor for part in run.spend_parts} == {"last", "label"}
    assert run.total_spend.calls == sum(usage.calls for usage in run.spend.values()) > 0
    assert run.total_spend.cached_input_tokens > 0
    assert run.best.score == max(candidate.score for candidate in run.candidates)
    assert f"{state}" in repr(run)


@pytest.mark.parametrize("state", ["finished", "killed"])
def test_all_their_candidates_can_be_loaded_and_run(kept, state):
    made = task()

    for candidate in Run(kept / state).candidates:
        program = candidate.load(made.Parity())
        with telic.context(lm=FunctionLM(made.answer)):
            assert program(text="row 3 of all").label in ("odd", "even")


def test_the_end_of_a_finished_one_is_the_program_that_it_returned(kept):
    made = task()
    run = Run(kept / "finished")

    best, program = run.load(made.Parity()), telic.load(run.folder / "program.json", made.Parity())

    assert run.report["score"] == run.best.score
    assert [leaf.demos for leaf in best.predictors()] == [leaf.demos for leaf in program.predictors()]


@pytest.mark.parametrize("state", ["finished", "killed"])
def test_they_are_shown_and_have_a_page(kept, state, capsys, tmp_path):
    assert command(["runs", "show", str(kept / state)]) == 0
    assert "-2: labelled demos" in capsys.readouterr().out
    pytest.importorskip("plotly")
    assert command(["report", str(kept / state), "--out", str(tmp_path / "page.html")]) == 0
    assert "labelled demos" in (tmp_path / "page.html").read_text(encoding="utf-8")


def test_this_release_goes_on_without_paying_twice_and_others_are_refused(kept):
    made = task()
    lm = FunctionLM(made.answer, cache=False)
    with telic.context(lm=lm):
        whole = made.compiled(kept / "whole", lm)
    needed = len(lm.requests)
    identity = Run(kept / "finished").identity
    if identity["version"] != THIS:
        with pytest.raises(RunMismatchError, match="version"):
            made.compiled(kept / "killed", lm)
        assert len(lm.requests) == needed
        return
    if not callable_key(made.metric).startswith(identity["metric"]):
        pytest.skip("made by another Python, whose code of the metric is another")

    for state in ("finished", "killed"):
        known = Run(kept / state).total_spend.calls
        before = len(lm.requests)
        again = made.compiled(kept / state, lm)
        assert len(lm.requests) - before == needed - known
        assert again.report.score == whole.report.score
        assert [leaf.demos for leaf in again.predictors()] == [leaf.demos for leaf in whole.predictors()]
    assert known < needed
