"""BootstrapFinetune on the embedded LM: what a teacher shows in its prompt, learned by weights. Needs torch."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import telic
from telic import LM
from telic.context import context
from telic.datasets.tiny import load
from telic.errors import ConfigurationError, MissingExtraError, TrainingError
from telic.evaluate import Evaluate
from telic.modules import Module, Predict
from telic.optimizers import BootstrapFinetune, CompileStopped
from telic.training import read_pairs, read_rows

torch = pytest.importorskip("torch")
torch.set_num_threads(1)
pytestmark = pytest.mark.filterwarnings("default")

TASK = load("hidden_labels")
QUICK = {"epochs": 4, "batch_size": 8, "rank": 8}


def tiny(**options):
    return LM("telic/tiny", cache=False, **options)


def teacher_of(student):
    """The student with labelled rows in its prompt, as any prompt optimizer would make it."""
    shown = student.deepcopy()
    for _, predictor in shown.named_predictors():
        predictor.demos = TASK.trainset[32:40]
    return shown


def score(program, rows=TASK.testset[:20]):
    return Evaluate(devset=rows, metric=TASK.metric, num_threads=2)(program).score


def always(example, prediction, trace=None):
    return True


def digest_of(program):
    return [
        path.read_bytes()
        for path in sorted(Path(program.lm.model.removeprefix("local/")).glob("*.safetensors"))
    ]


@pytest.fixture(scope="module")
def learned(tmp_path_factory):
    """One compile that several tests look at: student, compiled program, folder."""
    folder = tmp_path_factory.mktemp("run")
    student = Predict(TASK.signature)
    with context(lm=tiny()):
        compiled = BootstrapFinetune(TASK.metric, train_kwargs={**QUICK, "epochs": 8}).compile(
            student,
            trainset=TASK.trainset[:32],
            teacher=teacher_of(student),
            valset=TASK.valset[:20],
            run_dir=folder,
        )
    return student, compiled, folder


def test_the_students_weights_learn_what_the_teacher_shows(learned):
    student, compiled, _ = learned

    assert compiled.report.baseline < 20 < 50 < compiled.report.score
    assert compiled.demos == student.demos == []
    assert compiled.lm.model.startswith("local/")
    assert student.lm is None
    with context(lm=tiny()):
        assert score(student) < 20 < 50 < score(compiled)


def test_its_rows_weights_and_report_lie_in_the_runs_folder(learned):
    _, compiled, folder = learned

    weights = Path(compiled.lm.model.removeprefix("local/"))
    assert weights.is_relative_to(folder.resolve())
    rows = read_rows(weights.parent / "rows.jsonl")
    assert 8 < len(rows) <= 32
    assert {row.predictor for row in rows} == {"self"}
    assert any("finetuned on" in note and "loss" in note for note in compiled.report.notes)
    assert compiled.report.spend["teacher"].calls == 32


def test_the_saved_program_loads_with_its_weights(learned, tmp_path):
    _, compiled, folder = learned
    compiled.save(tmp_path / "program.json")

    for path in (tmp_path / "program.json", folder / "program.json"):
        again = Predict(TASK.signature)
        again.load(path)
        row = TASK.testset[0].inputs()
        assert again.lm.model == compiled.lm.model
        assert again(**row).toDict() == compiled(**row).toDict()


def test_a_finished_run_given_again_costs_nothing_and_trains_nothing(learned):
    student, compiled, folder = learned
    lm = tiny()
    with context(lm=lm):
        again = BootstrapFinetune(TASK.metric, train_kwargs={**QUICK, "epochs": 8}).compile(
            student,
            trainset=TASK.trainset[:32],
            teacher=teacher_of(student),
            valset=TASK.valset[:20],
            run_dir=folder,
        )

    assert not lm.history
    assert again.lm.model == compiled.lm.model
    assert again.report.score == compiled.report.score


class Twice(Module):
    """Two predictors of one signature, called in turns that a trace's places do not tell."""

    def __init__(self, signature):
        self.first, self.second = Predict(signature), Predict(signature)

    def forward(self, **inputs):
        if len(str(inputs)) % 2:
            self.second(**inputs)
        self.first(**inputs)
        return self.second(**inputs)


