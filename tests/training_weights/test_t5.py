"""A program compiled into an encoder-decoder on a CPU: a small T5 made here, with random weights, that really learns."""

from __future__ import annotations

import pytest

from telic.data import Example
from telic.evaluate import Evaluate
from telic.lm import LM
from telic.modules import Predict
from telic.optimizers import BootstrapFinetune
from telic.testing import FunctionLM

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")
pytestmark = pytest.mark.filterwarnings("default")

KINDS = {"dog": "animal", "fox": "animal", "cow": "animal", "fig": "fruit", "plum": "fruit", "pear": "fruit"}
PLACES = ["here", "there", "at home", "in the box", "on the hill", "by the road", "at sea", "in town"]
SENTENCES = [f"the {word} is {place}" for place in PLACES for word in KINDS]
ROWS = [Example(text=text, kind=KINDS[text.split()[1]]).with_inputs("text") for text in SENTENCES]
TRAIN, TEST = ROWS[:36], ROWS[36:]  # places that were never seen


def metric(example, prediction, trace=None):
    return prediction.kind == example.kind


def teacher(request):
    text = request.messages[-1]["content"].split("[[ ## text ## ]]\n")[1].split("\n")[0]
    return f"[[ ## kind ## ]]\n{KINDS[text.split()[1]]}\n\n[[ ## completed ## ]]"


def test_a_t5_learns_a_program_from_a_prompted_teacher(t5, tmp_path):
    student = Predict("text -> kind")
    student.lm = LM(t5, cache=False, max_tokens=40)
    shown = Predict("text -> kind")
    shown.lm = FunctionLM(teacher)
    settings = {"method": "full", "epochs": 20, "batch_size": 12, "learning_rate": 5e-3}

    compiled = BootstrapFinetune(metric, train_kwargs=settings).compile(
        student, trainset=TRAIN, teacher=shown, run_dir=tmp_path
    )
    before, after = (Evaluate(devset=TEST, metric=metric)(program).score for program in (student, compiled))

    assert before == 0
    assert after >= 75
    compiled.lm.close()
