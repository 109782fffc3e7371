"""Recording the steps of a program: which predictor saw what and answered what.

A trace is the plain list that the setting `trace` holds (`with context(trace=[]) as …`), so whoever opens it
reads it directly, and nothing is kept where it is None. Steps are appended when a predictor's call has ended,
so that nested and parallel calls stand in the order in which they were finished.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from telic.context import get as setting

if TYPE_CHECKING:
    from telic.data import Step


def record(step: Step) -> None:
    """Append `step` to the trace in force, if there is one; safe from any thread."""
    trace: list[Step] | None = setting("trace")
    if trace is not None:
        trace.append(step)