def test_each_predictor_can_have_weights_of_its_own(tmp_path):
    program = Twice(TASK.signature)
    program.second.lm = tiny(temperature=0.5)
    with context(lm=tiny()):
        compiled = BootstrapFinetune(always, multitask=False, train_kwargs={**QUICK, "epochs": 1}).compile(
            program, trainset=TASK.trainset[:6], run_dir=tmp_path
        )

    assert compiled.first.lm.model != compiled.second.lm.model
    assert compiled.second.lm.kwargs["temperature"] == 0.5
    for name in ("first", "second"):
        weights = Path(getattr(compiled, name).lm.model.removeprefix("local/"))
        assert {row.predictor for row in read_rows(weights.parent / "rows.jsonl")} == {name}


def test_predictors_that_share_an_lm_share_the_new_one(tmp_path):
    program = Twice(TASK.signature)
    with context(lm=tiny()):
        compiled = BootstrapFinetune(always, train_kwargs={**QUICK, "epochs": 1}).compile(
            program, trainset=TASK.trainset[:6], run_dir=tmp_path
        )

    assert compiled.first.lm is compiled.second.lm
    assert len(list((tmp_path / "weights").iterdir())) == 1


def test_settings_can_be_given_by_lm(tmp_path):
    program = Predict(TASK.signature)
    program.lm = tiny()

    compiled = BootstrapFinetune(always, train_kwargs={program.lm: {**QUICK, "steps": 2}}).compile(
        program, trainset=TASK.trainset[:4], run_dir=tmp_path
    )

    assert any("in 2 updates" in note for note in compiled.report.notes)


def test_several_teachers_are_all_learned_from(tmp_path):
    student = Predict(TASK.signature)
    with context(lm=tiny()):
        compiled = BootstrapFinetune(always, train_kwargs={**QUICK, "steps": 2}).compile(
            student, trainset=TASK.trainset[:4], teacher=[student, teacher_of(student)], run_dir=tmp_path
        )

    assert compiled.report.spend["teacher"].calls == 8
    assert any("of 8 calls" in note for note in compiled.report.notes)


def test_demos_are_learned_with_or_without(tmp_path):
    student = teacher_of(Predict(TASK.signature))
    for exclude in (False, True):
        with context(lm=tiny()):
            compiled = BootstrapFinetune(
                always, exclude_demos=exclude, train_kwargs={**QUICK, "steps": 2}
            ).compile(student, trainset=TASK.trainset[:4], run_dir=tmp_path / str(exclude))
        rows = read_rows(Path(compiled.lm.model.removeprefix("local/")).parent / "rows.jsonl")
        assert len(compiled.demos) == (0 if exclude else 8)
        assert all((len(row.messages) == 2) == exclude for row in rows)
    assert len(student.demos) == 8


def test_frozen_demos_are_not_taken_away(tmp_path):
    lm = tiny()
    student = teacher_of(Predict(TASK.signature)).freeze("demos")
    with context(lm=lm):
        without = BootstrapFinetune(always, exclude_demos=True, train_kwargs={**QUICK, "steps": 2})
        with pytest.raises(
            ConfigurationError, match="would take the demos of `self` away, and they are frozen"
        ):
            without.compile(student, trainset=TASK.trainset[:4], run_dir=tmp_path / "run")
        with pytest.raises(ConfigurationError, match="they are frozen"):
            without.training_plans(student, trainset=TASK.trainset[:4])
        compiled = BootstrapFinetune(always, train_kwargs={**QUICK, "steps": 2}).compile(
            student, trainset=TASK.trainset[:4]
        )

        without.compile(Predict(TASK.signature).freeze("demos"), trainset=TASK.trainset[:1])  # it has none

    assert not (tmp_path / "run").exists()
    assert compiled.demos == student.demos


