"""Before and after: the given and the compiled program on the same rows, for the report."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from telic.errors import BudgetExceeded, EvaluationError, LMOutageError
from telic.optimizers._report import Report
from telic.optimizers._selection import fresh_rows

if TYPE_CHECKING:
    from telic.data import Example
    from telic.optimizers._compile import Compile


def measured(run: Compile, student: Any, compiled: Any, rows: Sequence[Example], *, metric: Any) -> Report:
    """Return the compiled program's report with both scores and their paired comparison.

    Where scoring is stopped (too many failed rows, the budget, Ctrl-C) the report says so and has no scores: the
    compiled program was paid for and is returned all the same.

    Cost: two runs of the program and of the metric for each row.
    """
    report: Report = compiled.report
    try:
        before, after = (
            run.evaluate(student, rows, metric=metric),
            run.evaluate(compiled, rows, metric=metric),
        )
    except (EvaluationError, BudgetExceeded, LMOutageError, KeyboardInterrupt) as stop:
        fresh = run.report()
        return report.replaced(
            stopped=f"not scored: {stop or 'interrupted'}", spend=fresh.spend, seconds=fresh.seconds
        )
    fresh = run.report()
    return report.replaced(
        score=after.score,
        baseline=before.score,
        comparison=after.compare(before),
        candidates=[run.candidate(compiled, after, "compiled"), run.candidate(student, before, "as given")],
        spend=fresh.spend,
        seconds=fresh.seconds,
        assertions=after.assertions,
        failures=[*report.failures, *(str(row.error) for row in [*before.failures, *after.failures])],
    )


def rechecked(
    run: Compile, winner: Any, given: Any, rows: Sequence[Example], count: int, seed: int
) -> dict[str, Any]:
    """Return, for the report, how the winner of a search does on rows that did not choose it.

    Where that is stopped (the budget, an LM that stays away, failures, Ctrl-C) the report says so; the search stands.

    Args:
        run: The compile.
        winner: The best candidate.
        given: The program as it was given.
        rows: Rows that had no part in the choice; those among the winner's demonstrations are left out.
        count: How many at most.
        seed: Of the choice among them.

    Cost: two runs of the program and of the metric for each row.
    """
    chosen = fresh_rows(rows, winner, count, seed)
    if not chosen:
        if rows:
            run.note(
                "the winner was not checked on other rows: too few training rows are not among its demonstrations"
            )
        return {}
    try:
        before, after = run.evaluate(given, chosen), run.evaluate(winner, chosen)
    except (EvaluationError, BudgetExceeded, LMOutageError, KeyboardInterrupt) as stop:
        return {"stopped": f"the winner was not checked on other rows: {stop or 'interrupted'}"}
    return {"check": after.compare(before), "check_score": after.score}
