"""What goes wrong around weights, end to end: one test for each item, for finetuning, GRPO and both with prompts.

Each looks at the kind of error, at what its message names (place, fact, next step), at how many calls had been made by
then, and, where the same command can be run again, at what that comes to. Elsewhere, in more depth: a kill between two
checkpoints (training_weights/test_sft.py, test_processes.py, optimizers/test_finetune.py, test_grpo.py), adapters
and rows alone (training_weights/), a provider's jobs that fail (training_weights/test_jobs.py), servers that do not come up
(lm/test_served.py), peft or accelerate missing (training_weights/test_trainable.py, test_processes.py).
"""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

import telic
from telic import LM, Example, LabeledFewShot, Predict
from telic.context import context
from telic.datasets.tiny import load
from telic.errors import (
    ConfigurationError,
    MissingExtraError,
    RunLockedError,
    RunMismatchError,
    TrainingError,
)
from telic.tracing import UsageTracker

pytestmark = pytest.mark.filterwarnings("default")

TASK = load("qa_style")
SFT, GRPO, BOTH = "BootstrapFinetune", "GRPO", "BetterTogether"
EACH = pytest.mark.parametrize("kind", [SFT, GRPO, BOTH])
needs_torch = pytest.mark.skipif(importlib.util.find_spec("torch") is None, reason="needs torch")
needs_transformers = pytest.mark.skipif(
    importlib.util.find_spec("transformers") is None or importlib.util.find_spec("peft") is None,
    reason="needs transformers and peft",
)


def always(example, prediction, trace=None):
    return 1.0


def never(example, prediction, trace=None):
    return 0.0


def long_answer(example, prediction, trace=None):
    return min(1.0, len(prediction.answer) / 40)


def optimizer(kind, metric=long_answer, **train):
    if kind == GRPO:
        return telic.GRPO(
            metric, num_train_steps=3, num_dspy_examples_per_grpo_step=2, num_rollouts_per_grpo_step=3,
            train_kwargs={"rank": 4, "checkpoint_every": 1, **train},
        )  # fmt: skip
    tuned = telic.BootstrapFinetune(
        metric, train_kwargs={"steps": 6, "batch_size": 4, "rank": 4, "checkpoint_every": 2, **train}
    )
    return tuned if kind == SFT else telic.BetterTogether(metric, LabeledFewShot(k=2), tuned)


def tiny(**options):
    return LM("telic/tiny", cache=False, **{"max_tokens": 24, **options})


def compiled(kind, run_dir, *, lm=None, rows=TASK.trainset[:6], student=None, metric=long_answer, **train):
    """Compile; return the program and the calls that were made for it, or by the error's coming."""
    more = {"strategy": "p -> w"} if kind == BOTH else {}
    if kind != SFT:
        more["valset"] = TASK.valset[:2]
    program = Predict(TASK.signature) if student is None else student
    with context(lm=tiny() if lm is None else lm):
        return optimizer(kind, metric, **train).compile(program, trainset=rows, run_dir=run_dir, **more)


@contextlib.contextmanager
def counted():
    """Count the calls of LMs inside the block."""
    tracker = UsageTracker()
    with context(usage_tracker=tracker):
        yield lambda: tracker.total.calls


def checkpoints(run_dir):
    return sorted(path.name for path in Path(run_dir).glob("weights/*/checkpoint-*"))


def trained(run_dir):
    """Return the weights that a run came to, byte by byte: without names of folders and times."""
    last = max(Path(run_dir).glob("weights/*/checkpoint-*"))
    return {path.name: path.read_bytes() for path in last.glob("*.safetensors")}


@pytest.fixture(scope="module")
def models():
    place = Path(__file__).parent / "lm/local/conftest.py"
    spec = importlib.util.spec_from_file_location("small_models", place)
    made = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(made)
    return made


@pytest.fixture(autouse=True)
def _one_thread():
    if importlib.util.find_spec("torch") is not None:
        __import__("torch").set_num_threads(1)


# before anything is paid for


