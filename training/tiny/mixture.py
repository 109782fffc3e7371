"""The mixture that `telic/tiny` is trained on: a random task of a random family, again and again."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from skills.agent import react_extract, react_step
from skills.code import code_answer, code_mending, code_writing
from skills.compare import comparison
from skills.correct import correction
from skills.echo import any_facts, editing
from skills.judge import judging
from skills.propose import inventing, proposing

from telic.datasets.tiny._arithmetic import arithmetic
from telic.datasets.tiny._classify import classification
from telic.datasets.tiny._history import talking
from telic.datasets.tiny._qa import question_answering, searching
from telic.datasets.tiny._table import table
from telic.datasets.tiny._typed import typed

if TYPE_CHECKING:
    from collections.abc import Callable
    from random import Random

    from telic.datasets.tiny._task import Task


def _easy_classes(rng: Random, held_out: bool, *, told_by: str) -> Task:
    return classification(rng, held_out, told_by=told_by, count=rng.choice((2, 2, 3)), reasoning=False)


def _easy_questions(rng: Random, held_out: bool) -> Task:
    return question_answering(rng, held_out, hops=1, count=rng.choice((1, 2, 2, 3)), reasoning=False)


def _easy_sums(rng: Random, held_out: bool) -> Task:
    return arithmetic(rng, held_out, steps=rng.choice((1, 1, 2)))


EASY: tuple[tuple[float, Callable[[Random, bool], Task]], ...] = (
    (0.16, partial(_easy_classes, told_by="demos")),
    (0.13, partial(_easy_classes, told_by="instructions")),
    (0.06, partial(_easy_classes, told_by="custom")),
    (0.33, _easy_questions),
    (0.06, searching),
    (0.26, _easy_sums),
)
ALL: tuple[tuple[float, Callable[[Random, bool], Task]], ...] = (
    (0.07, partial(classification, told_by="demos")),
    (0.09, partial(classification, told_by="instructions")),
    (0.03, partial(classification, told_by="custom")),
    (0.17, question_answering),
    (0.03, searching),
    (0.08, arithmetic),
    (0.10, react_step),
    (0.03, react_extract),
    (0.06, correction),
    (0.025, comparison),
    (0.045, judging),
    (0.04, code_writing),
    (0.01, code_mending),
    (0.015, code_answer),
    (0.07, editing),
    (0.06, any_facts),
    (0.06, proposing),
    (0.01, inventing),
    (0.04, typed),
    (0.02, table),
    (0.02, talking),
)


LONG = 500
# Agents' prompts do not fit into short rows; there is more of them in long ones.
SHORT = tuple((share, make) for share, make in ALL if make is not react_step)


def draw_task(rng: Random, *, held_out: bool = False, easy: bool = False, length: int = LONG) -> Task:
    """Return a task of the training mixture.

    Args:
        rng: Where chance comes from.
        held_out: Draw names, labels and phrasings that training never uses.
        easy: The first stage of the curriculum: few classes, one hop, one step.
        length: Tokens of the row that it is for.
    """
    families = EASY if easy else ALL if length >= LONG else SHORT
    (_, make), *_ = rng.choices(families, [share for share, _ in families])
    return make(rng, held_out)
