"""Keeping back what the check of the winner will cost, where a budget limits the compile.

What a run of the program costs is learned from the rows of the given program; twice as much for each row that checks is
kept, but never more than half of what is left after these. Without a budget nothing is kept and nothing is asked.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final, final

from telic.optimizers._plan import calls_of_run
from telic.optimizers._pool import Source, Standing, Task

if TYPE_CHECKING:
    from telic.evaluate import Row
    from telic.optimizers._compile import Compile

_MARGIN: Final = 1.25  # demonstrations make prompts longer


@final
class Thrift:
    """What is kept back.

    Args:
        run: The compile.
        student: The program.
        check: How many rows check.
        choose: How many rows choose.
    """

    def __init__(self, run: Compile, student: Any, check: int, choose: int) -> None:
        self._run = run
        self._student = student
        self._runs = 2 * min(check, choose)
        self._kept: dict[str, float] = {}
        self.has_stopped = False
        """Whether work was refused."""

    def learn(self, rows: Sequence[Row]) -> None:
        """Take the rows of the given program."""
        left = self._run.remaining
        if not rows or not left or not self._runs:
            return
        share = self._runs * _MARGIN / len(rows)
        costs = [row.cost_usd for row in rows if row.cost_usd is not None]
        tokens, spent = sum(row.tokens for row in rows), self._run.spent
        calls = len(rows) * calls_of_run(self._student)[1]
        if spent.total_tokens:
            calls = spent.calls * tokens / spent.total_tokens
        needed = {
            "calls": share * calls,
            "tokens": share * tokens,
            "usd": share * math.fsum(costs),
            "seconds": share * math.fsum(row.seconds for row in rows) / self._run.threads,
        }
        self._kept = {name: min(needed[name], value / 2) for name, value in left.items()}

    def around(self, source: Source) -> Kept:
        """Return a source that gives work only while enough is left."""
        return Kept(source, self)

    def short(self) -> str | None:
        """Return why no more should be begun, or None."""
        if not self._kept:
            return None
        left = self._run.remaining
        name = next((name for name, kept in self._kept.items() if left.get(name, math.inf) <= kept), None)
        if name is None:
            return None
        self.has_stopped = True
        return f"budget: the rest of its {name} was kept to check the winner"


@final
class Kept(Source):
    """A source that ends where only what was kept back is left."""

    def __init__(self, source: Source, thrift: Thrift) -> None:
        self.stopped: str | None = None
        self._source = source
        self._thrift = thrift

    def take(self) -> Task | None:
        """Return the next work."""
        self.stopped = self._thrift.short() if self.stopped is None else self.stopped
        return None if self.stopped is not None else self._source.take()

    @property
    def finished(self) -> bool:
        """Whether nothing more is to be started."""
        return self.stopped is not None or self._source.finished

    def standing(self) -> Standing:
        """Return how far it is."""
        return self._source.standing()
