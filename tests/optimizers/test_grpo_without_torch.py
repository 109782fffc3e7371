"""GRPO where torch is not installed: it says so before anything is paid for."""

from __future__ import annotations

import inspect
import subprocess
import sys

import pytest

from telic.optimizers import GRPO, BetterTogether

SCRIPT = """
import sys
sys.modules["torch"] = None  # not installed
from telic import GRPO, LM, Example, Predict, context
from telic.errors import MissingExtraError
asked = []
rows = [Example(question="q", answer="a").with_inputs("question")]
def metric(example, prediction, trace=None):
    asked.append(prediction)
with context(lm=LM("telic/tiny")):
    try:
        GRPO(metric).compile(Predict("question -> answer"), trainset=rows, run_dir=sys.argv[1])
    except MissingExtraError as error:
        print(error)
assert not asked
"""


def test_the_message_names_the_extra_and_nothing_was_begun(tmp_path):
    made = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(tmp_path / "run")], capture_output=True, text=True, check=True
    )

    assert "telic[train]" in made.stdout
    assert not (tmp_path / "run").exists()


GRPO_NAMES = """
    metric multitask train_kwargs adapter exclude_demos num_threads num_train_steps seed
    num_dspy_examples_per_grpo_step num_rollouts_per_grpo_step use_train_as_val num_steps_for_val report_train_scores
    failure_score format_failure_score variably_invoked_predictor_grouping_mode
    variably_invoked_predictor_fill_strategy
"""
COMPILE_NAMES = """
    student trainset teacher valset num_threads max_errors provide_traceback seed valset_ratio
    shuffle_trainset_between_steps strategy optimizer_compile_args
"""


@pytest.mark.parametrize(
    ("method", "names"),
    [
        (GRPO.__init__, GRPO_NAMES),
        (GRPO.compile, "student trainset teacher valset"),
        (BetterTogether.__init__, "metric prompt_optimizer weight_optimizer optimizers"),
        (BetterTogether.compile, COMPILE_NAMES),
    ],
)
def test_the_parameters_that_dspy_has_are_there_in_its_order(method, names):
    ours = [name for name in inspect.signature(method).parameters if name in names.split()]

    assert ours == names.split()
