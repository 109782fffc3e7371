"""`EvaluationResult`: what an evaluation found, how sure it is, what it cost, and whether another program is better.

`.score` is in percent, as DSPy gives it; everything else (`mean`, `stderr`, `interval`, differences) is in the metric's
own units. Failed rows count with their failure score and are counted in `failures`: leaving them out would flatter the
program that fails most.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, final

from telic._optional import load
from telic._text import plural, truncate
from telic.data import NO_USAGE, AssertionCount, Usage, count_assertions
from telic.errors import ConfigurationError
from telic.evaluate import _records
from telic.evaluate._statistics import PairedTest, Summary, compare_paired, summarize

if TYPE_CHECKING:
    from telic.evaluate._row import Row

_ALPHA = 0.05


class Comparison(NamedTuple):
    """A paired comparison of two results on the same rows; positive differences favour the first."""

    difference: float
    """Mean difference of the scores, in the metric's units."""
    interval: tuple[float, float]
    """95 % interval of the mean difference."""
    p_value: float
    """Two-sided: how often chance alone would give a difference this large."""
    n: int
    wins: int
    losses: int
    method: str
    """"exact McNemar" for 0/1 scores, else "exact sign flips" (few rows differ) or "paired t"."""

    @property
    def better(self) -> bool:
        """Whether the first is shown to be better (p below 0.05)."""
        return self.difference > 0 and self.p_value < _ALPHA

    @property
    def worse(self) -> bool:
        """Whether the first is shown to be worse (p below 0.05)."""
        return self.difference < 0 and self.p_value < _ALPHA

    @property
    def verdict(self) -> str:
        """The comparison as a sentence."""
        head = "better" if self.better else "worse" if self.worse else "no difference shown"
        low, high = self.interval
        precision = "" if math.isnan(low) else f"95 % interval {100 * low:+.1f} to {100 * high:+.1f}, "
        return (
            f"{head}: {100 * self.difference:+.1f} points ({precision}p = {self.p_value:.3g}, "
            f"{self.wins} rows won, {self.losses} lost of {self.n}; {self.method})"
        )

    def to_dict(self) -> dict[str, Any]:
        """Return the figures and the verdict as plain data."""
        return {**self._asdict(), "interval": list(self.interval), "verdict": self.verdict}

    @classmethod
    def of(cls, test: PairedTest) -> Comparison:
        """Return a paired test of (second - first) as a comparison."""
        return cls(test.difference, test.interval, test.p_value, test.n, test.wins, test.losses, test.method)


