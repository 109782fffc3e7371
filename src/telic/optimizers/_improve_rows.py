"""Who learns, who chooses and who checks: the rows of `improve` in three parts that share none.

Demonstrations and proposals come from the first part, candidates are chosen by the second, and the winner is checked on
the third, which had no part in finding it. With a valset that is the second part, and `trainset` gives the other two.
A trainset of fewer than 20 rows is not parted: all its rows serve for all, and nothing can be checked.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final, NamedTuple

from telic._seed import derive
from telic._text import plural
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


def parted(run: Compile, rows: list[Example], valset: list[Example] | None, seed: int, most: int) -> Parts:
    """Return the rows in their parts; the report and one line on the console say what was done.

    Args:
        run: The compile.
        rows: The trainset.
        valset: The valset, if one was given.
        seed: Of the draw.
        most: As for `sizes_of`.
    """
    sizes = sizes_of(len(rows), None if valset is None else len(valset), most)
    chosen_by = rows if valset is None else valset
    if valset is not None and sizes.choose < len(valset):
        chosen_by = _drawn(valset, sizes.choose, seed, "valset")
        run.note(f"{sizes.choose} of the {len(valset)} rows of valset choose; max_rows={most}")
    if len(rows) < SPLIT_FROM:
        if valset is None:
            run.note(
                f"no valset was given and trainset has only {plural(len(rows), 'row')}: candidates were made from and "
                "chosen by the same rows, and nothing was left to check the winner on; pass more rows",
                warn=True,
            )
        return Parts(rows, chosen_by[: sizes.choose], [])
    order = derive(seed, "parts").sample(range(len(rows)), len(rows))
    cut = sizes.check, sizes.check + (sizes.choose if valset is None else 0)
    check, choose, learn = (
        [rows[i] for i in sorted(part)] for part in (order[: cut[0]], order[cut[0] : cut[1]], order[cut[1] :])
    )
    if valset is not None:
        return Parts(learn, chosen_by, check)
    run.note(
        f"no valset was given: trainset was split, {sizes.learn} rows to learn from, {sizes.choose} to choose by and "
        f"{sizes.check} to check the winner",
        warn=True,
    )
    return Parts(learn, choose, check)


def _drawn(rows: Sequence[Example], count: int, seed: int, what: str) -> list[Example]:
    return [rows[i] for i in sorted(derive(seed, what).sample(range(len(rows)), count))]
