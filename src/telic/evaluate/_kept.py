"""An evaluation as a run: with `run_dir`, its rows are written down, and the same call again goes on where it ended."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from telic._hash import content_key
from telic._version import VERSION
from telic.budget import Budget, for_run
from telic.context import get as get_setting
from telic.context import pop as pop_setting
from telic.context import push as push_setting
from telic.errors import ConfigurationError
from telic.evaluate._keys import callable_key, example_key, program_key, settings_key
from telic.journal import LiveRun

if TYPE_CHECKING:
    from telic.data import Example
    from telic.evaluate._result import EvaluationResult
    from telic.evaluate._row import RowJob


class Kept:
    """What an evaluation's run is told at its end."""

    def __init__(self, live: LiveRun | None) -> None:
        self._live = live

    def finished(self, result: EvaluationResult) -> None:
        """Note the score."""
        if self._live is not None:
            low, high = result.interval
            found = {"score": result.score, "interval": [100 * low, 100 * high], "n": result.n}
            self._live.end("finished", None, {**found, "failures": len(result.failures)})


@contextmanager
def kept(run_dir: Any, budget: Budget | None, job: RowJob, devset: list[Example]) -> Generator[Kept]:
    """Hold an evaluation's run and budget open for a block.

    Args:
        run_dir: The folder; None: nothing is written down (inside of a compile, its run does).
        budget: Limits of this evaluation, or None.
        job: What is evaluated.
        devset: On what.

    Raises:
        JournalError: The folder cannot be used, or holds another run.
        ConfigurationError: The budget allows nothing.
    """
    _check_budget(budget, len(devset))
    live = None if run_dir is None else _opened(run_dir, job, devset)
    limits = for_run(budget, get_setting("budget"))
    if live is not None and budget is not None and limits is not None:
        limits.carry(live.carried, live.carried_s)
    tokens = [push_setting("budget", limits)]
    if live is not None:
        tokens.append(push_setting("run", live))
    try:
        yield Kept(live)
    except BaseException as error:
        if live is not None and isinstance(error, (Exception, KeyboardInterrupt)):
            live.end("interrupted" if isinstance(error, KeyboardInterrupt) else "stopped", str(error))
        raise
    finally:
        for token in reversed(tokens):
            pop_setting(token)
        if live is not None:
            live.close()


def _opened(run_dir: Any, job: RowJob, devset: list[Example]) -> LiveRun:
    identity = {
        "program": program_key(job.program, code=True),
        "metric": callable_key(job.metric.metric),
        "devset": content_key([example_key(row) for row in devset]),
        "lm": content_key(settings_key()),
        "version": VERSION,
    }
    return LiveRun(
        Path(run_dir),
        kind="evaluate",
        name="Evaluate",
        identity={name: value[:32] for name, value in identity.items()},
        about={"devset": len(devset), "metric": job.metric.name},
    )


def _check_budget(budget: Budget | None, rows: int) -> None:
    if budget is None:
        return
    zero = next((n for n in ("usd", "calls", "tokens", "seconds") if getattr(budget, n) == 0), None)
    if zero is not None:
        raise ConfigurationError(
            f"Budget({zero}=0) allows no call, so none of the {rows:,} rows could be scored; raise it, or leave "
            "budget= out"
        )
