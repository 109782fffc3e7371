"""Finetuning: it learns, goes on after a kill to the same weights, and stops where going on would be nonsense."""

from __future__ import annotations

import hashlib
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from telic.errors import (
    ConfigurationError,
    LMUnsupportedModelError,
    RunLockedError,
    RunMismatchError,
    TrainingError,
)
from telic.journal import RunLock
from telic.lm import LM
from telic.training import ChatRow, SFTSettings, finetune, plan_finetune

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")
pytestmark = pytest.mark.filterwarnings("default")

WORDS = ["red", "green", "blue", "one", "two", "three", "dog", "fox"]
ROWS = [
    ChatRow(({"role": "user", "content": f"the {word}"},), WORDS[-at - 1]) for at, word in enumerate(WORDS)
]
QUICK = SFTSettings(steps=12, batch_size=4, rank=4, learning_rate=1e-2, checkpoint_every=2)


def digests(folder):
    """Of what a training came to; a folder's own name is in none of it."""
    return {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(Path(folder).rglob("*.safetensors"))
    }


@pytest.fixture(params=["tiny", "causal", "t5"])
def name(request):
    return request.getfixturevalue(request.param)


@pytest.mark.parametrize("method", ["lora", "full"])
def test_it_learns_rows_and_the_lm_is_as_it_was(name, method, tmp_path):
    rate = {"lora": 1e-2, "full": 3e-3}[method]
    epochs = 25 if name == "telic/tiny" else 80
    settings = SFTSettings(method, epochs=epochs, batch_size=8, rank=8, learning_rate=rate)
    before = [LM(name, cache=False, max_tokens=8)(row.messages[0]["content"]) for row in ROWS]

    made = finetune(LM(name), ROWS, tmp_path / "run", settings)

    lm = LM(f"local/{made.weights}", cache=False, max_tokens=8)
    assert made.losses[-1] < 0.3 < made.losses[0]
    right = sum(lm(messages=list(row.messages)) == [row.reply] for row in ROWS)
    assert right >= 7
    assert [LM(name, cache=False, max_tokens=8)(row.messages[0]["content"]) for row in ROWS] == before
    assert (made.steps, made.rows, made.dropped, made.cut) == (epochs, 8, 0, 0)
    lm.close()


def test_rows_weigh_what_they_are_worth(tiny, tmp_path):
    prompt = ({"role": "user", "content": "the dog"},)
    rows = [ChatRow(prompt, "red", 1.0), ChatRow(prompt, "blue", 0.02)]

    made = finetune(tiny, rows, tmp_path, SFTSettings(steps=20, learning_rate=1e-2))

    assert LM(f"local/{made.weights}", cache=False)(messages=list(prompt)) == ["red"]


def test_small_pieces_of_a_batch_come_to_the_same_but_for_rounding(tiny, tmp_path, whole):
    pieces = finetune(tiny, ROWS, tmp_path / "pieces", QUICK._replace(rows_at_once=1))

    assert pieces.losses == pytest.approx(whole[1].losses, rel=1e-2, abs=1e-2)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """One training of the embedded LM that nothing disturbed."""
    folder = tmp_path_factory.mktemp("whole")
    return folder, finetune("telic/tiny", ROWS, folder, QUICK)


def test_the_same_training_twice_has_the_same_weights(whole, tmp_path):
    again = finetune("telic/tiny", ROWS, tmp_path, QUICK)

    assert digests(tmp_path) == digests(whole[0])
    assert again.losses == whole[1].losses


SCRIPT = """
import sys, json, torch
torch.set_num_threads(1)
from telic.training import finetune, read_rows, SFTSettings
from pathlib import Path
name, rows, folder, settings = sys.argv[1:]
def watch(told):
    print(told.step, flush=True)
finetune(name, read_rows(Path(rows)), folder, SFTSettings(**json.loads(settings)), watch=watch)
"""


def started(name, folder, settings, rows, **more):
    arguments = [name, str(rows), str(folder), json.dumps(settings._asdict())]
    return subprocess.Popen(
        [sys.executable, "-c", SCRIPT, *arguments],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **more,
    )  # fmt: skip


@pytest.fixture
def rows_file(tmp_path):
    from telic.training import write_rows

    write_rows(tmp_path / "rows.jsonl", ROWS)
    return tmp_path / "rows.jsonl"


