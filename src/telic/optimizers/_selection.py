"""Honest numbers for the best of many: how much of its score is luck, and how many rows would tell.

Whoever tries many candidates on the same rows and takes the best has also picked the luckiest: its score is too high.
`optimism` estimates by how much, by choosing on random halves of the rows and looking at the other halves;
`corrected` makes the paired test of the winner hold for the whole family (Bonferroni); `rows_to_tell` says how many
rows would show a difference of the size seen, at 80 % power, and `tell_rivals` how many candidates are as good as the
best one for all that these rows tell. Rows that chose nothing are better than all three:
`fresh_rows` finds them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

from telic._seed import derive
from telic._text import plural
from telic.evaluate import compare_paired
from telic.optimizers._overlap import tell_shared

if TYPE_CHECKING:
    from telic.data import Example
    from telic.evaluate import Comparison, EvaluationResult
    from telic.optimizers._compile import Compile

_SPLITS: Final = 200
_MOST_WORK: Final = 1_000_000  # scores looked at, for at most some 0.1 s
_Z: Final = 1.96 + 0.84  # two-sided 5 %, power 80 %
_CONFIDENCE: Final = 0.95
_LEAST_WINS: Final = 6
"""Rows won, none lost, that show a difference: the exact McNemar test is below 5 % from there."""
_WANTED: Final = 0.05
"""The difference that people usually look for, in the scores' units."""
_FEWEST: Final = 5
"""Fewer rows than that are no check."""
SPLIT_FROM: Final = 20
"""A training set of at least this many rows is split where no validation set is given; smaller ones are shared."""


