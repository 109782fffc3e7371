"""GRPO whose rollouts and validations are made where an executor works: the same weights. Needs torch."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
from pathlib import Path

import pytest
from processes import Bare, Processes, TwoSteps, elsewhere, grieved, roundness

from telic import LM, Budget
from telic.context import context
from telic.data import Example
from telic.errors import ConfigurationError
from telic.modules import Predict
from telic.optimizers import GRPO, CompileStopped

torch = pytest.importorskip("torch")
torch.set_num_threads(1)
pytestmark = pytest.mark.filterwarnings("default")

ROWS = [Example(question=f"What is {n}?").with_inputs("question") for n in range(6)]


@pytest.fixture(scope="module")
def executor():
    made = Processes()
    yield made
    made.close()


@pytest.fixture(scope="session")
def models(tmp_path_factory):
    pytest.importorskip("transformers")
    pytest.importorskip("peft")
    place = Path(__file__).parent.parent / "lm/local/conftest.py"
    spec = importlib.util.spec_from_file_location("small_models", place)
    made = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(made)
    return {
        "telic/tiny": "telic/tiny",
        "causal": f"local/{made.save_causal(tmp_path_factory.mktemp('causal'), sure=True)}",
        "t5": f"local/{made.save_t5(tmp_path_factory.mktemp('t5'), ends=True)}",
    }


def trained(run, model, executor, *, metric=roundness, program=None, budget=None, train=None, **options):
    optimizer = GRPO(
        metric, num_train_steps=2, num_dspy_examples_per_grpo_step=2, num_rollouts_per_grpo_step=3,
        num_steps_for_val=1, adapter=None if model == "telic/tiny" else Bare(),
        train_kwargs={"rank": 4, "checkpoint_every": 1, "learning_rate": 1e-2, **(train or {})}, **options,
    )  # fmt: skip
    with context(lm=LM(model, max_tokens=8 if "local" in model else 40, cache=False), executor=executor):
        return optimizer.compile(
            Predict("question -> answer") if program is None else program,
            trainset=ROWS, valset=ROWS[:2], run_dir=run, budget=budget,
        )  # fmt: skip


def weights(run):
    places = sorted(run.glob("weights/*/*/checkpoint-000002/*.safetensors"))
    places += sorted(run.glob("weights/*/checkpoint-000002/*.safetensors"))
    return [path.read_bytes() for path in places]


def rollouts(run):
    steps = [json.loads(line) for line in (run / "journal.jsonl").read_text().splitlines()]
    found = [one["v"] for one in steps if one["e"] == "step" and isinstance(one["v"][0], list)]
    return sorted((one for one in found if len(one) == 6), key=json.dumps)


@pytest.mark.parametrize(
    ("kind", "method"),
    [("telic/tiny", "lora"), ("causal", "lora"), ("causal", "full"), ("t5", "lora")],
)
def test_rollouts_away_come_to_the_same_weights(tmp_path, executor, models, kind, method):
    """One at a time here too: what a model of transformers computes together it rounds otherwise."""
    threads = 4 if kind == "telic/tiny" else 1
    jobs = executor.jobs
    here = trained(tmp_path / "here", models[kind], None, train={"method": method}, num_threads=threads)
    assert executor.jobs == jobs
    there = trained(tmp_path / "there", models[kind], executor, train={"method": method}, num_threads=2)

    assert executor.jobs - jobs == 1 + 2 * 2 * 3 + 3 * 2
    assert rollouts(tmp_path / "there") == rollouts(tmp_path / "here") != []
    assert weights(tmp_path / "there") == weights(tmp_path / "here") != []
    assert there.report.score == here.report.score
    assert there.report.total_spend.calls == here.report.total_spend.calls == 12 + 6


def test_several_networks_are_kept_apart_there(tmp_path, executor, models):
    options = {"multitask": False, "num_threads": 2}
    trained(tmp_path / "here", "telic/tiny", None, program=TwoSteps(), **options)
    trained(tmp_path / "there", "telic/tiny", executor, program=TwoSteps(), **options)

    assert weights(tmp_path / "there") == weights(tmp_path / "here")
    assert len(weights(tmp_path / "there")) == 4


def test_stopped_and_given_again_it_comes_to_the_same(tmp_path, executor):
    trained(tmp_path / "whole", "telic/tiny", executor)
    stopped = trained(tmp_path / "parts", "telic/tiny", executor, budget=Budget(calls=12))
    again = trained(tmp_path / "parts", "telic/tiny", executor)

    assert "budget" in stopped.report.stopped
    assert weights(tmp_path / "parts") == weights(tmp_path / "whole") != []
    assert again.report.total_spend.calls == 12 + 6


def test_it_runs_in_other_processes(tmp_path, executor, monkeypatch):
    monkeypatch.setenv("TELIC_TEST_MAIN", str(os.getpid()))
    made = trained(tmp_path, "telic/tiny", executor, metric=elsewhere)

    assert made.report.score == 100.0


def test_a_model_that_is_not_there_is_told_before_any_rollout(tmp_path, models):
    base = tmp_path / "base"
    shutil.copytree(models["causal"].removeprefix("local/"), base)

    class Elsewhere(Processes):
        """Where the folder of the model is another one."""

        def run(self, work, *args):
            config = base / "config.json"
            config.write_text(f"{config.read_text()}\n")
            return super().run(work, *args)

    executor = Elsewhere(1)
    with pytest.raises(ConfigurationError, match=r"cannot begin: .* are others in this process") as error:
        trained(tmp_path / "run", f"local/{base}", executor)
    executor.close()

    assert "under the same path" in str(error.value)
    assert not (tmp_path / "run" / "replies.jsonl").read_text()


def test_rollouts_that_end_every_process_stop_it_at_max_errors(tmp_path):
    executor = Processes(1)
    optimizer = GRPO(grieved, num_train_steps=1, max_errors=2, num_threads=1, train_kwargs={"rank": 4})
    lm = LM("telic/tiny", max_tokens=8, cache=False)
    with context(lm=lm, executor=executor), pytest.raises(CompileStopped, match="row 0: WorkerLostError"):
        optimizer.compile(Predict("question -> answer"), trainset=ROWS, run_dir=tmp_path)
    executor.close()
