"""`Optimizer`: makes a better program out of a program, a metric and examples.

The contract, which one suite (`telic.testing.OptimizerConformance`) checks for every optimizer: `compile` returns a new
program that carries a `report`; student, teacher, examples and the optimizer itself are as they were, so that one
optimizer may serve twice and from two threads; what cannot work is refused before anything is paid for; the same inputs
give the same program whatever the number of threads; killed at any moment and run again with the same `run_dir`
it comes to the same result, and no reply of an LM is paid for twice.

What an author does for that (`_labeled.py` is the shortest example, `_random_search.py` a whole one):

1. Settings under their own names, by a dataclass or `__init__`, checked there; data in `compile(student, *, trainset,
   teacher=None, valset=None, run_dir=None, budget=None)`, checked by `check_student`, `checked_sets` ….
2. `with Compile(self, student, trainset=rows, …, run_dir=run_dir, budget=budget) as run:` around all work. It opens the
   run, and refuses a folder or a budget that cannot work.
3. Costly work is in steps: `run.evaluate(program, rows)` and `score_row` make a step of each row, `Teacher` of each
   attempt; anything else that calls an LM goes through `run.step(key, work)`, where `key` is all that the result
   depends on. Many pieces at once: a `Source` for `run.pool(source, "searching")`. There is no code for resuming.
4. Chance comes from `derive(self.seed, "what for", …)`, decisions from indices of work: never from the order in which
   threads finish, never from a clock. `run.decide(label, value)` writes a decision down and checks it on resume.
5. `run.candidate(program, result, label)` for each program that was scored; it can be loaded at once.
6. `return run.guarded(search, best)`: `search()` does the work, `best(stopped)` makes the program of what was found,
   with `run.report(…)`; the budget's end, an LM that stays away, Ctrl-C and too many failures all end there.
7. `_work` tells `plan` how many runs of which program there will be.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from telic.errors import ConfigurationError
from telic.optimizers._checks import check_student, checked_sets
from telic.optimizers._plan import CostPlan, Work, plan_of

if TYPE_CHECKING:
    import os

    from telic.budget import Budget
    from telic.data import Example
    from telic.modules import Module

P = TypeVar("P", bound="Module")  # a program: what is compiled is of its class
_BESIDE_THE_POINT = frozenset(("num_threads", "display_progress", "max_errors", "provide_traceback"))


class Optimizer(ABC):
    """The base of all optimizers: settings in the constructor, data in `compile`."""

    takes: ClassVar[frozenset[str]] = frozenset(("teacher", "valset"))
    """What `compile` has a use for beside the trainset; the rest it refuses, and nobody need hand it over."""

    @abstractmethod
    def compile(
        self,
        student: P,
        *,
        trainset: Sequence[Example],
        teacher: Any = None,
        valset: Sequence[Example] | None = None,
        run_dir: str | os.PathLike[str] | None = None,
        budget: Budget | None = None,
    ) -> P:
        """Return a new program that is better than `student` by the optimizer's metric, with `.report`.

        Args:
            student: The program; it stays as it is.
            trainset: Rows to learn from.
            teacher: A program with the same predictors that makes demonstrations; None: the student itself.
            valset: Rows to choose by, or to report on; what None means each optimizer says.
            run_dir: The folder of the run: given again, it goes on where it ended; None: one under the user's data
                directory, which is named in the output.
            budget: Limits of this compile; at a limit what was found so far is returned, `.report.stopped` says why.

        Raises:
            ConfigurationError: Something cannot work; nothing was paid for.
            NotConfiguredError: There is no LM to write instructions or rules.
            JournalError: The folder cannot be used, or holds another run.
            DatasetError: A list is empty or its rows do not declare their inputs.
            CompileStopped: `max_errors` failures; `.program` has what was found so far, or is None.
            CompileInterrupted: Ctrl-C (a `KeyboardInterrupt`); the same.
        """

    def check(self, program: Any) -> None:
        """Refuse a program that this optimizer can see it will not compile, by its LMs and settings alone.

        `compile` does it too; who runs several optimizers one after the other does it for all before the first.

        Raises:
            ConfigurationError: An LM cannot be trained, or settings do not go with the program.
            MissingExtraError: A package is not installed.
        """
        check_student(program)

    def plan(
        self,
        program: Any,
        *,
        trainset: Sequence[Example],
        valset: Sequence[Example] | None = None,
        calls_per_run: int | tuple[int, int] | None = None,
    ) -> CostPlan:
        """Return what a compile of `program` will cost, as ranges, without a call of an LM.

        Args:
            program: What would be compiled.
            trainset: As for `compile`.
            valset: As for `compile`.
            calls_per_run: How many calls of an LM one run of the program makes, or the least and the most; None:
                counted from its modules, each predictor called once. Loops of your own need it.

        Calls of a metric are counted where it is a program, and not where it is a function that calls one.

        Raises:
            ConfigurationError: The program has no predictors, or this optimizer cannot tell.
            DatasetError: A list is empty or its rows do not declare their inputs.
        """
        check_student(program, "program")
        rows, held_out = checked_sets(trainset, valset)
        work, metric = self._work(program, rows, held_out), getattr(self, "metric", None)
        return plan_of(program, work, rows, calls_per_run, metric=metric)

    def _work(
        self, program: Any, trainset: Sequence[Example], valset: Sequence[Example] | None
    ) -> Sequence[Work]:
        """Return the work of a compile; for `plan`."""
        raise ConfigurationError(f"{type(self).__name__} does not say what it will do: it has no plan")

    def get_params(self) -> dict[str, Any]:
        """Return the settings of the constructor by name."""
        return {name: value for name, value in vars(self).items() if not name.startswith("_")}

    def identity(self) -> dict[str, Any]:
        """Return the settings that the result depends on: what a run is known by."""
        return {name: value for name, value in self.get_params().items() if name not in _BESIDE_THE_POINT}

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{k}={v!r}' for k, v in self.get_params().items())})"
