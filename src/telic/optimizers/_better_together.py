"""BetterTogether: prompts and weights, in turns.

A strategy such as "p -> w -> p" names optimizers; each one compiles what the one before it made, and every program on
the way is scored on the same rows. The best of them is returned: a step that does harm costs time, not the result.
All steps are parts of one run, with one folder and one budget.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NamedTuple, final

from telic._hash import content_key
from telic._seed import derive
from telic._text import did_you_mean, join_names
from telic.context import context
from telic.errors import BudgetExceeded, ConfigurationError, LMOutageError, TrainingError
from telic.evaluate import MetricCall, check_count, stable
from telic.optimizers._base import Optimizer, P
from telic.optimizers._checks import check_student, checked_sets
from telic.optimizers._compile import Compile
from telic.optimizers._finetune import BootstrapFinetune
from telic.optimizers._plan import Work
from telic.optimizers._random_search import BootstrapRS
from telic.optimizers._report import Candidate, CandidatePrograms
from telic.optimizers._selection import corrected, optimism, split_rows, tell_size

if TYPE_CHECKING:
    import os

    from telic.budget import Budget
    from telic.data import Example
    from telic.evaluate import EvaluationResult

_OURS = frozenset(("student", "run_dir", "budget", "self"))
_CUT_SHORT = ("budget", "LM away", "not scored")
"""How a step's `report.stopped` begins where it was not the step's own end."""
_SETTINGS = ("num_threads", "max_errors", "provide_traceback")


class _Stage(NamedTuple):
    """A program on the way."""

    label: str
    program: Any
    result: EvaluationResult | None


class _Course(NamedTuple):
    """What one compile is told."""

    names: Sequence[str]
    learned: Sequence[Example]
    scored: Sequence[Example] | None
    teacher: Any
    seed: int
    args: Mapping[str, Mapping[str, Any]]
    shuffle: bool


@final
class BetterTogether(Optimizer):
    """Runs prompt and weight optimizers one after the other, and returns the best program on the way.

    Args:
        metric: `metric(example, prediction, trace)`.
        prompt_optimizer: What "p" stands for; None: `BootstrapRS`.
        weight_optimizer: What "w" stands for; None: `BootstrapFinetune`.
        **optimizers: Others by the names that a strategy calls them by; also `p=` and `w=`.

    Source: Soylu et al. 2024 (arXiv 2407.10930). Deviations: any number of named optimizers (as in DSPy); the best
    program by the validation set is returned, not the last one.

    Cost: that of each step, and one run for each validation row before the first and after each step.

    Example:
        >>> BetterTogether(lambda example, prediction, trace=None: 1.0).optimizers["w"].multitask
        True
    """

    def __init__(
        self,
        metric: Any,
        prompt_optimizer: Optimizer | None = None,
        weight_optimizer: Optimizer | None = None,
        **optimizers: Optimizer,
    ) -> None:
        MetricCall(metric)
        for name, given in (("p", prompt_optimizer), ("w", weight_optimizer)):
            if given is not None and name in optimizers:
                raise ConfigurationError(f"the optimizer {name!r} is given twice, also by its long name")
        self.metric = metric
        self.optimizers: dict[str, Optimizer] = {
            "p": BootstrapRS(metric) if prompt_optimizer is None else prompt_optimizer,
            "w": BootstrapFinetune(metric) if weight_optimizer is None else weight_optimizer,
            **optimizers,
        }
        for name, one in self.optimizers.items():
            if not isinstance(one, Optimizer):  # pyright: ignore[reportUnnecessaryIsInstance]
                raise ConfigurationError(f"{name}={one!r} is no optimizer; pass one such as GEPA(metric=…)")

    def compile(
        self,
        student: P,
        *,
        trainset: Sequence[Example],
        teacher: Any = None,
        valset: Sequence[Example] | None = None,
        num_threads: int | None = None,
        max_errors: int | None = None,
        provide_traceback: bool | None = None,
        seed: int | None = None,
        valset_ratio: float = 0.1,
        shuffle_trainset_between_steps: bool = True,
        strategy: str = "p -> w -> p",
        optimizer_compile_args: Mapping[str, Mapping[str, Any]] | None = None,
        run_dir: str | os.PathLike[str] | None = None,
        budget: Budget | None = None,
    ) -> P:
        """Return the best program on the way, with `.report`; its candidates are named by the steps behind them.

        Args:
            student: The program.
            trainset: Learned from.
            teacher: Handed to every step that takes one.
            valset: Scores the program after each step, and is handed to the steps; None: a part of the trainset.
            num_threads: For all steps without one of their own; None: the setting.
            max_errors: The same.
            provide_traceback: The same.
            seed: Of the split and the order of rows between steps; None: 0.
            valset_ratio: The share of the trainset that scores, where there is no valset; 0: nothing is scored, and the
                last program is returned.
            shuffle_trainset_between_steps: Each step gets the rows in another order.
            strategy: Names of optimizers with "->" between them.
            optimizer_compile_args: More arguments for `compile`, by the optimizer's name.
            run_dir: The folder of the run: given again, it goes on where it ended.
            budget: Limits of all steps together; at a limit the best so far is returned.

        Raises:
            ConfigurationError: The strategy names no optimizer, or one of its optimizers cannot work with this program;
                nothing was paid for.
            TrainingError: The first step could not train. A later one ends the run early, with the best so far.
        """
        check_student(student)
        rows, held_out = checked_sets(trainset, valset)
        names = self._names(strategy)
        args = self._checked_args(optimizer_compile_args)
        if not 0 <= valset_ratio < 1:
            raise ConfigurationError(f"valset_ratio={valset_ratio!r}: a share, 0 or more and below 1")
        check_count("num_threads", num_threads, 1, optional=True)
        check_count("max_errors", max_errors, 1, optional=True)
        for name in dict.fromkeys(names):
            self.optimizers[name].check(student)
        given = dict(zip(_SETTINGS, (num_threads, max_errors, provide_traceback), strict=True))
        settings = {name: value for name, value in given.items() if value is not None}
        start = 0 if seed is None else seed
        options = {
            "strategy": names, "seed": start, "valset_ratio": valset_ratio,
            "args": args, "shuffle": shuffle_trainset_between_steps,
        }  # fmt: skip
        data: dict[str, Any] = {"trainset": rows, "valset": held_out}
        several: list[Any] = list(teacher) if isinstance(teacher, (list, tuple)) else [teacher]  # pyright: ignore[reportUnknownArgumentType]
        data |= {f"teacher_{at}": one for at, one in enumerate(several) if one is not None}
        with (
            context(**settings),
            Compile(self, student, run_dir=run_dir, budget=budget, options=options, **data) as run,
        ):
            learned, scored = rows, held_out
            if held_out is None and valset_ratio > 0:
                learned, scored = split_rows(
                    run, rows, None, start, share=valset_ratio, purpose="to learn from"
                )
            course = _Course(names, learned, scored, teacher, start, args, shuffle_trainset_between_steps)
            stages: list[_Stage] = []
            return run.guarded(
                lambda: self._search(run, student, course, stages),
                lambda stopped: self._finished(run, stages, stopped),
            )

    def _search(self, run: Compile, student: Any, course: _Course, stages: list[_Stage]) -> str | None:
        """Run the steps, one after the other; return why it ended early, or None."""
        stages.append(_stage(run, "as given", student, course.scored))
        run.candidate(student, stages[0].result, "as given")
        for at, name in enumerate(course.names):
            order = list(course.learned)
            if course.shuffle:
                derive(course.seed, "shuffle", at).shuffle(order)
            optimizer: Any = self.optimizers[name]
            data = {"valset": course.scored, "teacher": course.teacher}
            given = {"trainset": order, **{kind: data[kind] for kind in optimizer.takes}}
            before = stages[-1].program.deepcopy()
            before._compiled = False  # what was learned so far is open to the next step
            try:
                made = optimizer.compile(before, **{**given, **course.args.get(name, {})})
            except (ConfigurationError, TrainingError) as error:
                if not at:
                    raise
                return f"step {at + 1} ({name}): {error}"
            for line in () if made.report is None else (made.report.verdict, *made.report.notes):
                run.note(f"step {at + 1} ({name}): {line}")
            label = " -> ".join(course.names[: at + 1])
            stopped = None if made.report is None else made.report.stopped
            if stopped is not None and stopped.startswith(_CUT_SHORT):
                with suppress(BudgetExceeded, LMOutageError):  # rows that were scored already cost nothing
                    stages.append(_stage(run, f"{label}, stopped", made, course.scored))
                return stopped
            stages.append(_stage(run, label, made, course.scored))
            run.candidate(made, stages[-1].result, label)
        return None

    def _finished(self, run: Compile, stages: Sequence[_Stage], stopped: str | None) -> Any:
        if not stages:
            return None
        scored = [(one, one.result) for one in stages if one.result is not None]
        if not scored:
            compiled = stages[-1].program.deepcopy()
            run.note(f"nothing was scored: the last program is returned ({stages[-1].label})", warn=True)
            candidates = [Candidate.of(one.program, None, None, one.label) for one in reversed(stages)]
            found: dict[str, Any] = {}
        else:
            ranked = sorted(scored, key=lambda pair: -pair[1].mean)  # of equal ones the one with fewer steps
            best, result = ranked[0]
            compiled = best.program.deepcopy()
            given = scored[0][1]
            candidates = [Candidate.of(one.program, own, None, one.label) for one, own in ranked]
            tell_size(run, result, given)
            run.note("scores: " + ", ".join(f"{one.label} {own.score:.2f} %" for one, own in scored))
            found = {
                "score": result.score,
                "baseline": given.score,
                "comparison": corrected(result.compare(given), len(scored) - 1),
                "optimism": 100 * optimism([[row.score for row in own.rows] for _, own in scored]),
                "failures": [str(row.error) for row in result.failures],
                "assertions": result.assertions,
            }
        compiled._compiled = True
        compiled.candidate_programs = CandidatePrograms(candidates)
        compiled.flag_compilation_error_occurred = stopped is not None
        compiled.report = run.report(stopped=stopped, candidates=candidates, **found)
        return compiled

    def identity(self) -> dict[str, Any]:
        """Return the identities of the optimizers by their names."""
        own = {
            name: content_key([type(one).__qualname__, stable(one.identity())])
            for name, one in self.optimizers.items()
        }
        return {"metric": self.metric, "optimizers": own}

    def _names(self, strategy: Any) -> list[str]:
        """Return the steps of a strategy.

        Raises:
            ConfigurationError: There are none, or one that no optimizer is named.
        """
        if not isinstance(strategy, str) or not strategy.strip():
            raise ConfigurationError(
                f"strategy={strategy!r}: names of optimizers with '->' between, as 'p -> w -> p'"
            )
        names = [name.strip() for name in strategy.split("->")]
        for name in names:
            if name not in self.optimizers:
                near = did_you_mean(name, self.optimizers)
                raise ConfigurationError(
                    f"strategy={strategy!r}: {name!r} is no optimizer{near}; there are {join_names(self.optimizers)}"
                )
        return names

    def _checked_args(self, given: Mapping[str, Mapping[str, Any]] | None) -> dict[str, dict[str, Any]]:
        found: dict[str, dict[str, Any]] = {}
        if given is not None:
            found = {name: dict(args) for name, args in given.items()}
        for name, args in found.items():
            if name not in self.optimizers:
                raise ConfigurationError(
                    f"optimizer_compile_args has {name!r}, which is no optimizer{did_you_mean(name, self.optimizers)}"
                )
            known = inspect.signature(self.optimizers[name].compile).parameters
            for one in args:
                if one in _OURS or one not in known:
                    why = "BetterTogether's own" if one in _OURS else f"unknown{did_you_mean(one, known)}"
                    raise ConfigurationError(f"optimizer_compile_args[{name!r}]: {one!r} is {why}")
        return found

    def _work(
        self, program: Any, trainset: Sequence[Example], valset: Sequence[Example] | None
    ) -> list[Work]:
        """Return the work of the usual strategy, with a tenth of the trainset to score on where there is no valset."""
        scored = max(1, len(trainset) // 10) if valset is None else len(valset)
        work = [Work("the program as given", (scored, scored), first=True)]
        for at, name in enumerate(("p", "w", "p"), 1):
            for one in self.optimizers[name]._work(program, trainset, valset):
                # What was scored before in this run, as the program that a step begins with, is not paid for again.
                runs = (0, one.runs[1]) if one.role == "task" else one.runs
                work.append(one._replace(label=f"step {at} ({name}): {one.label}", runs=runs, first=False))
            work.append(Work(f"the program after step {at}", (0, scored)))
        return work


def _stage(run: Compile, label: str, program: Any, rows: Sequence[Example] | None) -> _Stage:
    return _Stage(label, program, None if rows is None else run.evaluate(program, rows))
