"""GRPO on the embedded LM: the metric alone teaches. Needs torch."""

from __future__ import annotations

import importlib.util
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import telic
from telic import GRPO as PUBLIC
from telic import LM
from telic.budget import Budget
from telic.context import context
from telic.data import Example
from telic.datasets.tiny import load
from telic.errors import ConfigurationError, RunMismatchError
from telic.modules import Module, Predict
from telic.optimizers import GRPO, CompileStopped

torch = pytest.importorskip("torch")
torch.set_num_threads(1)
pytestmark = pytest.mark.filterwarnings("default")

TASK = load("qa_style")
SMALL = {
    "num_train_steps": 2,
    "num_dspy_examples_per_grpo_step": 2,
    "num_rollouts_per_grpo_step": 4,
    "train_kwargs": {"rank": 4},
}


def tiny(**options):
    return LM("telic/tiny", cache=False, **{"max_tokens": 40, **options})


def long_answer(example, prediction, trace=None):
    return min(1.0, len(prediction.answer) / 40)


def folder_of(run):
    return next(path for path in (run / "weights").iterdir())


def progress(run):
    return [json.loads(line) for line in (folder_of(run) / "progress.jsonl").read_text().splitlines()]


@pytest.fixture(scope="module")
def learned(tmp_path_factory):
    """One compile that several tests look at: student, optimizer, compiled program, folder."""
    run = tmp_path_factory.mktemp("run")
    student = Predict(TASK.signature)
    optimizer = GRPO(TASK.metric, num_train_steps=4, num_steps_for_val=2)
    with context(lm=tiny()):
        compiled = optimizer.compile(
            student, trainset=TASK.trainset[:32], valset=TASK.valset[:16], run_dir=run
        )
    return student, optimizer, compiled, run


def test_the_metric_alone_teaches_what_is_wanted(learned):
    student, _, compiled, _ = learned

    report = compiled.report
    assert report.baseline < 40 < 60 < report.score
    assert report.score == max(one.score for one in report.candidates)
    assert {one.label for one in report.candidates} == {"as given", "step 2", "step 4"}
    assert student.lm is None
    assert student.demos == compiled.demos == []
    assert report.spend["task"].calls == 4 * 4 * 8 + 3 * 16


def test_the_best_weights_lie_in_the_runs_folder_and_answer_in_another_program(learned, tmp_path):
    _, _, compiled, run = learned

    weights = Path(compiled.lm.model.removeprefix("local/"))
    assert weights.is_relative_to(run.resolve())
    kept = [path.name for path in weights.parent.iterdir() if path.name.startswith("step-")]
    assert kept == [weights.name], "other candidates' weights are not kept"
    compiled.save(tmp_path / "program.json")
    again = Predict(TASK.signature)
    again.load(tmp_path / "program.json")
    row = TASK.testset[0].inputs()
    assert again(**row).toDict() == compiled(**row).toDict()


def test_each_step_is_told(learned):
    _, _, compiled, run = learned

    steps = progress(run)
    assert [one["step"] for one in steps] == [1, 2, 3, 4]
    assert all(one["rows"] == 32 and one["groups"] == 4 and one["tokens"] > 0 for one in steps)
    assert steps[0]["divergence"] == 0.0 < steps[-1]["divergence"]
    assert any("mean reward" in note for note in compiled.report.notes)


def test_a_finished_run_given_again_costs_nothing(learned):
    student, optimizer, compiled, run = learned
    lm = tiny()

    with context(lm=lm):
        again = optimizer.compile(student, trainset=TASK.trainset[:32], valset=TASK.valset[:16], run_dir=run)

    assert again.report.score == compiled.report.score
    assert again.lm.model == compiled.lm.model
    assert again.report.total_spend.calls == compiled.report.total_spend.calls


def test_another_compile_in_its_folder_is_refused(learned):
    student, _, _, run = learned

    with context(lm=tiny()), pytest.raises(RunMismatchError, match="settings"):
        GRPO(TASK.metric, num_train_steps=5, num_steps_for_val=2).compile(
            student, trainset=TASK.trainset[:32], valset=TASK.valset[:16], run_dir=run
        )


