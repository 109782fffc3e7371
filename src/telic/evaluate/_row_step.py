"""Rows as steps of a run: scored once, written down, and read back on resume.

Inside of a run (the setting `run`) the outcome of a row is kept under a key of all that it depends on: program,
example, position, metric, LM and options. Failed rows are not kept: they are worked out again from the replies that
came, which costs nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from telic._hash import content_key
from telic.data import AssertionOutcome, Prediction
from telic.evaluate._keys import callable_key, program_key, settings_key, stable
from telic.journal import Unstorable, pack, unpack

if TYPE_CHECKING:
    from collections.abc import Callable

    from telic.data import Example


def row_key(job: Any, index: int, example: Example) -> list[Any]:
    """Return the key of a row."""
    if job.key is None:  # the settings in force do not change while a job lasts
        scores = [job.failure_score, job.suggest_cost, *([job.purpose] if job.purpose else [])]
        parts = [program_key(job.program, code=True), callable_key(job.metric.metric), scores, settings_key()]
        job.key = content_key(parts)
    return ["row", job.key, index, stable(example)]


def packed_row(row: Any) -> Any:
    """Return the exact JSON form of a row, without its example.

    Raises:
        Unstorable: It failed, or its prediction has no such form.
    """
    if row.error is not None:
        raise Unstorable("a failed row")
    asserted = [list(outcome) for outcome in row.assertions]
    return pack([row.prediction, row.score, row.feedback, row.seconds, row.tokens, row.cost_usd, asserted])


def not_kept(row: Any) -> Any:
    """Keep nothing of a row: somebody wants its trace, which only working it out again gives.

    Raises:
        Unstorable: Always.
    """
    raise Unstorable("a traced row")


def row_reader(make: Callable[..., Any], index: int, example: Example) -> Callable[[Any], Any]:
    """Return the way back from `packed_row`."""

    def read(form: Any) -> Any:
        prediction, score, feedback, seconds, tokens, cost, asserted = unpack(form)
        outcomes = tuple(AssertionOutcome(*one) for one in asserted)
        if outcomes and isinstance(prediction, Prediction):
            prediction.note_assertions(outcomes, None)
        return make(index, example, prediction, score, feedback, None, seconds, tokens, cost, outcomes)

    return read
