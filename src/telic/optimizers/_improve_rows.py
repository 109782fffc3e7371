"""Who learns, who chooses and who checks: the rows of `improve` in three parts that share none.

Demonstrations and proposals come from the first part, candidates are chosen by the second, and the winner is checked on
the third, which had no part in finding it. With a valset that is the second part, and `trainset` gives the other two.
Rows that come more than once go into one part. A trainset of fewer than 20 rows is not parted: all its rows serve for
all, and nothing can be checked.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from telic._seed import derive
from telic._text import plural
from telic.evaluate import example_key
from telic.optimizers._selection import SPLIT_FROM

if TYPE_CHECKING:
    from telic.data import Example
    from telic.optimizers._compile import Compile

_LEARN: Final = 0.3
_CHECK: Final = 0.25
_CHECK_BESIDE_VALSET: Final = 0.4


class Sizes(NamedTuple):
    """How many rows do what."""

    learn: int
    choose: int
    check: int


class Parts(NamedTuple):
    """Which rows do what."""

    learn: list[Example]
    choose: list[Example]
    check: list[Example]


def sizes_of(trainset: int, valset: int | None, most: int) -> Sizes:
    """Return how many rows do what.

    Args:
        trainset: Rows to learn from.
        valset: Rows to choose by; None: none were given.
        most: No more rows than that choose, and no more check.

    Example:
        >>> sizes_of(100, None, 200), sizes_of(100, 50, 200), sizes_of(8, None, 200)
        (Sizes(learn=30, choose=45, check=25), Sizes(learn=60, choose=50, check=40), Sizes(learn=8, choose=8, check=0))
    """
    if trainset < SPLIT_FROM:
        return Sizes(trainset, min(most, trainset if valset is None else valset), 0)
    share = _CHECK if valset is None else _CHECK_BESIDE_VALSET
    check = min(most, int(trainset * share))
    if valset is not None:
        return Sizes(trainset - check, min(most, valset), check)
    choose = min(most, trainset - int(trainset * _LEARN) - check)
    return Sizes(trainset - choose - check, choose, check)


def partition(rows: list[Example], valset: list[Example] | None, seed: int, most: int) -> Parts:
    """Return the rows in their parts. Equal rows stay together, and what is in the valset does not check.

    Args:
        rows: The trainset.
        valset: The valset, if one was given.
        seed: Of the draw.
        most: As for `sizes_of`.
    """
    chosen_by = rows if valset is None else valset
    sizes = sizes_of(len(rows), None if valset is None else len(valset), most)
    if valset is not None:
        drawn = derive(seed, "valset").sample(range(len(valset)), sizes.choose)
        chosen_by = [valset[i] for i in sorted(drawn)]
    if len(rows) < SPLIT_FROM:
        return Parts(rows, chosen_by[: sizes.choose], [])
    groups: dict[str, list[int]] = {}
    for index, row in enumerate(rows):
        groups.setdefault(example_key(row), []).append(index)
    known = set[str]() if valset is None else {example_key(row) for row in valset}
    check, choose = set[int](), set[int]()
    keys = list(groups)
    for key in derive(seed, "parts").sample(keys, len(keys)):
        group = groups[key]
        if key not in known and len(check) + len(group) <= sizes.check:
            check.update(group)
        elif valset is None and len(choose) + len(group) <= sizes.choose:
            choose.update(group)
    learn = [row for index, row in enumerate(rows) if index not in check | choose]
    if not learn or (valset is None and not choose):  # few rows, many times
        return Parts(rows, chosen_by[: sizes.choose], [])
    return Parts(
        learn,
        [rows[index] for index in sorted(choose)] if valset is None else chosen_by,
        [rows[index] for index in sorted(check)],
    )


def parted(run: Compile, rows: list[Example], valset: list[Example] | None, seed: int, most: int) -> Parts:
    """Return the rows in their parts; the report and one line on the console say what was done."""
    parts = partition(rows, valset, seed, most)
    learn, choose, check = map(len, parts)
    if valset is not None:
        if choose < len(valset):
            run.note(f"{choose} of the {len(valset)} rows of valset choose; max_rows={most}")
        if not check:
            run.note("too few rows of trainset are not in valset: nothing was left to check the winner on")
    elif not check:
        run.note(
            f"no valset was given and trainset has only {plural(len(rows), 'row')}, or few different ones: candidates "
            "were made from and chosen by the same rows, and nothing was left to check the winner on; pass more rows",
            warn=True,
        )
    else:
        run.note(
            f"no valset was given: trainset was split, {learn} rows to learn from, {choose} to choose by and "
            f"{check} to check the winner",
            warn=True,
        )
    return parts
