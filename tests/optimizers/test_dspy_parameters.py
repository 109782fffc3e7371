"""Every parameter that DSPy 3.4.1's optimizers have, given by its name, to the constructor and to `compile`."""

import inspect
from collections.abc import Mapping
from typing import Any, NamedTuple

import pytest

import telic
from telic.errors import ConfigurationError
from telic.modules import Predict
from telic.testing import DummyVectorizer
from telic.testing._optimizer_suite import OptimizerSuite
from telic.testing._optimizer_task import equal_answer, sums

ROWS, HELD_OUT = sums(8), sums(6, 50)
TEACHER = Predict("question -> answer")
WRITER = OptimizerSuite().lm(name="writer")


def scored(gold, pred, trace=None, pred_name=None, pred_trace=None):
    return equal_answer(gold, pred)


def same(results):
    return results[0]


class Given(NamedTuple):
    """All parameters with values that are small, and mostly not the usual ones."""

    constructor: Mapping[str, Any]
    compile: Mapping[str, Any]


DEMOS = {"max_bootstrapped_demos": 2, "max_labeled_demos": 3, "max_rounds": 1}
SETTINGS: dict[str, Any] = {"teacher_settings": {}, "num_threads": 2}
GIVEN = {
    "LabeledFewShot": Given({"k": 2}, {"trainset": ROWS, "sample": False}),
    "BootstrapFewShot": Given(
        {"metric": equal_answer, "metric_threshold": 0.5, "teacher_settings": {}, **DEMOS, "max_errors": 9},
        {"teacher": TEACHER, "trainset": ROWS},
    ),
    "BootstrapFewShotWithRandomSearch": Given(
        {"metric": equal_answer, **SETTINGS, **DEMOS, "num_candidate_programs": 1, "max_errors": 9,
         "stop_at_score": 99.0, "metric_threshold": 0.5},
        {"teacher": TEACHER, "trainset": ROWS, "valset": HELD_OUT, "restrict": [-3, 0], "labeled_sample": False},
    ),
    "BootstrapFewShotWithOptuna": Given(
        {"metric": equal_answer, **SETTINGS, **DEMOS, "num_candidate_programs": 2},
        {"teacher": TEACHER, "max_demos": 2, "trainset": ROWS, "valset": HELD_OUT},
    ),
    "KNNFewShot": Given(
        {"k": 2, "trainset": ROWS, "vectorizer": DummyVectorizer(), "metric": equal_answer, "max_errors": 9, **DEMOS,
         "metric_threshold": 0.5, "teacher_settings": {}},
        {"teacher": TEACHER},
    ),
    "COPRO": Given(
        {"prompt_model": WRITER, "metric": equal_answer, "breadth": 2, "depth": 1, "init_temperature": 1.0,
         "track_stats": True},
        {"trainset": ROWS, "eval_kwargs": {"num_threads": 2, "display_progress": False, "display_table": 0}},
    ),
    "MIPROv2": Given(
        {"metric": equal_answer, "prompt_model": WRITER, "task_model": None, **SETTINGS, "max_bootstrapped_demos": 2,
         "max_labeled_demos": 2, "auto": None, "num_candidates": 3, "max_errors": 9, "seed": 0, "init_temperature": 0.7,
         "verbose": False, "track_stats": True, "log_dir": None, "metric_threshold": 0.5},
        {"trainset": ROWS, "teacher": TEACHER, "valset": HELD_OUT, "num_trials": 4, "max_bootstrapped_demos": 1,
         "max_labeled_demos": 1, "seed": 0, "minibatch": True, "minibatch_size": 2, "minibatch_full_eval_steps": 2,
         "program_aware_proposer": True, "data_aware_proposer": True, "view_data_batch_size": 4,
         "tip_aware_proposer": True, "fewshot_aware_proposer": True, "requires_permission_to_run": False,
         "provide_traceback": True},
    ),
    "SIMBA": Given(
        {"metric": equal_answer, "bsize": 2, "num_candidates": 2, "max_steps": 1, "max_demos": 2, "prompt_model": WRITER,
         **SETTINGS, "demo_input_field_maxlen": 100, "temperature_for_sampling": 0.2, "temperature_for_candidates": 0.2},
        {"trainset": ROWS, "seed": 0},
    ),
    "GEPA": Given(
        {"metric": scored, "auto": None, "max_full_evals": None, "max_metric_calls": 40, "reflection_minibatch_size": 2,
         "candidate_selection_strategy": "pareto", "reflection_lm": WRITER, "skip_perfect_score": True,
         "add_format_failure_as_feedback": False, "instruction_proposer": None, "code_proposer": None,
         "component_selector": "round_robin", "use_merge": True, "max_merge_invocations": 1, "num_threads": 2,
         "failure_score": 0.0, "perfect_score": 1.0, "log_dir": None, "track_stats": True, "use_wandb": False,
         "wandb_api_key": None, "wandb_init_kwargs": None, "track_best_outputs": True, "warn_on_score_mismatch": True,
         "use_mlflow": False, "seed": 0, "gepa_kwargs": {"frontier_type": "instance"}},
        {"trainset": ROWS, "teacher": None, "valset": HELD_OUT},
    ),
    "InferRules": Given(
        {"num_candidates": 1, "num_rules": 2, **SETTINGS, "metric": equal_answer, "metric_threshold": 0.5, **DEMOS,
         "max_errors": 9},
        {"teacher": TEACHER, "trainset": ROWS, "valset": HELD_OUT},
    ),
    "Ensemble": Given({"reduce_fn": same, "size": 1, "deterministic": False}, {"programs": [TEACHER]}),
}  # fmt: skip
OWN = {"KNNFewShot": ("few_shot_bootstrap_args",), "InferRules": ("kwargs",), "COPRO": ("_kwargs",)}
"""Names of DSPy's that stand for any others."""


@pytest.mark.parametrize("name", GIVEN)
def test_all_of_them_work(name, tmp_path):
    given = GIVEN[name]
    arguments = dict(given.compile)
    with telic.context(lm=OptimizerSuite().lm()):
        optimizer = getattr(telic, name)(**given.constructor)
        if name == "Ensemble":
            assert optimizer.compile(**arguments)(question="What is 1 plus 2?").answer
        else:
            compiled = optimizer.compile(Predict("question -> answer"), **arguments, run_dir=tmp_path / "run")
            assert compiled.report.stopped is None or "stop_at_score" in compiled.report.stopped
            assert compiled(question="What is 1 plus 2?").answer


def test_verbose_of_older_programs_works_for_copro():
    assert telic.COPRO(metric=equal_answer, verbose=False).verbose is False


def test_the_short_name_is_the_same_optimizer():
    assert telic.BootstrapRS is telic.BootstrapFewShotWithRandomSearch


@pytest.mark.parametrize("name", ["COPRO", "MIPROv2", "SIMBA", "GEPA", "InferRules", "KNNFewShot"])
def test_a_name_that_nobody_knows_is_refused_and_not_ignored(name):
    with pytest.raises((TypeError, ConfigurationError), match="num_thread"):
        getattr(telic, name)(**GIVEN[name].constructor, num_thread=2)


@pytest.mark.parity
@pytest.mark.parametrize("name", GIVEN)
def test_there_are_no_others_in_the_installed_dspy(name):
    kind = getattr(pytest.importorskip("dspy"), name)
    for method, given in zip((kind.__init__, kind.compile), GIVEN[name], strict=True):
        names = list(inspect.signature(inspect.unwrap(method)).parameters)[1:]
        assert set(names) - {"student", *OWN.get(name, ())} <= set(given)
