"""Which calls GRPO compares with each other, and what each is worth. No torch."""

from __future__ import annotations

from random import Random

import pytest

from telic.training import HeardCall, Rollout, format_reward, groups_of_rollouts


def rollout(reward, *paths, **more):
    return Rollout(
        tuple(HeardCall(path, (), f"{path}{number}") for number, path in enumerate(paths)), reward, **more
    )


def shape(groups):
    return [(g.predictor, g.invocation, [(m.call.reply, m.reward) for m in g.members]) for g in groups]


def test_the_kth_calls_of_a_predictor_are_compared_across_rollouts():
    groups = groups_of_rollouts([rollout(1.0, "a", "b", "a"), rollout(0.0, "a", "b", "a")], ["a", "b"])

    assert shape(groups) == [
        ("a", 0, [("a0", 1.0), ("a0", 0.0)]),
        ("a", 1, [("a2", 1.0), ("a2", 0.0)]),
        ("b", 0, [("b1", 1.0), ("b1", 0.0)]),
    ]


def test_truncated_groups_end_where_the_shortest_rollout_ends():
    groups = groups_of_rollouts([rollout(1.0, "a", "a", "a"), rollout(0.0, "a")], ["a"], "truncate")

    assert [(g.invocation, len(g.members)) for g in groups] == [(0, 2)]


@pytest.mark.parametrize("fill", ["max", "randint"])
def test_filled_groups_repeat_a_call_of_the_short_rollouts(fill):
    groups = groups_of_rollouts(
        [rollout(1.0, "a", "a", "a"), rollout(0.0, "a", "a")], ["a"], "fill", fill, Random(0)
    )

    assert [(g.invocation, len(g.members)) for g in groups] == [(0, 2), (1, 2), (2, 2)]
    again = groups[2].members[1]
    assert again.call.reply == "a1" if fill == "max" else again.call.reply in ("a0", "a1")


def test_ragged_groups_have_as_many_members_as_there_are():
    runs = [rollout(1.0, "a", "a", "a"), rollout(0.0, "a", "a"), rollout(0.5, "a")]

    groups = groups_of_rollouts(runs, ["a"], "ragged")

    assert [len(g.members) for g in groups] == [3, 2], "a group of one compares nothing"


def test_rollouts_that_do_not_call_a_predictor_take_no_part_in_its_groups():
    runs = [rollout(1.0, "a", "b"), rollout(0.0, "a"), rollout(0.5, "a", "b")]

    groups = groups_of_rollouts(runs, ["a", "b", "never"])

    assert [(g.predictor, len(g.members)) for g in groups] == [("a", 3), ("b", 2)]


def test_an_unreadable_reply_has_its_own_reward_and_does_not_shorten_the_others():
    broken = rollout(0.0, "a", "b", unread=1, unread_reward=-1.0)
    runs = [broken, rollout(1.0, "a", "b", "b"), rollout(0.5, "a", "b", "b")]

    groups = groups_of_rollouts(runs, ["a", "b"])

    rewards = [(g.predictor, [m.reward for m in g.members]) for g in groups]
    assert rewards == [("a", [0.0, 1.0, 0.5]), ("b", [-1.0, 1.0, 0.5]), ("b", [1.0, 0.5])]


def test_where_no_rollout_could_be_read_the_failures_are_compared_with_each_other():
    runs = [rollout(0.0, "a", unread=0, unread_reward=-1.0), rollout(0.0, "a", unread=0, unread_reward=-0.5)]

    assert [m.reward for m in groups_of_rollouts(runs, ["a"])[0].members] == [-1.0, -0.5]


def test_no_rollouts_make_no_groups():
    assert groups_of_rollouts([], ["a"]) == []
    assert groups_of_rollouts([rollout(1.0, "a")], ["a"]) == []


def test_format_rewards_lie_between_the_two_failure_scores():
    assert [format_reward(read, 4, -1.0, 0.0) for read in range(5)] == [-1.0, -0.75, -0.5, -0.25, 0.0]
    assert format_reward(0, 0, -2.0, -1.0) == -2.0
