"""Groups for programs of several predictors (mmGRPO, Ziems et al. 2025, arXiv 2508.04660).

GRPO compares replies to the same prompt. A program calls its predictors with what earlier ones answered, some of them
several times or not at all; so what is compared is the k-th call of a predictor in each of the rollouts of one example,
each with the reward of its whole rollout. Rollouts that call a predictor more or less often than others are cut,
filled up, or left ragged.

A reply that could not be read has a reward of its own between `format_failure_score` (nothing of it could be read) and
`failure_score`; calls before it, in the same rollout, were not at fault and get `failure_score`. Such a rollout ended
early, so it does not say how often a predictor is called.
"""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import TYPE_CHECKING, Final, Literal, NamedTuple

if TYPE_CHECKING:
    from telic.data import Message

GroupingMode = Literal["truncate", "fill", "ragged"]
FillStrategy = Literal["randint", "max"]
GROUPING_MODES: Final = ("truncate", "fill", "ragged")
FILL_STRATEGIES: Final = ("randint", "max")


class HeardCall(NamedTuple):
    """A call of a predictor, as the LM got and answered it."""

    path: str
    """The predictor's, in its program."""
    messages: tuple[Message, ...]
    reply: str
    complete: bool = True
    """The LM ended it; False: it was cut at `max_tokens`."""


class Rollout(NamedTuple):
    """One run of a program on an example, with its reward."""

    calls: tuple[HeardCall, ...]
    """In the order in which they were answered."""
    reward: float
    """The metric's score, or `failure_score`."""
    unread: int | None = None
    """Which of the calls had a reply that could not be read."""
    unread_reward: float = 0.0
    error: str | None = None
    """What it raised, as text."""
    is_fault: bool = False
    """Whether that was a fault of program or metric, and not a reply that could not be read."""

    def reward_of(self, index: int) -> float:
        """Return the reward of one of its calls."""
        return self.unread_reward if index == self.unread else self.reward


class Member(NamedTuple):
    """A reply in a group."""

    call: HeardCall
    reward: float


class RewardGroup(NamedTuple):
    """Replies that are compared: the k-th calls of a predictor in the rollouts of one example."""

    predictor: str
    invocation: int
    """k, counted from 0."""
    members: tuple[Member, ...]


def format_reward(read: int, expected: int, format_failure_score: float, failure_score: float) -> float:
    """Return the reward of a reply of which `read` of `expected` fields could be read.

    Example:
        >>> format_reward(0, 2, -1.0, 0.0), format_reward(1, 2, -1.0, 0.0)
        (-1.0, -0.5)
    """
    share = read / expected if expected else 0.0
    return format_failure_score + (failure_score - format_failure_score) * share


def groups_of_rollouts(
    rollouts: Sequence[Rollout],
    predictors: Sequence[str],
    mode: GroupingMode = "truncate",
    fill: FillStrategy = "max",
    rng: Random | None = None,
) -> list[RewardGroup]:
    """Return the groups of one example's rollouts, by predictor and invocation.

    Args:
        rollouts: Of one example.
        predictors: Their paths, in the program's order.
        mode: Calls of a predictor beyond those that all rollouts made are left out ("truncate"); rollouts with fewer
            repeat one of theirs ("fill"); or groups have as many members as there are ("ragged"). Rollouts without
            any call of the predictor take no part.
        fill: Which one is repeated: the last ("max"), or one by chance ("randint").
        rng: For "randint".

    A group of fewer than two replies compares nothing and is left out.
    """
    chance = Random(0) if rng is None else rng
    groups: list[RewardGroup] = []
    for path in predictors:
        own = [(_members(rollout, path), rollout.unread is not None) for rollout in rollouts]
        called = [(members, cut) for members, cut in own if members]
        if not called:
            continue
        whole = [len(members) for members, cut in called if not cut]
        most = max(len(members) for members, _ in called)
        rows = [members for members, _ in called]
        if mode == "truncate":
            most = min(whole) if whole else most
        elif mode == "fill":
            rows = [_filled(members, most, fill, chance) for members in rows]
        for k in range(most):
            found = tuple(members[k] for members in rows if k < len(members))
            if len(found) > 1:
                groups.append(RewardGroup(path, k, found))
    return groups


def _members(rollout: Rollout, path: str) -> list[Member]:
    return [Member(call, rollout.reward_of(at)) for at, call in enumerate(rollout.calls) if call.path == path]


def _filled(members: list[Member], most: int, fill: FillStrategy, rng: Random) -> list[Member]:
    more = most - len(members)
    return members + [members[-1] if fill == "max" else rng.choice(members) for _ in range(more)]