@final
class EvaluationResult:
    """The scores of a program on a list of examples. A number in its own right: `float(result)` is `.score`.

    Attributes:
        rows: One `Row` for each example, in order.
        spend: What the evaluation paid for: calls, tokens, dollars (None: price unknown).
        seconds: Wall time of the whole evaluation.
        metric_name: The metric's name; the column of the scores in files and tables.

    Example:
        >>> from telic.data import Example, Prediction
        >>> from telic.evaluate import Row
        >>> rows = [Row(i, Example(x=i), Prediction(y=i), float(i > 0)) for i in range(4)]
        >>> result = EvaluationResult(rows)
        >>> result.score, result.mean, tuple(round(x, 3) for x in result.interval)
        (75.0, 0.75, (0.301, 0.954))
    """

    def __init__(
        self,
        rows: Sequence[Row],
        *,
        spend: Usage = NO_USAGE,
        seconds: float = 0.0,
        metric_name: str = "score",
    ) -> None:
        self.rows: list[Row] = list(rows)
        self.spend = spend
        self.seconds = seconds
        self.metric_name = metric_name

    @cached_property
    def summary(self) -> Summary:
        """n, mean, standard error, interval and which interval it is; rows that are repeated count once for these."""
        whole = summarize([row.score for row in self.rows])
        groups = self._repeated
        if not groups:
            return whole
        each = summarize(_means(self.rows, groups))
        return each._replace(n=whole.n, mean=whole.mean)

    @cached_property
    def _repeated(self) -> list[list[int]]:
        """The places of each example where all are there equally often (`devset=rows * 5`); [] where none is repeated.

        Repetitions tell how much an LM varies, and nothing of other rows: as so many rows they would make the
        interval too narrow and every difference significant.
        """
        places: dict[int, list[int]] = {}
        for place, row in enumerate(self.rows):
            places.setdefault(id(row.example), []).append(place)
        groups = list(places.values())
        return groups if len({len(group) for group in groups}) == 1 and len(groups) < self.n else []

    @property
    def score(self) -> float:
        """The mean in percent, rounded to 2 digits."""
        return round(100 * self.summary.mean, 2)

    @cached_property
    def results(self) -> list[tuple[Any, Any, float]]:
        """(example, prediction, score) of each row; a failed row has its failure score."""
        return [(row.example, row.prediction, row.score) for row in self.rows]

    @property
    def n(self) -> int:
        """How many rows."""
        return len(self.rows)

    @property
    def mean(self) -> float:
        """The mean score, in the metric's units."""
        return self.summary.mean

    @property
    def stderr(self) -> float:
        """The standard error of the mean, in the metric's units; nan for a single row."""
        return self.summary.stderr

    @property
    def interval(self) -> tuple[float, float]:
        """95 % interval of the mean, in the metric's units: Wilson's for 0/1 scores, Student's t otherwise."""
        return self.summary.interval

    @cached_property
    def failures(self) -> list[Row]:
        """The rows on which the program or the metric failed; each has its `error`."""
        return [row for row in self.rows if row.error is not None]

    @cached_property
    def assertions(self) -> dict[str, AssertionCount]:
        """What became of each assertion over all rows, by its name: file and line, unless it was given one."""
        return count_assertions(outcome for row in self.rows for outcome in row.assertions)

    def compare(self, other: EvaluationResult) -> Comparison:
        """Compare with another result on the same rows by a paired test; positive means that this one is better.

        Of rows that are repeated (`devset=rows * 5`) the means are compared: `n` counts different rows.

        Raises:
            ConfigurationError: The two are not about the same examples in the same order.

        Cost: no LM call.
        """
        if len(self.rows) != len(other.rows):
            raise ConfigurationError(
                f"a paired comparison needs the same rows: this result has {len(self.rows)} and the other "
                f"{len(other.rows)}; evaluate both programs on one devset"
            )
        for mine, theirs in zip(self.rows, other.rows, strict=True):
            if mine.example is not theirs.example and mine.example != theirs.example:
                raise ConfigurationError(
                    f"a paired comparison needs the same rows, and row {mine.index} differs: "
                    f"{truncate(repr(mine.example))} and {truncate(repr(theirs.example))}; "
                    "evaluate both programs on one devset"
                )
        groups = self._repeated or [[place] for place in range(self.n)]
        return Comparison.of(compare_paired(_means(other.rows, groups), _means(self.rows, groups)))

    def to_csv(self, path: str | Path) -> None:
        """Write a table whose columns are the union of all rows' fields.

        Raises:
            ConfigurationError: There can be no file at `path`.
        """
        _records.write_csv(_records.check_path(path, "path"), self.records())

    def to_json(self, path: str | Path) -> None:
        """Write the rows as one JSON list.

        Raises:
            ConfigurationError: There can be no file at `path`.
        """
        _records.write_json(_records.check_path(path, "path"), self.records())

    def to_jsonl(self, path: str | Path) -> None:
        """Write one JSON object a line for each row.

        Raises:
            ConfigurationError: There can be no file at `path`.
        """
        _records.write_jsonl(_records.check_path(path, "path"), self.records())

    def records(self) -> list[dict[str, Any]]:
        """Return each row as one flat dict, as the files have it."""
        return list(_records.records(self.rows, self.metric_name))

    def display_table(self, n: int | None = None, *, console: Any = None) -> None:
        """Show the first `n` rows (None: all) as a table.

        Args:
            n: How many rows.
            console: A rich `Console`; None: one on standard output.
        """
        load("telic.evaluate._display").show_table(self.records(), self.metric_name, n, console)

    def __float__(self) -> float:
        return self.score

    def __lt__(self, other: Any) -> bool:
        return self.score < float(other)

    def __le__(self, other: Any) -> bool:
        return self.score <= float(other)

    def __gt__(self, other: Any) -> bool:
        return self.score > float(other)

    def __ge__(self, other: Any) -> bool:
        return self.score >= float(other)

    def __str__(self) -> str:
        low, high = self.interval
        precision = "" if math.isnan(low) else f", 95 % interval {100 * low:.1f} to {100 * high:.1f}"
        failed = f", {plural(len(self.failures), 'failed row')}" if self.failures else ""
        repeated = f", {plural(len(self._repeated), 'different row')}" if self._repeated else ""
        return f"{self.score:.2f} % (n = {self.n}{repeated}{precision}{failed})"

    def __repr__(self) -> str:
        return f"EvaluationResult({self})"


def _means(rows: Sequence[Row], groups: Sequence[Sequence[int]]) -> list[float]:
    """Return the mean score of the rows in each group of places."""
    return [math.fsum(rows[place].score for place in group) / len(group) for group in groups]