@EACH
def test_without_torch_the_extra_is_named_before_a_call(kind, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)

    with counted() as calls, pytest.raises(MissingExtraError, match=r"'torch'.*pip install 'telic\[train\]'"):
        compiled(kind, tmp_path / "run")

    assert calls() == 0
    assert not (tmp_path / "run").exists()


@needs_torch
@needs_transformers
@EACH
def test_without_peft_the_extra_is_named_before_a_call(kind, tmp_path, monkeypatch, models):
    base = models.save_causal(tmp_path / "base")
    monkeypatch.setitem(sys.modules, "peft", None)

    with counted() as calls, pytest.raises(MissingExtraError, match=r"'peft'.*pip install 'telic\[train\]'"):
        compiled(kind, tmp_path / "run", lm=LM(f"local/{base}"))

    assert calls() == 0
    assert not (tmp_path / "run").exists()


@EACH
def test_an_lm_that_cannot_be_trained_is_named_with_its_predictor_before_a_call(kind, tmp_path):
    class Hops(telic.Module):
        def __init__(self):
            self.find, self.answer = Predict("question -> fact"), Predict("question, fact -> answer")

        def forward(self, question):
            return self.answer(question=question, fact=self.find(question=question).fact)

    lm, words = (
        LM("anthropic/claude-haiku-4-5", api_key="none"),
        r"'anthropic/.*' of `find` and `answer` cannot be",
    )
    with counted() as calls, pytest.raises(ConfigurationError, match=words):
        compiled(kind, tmp_path / "run", student=Hops(), lm=lm)

    assert calls() == 0
    assert not (tmp_path / "run").exists()


@needs_torch
@needs_transformers
@EACH
def test_a_model_too_large_for_memory_is_refused_with_numbers_before_a_call(kind, tmp_path):
    config = {
        "model_type": "llama", "architectures": ["LlamaForCausalLM"], "hidden_size": 65536, "intermediate_size": 262144,
        "num_hidden_layers": 96, "num_attention_heads": 128, "num_key_value_heads": 128, "vocab_size": 1000,
    }  # fmt: skip
    (tmp_path / "huge").mkdir()
    (tmp_path / "huge/config.json").write_text(json.dumps(config))

    with (
        counted() as calls,
        pytest.raises(
            ConfigurationError, match=r"needs [\d.]+ GB at least: .* weights.*'cpu' has [\d.]+ GB left"
        ),
    ):
        compiled(kind, tmp_path / "run", lm=LM(f"local/{tmp_path / 'huge'}"), device="cpu")

    assert calls() == 0
    assert not (tmp_path / "run").exists()


@needs_torch
@needs_transformers
@EACH
def test_adapters_of_another_base_model_are_refused_before_a_call(kind, tmp_path, models):
    from telic.training import ChatRow, SFTSettings, finetune

    base = Path(models.save_causal(tmp_path / "base"))
    row = ChatRow(({"role": "user", "content": "the dog"},), "red")
    made = finetune(f"local/{base}", [row], tmp_path / "first", SFTSettings(steps=1, rank=2))
    shutil.rmtree(base)
    models.save_causal(base, sure=True)  # another model comes to where the old one was

    with (
        counted() as calls,
        pytest.raises(ConfigurationError, match=r"the adapter in .* was trained on other weights of"),
    ):
        compiled(kind, tmp_path / "run", lm=LM(f"local/{made.weights}", cache=False))

    assert calls() == 0
    assert not (tmp_path / "run").exists()


# what the rows are


@needs_torch
@pytest.mark.parametrize("kind", [SFT, BOTH])
def test_no_trace_that_the_metric_accepts_is_said_and_what_was_there_comes_back(kind, tmp_path):
    words = r"nothing to learn from: of 6 runs, 0 were accepted by the metric.*Use a better teacher="
    if kind == SFT:
        with pytest.raises(TrainingError, match=words):
            compiled(kind, tmp_path / "run", metric=never)
    else:
        made = compiled(kind, tmp_path / "run", metric=never)
        assert re.search(rf"step 2 \(w\): {words}", made.report.stopped)
        assert {one.label for one in made.report.candidates} == {"as given", "p"}

    assert not (tmp_path / "run/weights").exists()


