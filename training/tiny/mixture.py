"""The mixture that `telic/tiny` is trained on: a random task of a random family, again and again."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING

from telic.datasets.tiny._arithmetic import arithmetic
from telic.datasets.tiny._classify import classification
from telic.datasets.tiny._qa import question_answering, searching

if TYPE_CHECKING:
    from telic.datasets.tiny._task import Task


def draw_task(rng: Random, *, held_out: bool = False, easy: bool = False) -> Task:
    """Return a task of the training mixture.

    Args:
        rng: Where chance comes from.
        held_out: Draw names, labels and phrasings that training never uses.
        easy: The first stage of the curriculum: few classes, one hop, one step.
    """
    kind = rng.random()
    if kind < 0.35:
        told_by = rng.choices(("demos", "instructions", "custom"), (0.45, 0.4, 0.15))[0]
        if easy:
            return classification(
                rng, held_out, told_by=told_by, count=rng.choice((2, 2, 3)), reasoning=False
            )
        return classification(rng, held_out, told_by=told_by)
    if kind < 0.68:
        if easy:
            return question_answering(rng, held_out, hops=1, count=rng.choice((1, 2, 2, 3)), reasoning=False)
        return question_answering(rng, held_out)
    if kind < 0.74:
        return searching(rng, held_out)
    return arithmetic(rng, held_out, steps=rng.choice((1, 1, 2))) if easy else arithmetic(rng, held_out)
