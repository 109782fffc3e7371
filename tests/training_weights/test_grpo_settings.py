"""What GRPO's `train_kwargs` may be."""

from __future__ import annotations

import pytest

from telic.errors import ConfigurationError
from telic.training import GRPOSettings, read_grpo_settings


def test_names_of_trl_are_taken():
    settings = read_grpo_settings(
        {"lr": 1e-4, "max_grad_norm": 0.1, "use_peft": False, "scale_rewards": True}
    )

    assert settings == GRPOSettings("full", learning_rate=1e-4, clip=0.1, scale_rewards="group")
    assert read_grpo_settings(None) == GRPOSettings()


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"learning_rat": 1}, "did you mean 'learning_rate'"),
        ({"num_generations": 8}, "GRPO takes it as num_rollouts_per_grpo_step"),
        ({"lr": 1e-3, "learning_rate": 1e-3}, "given twice"),
        ({"beta": -0.1}, "beta=-0.1: a number from 0"),
        ({"beta": float("nan")}, "beta=nan"),
        ({"epsilon": 1.5}, "a number from 0 to 1"),
        ({"num_iterations": 0}, "num_iterations=0: a whole number, 1 or more"),
        ({"num_iterations": True}, "num_iterations=True"),
        ({"loss_type": "gspo"}, "one of grpo, bnpo, dr_grpo"),
        ({"scale_rewards": "std"}, "one of group, batch, none"),
        ({"method": "qlora"}, "method='qlora' is unknown"),
    ],
)
def test_what_cannot_work_is_refused(given, words):
    with pytest.raises(ConfigurationError, match=words):
        read_grpo_settings(given)


def test_the_rate_rises_and_stays_or_falls():
    assert [GRPOSettings(warmup=0.5).rate(step, 4, 1.0) for step in range(4)] == [0.5, 1.0, 1.0, 1.0]
    assert [GRPOSettings(schedule="linear").rate(step, 4, 1.0) for step in range(4)] == [1.0, 0.75, 0.5, 0.25]