@needs_torch
def test_rewards_that_are_all_the_same_teach_nothing_and_the_report_says_so(tmp_path):
    made = compiled(GRPO, tmp_path / "run", metric=never)

    assert any("GRPO had nothing to compare" in note for note in made.report.notes)
    assert made.lm is None, "no step was better than the program as given"


@needs_torch
@EACH
def test_a_single_row_is_enough(kind, tmp_path):
    made = compiled(kind, tmp_path / "run", rows=TASK.trainset[:1])

    assert made.report.stopped is None
    assert trained(tmp_path / "run")


LONG = [
    *TASK.trainset[:4],
    Example(context="the dog " * 2000, question="who", answer="red").with_inputs("context", "question"),
]


@needs_torch
@pytest.mark.parametrize(
    ("asked", "told"), [("drop", "1 rows too long and left out"), ("cut", "1 too long and cut")]
)
def test_rows_longer_than_the_context_are_left_out_or_cut_as_asked_and_counted(asked, told, tmp_path):
    made = long_compile(asked, tmp_path)

    assert any(told in note for note in made.report.notes)


def long_compile(asked, tmp_path):
    """The teacher's context is larger than the student's."""
    settings = {"lm": lambda messages, **options: "[[ ## answer ## ]]\nred\n\n[[ ## completed ## ]]"}
    tuned = telic.BootstrapFinetune(
        always, train_kwargs={"steps": 2, "rank": 4, "too_long": asked}, teacher_settings=settings
    )
    with context(lm=tiny()):
        return tuned.compile(Predict(TASK.signature), trainset=LONG, run_dir=tmp_path / "run")


@needs_torch
def test_rows_longer_than_the_context_are_refused_as_asked(tmp_path):
    with pytest.raises(
        ConfigurationError, match=r"1 of 5 training rows have more than \d+ tokens, row 4 the first"
    ):
        long_compile("refuse", tmp_path)


@needs_torch
def test_replies_and_prompts_too_long_for_grpo_are_counted(tmp_path):
    made = compiled(GRPO, tmp_path / "run", max_length=60)

    assert any(
        re.search(r"\d+ replies were too long or empty and left out", note) for note in made.report.notes
    )


@needs_torch
def test_a_prompt_longer_than_the_context_fails_by_itself_and_is_counted(tmp_path):
    made = compiled(GRPO, tmp_path / "run", rows=LONG)

    assert made.report.stopped is None
    assert len(made.report.failures) == 3, "the rollouts of one row"
    assert all(
        re.search(r"the prompt has \d+ tokens, and the context of 'telic/tiny' is \d+", told)
        for told in made.report.failures
    )
    assert trained(tmp_path / "run")


# while it trains


@needs_torch
@EACH
def test_a_loss_that_is_no_number_stops_it_and_the_last_good_checkpoint_stays(kind, tmp_path):
    wild = {"learning_rate": 1e30, "clip": 1e30, "method": "full", "checkpoint_every": 1}
    words = r"the loss is (nan|inf|[\d.e+]+) and the norm of its gradients .*(no checkpoint|the last good one is).*learning_rate"
    if kind == BOTH:
        made = compiled(kind, tmp_path / "run", **wild)
        assert re.search(words, made.report.stopped)
        assert made.lm is None
        assert made.report.score is not None
    else:
        with pytest.raises(TrainingError, match=words) as caught:
            compiled(kind, tmp_path / "run", **wild)
        assert caught.value.checkpoint is None or (Path(caught.value.checkpoint) / "state.json").is_file()
        assert [Path(caught.value.checkpoint).name] == checkpoints(tmp_path / "run")[-1:]