def optimism(scores: Sequence[Sequence[float]], seed: int = 0) -> float:
    """Return by how much the best mean is likely to be too high, in the scores' units; 0.0 for one candidate.

    Args:
        scores: The scores of each candidate (n candidates) on the same rows (n rows).
        seed: Of the splits.

    Example:
        >>> optimism([[1.0, 0.0, 1.0, 0.0]])
        0.0
    """
    distinct = list(dict.fromkeys(tuple(row) for row in scores))
    n = len(distinct[0]) if distinct else 0
    if len(distinct) < 2 or n < 2:
        return 0.0
    rng = derive(seed, "optimism", len(distinct), n)
    half, places = n // 2, list(range(n))
    splits = max(20, min(_SPLITS, _MOST_WORK // (n * len(distinct))))
    total = 0.0
    for _ in range(splits):
        rng.shuffle(places)
        chosen_by, others = places[:half], places[half:]
        found = [sum([row[i] for i in chosen_by]) / half for row in distinct]
        best = max(range(len(found)), key=found.__getitem__)
        total += found[best] - sum([distinct[best][i] for i in others]) / len(others)
    return max(
        0.0, total / splits / math.sqrt(2)
    )  # luck shrinks with the root of the rows, and these were half


def corrected(comparison: Comparison, tried: int) -> Comparison:
    """Return the comparison of the best of `tried` candidates, its p value for the whole family (Bonferroni)."""
    p = comparison.p_value
    return comparison if tried < 2 or math.isnan(p) else comparison._replace(p_value=min(1.0, p * tried))


def rows_to_tell(first: Sequence[float], second: Sequence[float]) -> int | None:
    """Return how many rows would show the difference between two lists of scores; None where they do not differ.

    Example:
        >>> rows_to_tell([1, 1, 0, 1] * 5, [1, 0, 0, 1] * 5)
        25
    """
    n = len(first)
    if n < 2:
        return None
    mean, variance = _difference(first, second)
    return None if mean == 0 else max(n if variance == 0 else 1, math.ceil((_Z / mean) ** 2 * variance))


def _difference(first: Sequence[float], second: Sequence[float]) -> tuple[float, float]:
    """Return mean and variance of the differences of two lists of scores, of at least 2 rows."""
    differences = [a - b for a, b in zip(first, second, strict=True)]
    mean = math.fsum(differences) / len(differences)
    return mean, math.fsum((d - mean) ** 2 for d in differences) / (len(differences) - 1)


def tell_size(run: Compile, best: EvaluationResult, given: EvaluationResult | None) -> None:
    """Note in the report where the validation set is too small to tell the winner from the given program."""
    if given is None or best is given:
        return
    needed = rows_to_tell([row.score for row in best.rows], [row.score for row in given.rows])
    n = len(best.rows)
    if needed is not None and needed > n:
        run.note(
            f"{plural(n, 'row')} are too few to tell the best candidate from the given program: a difference of "
            f"{100 * (best.mean - given.mean):.1f} points, if it is real, needs about {needed:,} rows to show"
        )


def tell_rivals(run: Compile, best: EvaluationResult, others: Sequence[EvaluationResult]) -> None:
    """Note in the report how many candidates the rows do not tell from the best one, and how many rows would."""
    scores = [row.score for row in best.rows]
    known = [[row.score for row in one.rows] for one in others if one.n == best.n]
    alike = [other for other in known if compare_paired(other, scores).p_value >= 1 - _CONFIDENCE]
    if not alike or best.n < 2:
        return
    text = (
        f"{len(alike)} of {len(known)} other candidates are not told from the best one on these {best.n} rows"
    )
    spread = math.fsum(_difference(scores, other)[1] for other in alike) / len(alike)
    needed = max(math.ceil(_LEAST_WINS / _WANTED), math.ceil((_Z / _WANTED) ** 2 * spread))
    if needed > best.n:
        text += f"; to tell {100 * _WANTED:.0f} points between them, pass about {needed:,} rows as valset="
    run.note(text)


def tell_least(run: Compile, rows: Sequence[Example]) -> None:
    """Note, before anything is paid for, which differences between programs so few rows can show at all."""
    n = len(rows)
    wanted = f"pass {_LEAST_WINS / _WANTED:.0f} rows or more as valset= for differences of {100 * _WANTED:.0f} points"
    if n < _LEAST_WINS:
        run.note(
            f"{plural(n, 'row')} to score on cannot show that one program is better than another, which takes "
            f"{_LEAST_WINS} rows won and none lost: the choice is a guess; {wanted}",
            warn=True,
        )
    elif n < SPLIT_FROM:
        run.note(
            f"{n} rows to score on show differences of {100 * _LEAST_WINS / n:.0f} points at best; {wanted}"
        )


def fresh_rows(rows: Sequence[Example], program: Any, count: int, seed: int) -> list[Example]:
    """Return up to `count` rows that are not among the program's demonstrations; [] where there are fewer than 5."""
    demos = [demo for predictor in program.predictors() for demo in predictor.demos]
    free = [row for row in rows if not any(shows(demo, row) for demo in demos)]
    if len(free) < _FEWEST:
        return []
    chosen = derive(seed, "recheck").sample(range(len(free)), min(count, len(free)))
    return [free[i] for i in sorted(chosen)]


def shows(demo: Any, row: Example) -> bool:
    """Whether a demo has the inputs of a row."""
    inputs = dict(row.inputs().items())
    shared = [name for name in inputs if name in demo]
    return bool(shared) and all(demo[name] == inputs[name] for name in shared)


def split_rows(
    run: Compile,
    rows: list[Example],
    valset: list[Example] | None,
    seed: int,
    *,
    share: float = 0.5,
    purpose: str = "to make demonstrations",
) -> tuple[list[Example], list[Example]]:
    """Return rows to learn from and rows to choose by: trainset and valset, or, without a valset, what it says.

    A trainset of 20 rows or more is split; a smaller one serves for both. The report, and one line on the console, say
    which.

    Args:
        run: The compile.
        rows: The trainset.
        valset: The valset, if one was given.
        seed: Of the split.
        share: Of the rows, what goes to choosing.
        purpose: What the others are for.
    """
    made, scored = _split_rows(run, rows, valset, seed, share, purpose)
    tell_least(run, scored)
    return made, scored


def _split_rows(
    run: Compile, rows: list[Example], valset: list[Example] | None, seed: int, share: float, purpose: str
) -> tuple[list[Example], list[Example]]:
    if valset is not None:
        return rows, valset
    if len(rows) < SPLIT_FROM:
        run.note(
            f"no valset was given and trainset has only {plural(len(rows), 'row')}: candidates were made from and "
            "scored on the same rows, and the scores are too high for new data; pass valset=",
            warn=True,
        )
        return rows, rows
    order = derive(seed, "split").sample(range(len(rows)), len(rows))
    cut = split_at(len(rows), share)
    made, scored = [rows[i] for i in sorted(order[:cut])], [rows[i] for i in sorted(order[cut:])]
    run.note(
        f"no valset was given: trainset was split, {len(made)} rows {purpose} and {len(scored)} to score on",
        warn=True,
    )
    tell_shared(run.note, made, scored, ("the one part", "the other"))
    return made, scored


def split_sizes(trainset: int, valset: int | None, share: float = 0.5) -> tuple[int, int]:
    """Return how many rows `split_rows` leaves for learning, and how many to score on: of few, all serve for both."""
    if valset is not None:
        return trainset, valset
    if trainset < SPLIT_FROM:
        return trainset, trainset
    made = split_at(trainset, share)
    return made, trainset - made


def split_at(count: int, share: float = 0.5) -> int:
    """Return how many of so many rows a split leaves for learning."""
    return count - math.ceil(count * share)