@pytest.mark.parametrize("model", ["tiny", "t5"])  # t5 has dropout: chance inside the network must go on too
def test_killed_and_run_again_it_has_the_weights_of_one_that_was_not(
    model, request, tmp_path, rows_file, whole
):
    name = request.getfixturevalue(model)
    settings = QUICK._replace(checkpoint_every=3, dropout=0.1 if model == "t5" else 0.0)
    undisturbed = whole[0]
    if model == "t5":
        undisturbed = tmp_path / "whole"
        finetune(name, ROWS, undisturbed, settings)

    process = started(name, tmp_path / "killed", settings, rows_file)
    for line in process.stdout:
        if int(line) == 8:  # between two checkpoints
            os.kill(process.pid, signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    process.communicate()
    made = finetune(name, ROWS, tmp_path / "killed", settings)

    assert made.resumed_at == 6 or made.resumed_at == 9
    assert digests(tmp_path / "killed" / "weights") == digests(undisturbed / "weights")
    steps = [
        json.loads(line)["step"] for line in (tmp_path / "killed/progress.jsonl").read_text().splitlines()
    ]
    assert steps == list(range(1, 13))
    assert len(made.losses) == 12


def test_a_finished_training_is_read_and_not_made_again(tiny, whole):
    steps = []

    again = finetune(tiny, ROWS, whole[0], QUICK, watch=steps.append)

    assert again == whole[1]
    assert steps == []


def test_weights_that_were_removed_are_written_again_from_the_last_checkpoint(tiny, tmp_path, whole):
    shutil.copytree(whole[0], tmp_path / "run")
    shutil.rmtree(tmp_path / "run/weights")
    steps = []

    finetune(tiny, ROWS, tmp_path / "run", QUICK, watch=steps.append)

    assert steps == []
    assert digests(tmp_path / "run/weights") == digests(whole[0] / "weights")


def test_a_checkpoint_that_was_damaged_is_not_gone_on_from(tiny, tmp_path, whole):
    shutil.copytree(whole[0], tmp_path / "cut")
    (tmp_path / "cut/result.json").unlink()
    shutil.rmtree(tmp_path / "cut/weights")
    file = tmp_path / "cut/checkpoint-000012/weights.safetensors"
    file.write_bytes(file.read_bytes()[:-7] + b"damaged")

    made = finetune(tiny, ROWS, tmp_path / "cut", QUICK)

    assert made.resumed_at == 10
    assert made.losses == whole[1].losses
    assert digests(tmp_path / "cut/weights") == digests(whole[0] / "weights")


def test_two_trainings_into_one_folder_are_refused(tiny, whole):
    folder = whole[0]
    lock = RunLock(folder)
    with pytest.raises(RunLockedError, match="another run works in"):
        finetune(tiny, ROWS, folder, QUICK)
    lock.release()

    with pytest.raises(
        RunMismatchError, match="holds another training: its rows differ; choose another folder"
    ):
        finetune(tiny, ROWS[1:], folder, QUICK)
    with pytest.raises(RunMismatchError, match="its settings differ"):
        finetune(tiny, ROWS, folder, QUICK._replace(seed=1))
    assert finetune(tiny, ROWS, folder, QUICK._replace(checkpoint_every=7)).steps == 12


def test_a_loss_that_is_no_number_stops_it_and_the_last_good_checkpoint_stays(tiny, tmp_path):
    wild = QUICK._replace(
        learning_rate=1e30, clip=1e30, warmup=1.0, method="full", checkpoint_every=1, steps=50
    )

    with pytest.raises(TrainingError, match="the training stopped at step .* the last good one is") as caught:
        finetune(tiny, ROWS, tmp_path, wild)

    kept = Path(caught.value.checkpoint)
    assert kept.is_dir()
    state = json.loads((kept / "state.json").read_bytes())
    assert state["step"] == caught.value.step
    assert not (tmp_path / "weights").exists()


def test_no_checkpoint_before_the_first_is_said(tiny, tmp_path):
    rows = [row._replace(weight=1e300) for row in ROWS]

    with pytest.raises(TrainingError, match="no checkpoint was written yet") as caught:
        finetune(tiny, rows, tmp_path, QUICK)

    assert caught.value.checkpoint is None


def test_a_disk_that_is_full_loses_no_checkpoint(tiny, tmp_path, rows_file, whole):
    def small_files():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 16, 1 << 16))  # a checkpoint has more

    process = started(tiny, tmp_path / "full", QUICK, rows_file, preexec_fn=small_files)
    _, errors = process.communicate()

    assert process.returncode == 1
    assert (
        "the checkpoint of step 2 cannot be written (File too large); no checkpoint was written yet" in errors
    )
    assert not list((tmp_path / "full").glob("*checkpoint*"))
    finetune(tiny, ROWS, tmp_path / "full", QUICK)
    assert digests(tmp_path / "full/weights") == digests(whole[0] / "weights")


LONG = [
    *ROWS,
    ChatRow(({"role": "user", "content": "the dog " * 400},), "red"),
    ROWS[0]._replace(reply="red " * 30),
]


def test_rows_that_are_too_long_are_dropped_and_counted(name, tmp_path):
    made = finetune(name, LONG, tmp_path, QUICK._replace(max_length=24, steps=2))

    assert (made.rows, made.dropped, made.cut) == (8, 2, 0)


def test_rows_that_are_too_long_are_cut_where_that_is_asked(name):
    plan = plan_finetune(name, LONG, QUICK._replace(max_length=24, too_long="cut"), measure=False)

    assert (plan.rows, plan.dropped, plan.cut) == (10, 0, 2)
    assert plan.longest > 400


