"""Every training killed with -9 in the midst of an update and in the midst of writing: run again, it has the same weights.

The kill comes from inside the process, so that its moment is exact: after an optimizer's step, when numbers have changed
and nobody was told, or in a write that is on its way to the disk (progress, a checkpoint, the journal, the weights).
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("torch")
pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("default")]

SCRIPT = """
import json, os, signal, sys
import torch
torch.set_num_threads(1)
import telic
from telic.datasets.tiny import load
from telic.training import ChatRow, SFTSettings, finetune

kind, model, settings, folder, moment, at = sys.argv[1:]
settings, counted, at = json.loads(settings), [0], int(at)

def passed():
    counted[0] += 1
    if counted[0] == at:
        os.kill(os.getpid(), signal.SIGKILL)

if moment == "update":
    step = torch.optim.AdamW.step
    def stepped(self, *args, **options):
        made = step(self, *args, **options)
        passed()
        return made
    torch.optim.AdamW.step = stepped
else:
    sync = os.fsync
    def synced(file):
        passed()
        return sync(file)
    os.fsync = synced

def metric(example, prediction, trace=None):
    return min(1.0, len(prediction.answer) / 40)

if kind == "sft":
    words = ["red", "green", "blue", "one", "two", "three", "dog", "fox"]
    rows = [ChatRow(({"role": "user", "content": f"the {w}"},), words[-k - 1], 1 - k / 20) for k, w in enumerate(words)]
    finetune(model, rows, folder, SFTSettings(**{"steps": 12, "batch_size": 4, "checkpoint_every": 3, **settings}))
else:
    task = load("qa_style")
    optimizer = telic.GRPO(
        metric, num_train_steps=4, num_steps_for_val=2, num_dspy_examples_per_grpo_step=2, num_rollouts_per_grpo_step=3,
        num_threads=2, train_kwargs={"checkpoint_every": 2, **settings},
    )
    with telic.context(lm=telic.LM(model, cache=False, max_tokens=16)):
        optimizer.compile(
            telic.Predict(task.signature), trainset=task.trainset[:4], valset=task.valset[:2], run_dir=folder
        )
print(counted[0])
"""
LORA, FULL = {"rank": 4, "learning_rate": 1e-2}, {"method": "full", "learning_rate": 1e-3}
TRAININGS = {
    "Llama, LoRA, dropout": ("sft", "causal", {**LORA, "dropout": 0.1}),
    "Llama, full": ("sft", "causal", FULL),
    "T5, LoRA, dropout": ("sft", "t5", {**LORA, "dropout": 0.1}),
    "T5, full": ("sft", "t5", FULL),
    "embedded, LoRA": ("sft", "tiny", LORA),
    "embedded, full": ("sft", "tiny", FULL),
    "GRPO, embedded, LoRA": ("grpo", "tiny", {"rank": 4}),
    "GRPO, embedded, full": ("grpo", "tiny", {"method": "full"}),
    "GRPO, Llama, LoRA": ("grpo", "causal", {"rank": 4}),
}


@pytest.mark.parametrize("name", TRAININGS)
def test_killed_at_any_moment_and_run_again_it_has_the_same_weights(name, request, tmp_path):
    kind, model, settings = TRAININGS[name]
    if model != "tiny":
        pytest.importorskip("peft")

    def run(folder, moment="write", at=0):
        told = subprocess.run(
            [sys.executable, "-c", SCRIPT, kind, request.getfixturevalue(model), json.dumps(settings),
             str(tmp_path / folder), moment, str(at)],
            capture_output=True, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"}, check=False,
        )  # fmt: skip
        assert told.returncode == (-signal.SIGKILL if at else 0), told.stderr
        return told.stdout

    writes = int(run("whole"))
    updates = 12 if kind == "sft" else 4
    moments = [("update", updates // 3), ("update", updates)]
    moments += [("write", round(writes * share)) for share in (0.3, 0.6, 0.9)]
    for moment, at in moments:
        run("killed", moment, at)
        run("killed")
        assert weights(tmp_path / "killed") == weights(tmp_path / "whole"), (moment, at)
        shutil.rmtree(tmp_path / "killed")


def weights(folder):
    """All weights that a training left, checkpoints too, byte by byte."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in Path(folder).rglob("*.safetensors")}
