"""The end of a search: the best of the programs that were scored, compared with what was given, and its report."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from telic.evaluate import example_key
from telic.optimizers._measure import rechecked
from telic.optimizers._report import Candidate, CandidatePrograms
from telic.optimizers._search import SUGGEST_COST
from telic.optimizers._selection import corrected, optimism, tell_rivals, tell_size

if TYPE_CHECKING:
    from telic.data import Example
    from telic.evaluate import EvaluationResult
    from telic.optimizers._compile import Compile


class Scored(NamedTuple):
    """A program with its scores on all rows that choose."""

    candidate: Candidate
    result: EvaluationResult


class Tally(NamedTuple):
    """What else a search knows for the report."""

    stopped: str | None = None
    failures: Sequence[str] = ()
    extra_runs: int = 0


def best_of(
    run: Compile,
    found: Sequence[Scored],
    given: Scored | None,
    fresh: Sequence[Example],
    *,
    tally: Tally,
    seed: int,
    value: Callable[[Scored], float] | None = None,
) -> Any:
    """Return the best program (the first of equals) with its report, or None where nothing was scored.

    Args:
        run: The compile.
        found: All that were scored, in the order that decides ties.
        given: The one that is the program as it was given, if it was scored.
        fresh: Rows to check the winner on; those that chose it are left out.
        tally: The rest of the report; with `stopped`, nothing more is paid for.
        seed: Of the choice of fresh rows.
        value: What is best; None: the mean score.

    Cost: at most two runs of the program for each fresh row, no more rows than it was chosen on.
    """
    if not found:
        return None
    ranked = sorted(found, key=lambda one: -(one.result.mean if value is None else value(one)))
    best = ranked[0]
    program = best.candidate.program.deepcopy()
    told: dict[str, Any] = {}
    if given is not None:
        told["baseline"] = given.result.score
        told["comparison"] = corrected(best.result.compare(given.result), len(ranked) - 1)
        tell_size(run, best.result, given.result)
    tell_rivals(run, best.result, [one.result for one in ranked[1:] if one is not given])
    _tell_wishes(run, best.result)
    if tally.stopped is None:
        run.decide("winner", [best.candidate.seed, best.candidate.label, best.result.score])
    if len(ranked) > 1:
        told["optimism"] = 100 * optimism([[row.score for row in one.result.rows] for one in found])
        if given is not None and best is not given and tally.stopped is None:
            chose = {example_key(row.example) for row in best.result.rows}
            others = [row for row in fresh if example_key(row) not in chose]
            programs = best.candidate.program, given.candidate.program
            told |= rechecked(run, *programs, others, len(best.result.rows), seed)
        run.note(
            f"the best of {len(ranked)} candidates was chosen on these {len(best.result.rows)} rows: its score is "
            f"likely to be {told['optimism']:.1f} points too high, and the p value of the comparison is corrected for "
            "the choice"
        )
    candidates = [one.candidate for one in ranked]
    program.candidate_programs = CandidatePrograms(candidates)
    program.report = run.report(
        **{"stopped": tally.stopped, "score": best.result.score, "candidates": candidates, **told},
        assertions=best.result.assertions,
        failures=list(tally.failures),
        extra_runs=tally.extra_runs,
    )
    return program


def _tell_wishes(run: Compile, result: EvaluationResult) -> None:
    wished = sum(count.failed for count in result.assertions.values() if count.kind == "suggest")
    if wished:
        run.note(
            f"each failed Suggest of a row took {SUGGEST_COST} off its score: {wished} in the rows of the winner"
        )
