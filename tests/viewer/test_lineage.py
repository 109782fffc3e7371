"""Who was made from whom, as real searches write it down."""

from __future__ import annotations

import re
import zlib

import pytest

import telic
from telic.journal import Run
from telic.testing import FunctionLM
from telic.viewer._document import read
from telic.viewer._figures import lineage

pytest.importorskip("plotly")
HINTS = ["Look at the last word.", "Be short.", "Mind irony.", "Count twice.", "Name the label."]


def metric(example, prediction, trace=None, pred_name=None, pred_trace=None):
    return float(example.label == prediction.label)


def luck(*parts):
    return zlib.crc32(repr(parts).encode()) / 2**32


def task(request):
    whole = "\n".join(str(message["content"]) for message in request.messages)
    row = int(re.findall(r"row (\d+)", str(request.messages[-1]["content"]))[-1])
    skill = 0.2 + 0.15 * sum(hint in whole for hint in HINTS)
    return {"label": "odd" if (row % 2 == 1) == (luck(row, request.sample) < skill) else "even"}


def propose(request):
    whole = "\n".join(str(message["content"]) for message in request.messages)
    text = f"Say odd or even. {HINTS[int(5 * luck(whole, request.sample))]}"
    return {"discussion": "x", "proposed_instruction": text, "module_advice": '{"self": "Be short."}'}


def made_by(optimizer, folder):
    rows = [
        telic.Example(text=f"row {n}", label="odd" if n % 2 else "even").with_inputs("text")
        for n in range(40)
    ]
    with telic.context(lm=FunctionLM(task, cache=False)):
        optimizer.compile(
            telic.Predict("text -> label"), trainset=rows[:20], valset=rows[20:], run_dir=folder
        )
    return read(Run(folder))


@pytest.mark.parametrize("name", ["COPRO", "SIMBA"])
def test_candidates_of_a_climb_come_from_those_before_them(tmp_path, name):
    lm = FunctionLM(propose)
    optimizer = {
        "COPRO": lambda: telic.COPRO(prompt_model=lm, metric=metric, breadth=4, depth=3),
        "SIMBA": lambda: telic.SIMBA(metric=metric, prompt_model=lm, bsize=10, max_steps=4, num_candidates=3),
    }[name]()

    document = made_by(optimizer, tmp_path / "run")

    assert len(document.tried) > 2
    for one in document.tried:
        assert all(parent < one.number for parent in one.parents)
        assert bool(one.parents) == (one.number != 0)
        assert name == "COPRO" or one.title.endswith(("as given", "from 0")) or one.made_from
    assert lineage(document) is not None


def test_candidates_of_a_search_without_lineage_have_no_parents(tmp_path):
    optimizer = telic.BootstrapFewShotWithRandomSearch(metric, num_candidate_programs=2)

    document = made_by(optimizer, tmp_path / "run")

    assert lineage(document) is None