def test_a_program_is_finetuned_in_two_processes(tmp_path, monkeypatch):
    pytest.importorskip("accelerate")
    lm = tiny()
    optimizer = BootstrapFinetune(always, train_kwargs={**QUICK, "steps": 2, "processes": 2})
    with context(lm=lm):
        compiled = optimizer.compile(
            Predict(TASK.signature), trainset=TASK.trainset[:4], run_dir=tmp_path / "run"
        )
        monkeypatch.setitem(sys.modules, "accelerate", None)
        with pytest.raises(MissingExtraError, match="in 2 processes needs the package 'accelerate'"):
            optimizer.compile(Predict(TASK.signature), trainset=TASK.trainset[:4], run_dir=tmp_path / "none")

    assert compiled.lm.model.startswith(f"local/{tmp_path}")
    assert not (tmp_path / "none").exists()


def test_no_accepted_run_is_said_before_anything_is_trained(tmp_path):
    with context(lm=tiny()), pytest.raises(TrainingError, match="of 4 runs, 0 were accepted by the metric"):
        BootstrapFinetune(lambda e, p, trace=None: False).compile(
            Predict(TASK.signature), trainset=TASK.trainset[:4], run_dir=tmp_path
        )

    assert not (tmp_path / "weights").exists()


def test_a_student_prefers_its_own_better_runs_to_its_worse_ones(tmp_path):
    """Nobody shows how it is done: two answers of one program to one question, and a metric that tells them apart."""

    def short(example, prediction, trace=None):
        return 1.0 / (1 + len(str(prediction[next(iter(TASK.signature.output_fields))])))

    student = Predict(TASK.signature)
    optimizer = BootstrapFinetune(
        short,
        train_kwargs={"loss": "dpo", "steps": 6, "batch_size": 8, "rank": 8},
        teacher_settings={"lm_options": {"temperature": 1.0}},
    )
    with context(lm=tiny()):
        compiled = optimizer.compile(
            student, teacher=[student] * 3, trainset=TASK.trainset[:8], run_dir=tmp_path
        )

    (file,) = tmp_path.glob("weights/*/pairs.jsonl")
    pairs = read_pairs(file)
    assert pairs
    assert all(pair.chosen != pair.rejected and pair.margin > 0 for pair in pairs)
    assert any(f"finetuned on {len(pairs)} pairs in 6 updates, loss 0.69" in n for n in compiled.report.notes)
    assert compiled.lm.model.startswith(f"local/{tmp_path}")
    plans = optimizer.training_plans(_with(tiny()), trainset=TASK.trainset[:8], measure=False)
    assert [plan.rows for plan in plans.values()] == [8]


def _with(lm):
    student = Predict(TASK.signature)
    student.lm = lm
    return student


@pytest.mark.parametrize(
    ("metric", "teachers", "message"),
    [
        (None, 4, "metric is None; pass a metric"),
        (always, 1, r"there is one teacher, which makes one; give several, .* teacher=\[program\] \* 4"),
    ],
)
def test_preferences_without_anything_to_compare_are_refused_before_a_call(
    metric, teachers, message, tmp_path
):
    student = _with(tiny())
    with pytest.raises(ConfigurationError, match=message):
        BootstrapFinetune(metric, train_kwargs={"loss": "dpo"}).compile(
            student, teacher=[student] * teachers, trainset=TASK.trainset[:4], run_dir=tmp_path / "run"
        )

    assert not (tmp_path / "run").exists()
    assert student.lm.history == []


def test_equal_scores_make_no_pairs_which_is_told(tmp_path):
    student = _with(tiny())
    with pytest.raises(TrainingError, match="in 8 runs no prompt was answered twice with different scores"):
        BootstrapFinetune(always, train_kwargs={"loss": "dpo"}).compile(
            student, teacher=[student] * 2, trainset=TASK.trainset[:4], run_dir=tmp_path
        )


