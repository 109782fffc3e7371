"""Several processes train as one does, and end together."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from telic.errors import ConfigurationError, MissingExtraError, RunMismatchError, TrainingError
from telic.journal._lock import is_locked
from telic.training import ChatRow, SFTSettings, finetune, plan_finetune, write_rows

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")
pytest.importorskip("accelerate")
pytestmark = pytest.mark.filterwarnings("default")

WORDS = ["red", "green", "blue", "one", "two", "three", "dog"]
ROWS = [
    ChatRow(({"role": "user", "content": f"the {word}"},), WORDS[-at - 1], 1.0 - at / 10)
    for at, word in enumerate(WORDS)
]
# Seven rows in batches of three: the last batch has one row, and the second process no share of it.
ONE = SFTSettings(steps=6, batch_size=3, rank=4, learning_rate=1e-3, checkpoint_every=2, device="cpu")
TWO = ONE._replace(processes=2)


def weights_of(folder):
    from safetensors.torch import load_file

    (file,) = Path(folder, "weights").glob("*.safetensors")
    return load_file(file)


def difference(one, other):
    own, others = weights_of(one), weights_of(other)
    assert own.keys() == others.keys()
    return max(float((own[key] - others[key]).abs().max()) for key in own)


@pytest.fixture(scope="module")
def together(causal, tmp_path_factory):
    """A training in two processes that nothing disturbed."""
    folder = tmp_path_factory.mktemp("together")
    told = []
    return folder, finetune(causal, ROWS, folder, TWO, watch=told.append), told


def test_two_processes_come_to_the_weights_of_one(causal, together, tmp_path):
    folder, made, told = together

    alone = finetune(causal, ROWS, tmp_path, ONE)

    assert made.losses == pytest.approx(alone.losses, abs=1e-4)
    assert difference(folder, tmp_path) < 1e-4
    assert (made.steps, made.tokens, made.rows) == (6, alone.tokens, 7)
    assert [one.step for one in told] == [1, 2, 3, 4, 5, 6]
    assert not is_locked(folder)


def test_a_finished_one_is_read_by_any_number_of_processes(causal, together):
    told = []

    assert finetune(causal, ROWS, together[0], ONE, watch=told.append) == together[1]
    assert told == []


def test_what_one_process_refuses_is_raised_here(causal, together):
    with pytest.raises(RunMismatchError, match="holds another training: its rows differ") as caught:
        finetune(causal, ROWS[1:], together[0], TWO)
    assert caught.value.folder == str(together[0])


def children():
    """The processes that this one started and that live."""
    found = Path(f"/proc/{os.getpid()}/task/{os.getpid()}/children")
    return [int(pid) for pid in found.read_text().split()]


def test_a_process_that_dies_ends_all_and_the_same_again_goes_on(causal, together, tmp_path):
    before = set(children())

    def kill_one(told):
        if told.step == 3:
            os.kill(max(set(children()) - before), signal.SIGKILL)

    with pytest.raises(
        TrainingError, match="was killed by signal 9.* the others were ended; .*checkpoint-"
    ) as caught:
        finetune(causal, ROWS, tmp_path, TWO, watch=kill_one)

    assert set(children()) == before
    assert not is_locked(tmp_path)
    assert caught.value.step >= 2
    again = finetune(causal, ROWS, tmp_path, TWO)
    assert again.resumed_at in (2, 4)
    assert again.losses == together[1].losses
    assert difference(tmp_path, together[0]) == 0


def test_a_process_that_fails_is_said_with_its_last_words(causal, tmp_path, monkeypatch):
    failing = tmp_path / "python"
    failing.write_text("#!/bin/sh\necho no memory left >&2\nexit 3\n")
    failing.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(failing))

    with pytest.raises(
        TrainingError, match=r"ended with exit code 3 \(no memory left\).*no checkpoint was written"
    ) as caught:
        finetune(causal, ROWS, tmp_path / "run", TWO)
    assert caught.value.checkpoint is None


def test_an_interrupt_ends_all(causal, tmp_path):
    before = set(children())

    def stop(told):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        finetune(causal, ROWS, tmp_path, TWO, watch=stop)

    assert set(children()) == before
    assert not is_locked(tmp_path)


SCRIPT = """
import sys, json
from pathlib import Path
from telic.training import finetune, read_rows, SFTSettings
name, rows, folder, settings = sys.argv[1:]
def watch(told):
    print(told.step, flush=True)
finetune(name, read_rows(Path(rows)), folder, SFTSettings(**json.loads(settings)), watch=watch)
"""


@pytest.mark.slow
def test_an_encoder_decoder_comes_to_the_same_weights(t5, tmp_path):
    base = shutil.copytree(t5.removeprefix("local/"), tmp_path / "base")
    config = json.loads((base / "config.json").read_bytes())
    (base / "config.json").write_text(json.dumps({**config, "dropout_rate": 0.0}))

    one, two = (
        finetune(f"local/{base}", ROWS, tmp_path / str(settings.processes), settings._replace(method="full"))
        for settings in (ONE, TWO)
    )

    assert two.losses == pytest.approx(one.losses, abs=1e-4)
    assert difference(tmp_path / "None", tmp_path / "2") < 1e-4


@pytest.mark.slow
def test_killed_itself_it_leaves_no_process_and_goes_on(t5, tmp_path):
    write_rows(tmp_path / "rows.jsonl", ROWS)
    settings = TWO._replace(steps=8, dropout=0.1)  # T5 has dropout: chance inside the network must go on too
    whole = finetune(t5, ROWS, tmp_path / "whole", settings)
    arguments = [t5, str(tmp_path / "rows.jsonl"), str(tmp_path / "killed"), json.dumps(settings._asdict())]

    process = subprocess.Popen(
        [sys.executable, "-c", SCRIPT, *arguments],
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
    )  # fmt: skip
    for line in process.stdout:
        if int(line) == 3:
            process.kill()
    process.communicate()
    made = finetune(
        t5, ROWS, tmp_path / "killed", settings
    )  # waits for the lock: the first process ends at once

    assert made.resumed_at in (2, 4, 6)
    assert made.losses == whole.losses
    assert difference(tmp_path / "killed", tmp_path / "whole") == 0


def test_without_accelerate_nothing_is_begun(causal, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "accelerate", None)

    with pytest.raises(
        MissingExtraError, match=r"in 2 processes needs the package 'accelerate'.*telic\[train\]"
    ):
        finetune(causal, ROWS, tmp_path / "run", TWO)
    assert not (tmp_path / "run").exists()


def test_what_cannot_be_is_refused(causal, tmp_path):
    with pytest.raises(ConfigurationError, match="each process has its own GPU"):
        finetune(causal, ROWS, tmp_path, TWO._replace(device="cuda:1"))
    if torch.cuda.device_count() < 64:
        with pytest.raises(ConfigurationError, match="this machine has . GPUs: one for each process"):
            finetune(causal, ROWS, tmp_path, TWO._replace(device="cuda", processes=64))
    with pytest.raises(ConfigurationError, match="processes=0: a whole number, 1 or more"):
        finetune(causal, ROWS, tmp_path, TWO._replace(processes=0))


def test_a_plan_counts_all_processes_of_a_machine(causal):
    one, two = (plan_finetune(causal, ROWS, settings, measure=False) for settings in (ONE, TWO))

    assert one.memory_bytes < two.memory_bytes <= 2 * one.memory_bytes