def test_rows_that_are_too_long_are_refused_where_that_is_asked(name, tmp_path):
    with pytest.raises(
        ConfigurationError, match="2 of 10 training rows have more than 24 tokens, row 8 the first"
    ):
        finetune(name, LONG, tmp_path, QUICK._replace(max_length=24, too_long="refuse"))


def test_a_prompt_without_tokens_is_refused_by_its_row(causal, tmp_path):
    shutil.copytree(causal.removeprefix("local/"), tmp_path / "mute")
    template = "{% if messages[0].content != 'the one' %}{{ messages[0].content }}{% endif %}"
    (tmp_path / "mute" / "chat_template.jinja").write_text(template)

    with pytest.raises(ConfigurationError, match="training row 3: its prompt has no tokens"):
        finetune(f"local/{tmp_path / 'mute'}", ROWS, tmp_path / "run", QUICK)


def test_a_cut_row_keeps_the_end_of_its_prompt_and_its_reply(tiny, tmp_path):
    row = ChatRow(({"role": "user", "content": "the dog " * 400 + "the fox"},), "red")

    made = finetune(tiny, [row], tmp_path, QUICK._replace(max_length=24, too_long="cut"))

    assert LM(f"local/{made.weights}", cache=False)("the dog the dog the fox") == ["red"]


def test_no_rows_and_rows_all_too_long_are_refused(tiny, tmp_path):
    with pytest.raises(ConfigurationError, match="there are no training rows"):
        finetune(tiny, [], tmp_path, QUICK)
    with pytest.raises(ConfigurationError, match="all 8 training rows have more than 2 tokens"):
        finetune(tiny, ROWS, tmp_path, QUICK._replace(max_length=2))


def test_one_row_can_be_learned(tiny, tmp_path):
    made = finetune(tiny, ROWS[:1], tmp_path, QUICK)

    assert LM(f"local/{made.weights}", cache=False)("the red") == ["fox"]


def test_a_plan_tells_rows_memory_and_time_and_trains_nothing(name, tmp_path):
    before = LM(name, cache=False, max_tokens=4)("the red")

    plan = plan_finetune(name, ROWS, QUICK)

    assert (plan.rows, plan.steps) == (8, 12)
    assert plan.trained < plan.parameters
    assert plan.seconds > 0
    assert plan.memory_bytes > 4 * plan.parameters
    assert plan.reply_tokens < plan.tokens
    assert LM(name, cache=False, max_tokens=4)("the red") == before
    text = str(plan)
    assert "updates     12" in text
    assert "(lora)" in text


def test_a_training_that_does_not_fit_is_refused_with_numbers(tiny, tmp_path, monkeypatch):
    monkeypatch.setattr("telic.training._plan.free_bytes", lambda device: 1_000_000)

    with pytest.raises(
        ConfigurationError, match=r"needs 0\.\d GB beside its weights, and 'cpu' has 0\.0 GB left"
    ):
        finetune(tiny, ROWS, tmp_path, QUICK)
    assert plan_finetune(tiny, ROWS, QUICK).seconds is None


def test_each_update_is_told(tiny, tmp_path):
    told = []

    finetune(tiny, ROWS, tmp_path, QUICK, watch=told.append)

    assert [progress.step for progress in told] == list(range(1, 13))
    assert all(progress.tokens > 0 and progress.norm > 0 for progress in told)


def test_an_adapter_of_other_base_weights_is_refused(tmp_path, causal):
    base = tmp_path / "base"
    shutil.copytree(causal.removeprefix("local/"), base)
    made = finetune(f"local/{base}", ROWS, tmp_path / "run", QUICK._replace(steps=2))
    model = base / "model.safetensors"
    os.utime(model)  # neither another time nor another place makes other weights
    lm = LM(f"local/{made.weights}", cache=False)
    assert lm("the red")
    lm.close()
    data = model.read_bytes()
    model.write_bytes(data[:-4] + bytes(4))

    with pytest.raises(ConfigurationError, match="was trained on other weights of"):
        LM(f"local/{made.weights}", cache=False)("the red")


def test_an_adapter_over_an_adapter_is_both_and_the_base_may_be_named_from_anywhere(
    tmp_path, causal, monkeypatch
):
    shutil.copytree(causal.removeprefix("local/"), tmp_path / "base")
    monkeypatch.chdir(tmp_path)
    first = finetune("local/base", ROWS, "first", QUICK._replace(steps=30))
    second = finetune(
        f"local/{first.weights}", ROWS[:1], "second", QUICK._replace(steps=2, learning_rate=1e-4)
    )
    monkeypatch.chdir("/")

    for made in (first, second):
        lm = LM(f"local/{made.weights}", cache=False, max_tokens=8)
        assert sum(lm(messages=list(row.messages)) == [row.reply] for row in ROWS) >= 6
        lm.close()
    (tmp_path / "base").rename(tmp_path / "gone")
    with pytest.raises(
        LMUnsupportedModelError, match="stands under the adapter in .*first/weights.*bring it there"
    ):
        LM(f"local/{second.weights}", cache=False)("the red")
