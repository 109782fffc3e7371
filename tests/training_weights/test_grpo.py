"""A network that learns from rewarded replies: the embedded LM and a small transformer. Needs torch."""

from __future__ import annotations

import math

import pytest

from telic.errors import TrainingError
from telic.training import GRPOLearner, GRPOSettings, HeardCall, RewardGroup
from telic.training._grpo_groups import Member

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.filterwarnings("default")  # peft's own

ASKED = ({"role": "user", "content": "Say a colour."},)


def group(**rewards):
    return RewardGroup("self", 0, tuple(Member(HeardCall("self", ASKED, r), s) for r, s in rewards.items()))


def learner(model, folder, **settings):
    own = GRPOSettings(**{"rank": 4, "learning_rate": 1e-2, **settings})
    return GRPOLearner(model, folder, own, steps=10, seed=0, longest=16)


def chance(network, reply):
    with torch.no_grad():
        return float(network.logprobs([network.encode(ASKED, reply)]).sum())


@pytest.mark.parametrize("method", ["lora", "full"])
@pytest.mark.parametrize("kind", ["tiny", "causal", "t5"])
def test_what_had_more_reward_becomes_likelier_and_what_had_less_less_likely(kind, method, request, tmp_path):
    if kind != "tiny" and method == "lora":
        pytest.importorskip("peft")
    rate = 1e-2 if method == "lora" else 1e-3
    made = learner(request.getfixturevalue(kind), tmp_path, method=method, learning_rate=rate)
    before = {reply: chance(made.network, reply) for reply in ("red", "blue")}

    told = [made.step([group(red=1.0, blue=0.0)]) for _ in range(4)]

    assert chance(made.network, "red") - chance(made.network, "blue") > before["red"] - before["blue"]
    assert told[0].divergence == pytest.approx(0.0, abs=1e-6)
    assert told[-1].divergence > 0
    assert (told[0].reward, told[0].rows, told[0].groups, told[0].telling) == (0.5, 2, 1, 1)


def test_steps_killed_and_gone_on_with_come_to_the_same_weights(tiny, tmp_path):
    groups = [group(red=1.0, blue=0.0, green=0.25), group(one=0.0, two=1.0)]
    whole = learner(tiny, tmp_path / "whole", num_iterations=2)
    for _ in range(4):
        whole.step(groups)
    begun = learner(tiny, tmp_path / "other", num_iterations=2)
    for _ in range(2):
        begun.step(groups)
    begun.keep()
    begun.step(groups)  # lost

    again = learner(tiny, tmp_path / "other", num_iterations=2)
    assert again.kept() == {2}
    again.resume(2)
    assert again.done == 2
    for _ in range(2):
        again.step(groups)

    first, second = whole.network.state(), again.network.state()
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert [one._replace(seconds=0) for one in again.told] == [one._replace(seconds=0) for one in whole.told]


def test_parts_of_a_batch_come_to_the_same_step(tiny, tmp_path):
    groups = [group(red=1.0, blue=0.0, green=0.25, yellow=0.0)]
    whole, parts = (learner(tiny, tmp_path / str(size), rows_at_once=size) for size in (32, 1))
    first, second = (made.step(groups) for made in (whole, parts))

    assert second.loss == pytest.approx(first.loss, abs=1e-6)
    assert second.norm == pytest.approx(first.norm, rel=1e-4)


def test_several_updates_on_the_same_rollouts_meet_the_clip(tiny, tmp_path):
    made = learner(tiny, tmp_path, num_iterations=6, learning_rate=3e-2, beta=0.0)

    assert made.step([group(red=1.0, blue=0.0)]).clipped > 0


def test_equal_rewards_change_nothing_without_a_divergence(tiny, tmp_path):
    made = learner(tiny, tmp_path, beta=0.0)
    before = made.network.state()

    told = made.step([group(red=1.0, blue=1.0)])

    assert (told.telling, told.tokens, told.norm) == (0, 0, 0.0)
    assert all(torch.equal(before[name], value) for name, value in made.network.state().items())
    made.keep()
    learner(tiny, tmp_path, beta=0.0).resume(1)


def test_replies_too_long_to_learn_from_are_counted(tiny, tmp_path):
    told = learner(tiny, tmp_path, max_length=20).step([group(red=1.0, **{"blue " * 40: 0.0})])

    assert (told.rows, told.left_out) == (2, 1)


def test_no_groups_at_all_are_a_step_without_an_update(tiny, tmp_path):
    told = learner(tiny, tmp_path).step([])

    assert math.isnan(told.reward)
    assert (told.rows, told.tokens) == (0, 0)


def test_a_loss_that_is_no_number_stops_it_and_names_the_last_good_checkpoint(tiny, tmp_path):
    made = learner(tiny, tmp_path, clip=1e30, learning_rate=1e30)
    made.step([group(red=1.0, blue=0.0)])
    made.keep()

    with pytest.raises(
        TrainingError, match=r"stopped at step 2 of 10: the loss is .* last good one is"
    ) as caught:
        made.step([group(red=1.0, blue=0.0)])

    assert caught.value.checkpoint.endswith("checkpoint-000001")


def test_a_full_disk_is_told_in_words(tiny, tmp_path, monkeypatch):
    made = learner(tiny, tmp_path)
    made.step([group(red=1.0, blue=0.0)])
    made.keep()
    made.step([group(red=1.0, blue=0.0)])
    (tmp_path / ".checkpoint-000002").write_text("in the way")  # as a disk that takes nothing more
    (tmp_path / ".checkpoint-000002").chmod(0o400)

    with pytest.raises(
        TrainingError, match=r"the checkpoint of step 2 cannot be written .* last good checkpoint is"
    ):
        made.keep()

    assert made.kept() == {1}


def test_rows_that_do_not_fit_into_memory_end_it_with_the_numbers(tiny, tmp_path, monkeypatch):
    made = learner(tiny, tmp_path)
    made.step([group(red=1.0, blue=0.0)])
    made.keep()
    monkeypatch.setattr("telic.training._grpo_plan.free_bytes", lambda device: 1_000_000)

    with pytest.raises(
        TrainingError,
        match=r"at step 2 of 10: 2 rows of up to \d+ tokens need 0\.\d GB at once, and 'cpu' has 0\.0 GB",
    ) as caught:
        made.step([group(red=1.0, blue=0.0)])

    assert caught.value.checkpoint.endswith("checkpoint-000001")
    assert made.done == 1