SCRIPT = """
import sys, torch
torch.set_num_threads(1)
from telic import LM
from telic.context import context
from telic.datasets.tiny import load
from telic.modules import Predict
from telic.optimizers import GRPO
task = load("qa_style")
optimizer = GRPO(
    task.metric, num_train_steps=4, num_steps_for_val=2, num_dspy_examples_per_grpo_step=2,
    num_rollouts_per_grpo_step=4, num_threads=int(sys.argv[2]), train_kwargs={"checkpoint_every": 1, "rank": 4},
)
with context(lm=LM("telic/tiny", cache=False, max_tokens=40)):
    made = optimizer.compile(
        Predict(task.signature), trainset=task.trainset[:8], valset=task.valset[:4], run_dir=sys.argv[1]
    )
print(made.report.score, made.report.total_spend.calls, flush=True)
"""


def test_killed_and_run_again_it_has_the_same_weights_and_pays_nothing_twice(tmp_path):
    script = tmp_path / "compile_it.py"
    script.write_text(SCRIPT)

    def start(run, threads):
        return subprocess.Popen(
            [sys.executable, str(script), str(tmp_path / run), threads], stdout=subprocess.PIPE, text=True
        )

    whole = start("whole", "8")
    killed = start("killed", "2")
    while killed.poll() is None and not list((tmp_path / "killed").glob("weights/*/checkpoint-000002")):
        time.sleep(0.01)
    os.kill(killed.pid, signal.SIGKILL)
    killed.communicate()
    again = start("killed", "3")

    assert whole.communicate()[0] == again.communicate()[0] != ""
    first, second = (
        sorted((tmp_path / run).glob("weights/*/checkpoint-000004/*.safetensors"))
        for run in ("whole", "killed")
    )
    assert [path.read_bytes() for path in first] == [path.read_bytes() for path in second]
    plain = [
        [{k: v for k, v in one.items() if k != "seconds"} for one in progress(tmp_path / run)]
        for run in ("whole", "killed")
    ]
    assert plain[0] == plain[1]


class TwoHops(Module):
    """Two predictors, the second one called once or twice."""

    def __init__(self):
        self.first = Predict("question -> answer")
        self.second = Predict("question -> answer")

    def forward(self, question):
        found = self.first(question=question).answer
        made = self.second(question=found or "nothing")
        return self.second(question=made.answer or "nothing") if len(found) % 2 else made


ROWS = [Example(question=row.question).with_inputs("question") for row in TASK.trainset[:6]]


def test_programs_of_several_predictors_learn_by_predictor_and_invocation(tmp_path):
    program = TwoHops()
    with context(lm=tiny()):
        compiled = GRPO(long_answer, **SMALL, variably_invoked_predictor_grouping_mode="ragged").compile(
            program, trainset=ROWS, run_dir=tmp_path
        )

    assert compiled.first.lm is compiled.second.lm is not None
    assert program.first.lm is None
    assert all(4 <= one["groups"] <= 6 for one in progress(tmp_path)), (
        "of 2 rows: first, second, second again"
    )
    assert any("no valset was given: the last weights" in note for note in compiled.report.notes)


def test_each_predictor_may_have_a_network_of_its_own(tmp_path):
    with context(lm=tiny()):
        compiled = GRPO(long_answer, multitask=False, **SMALL).compile(
            TwoHops(), trainset=ROWS, run_dir=tmp_path
        )

    assert compiled.first.lm.model != compiled.second.lm.model
    assert len(list((tmp_path / "weights").iterdir())) == 2


def test_an_unreadable_reply_is_a_reply_with_its_own_reward(tmp_path):
    """With 3 tokens no reply is ever whole: all that is compared are format rewards."""
    with context(lm=tiny(max_tokens=3)):
        compiled = GRPO(TASK.metric, **SMALL).compile(
            Predict(TASK.signature), trainset=TASK.trainset[:4], run_dir=tmp_path
        )

    assert [one["reward"] for one in progress(tmp_path)] == [-1.0, -1.0]
    assert len(compiled.report.failures) == 16
    assert compiled.report.stopped is None


def test_equal_rewards_teach_nothing_and_the_report_says_so(tmp_path):
    with context(lm=tiny()):
        compiled = GRPO(
            lambda example, prediction, trace=None: 0.5, **{**SMALL, "train_kwargs": {"beta": 0.0, "rank": 4}}
        ).compile(Predict(TASK.signature), trainset=TASK.trainset[:4], run_dir=tmp_path)

    assert any("GRPO had nothing to compare" in note for note in compiled.report.notes)
    assert all(one["norm"] == 0 and one["tokens"] == 0 for one in progress(tmp_path))