@needs_torch
@EACH
def test_a_disk_that_is_full_at_a_checkpoint_loses_nothing_and_with_room_it_goes_on(kind, tmp_path):
    compiled(kind, tmp_path / "whole")
    words = (
        r"the checkpoint of step \d cannot be written \(File too large\).*Make room, and run the same again"
    )

    with counted() as calls, small_files(250_000):  # the journal fits, a checkpoint does not
        if kind == BOTH:
            assert re.search(words, compiled(kind, tmp_path / "run").report.stopped)
        else:
            with pytest.raises(TrainingError, match=words):
                compiled(kind, tmp_path / "run")
    paid = calls()
    assert not checkpoints(tmp_path / "run")
    with counted() as calls:
        compiled(kind, tmp_path / "run")

    assert trained(tmp_path / "run") == trained(tmp_path / "whole")
    assert kind != SFT or (paid, calls()) == (6, 0), "traces that were paid for are there"


@contextlib.contextmanager
def small_files(size):
    """No file of this process grows beyond a size: a disk that takes no more."""
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, before)


@needs_torch
@EACH
def test_a_second_run_into_the_same_folder_is_refused_and_the_first_goes_on(kind, tmp_path):
    refused = []

    def second():
        try:
            compiled(kind, tmp_path / "run")
        except RunLockedError as error:
            refused.append(error)

    def metric(example, prediction, trace=None):
        if not refused:
            thread = threading.Thread(target=second)
            thread.start()
            thread.join()
        return long_answer(example, prediction)

    made = compiled(kind, tmp_path / "run", metric=metric)

    assert made.report.stopped is None
    assert refused
    assert all(error.pid == os.getpid() for error in refused)


@needs_torch
@EACH
def test_another_training_in_the_folder_is_refused_by_what_differs(kind, tmp_path):
    compiled(kind, tmp_path / "run", rows=TASK.trainset[:2])

    for other, named in (({"rank": 2}, "settings"), ({"rows": TASK.trainset[2:4]}, "trainset")):
        with counted() as calls, pytest.raises(RunMismatchError, match=named):
            compiled(kind, tmp_path / "run", **{"rows": TASK.trainset[:2], **other})
        assert calls() == 0


@needs_torch
@EACH
def test_rows_that_do_not_fit_into_memory_are_refused_with_numbers_and_fewer_at_once_go_on(
    kind, tmp_path, monkeypatch
):
    place = "telic.training._grpo_plan" if kind == GRPO else "telic.training._plan"
    words = r"needs 0\.\d GB beside its weights, and 'cpu' has 0\.\d GB left.*a smaller rows_at_once="
    with counted() as calls, monkeypatch.context() as machine:
        machine.setattr(f"{place}.free_bytes", lambda device: 10_000_000)
        if kind == BOTH:
            assert re.search(words, compiled(kind, tmp_path / "run").report.stopped)
        else:
            with pytest.raises(ConfigurationError, match=words):
                compiled(kind, tmp_path / "run")
        assert calls() == {SFT: 6, GRPO: 0}.get(kind, calls())
    with counted() as calls:
        made = compiled(kind, tmp_path / "run", rows_at_once=1)

    assert made.report.stopped is None
    assert kind != SFT or calls() == 0, "the traces were kept"


SCRIPT = """
import sys
sys.path.insert(0, sys.argv[1])
from test_bad_input_weights import compiled
__import__("torch").set_num_threads(1)
made = compiled(sys.argv[2], sys.argv[3])
print(made.report.stopped, made.report.total_spend.calls, flush=True)
"""


@needs_torch
def test_killed_in_the_middle_and_run_again_it_has_the_same_weights_and_pays_nothing_twice(tmp_path):
    def start(run):
        return subprocess.Popen(
            [sys.executable, "-c", SCRIPT, str(Path(__file__).parent), BOTH, str(tmp_path / run)],
            stdout=subprocess.PIPE, text=True,
        )  # fmt: skip

    whole, killed = start("whole"), start("killed")
    while killed.poll() is None and not checkpoints(tmp_path / "killed"):
        time.sleep(0.01)
    killed.kill()
    killed.communicate()
    again = start("killed")

    assert whole.communicate()[0] == again.communicate()[0] != ""
    assert trained(tmp_path / "whole") == trained(tmp_path / "killed")