def test_a_single_accepted_run_is_enough(tmp_path):
    with context(lm=tiny()):
        compiled = BootstrapFinetune(always, train_kwargs={**QUICK, "steps": 2}).compile(
            Predict(TASK.signature), trainset=TASK.trainset[:1], run_dir=tmp_path
        )

    assert any("1 rows of 1 calls" in note for note in compiled.report.notes)


def test_a_run_in_which_an_assertion_did_not_hold_teaches_nothing(tmp_path):
    class Asserting(Module):
        def __init__(self):
            self.answer = Predict(TASK.signature)

        def forward(self, **inputs):
            prediction = self.answer(**inputs)
            telic.Suggest(len(str(inputs)) % 2 == 0, "Never right.")
            return prediction

    rows = TASK.trainset[:6]
    odd = [len(str(dict(row.inputs().items()))) % 2 for row in rows]
    with context(lm=tiny()):
        compiled = BootstrapFinetune(always, train_kwargs={**QUICK, "steps": 1}).compile(
            Asserting(), trainset=rows, run_dir=tmp_path
        )

    assert any(f" of {6 - sum(odd)} calls" in note for note in compiled.report.notes)


def test_a_budget_that_ends_leaves_what_was_collected_to_learn_from(tmp_path):
    with context(lm=tiny()):
        compiled = BootstrapFinetune(always, num_threads=1, train_kwargs={**QUICK, "steps": 1}).compile(
            Predict(TASK.signature), trainset=TASK.trainset[:6], budget=telic.Budget(seconds=600, tokens=120),
            run_dir=tmp_path,
        )  # fmt: skip

    assert "tokens" in compiled.report.stopped
    assert compiled.lm.model.startswith("local/")


def test_failures_of_the_program_stop_it(tmp_path):
    class Broken(Module):
        def __init__(self):
            self.answer = Predict(TASK.signature)

        def forward(self, **inputs):
            raise RuntimeError("broken")

    with context(lm=tiny()), pytest.raises(CompileStopped, match="broken"):
        BootstrapFinetune(always, max_errors=2).compile(
            Broken(), trainset=TASK.trainset[:6], run_dir=tmp_path
        )


@pytest.mark.parametrize(
    ("lm", "message"),
    [
        (
            LM("anthropic/claude-haiku-4-5"),
            "the LM 'anthropic/claude-haiku-4-5' of `self` cannot be finetuned",
        ),
        (None, "predictor 'self' has no LM, so there are no weights to finetune"),
    ],
)
def test_an_lm_that_cannot_be_trained_is_named_before_anything_is_paid_for(lm, message, tmp_path):
    with context(lm=lm), pytest.raises(ConfigurationError, match=message):
        BootstrapFinetune(always).compile(
            Predict(TASK.signature), trainset=TASK.trainset[:2], run_dir=tmp_path / "run"
        )

    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"epoks": 2}, "train_kwargs has no 'epoks'"),
        ({"epochs": 2, "telic/tiny": {}}, "train_kwargs mixes settings with LMs"),
        ({"rank": 0}, "rank=0"),
    ],
)
def test_settings_that_cannot_work_are_refused_before_anything_is_paid_for(settings, message, tmp_path):
    lm = tiny()
    with context(lm=lm), pytest.raises(ConfigurationError, match=message):
        BootstrapFinetune(always, train_kwargs=settings).compile(
            Predict(TASK.signature), trainset=TASK.trainset[:2], run_dir=tmp_path / "run"
        )
    assert not lm.history


SCRIPT = """
import sys, torch
torch.set_num_threads(1)
from telic import LM
from telic.context import context
from telic.datasets.tiny import load
from telic.modules import Predict
from telic.optimizers import BootstrapFinetune
task = load("hidden_labels")
def always(example, prediction, trace=None):
    return True
optimizer = BootstrapFinetune(always, train_kwargs={"steps": 12, "batch_size": 4, "rank": 4, "checkpoint_every": 2})
with context(lm=LM("telic/tiny", cache=False)):
    optimizer.compile(Predict(task.signature), trainset=task.trainset[:8], run_dir=sys.argv[1])
print("done", flush=True)
"""


