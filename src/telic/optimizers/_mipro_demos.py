"""Sets of demonstrations for MIPROv2: for each predictor the same number, and each a choice of its own.

Set 0 is what the program came with (nothing, most of the time); then labelled rows alone, a bootstrap over the
training rows in their order, and bootstraps over shuffled rows that look for a random number of demonstrations. All
bootstraps run at once.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, final

from telic._seed import derive
from telic.evaluate import MetricCall
from telic.optimizers._bootstrap import Bootstrap, BootstrapOptions
from telic.optimizers._demos import spread
from telic.optimizers._frozen import learners
from telic.optimizers._labeled import put_labelled
from telic.optimizers._pool import Source, Standing, Task

if TYPE_CHECKING:
    from telic.data import Example

DemoSet = dict[str, list[Any]]
"""The demonstrations of each predictor, by path."""


@final
class DemoSets(Source):
    """The making of the sets.

    Args:
        student: The program.
        teacher: Makes demonstrations; None: the student.
        rows: Training rows.
        metric: Accepts runs.
        count: How many sets, set 0 among them.
        options: Of the largest bootstrap; its seed is that of all.
        ready: Told once all sets are there.
    """

    def __init__(
        self,
        student: Any,
        teacher: Any,
        rows: Sequence[Example],
        metric: MetricCall,
        *,
        count: int,
        options: BootstrapOptions,
        ready: Callable[[], None],
    ) -> None:
        self.stopped: str | None = None
        self._ready = ready
        self._told = False
        self._student = student
        self._given = _demos_of(student)
        self._labelled: list[DemoSet] = []
        count = count if learners(student, "demos") else 1
        if count > 1 and options.max_labeled_demos:
            program = student.reset_copy()
            put_labelled(program, rows, options.max_labeled_demos, seed=options.seed)
            self._labelled.append(_demos_of(program))
        wanted = max(0, count - 1 - len(self._labelled)) if options.max_bootstrapped_demos else 0
        self._bootstraps = [
            self._bootstrap(number, teacher, rows, metric, options) for number in range(-1, wanted - 1)
        ]

    def _bootstrap(
        self,
        number: int,
        teacher: Any,
        rows: Sequence[Example],
        metric: MetricCall,
        options: BootstrapOptions,
    ) -> Bootstrap:
        seed = derive(options.seed, "demo set", number)
        if number >= 0:
            rng = random.Random(seed.randrange(2**32))
            size = rng.randint(1, options.max_bootstrapped_demos)
            rows = spread(rng.sample(list(rows), len(rows)))
            options = options._replace(max_bootstrapped_demos=size)
        return Bootstrap(
            self._student, teacher, rows, metric, options._replace(seed=seed.randrange(2**32), likely=0.5)
        )

    @property
    def sets(self) -> list[DemoSet]:
        """All sets, in their order."""
        return [self._given, *self._labelled, *(_demos_of(one.program()) for one in self._bootstraps)]

    @property
    def failures(self) -> list[str]:
        """What went wrong, set by set."""
        return [text for bootstrap in self._bootstraps for text in bootstrap.failures]

    @property
    def extra_runs(self) -> int:
        """Runs made ahead that were not needed."""
        return sum(bootstrap.extra_runs for bootstrap in self._bootstraps)

    @property
    def finished(self) -> bool:
        """Whether all sets are there, or nothing more will come."""
        return self._told or self.stopped is not None

    def take(self) -> Task | None:
        """Return the next example of the first bootstrap that has one worth trying."""
        for bootstrap in self._bootstraps:
            task = None if bootstrap.finished else bootstrap.take()
            if task is not None:
                return Task(task.work, self._teller(bootstrap, task))
        self._tell()
        return None

    def _teller(self, bootstrap: Bootstrap, task: Task) -> Callable[[Any, Exception | None], None]:
        def done(value: Any, error: Exception | None) -> None:
            task.done(value, error)
            self.stopped = bootstrap.stopped if self.stopped is None else self.stopped
            self._tell()

        return done

    def _tell(self) -> None:
        if not self.finished and all(bootstrap.finished for bootstrap in self._bootstraps):
            self._told = True
            self._ready()

    def standing(self) -> Standing:
        """Return how many bootstraps are at their end."""
        done = sum(bootstrap.finished for bootstrap in self._bootstraps)
        return Standing(done, len(self._bootstraps), f"{done} of {len(self._bootstraps)} demonstration sets")


def _demos_of(program: Any) -> DemoSet:
    return {path: list(predictor.demos) for path, predictor in program.named_predictors()}