@pytest.mark.parametrize("limit", [{"calls": 12}, {"seconds": 0.001}])
def test_at_a_limit_the_best_so_far_comes_back(tmp_path, limit):
    with context(lm=tiny()):
        compiled = GRPO(TASK.metric, **SMALL).compile(
            Predict(TASK.signature), trainset=TASK.trainset[:4], valset=TASK.valset[:4], run_dir=tmp_path,
            budget=Budget(**limit),
        )  # fmt: skip

    assert "budget" in compiled.report.stopped
    assert compiled.lm is None, "nothing was better than the program as it was"


def test_a_faulty_metric_ends_it_at_max_errors(tmp_path):
    def broken(example, prediction, trace=None):
        raise ValueError("no metric today")

    with context(lm=tiny()), pytest.raises(CompileStopped, match="no metric today"):
        GRPO(broken, max_errors=2, **SMALL).compile(
            Predict(TASK.signature), trainset=TASK.trainset[:4], run_dir=tmp_path
        )


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"num_rollouts_per_grpo_step": 1}, "num_rollouts_per_grpo_step"),
        ({"failure_score": -1}, "must be below failure_score=-1"),
        ({"variably_invoked_predictor_grouping_mode": "trunc"}, "did you mean 'truncate'"),
        (
            {"variably_invoked_predictor_grouping_mode": "fill"},
            "variably_invoked_predictor_fill_strategy=None",
        ),
        ({"num_train_steps": 0}, "num_train_steps"),
    ],
)
def test_settings_that_cannot_work_are_refused(settings, words):
    with pytest.raises(ConfigurationError, match=words):
        GRPO(TASK.metric, **settings)


@pytest.mark.parametrize(
    ("lm", "settings", "given", "words"),
    [
        (LM("openai/gpt-5-mini"), {}, {}, "'openai/gpt-5-mini' of `self` cannot be trained by GRPO"),
        (None, {}, {}, "has no LM"),
        (tiny(), {"train_kwargs": {"learning_rat": 1}}, {}, "did you mean 'learning_rate'"),
        (tiny(), {"use_train_as_val": True}, {"valset": TASK.valset[:2]}, "which one chooses"),
        (tiny(), {}, {"teacher": Predict("question -> answer")}, "takes no teacher"),
    ],
)  # fmt: skip
def test_what_cannot_be_trained_is_refused_before_anything_is_paid_for(tmp_path, lm, settings, given, words):
    with context(lm=lm), pytest.raises(ConfigurationError, match=words):
        GRPO(TASK.metric, **settings).compile(
            Predict(TASK.signature), trainset=TASK.trainset[:4], run_dir=tmp_path / "run", **given
        )

    assert not (tmp_path / "run").exists()


def test_the_plan_counts_rollouts_and_validations():
    with context(lm=tiny()):
        plan = GRPO(TASK.metric, num_train_steps=10).plan(
            Predict(TASK.signature), trainset=TASK.trainset[:4], valset=TASK.valset[:20]
        )

    assert plan.calls[0] == 20 + 2 * 20 + 10 * 4 * 8
    assert plan.least_calls == 20


def test_the_plan_tells_memory_and_time_and_runs_nothing(monkeypatch):
    lm = tiny()
    with context(lm=lm):
        plan = GRPO(TASK.metric, **SMALL).plan(Predict(TASK.signature), trainset=TASK.trainset[:4])
        (one,) = GRPO(TASK.metric, **SMALL).training_plans(TwoHops(), trainset=ROWS).values()
        monkeypatch.setitem(sys.modules, "torch", None)
        without = GRPO(TASK.metric, **SMALL).plan(Predict(TASK.signature), trainset=TASK.trainset[:4])

    assert any("s of rollouts, at most" in note and "memory  " in note for note in plan.notes)
    assert (one.steps, one.replies, one.model) == (2, 16, "telic/tiny")
    assert one.tokens == 2 * 16 * one.longest
    assert one.reply_seconds > 0 < one.update_seconds
    assert 4 * one.parameters < one.memory_bytes < one.free_bytes
    assert without.calls == plan.calls
    assert "memory and time are not known: " in without.notes[-1]
    assert "telic[train]" in without.notes[-1]
    assert not lm.history


