"""GRPO's arithmetic: by hand, and beside TRL's where that is installed."""

from __future__ import annotations

import math
from types import SimpleNamespace

import pytest

from telic.training import GRPOSettings, advantages, token_losses, token_weights


def test_advantages_are_rewards_over_the_mean_of_their_group():
    assert advantages([[1.0, 0.0], [3.0, 3.0]], "none") == [[0.5, -0.5], [0.0, 0.0]]
    whole = math.sqrt(0.5)
    assert advantages([[1.0, 0.0]], "group")[0] == pytest.approx(
        [0.5 / (whole + 1e-4), -0.5 / (whole + 1e-4)]
    )


def test_equal_rewards_and_groups_of_one_have_no_advantage():
    for scale in ("group", "batch", "none"):
        assert advantages([[0.7] * 5, [2.0]], scale) == [[0.0] * 5, [0.0]]


def test_a_batchs_deviation_is_of_all_its_rewards():
    found = advantages([[1.0, 0.0], [0.0, 0.0]], "batch")

    assert found[0][0] == pytest.approx(0.5 / (0.5 + 1e-4))
    assert found[1] == [0.0, 0.0]


def test_token_weights_are_the_means_that_their_names_say():
    assert token_weights([2, 4], "grpo", 10) == [1 / 4, 1 / 8]
    assert token_weights([2, 4], "bnpo", 10) == [1 / 6, 1 / 6]
    assert token_weights([2, 4], "dr_grpo", 10) == [1 / 20, 1 / 20]
    assert token_weights([], "grpo", 10) == []


def batch(torch):
    """Four replies of up to five tokens whose ratios lie on both sides of what is clipped."""
    random = torch.Generator().manual_seed(0)
    new = -torch.rand(4, 5, generator=random, dtype=torch.float64) * 2
    old = new + torch.randn(4, 5, generator=random, dtype=torch.float64) * 0.4
    reference = new + torch.randn(4, 5, generator=random, dtype=torch.float64) * 0.3
    sizes = torch.tensor([5, 3, 1, 4])
    mask = (torch.arange(5)[None] < sizes[:, None]).double()
    rise = torch.tensor([1.2, -0.7, 0.3, -0.8], dtype=torch.float64)
    return new * mask, old * mask, reference * mask, mask, rise, sizes.tolist()


def test_a_token_by_hand():
    torch = pytest.importorskip("torch")
    settings = GRPOSettings(beta=0.1, epsilon=0.2, epsilon_high=0.5)
    new = torch.tensor([[math.log(0.8), math.log(0.3)], [math.log(0.1), 0.0]])
    old = torch.tensor([[math.log(0.4), math.log(0.3)], [math.log(0.4), 0.0]])
    mask = torch.tensor([[1.0, 1.0], [1.0, 0.0]])

    found = token_losses(new, old, new, mask, torch.tensor([2.0, -1.0]), settings)

    # ratio 2 is cut to 1.5 where the reply was good; ratio 1/4 is cut to 0.8 where it was bad
    assert found.loss.tolist() == [pytest.approx([-3.0, -2.0]), pytest.approx([0.8, 0.0])]
    assert found.clipped.tolist() == [[1.0, 0.0], [1.0, 0.0]]
    assert found.divergence.tolist() == [[0.0, 0.0], [0.0, 0.0]]
    apart = token_losses(new, new, old, mask, torch.tensor([0.0, 0.0]), settings)
    k3 = 0.5 - math.log(0.5) - 1
    assert apart.divergence[0, 0].item() == pytest.approx(k3)
    assert apart.loss[0, 0].item() == pytest.approx(0.1 * k3)


@pytest.mark.parametrize("level", ["token", "sequence"])
@pytest.mark.parametrize("loss_type", ["grpo", "bnpo", "dr_grpo"])
@pytest.mark.parametrize("beta", [0.0, 0.04])
def test_loss_and_gradient_are_those_of_trl(loss_type, level, beta):
    torch = pytest.importorskip("torch")
    trl = pytest.importorskip("trl")
    new, old, reference, mask, rise, sizes = batch(torch)
    settings = GRPOSettings(
        beta=beta, epsilon=0.2, epsilon_high=0.3, loss_type=loss_type, importance_sampling_level=level
    )
    ours, theirs = new.clone().requires_grad_(), new.clone().requires_grad_()

    found = token_losses(ours, old, reference if beta else None, mask, rise, settings)
    weights = torch.tensor(token_weights(sizes, loss_type, 7), dtype=torch.float64)
    loss = (found.loss * weights[:, None]).sum()
    trainer = _trl_trainer(torch, theirs, settings)
    same = trl.GRPOTrainer._compute_loss(
        trainer,
        None,
        {
            "prompt_ids": torch.zeros(4, 1, dtype=torch.long),
            "prompt_mask": torch.ones(4, 1),
            "completion_ids": torch.zeros(4, 5, dtype=torch.long),
            "completion_mask": mask,
            "advantages": rise,
            "old_per_token_logps": old,
            "ref_per_token_logps": reference,
        },
    )
    loss.backward()
    same.backward()

    assert loss.item() == pytest.approx(same.item(), rel=1e-12)
    assert torch.allclose(ours.grad, theirs.grad * mask, rtol=1e-10, atol=1e-14)
    if beta:
        kl = (found.divergence.sum() / mask.sum()).item()
        assert kl == pytest.approx(trainer._metrics["train"]["kl"][0], rel=1e-12)


def _trl_trainer(torch, logps, settings):
    """What TRL's loss reads of its trainer."""

    def gather(value):
        return value

    return SimpleNamespace(
        _get_per_token_logps_and_entropies=lambda *a, **k: (logps, torch.zeros_like(logps), None),
        aux_loss_enabled=False,
        top_entropy_quantile=1.0,
        off_policy_mask_threshold=None,
        importance_sampling_level=settings.importance_sampling_level,
        beta=settings.beta,
        args=SimpleNamespace(use_bias_correction_kl=False, delta=None),
        loss_type=settings.loss_type,
        epsilon_low=settings.epsilon,
        epsilon_high=settings.high,
        use_vllm=False,
        model=SimpleNamespace(training=True),
        current_gradient_accumulation_steps=1.0,
        max_completion_length=7,
        _entropy_bonus_enabled=False,
        accelerator=SimpleNamespace(
            gather=gather, gather_for_metrics=gather, reduce=lambda value, reduction: value
        ),
        _metrics={"train": {name: [] for name in _METRICS}},
    )


_METRICS = (
    "kl", "entropy", "clip_ratio/low_mean", "clip_ratio/high_mean", "clip_ratio/region_mean", "clip_ratio/low_min",
    "clip_ratio/high_max",
)  # fmt: skip
