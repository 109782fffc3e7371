"""GRPO's networks, opened before a rollout is made, and what they will be asked to hold.

Prompts are those of the training rows, as far as the rows have a predictor's inputs; what another predictor will say is
counted as a reply of the greatest length.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from telic.context import context
from telic.errors import TelicError
from telic.optimizers._grpo_climb import Course, Learned
from telic.training import (
    AskedPrompt,
    GRPOPlan,
    GRPOWork,
    check_grpo_room,
    open_trainable,
    plan_grpo,
    work_of_grpo,
)

if TYPE_CHECKING:
    from telic.data import Example

_ROWS = 8  # the longest ones, of which prompts are made


def opened(groups: Sequence[Learned], seed: int) -> list[Learned]:
    """Return the groups with their networks; LMs that held the same weights let go of them.

    Raises:
        ConfigurationError: The weights do not fit into memory.
    """
    made: list[Learned] = []
    for group in groups:
        for lm in group.lms.values():
            if not lm.launched:
                lm.close()  # they make room for those in training; the next call loads them again
        lm, settings = next(iter(group.lms.values())), group.settings
        network = open_trainable(lm, settings.adaptation(seed), device=settings.device, dtype=settings.dtype)
        made.append(group._replace(network=network))
    return made


def check_room(
    groups: Sequence[Learned],
    program: Any,
    rows: Sequence[Example],
    course: Course,
    settings: Mapping[str, Any],
) -> None:
    """Refuse networks whose training will not fit, before anything is run.

    Raises:
        ConfigurationError: It needs more memory than there is.
    """
    check_grpo_room([_work(group, program, rows, course, settings)[0] for group in groups])


def plans(
    groups: Sequence[Learned],
    program: Any,
    rows: Sequence[Example],
    course: Course,
    settings: Mapping[str, Any],
    *,
    threads: int,
    measure: bool,
) -> dict[str, GRPOPlan]:
    """Return what the training of each network will take, by its folder's name."""
    found: dict[str, GRPOPlan] = {}
    for group in groups:
        work, prompts = _work(group, program, rows, course, settings)
        found[group.name] = plan_grpo(
            work, prompts, steps=course.steps, reply=group.longest, threads=threads, measure=measure
        )
    return found


def _work(
    group: Learned, program: Any, rows: Sequence[Example], course: Course, settings: Mapping[str, Any]
) -> tuple[GRPOWork, list[AskedPrompt]]:
    with context(**settings):
        prompts = known_prompts(program, list(group.lms), rows)
    replies = course.examples * course.rollouts * max(1, len(group.lms))
    work = work_of_grpo(group.network, group.settings, prompts, replies=replies, reply=group.longest)  # pyright: ignore[reportArgumentType]
    return work, prompts


def known_prompts(program: Any, paths: Sequence[str], rows: Sequence[Example]) -> list[AskedPrompt]:
    """Return the prompts of some predictors on the longest rows, as far as they are known."""
    longest = sorted(rows, key=lambda row: -sum(len(str(value)) for _, value in row.items()))[:_ROWS]
    found: list[AskedPrompt] = []
    for path, predictor in program.named_predictors():
        for row in longest if path in paths else ():
            missing = [name for name in predictor.signature.input_fields if name not in row]
            inputs = {name: row[name] for name in predictor.signature.input_fields if name in row}
            try:
                messages = predictor.render({**inputs, **dict.fromkeys(missing, "")})
            except (TelicError, TypeError, ValueError):  # a typed input that no row has
                continue
            found.append(AskedPrompt(tuple(messages), len(missing)))
    return found