def test_demos_are_left_out_only_where_they_are_not_frozen(tmp_path):
    def shown():
        program = Predict(TASK.signature)
        program.demos = TASK.trainset[10:12]
        return program

    optimizer = GRPO(TASK.metric, exclude_demos=True, **{**SMALL, "num_train_steps": 1})
    with context(lm=tiny()):
        for use in (optimizer.compile, optimizer.training_plans):
            with pytest.raises(ConfigurationError, match="the demos of `self` away, and they are frozen"):
                use(shown().freeze("demos"), trainset=TASK.trainset[:4])
        compiled = optimizer.compile(shown(), trainset=TASK.trainset[:4], run_dir=tmp_path)

    assert compiled.demos == []


def test_it_is_a_public_name():
    assert PUBLIC is GRPO


class Twice(Module):
    """Asks the same thing twice, the second time for another draw, and has a temperature of its own."""

    def __init__(self):
        self.one = Predict("question -> answer", temperature=0.0)

    def forward(self, question):
        answers = [self.one(question=question, config={"rollout_id": k}).answer for k in (1, 2)]
        return telic.Prediction(answer=" | ".join(answers))


def test_rollouts_are_drawn_at_temperature_1_and_the_judge_is_left_alone(tmp_path):
    judged, seen = [], []

    def judge(messages, **options):
        seen.append(options)
        return "[[ ## verdict ## ]]\nyes\n\n[[ ## completed ## ]]"

    ask = Predict("answer -> verdict", temperature=0.25)
    ask.lm = judge

    def metric(example, prediction, trace=None):
        judged.append(prediction.answer)
        return ask(answer=prediction.answer).verdict == "yes"

    with context(lm=tiny()):
        GRPO(metric, **{**SMALL, "num_train_steps": 1}).compile(Twice(), trainset=ROWS, run_dir=tmp_path)

    assert len(set(judged)) > 1, "the predictor's own temperature is 0"
    assert any(first != second for first, second in (answer.split(" | ") for answer in judged))
    assert all(options["temperature"] == 0.25 for options in seen)


def test_what_was_said_is_learned_word_for_word_with_its_prompt(tmp_path):
    heard = []

    def metric(example, prediction, trace=None):
        heard.append(prediction.answer)
        return 0.0

    with context(lm=tiny()):
        GRPO(metric, **{**SMALL, "num_train_steps": 1}).compile(
            Predict(TASK.signature), trainset=TASK.trainset[:4], run_dir=tmp_path
        )
    steps = [json.loads(line) for line in (tmp_path / "journal.jsonl").read_text().splitlines()]
    said = [
        line for line in map(json.dumps, steps) if '"e": "step"' in line and "Answer the question" in line
    ]

    assert len(said) == len(heard) == 8
    assert all(any(json.dumps(answer)[1:-1] in line for line in said) for answer in heard)


def test_models_of_transformers_are_trained_by_the_same_loop(tmp_path):
    """One with random weights: nothing that it says can be read, and all goes its way."""
    pytest.importorskip("transformers")
    pytest.importorskip("peft")
    place = Path(__file__).parent.parent / "lm/local/conftest.py"
    spec = importlib.util.spec_from_file_location("small_models", place)
    models = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(models)
    (tmp_path / "base").mkdir()
    base = models.save_causal(tmp_path / "base", sure=False)
    lm = LM(f"local/{base}", max_tokens=6, cache=False)

    with context(lm=lm):
        compiled = GRPO(
            TASK.metric, **SMALL, use_train_as_val=True, num_steps_for_val=1, report_train_scores=True
        ).compile(Predict("question -> answer"), trainset=ROWS[:4], run_dir=tmp_path / "run")

    assert [one["reward"] for one in progress(tmp_path / "run")] == [-1.0, -1.0]
    assert progress(tmp_path / "run")[1]["tokens"] > 0
    assert compiled.report.score == compiled.report.baseline == 0
    assert len(compiled.report.candidates) == 3
    assert "on the 4 training rows: 0.00 % before, 0.00 % after" in compiled.report.notes
