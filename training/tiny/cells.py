"""What is measured: cells of the evaluation table, each one family of tasks with fixed options."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from telic.datasets.tiny._arithmetic import arithmetic
from telic.datasets.tiny._classify import classification
from telic.datasets.tiny._history import remembering, totalling
from telic.datasets.tiny._qa import question_answering, searching
from telic.datasets.tiny._table import comparing, threshold
from telic.datasets.tiny._typed import listing, price, record, truth

if TYPE_CHECKING:
    from collections.abc import Callable
    from random import Random

    from telic.datasets.tiny._task import Row, Task


def last_equal(row: Row, given: dict[str, Any]) -> bool:
    """Return whether the last output is exactly right."""
    name = list(row.outputs)[-1]
    return given.get(name) == row.outputs[name]


def all_equal(row: Row, given: dict[str, Any]) -> bool:
    """Return whether every output but the reasoning is exactly right."""
    return all(given.get(name) == value for name, value in row.outputs.items() if name != "reasoning")


class Cell(NamedTuple):
    """One line of the table.

    Attributes:
        make: `make(rng, held_out)`: a task.
        judge: Whether what the LM gave for a row is right.
        demos: The numbers of demos to measure at.
        run: Instead of rows: `run(lm, rng, held_out)` returns whether one trial went well.
    """

    make: Callable[[Random, bool], Task] | None
    judge: Callable[[Row, dict[str, Any]], bool] = last_equal
    demos: tuple[int, ...] = (0, 1, 2, 4, 8)
    run: Callable[[Any, Random, bool], bool] | None = None


_demos = partial(classification, told_by="demos", reasoning=False)
_told = partial(classification, told_by="instructions", reasoning=False)
_custom = partial(classification, told_by="custom", reasoning=False)
_qa = partial(question_answering, reasoning=False, count=3)
_sum = partial(arithmetic, unit=False, top=20)
_unit = partial(arithmetic, steps=1, reasoning=True, unit=True, bare=False, top=20)

CELLS = {
    "labels by demos, 2 topics": Cell(partial(_demos, axis="topic", count=2)),
    "labels by demos, 3 topics": Cell(partial(_demos, axis="topic", count=3)),
    "labels by demos, 4 topics": Cell(partial(_demos, axis="topic", count=4)),
    "labels by demos, sentiment": Cell(partial(_demos, axis="sentiment")),
    "labels by demos, 3 topics, reasoned": Cell(
        partial(classification, told_by="demos", reasoning=True, axis="topic", count=3)
    ),
    "labels by instructions, 2 topics": Cell(partial(_told, axis="topic", count=2)),
    "labels by instructions, 3 topics": Cell(partial(_told, axis="topic", count=3)),
    "labels by instructions, sentiment": Cell(partial(_told, axis="sentiment")),
    "labels by custom, 3 topics": Cell(partial(_custom, axis="topic", count=3)),
    "labels by custom, sentiment": Cell(partial(_custom, axis="sentiment")),
    "one hop, short, silent": Cell(partial(_qa, style="short", told=False, hops=1)),
    "one hop, short, told": Cell(partial(_qa, style="short", told=True, hops=1)),
    "one hop, sentence, silent": Cell(partial(_qa, style="full", told=False, hops=1)),
    "one hop, sentence, told": Cell(partial(_qa, style="full", told=True, hops=1)),
    "one hop, short, told, 6 facts": Cell(
        partial(question_answering, reasoning=False, count=6, style="short", told=True, hops=1)
    ),
    "two hops, short, told": Cell(partial(_qa, style="short", told=True, hops=2)),
    "two hops, short, told, reasoned": Cell(
        partial(question_answering, reasoning=True, count=3, style="short", told=True, hops=2)
    ),
    "search for the second hop": Cell(partial(searching, with_context=True)),
    "1 step, direct": Cell(partial(_sum, steps=1, reasoning=False)),
    "1 step, reasoned": Cell(partial(_sum, steps=1, reasoning=True)),
    "2 steps, direct": Cell(partial(_sum, steps=2, reasoning=False)),
    "2 steps, reasoned": Cell(partial(_sum, steps=2, reasoning=True)),
    "3 steps, direct": Cell(partial(_sum, steps=3, reasoning=False)),
    "3 steps, reasoned": Cell(partial(_sum, steps=3, reasoning=True)),
    "1 step, unit, silent, reasoned": Cell(partial(_unit, told=False)),
    "1 step, unit, told, reasoned": Cell(partial(_unit, told=True)),
    "list of names": Cell(partial(listing, kind="names"), all_equal, (0, 1, 4)),
    "list of numbers": Cell(partial(listing, kind="numbers"), all_equal, (0, 1, 4)),
    "several typed fields": Cell(partial(record, form="fields"), all_equal, (0, 1, 4)),
    "dict with told keys": Cell(partial(record, form="dict"), all_equal, (0, 1, 4)),
    "pydantic model": Cell(partial(record, form="model"), all_equal, (0, 1, 4)),
    "what may be absent": Cell(partial(record, form="optional"), all_equal, (0, 1, 4)),
    "true or false": Cell(truth, all_equal, (0, 1, 4)),
    "float": Cell(price, all_equal, (0, 1, 4)),
    "table, rule told": Cell(partial(threshold, told=True), demos=(0, 2, 8)),
    "table, rule shown": Cell(partial(threshold, told=False), demos=(0, 2, 8)),
    "larger or smaller": Cell(comparing, all_equal, (0, 2)),
    "conversation, facts": Cell(remembering, demos=(0,)),
    "conversation, totals": Cell(totalling, demos=(0,)),
}
