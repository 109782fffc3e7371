"""GEPA's validation: candidates on the rows that choose, no further than they are worth it.

Most of the paper's budget goes into scoring candidates that do not win, and its authors propose smaller or dynamic
validation sets. Here rows are scored block by block, in one random order for all candidates, and one that is shown
to be behind the best candidate on the same rows is given up. It stays in the pool with the rows that it has: where it
leads, it may still become a parent, which is what the front is for.
"""

from __future__ import annotations

import math
from collections.abc import Generator, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Final, cast, final

from telic._seed import derive
from telic._text import plural
from telic.context import context
from telic.errors import ConfigurationError, EvaluationError
from telic.evaluate import MetricCall, Row, RowJob, is_unreadable, score_row
from telic.optimizers._gepa_pool import Member
from telic.optimizers._lanes import Job
from telic.optimizers._search import SUGGEST_COST

if TYPE_CHECKING:
    from telic.data import Example

RACE_FROM: Final = 16
"""Fewer rows than these are scored all at once."""
_BLOCKS: Final = 4
_LEAST_BLOCK: Final = 8
_Z: Final = 1.64  # one-sided 5 %


@final
class Validation:
    """Scores candidates on the rows that choose.

    Args:
        rows: These.
        metric: Scores them.
        objectives: The metric names objectives, which the front is over.
        race: Give up candidates that are shown to be behind.
        failure_score: What a row scores that failed.
        max_errors: Failed rows of one candidate that end the compile.
        seed: Of the order of the rows.
    """

    def __init__(
        self,
        rows: Sequence[Example],
        metric: MetricCall,
        *,
        objectives: bool,
        race: bool,
        failure_score: float,
        max_errors: int,
        seed: int,
    ) -> None:
        self._rows = rows
        self._objectives = objectives
        self._failure_score = failure_score
        self._max_errors = max_errors
        self._metric = metric
        order = derive(seed, "race").sample(range(len(rows)), len(rows))
        size = max(_LEAST_BLOCK, math.ceil(len(rows) / _BLOCKS))
        whole = not race or len(rows) < RACE_FROM
        self._blocks = [order] if whole else [order[at : at + size] for at in range(0, len(order), size)]

    def job(self, program: Any) -> RowJob:
        """Return how a program is scored."""
        return RowJob(program, self._metric, self._failure_score, suggest_cost=SUGGEST_COST)

    def scored(self, member: Member, rival: Member | None) -> Generator[list[Job], list[Any], None]:
        """Score a candidate on the rows that it was not scored on yet.

        Args:
            member: The candidate.
            rival: The best one so far, whose rows are all known; None: to the end, whatever comes.
        """
        for block in self._blocks:
            left = [i for i in block if member.rows[i] is None]
            yield from self.score(member, left)
            if rival is not None and not member.complete and is_behind(member.rows, rival.rows):
                break

    def score(self, member: Member, indices: Sequence[int]) -> Generator[list[Job], list[Any], None]:
        """Score a candidate on some rows.

        Raises:
            EvaluationError: Too many of its rows failed.
        """
        found = yield [Job(("row", member.key, i), partial(self._row, member, i)) for i in indices]
        for i, (row, objectives) in zip(indices, found, strict=True):
            member.rows[i], member.objectives[i] = row, objectives
        faults = faults_of(member.known)
        if len(faults) >= self._max_errors:
            raise EvaluationError(
                f"candidate {member.label!r} failed on {len(faults)} of {plural(len(member.known), 'row')} "
                f"(max_errors={self._max_errors}); the last: {faults[-1]}",
                results=member.known,
            )

    def _row(self, member: Member, index: int) -> tuple[Row, Mapping[str, float]]:
        if not self._objectives:
            return score_row(member.job, index, self._rows[index]), {}
        with context(trace=[]):  # such rows are not kept in the run: the metric's answer would be lost
            row = score_row(member.job, index, self._rows[index])
        return row, {} if row.error is not None else objectives_of(row.answer, self._metric.name)


def is_behind(mine: Sequence[Row | None], theirs: Sequence[Row | None]) -> bool:
    """Whether scores are shown to be below others on the rows that are known of both (paired, one-sided 5 %)."""
    pairs = zip(mine, theirs, strict=True)
    gaps = [one.score - other.score for one, other in pairs if one is not None and other is not None]
    n, mean = len(gaps), math.fsum(gaps) / len(gaps)
    variance = math.fsum((gap - mean) ** 2 for gap in gaps) / max(1, n - 1)
    return mean + _Z * math.sqrt(variance / n) < 0


def faults_of(rows: Sequence[Row]) -> list[str]:
    """Return the failures of rows that are no wrong answers of an LM."""
    return [str(row.error) for row in rows if row.error is not None and not is_unreadable(row.error)]


def objectives_of(answer: Any, metric: str) -> dict[str, float]:
    """Return the objectives that a metric's answer names, in `objective_scores`.

    Raises:
        ConfigurationError: It names none, or one is no finite number.
    """
    told = answer.get("objective_scores") if hasattr(answer, "get") else None
    values: dict[str, Any] = dict(cast("Mapping[str, Any]", told)) if isinstance(told, Mapping) else {}
    for name, value in values.items():
        if isinstance(value, bool):
            values[name] = float(value)
        elif not isinstance(value, (int, float)) or not math.isfinite(value):
            raise ConfigurationError(f"metric {metric!r}: objective {name!r} is {value!r}, no number")
    if not values:
        raise ConfigurationError(
            f"this frontier is over objectives, and the metric {metric!r} names none; return "
            "Prediction(score=…, feedback=…, objective_scores={'name': number}), or leave frontier out"
        )
    return values