def test_killed_in_the_training_and_run_again_it_has_the_same_weights(tmp_path):
    script = tmp_path / "compile_it.py"
    script.write_text(SCRIPT)

    def start(folder):
        return subprocess.Popen([sys.executable, str(script), str(folder)], stdout=subprocess.PIPE, text=True)

    whole = start(tmp_path / "whole")
    killed = start(tmp_path / "killed")
    while killed.poll() is None and not list((tmp_path / "killed").glob("weights/*/checkpoint-000004")):
        time.sleep(0.02)
    os.kill(killed.pid, signal.SIGKILL)
    killed.communicate()
    again = start(tmp_path / "killed")

    assert whole.communicate()[0] == again.communicate()[0] == "done\n"
    first, second = (
        next((tmp_path / name).glob("weights/*/weights/tiny.safetensors")).read_bytes()
        for name in ("whole", "killed")
    )
    assert first == second
    result = json.loads(next((tmp_path / "killed").glob("weights/*/result.json")).read_bytes())
    assert result["resumed_at"] >= 4


def test_a_dry_run_tells_what_the_training_will_take():
    lm = tiny()
    with context(lm=lm):
        plans = BootstrapFinetune(TASK.metric, train_kwargs=QUICK).training_plans(
            Predict(TASK.signature), trainset=TASK.trainset[:16]
        )

    (plan,) = plans.values()
    assert (plan.rows, plan.steps) == (16, 8)
    assert plan.seconds > 0
    assert not lm.history


def test_a_dry_run_of_what_rows_cannot_tell_says_so():
    with (
        context(lm=tiny()),
        pytest.raises(ConfigurationError, match="no training row has values of the fields of"),
    ):
        BootstrapFinetune(always).training_plans(
            Predict("question -> nothing_of_that"), trainset=TASK.trainset[:2]
        )


def test_a_model_too_large_for_memory_is_refused_before_anything_is_paid_for(tmp_path):
    pytest.importorskip("transformers")
    config = {
        "model_type": "llama", "architectures": ["LlamaForCausalLM"], "hidden_size": 65536, "intermediate_size": 262144,
        "num_hidden_layers": 96, "num_attention_heads": 128, "num_key_value_heads": 128, "vocab_size": 1000,
    }  # fmt: skip
    (tmp_path / "huge").mkdir()
    (tmp_path / "huge" / "config.json").write_text(json.dumps(config))
    program = Predict(TASK.signature)
    program.lm = LM(f"local/{tmp_path / 'huge'}")
    for method, tip in (("full", "Take method='lora', dtype='bfloat16'"), ("lora", "Take dtype='bfloat16'")):
        with pytest.raises(
            ConfigurationError, match=rf"\({method}\) needs \d+\.\d GB at least.*GB left. {tip}"
        ):
            BootstrapFinetune(always, train_kwargs={"method": method}).compile(
                program, trainset=TASK.trainset[:2], run_dir=tmp_path / "run"
            )
    assert not (tmp_path / "run").exists()


def test_rows_that_cannot_be_written_are_told_and_the_calls_are_not_paid_for_again(tmp_path):
    def blocking(example, prediction, trace=None):
        (tmp_path / "weights").write_text("in the way")
        return True

    lm = tiny()
    optimizer = BootstrapFinetune(blocking, train_kwargs={**QUICK, "steps": 1})
    with context(lm=lm):
        with pytest.raises(TrainingError, match="the training rows cannot be written to .*weights"):
            optimizer.compile(Predict(TASK.signature), trainset=TASK.trainset[:4], run_dir=tmp_path)
        (tmp_path / "weights").unlink()
        calls = len(lm.history)

        compiled = optimizer.compile(Predict(TASK.signature), trainset=TASK.trainset[:4], run_dir=tmp_path)

    assert len(lm.history) == calls
    assert compiled.lm.model.startswith("local/")
