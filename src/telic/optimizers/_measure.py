"""Before and after: the given and the compiled program on the same rows, for the report."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from telic.errors import BudgetExceeded, EvaluationError
from telic.evaluate import Evaluate, EvaluationResult
from telic.optimizers._report import Candidate, Report

if TYPE_CHECKING:
    from telic.data import Example
    from telic.optimizers._base import Compile


def measured(
    run: Compile, student: Any, compiled: Any, rows: Sequence[Example], *, metric: Any, num_threads: int
) -> Report:
    """Return the compiled program's report with both scores and their paired comparison.

    Where scoring is stopped (too many failed rows, the budget, Ctrl-C) the report says so and has no scores: the
    compiled program was paid for and is returned all the same.

    Cost: two runs of the program and of the metric for each row.
    """
    evaluate = Evaluate(devset=rows, metric=metric, num_threads=num_threads)
    report: Report = compiled.report
    try:
        before, after = evaluate(student), evaluate(compiled)
    except (EvaluationError, BudgetExceeded, KeyboardInterrupt) as stop:
        fresh = run.report()
        return report.replaced(
            stopped=f"not scored: {stop or 'interrupted'}", spend=fresh.spend, seconds=fresh.seconds
        )
    fresh = run.report()
    return report.replaced(
        score=after.score,
        baseline=before.score,
        comparison=after.compare(before),
        candidates=[
            candidate(compiled, after, None, "compiled"),
            candidate(student, before, None, "as given"),
        ],
        spend=fresh.spend,
        seconds=fresh.seconds,
        failures=[*report.failures, *(str(row.error) for row in [*before.failures, *after.failures])],
    )


def candidate(program: Any, result: EvaluationResult, seed: int | None, label: str) -> Candidate:
    """Return an evaluated program as a candidate of a report."""
    low, high = result.interval
    return Candidate(
        program,
        result.score,
        (100 * low, 100 * high),
        seed,
        label,
        tuple(row.score for row in result.rows),
        len(result.failures),
    )
