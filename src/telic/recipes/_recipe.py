"""`Recipe`: a program, rows cut in three, a measure and an optimizer, picked for the user's data, with reasons.

Nothing is paid for until `compile`. It leaves an ordinary folder: the program's source to be opened and changed, what
was learned, the rows, the index, and the run, so that the same command, killed, goes on.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple, final

from telic._text import plural
from telic.budget import Budget
from telic.context import context
from telic.context import get as setting
from telic.data import Example
from telic.errors import BudgetExceeded, ConfigurationError, EvaluationError, NotConfiguredError
from telic.evaluate import Evaluate, EvaluationResult
from telic.modules import Module
from telic.optimizers import CompileInterrupted, CompileStopped, CostPlan, Work, plan_of
from telic.recipes._choice import Choice
from telic.recipes._folder import ProgramFolder
from telic.recipes._measures import judged_answer
from telic.recipes._rows import Parts
from telic.recipes._source import ProgramSource
from telic.recipes.programs import RAG, Classify, Extract

ASSERTING = (RAG, Classify, Extract)
"""Programs that have an answer asked for again where it cannot be right."""


class Compiled(NamedTuple):
    """What a recipe came to."""

    program: Module
    before: EvaluationResult
    """On the rows kept for measuring, as the program was written."""
    after: EvaluationResult | None
    """The same, compiled; None: the budget was used up before it could be measured."""
    folder: Path

    def __str__(self) -> str:
        lines = [f"as written: {self.before}"]
        if self.after is None:
            lines.append("compiled:   not measured, the budget is used up")
        else:
            lines += [f"compiled:   {self.after}", self.after.compare(self.before).verdict]
        return "\n".join([*lines, f"program: {self.folder}"])


@final
class Recipe:
    """A program for the user's data, ready to be compiled; see the functions that make one: `rag`, `classify` ….

    Attributes:
        name: Which recipe.
        program: As it is written.
        parts: The rows: `trainset`, `valset`, `testset`.
        metric: How right a prediction is.
        optimizer: What will compile it.
        notes: What was found in the data and what was chosen, as (what, why).

    `print(recipe)` explains all of it and what it will cost.
    """

    def __init__(
        self, name: str, program: Module, source: ProgramSource, parts: Parts, choice: Choice,
        notes: Sequence[tuple[str, str]], save_index: Callable[[Path], None] | None = None,
    ) -> None:  # fmt: skip
        self.name = name
        self.program = program
        self.parts = parts
        self.optimizer = choice.optimizer
        self.metric = choice.optimizer.metric
        self.notes = [*notes, *(("rows", note) for note in parts.notes), *_told_parts(parts, choice)]
        self._source = source
        self._save_index = save_index

    def plan(self) -> CostPlan:
        """Return what compiling and measuring will cost, without a call of an LM."""
        rows = {"trainset": self.parts.trainset, "valset": self.parts.valset}
        runs = 2 * len(self.parts.testset)
        measuring = Work("measuring, before and after", (runs, runs))
        work = [*self.optimizer.plan(self.program, **rows).parts, measuring]
        low, high = plan_of(self.program, [Work("", (1, 1))], self.parts.trainset, None).calls
        again = (
            " and answers that an assertion has asked for again"
            if isinstance(self.program, ASSERTING)
            else ""
        )
        high *= 1 + setting("max_backtracks") if again else 1
        judge = self.metric is judged_answer
        low, high = low + judge, high + 2 * judge
        note = f"a run makes {low:,} to {high:,} calls, replies that cannot be read{again} included"
        plan = plan_of(self.program, work, self.parts.trainset, (low, high))
        return plan._replace(notes=[*plan.notes, note + (", and the judge's" if judge else "")])

    def __str__(self) -> str:
        width = max(len(label) for label, _ in self.notes) + 2
        lines = [f"{label:<{width}}{text}" for label, text in self.notes]
        plan = self.plan()
        budget = f"{'budget':<{width}}where none is given, {plan.calls[1]:,} calls, the most of the plan"
        return "\n".join([f"recipe {self.name}", *lines, budget, f"{'cost':<{width}}{plan}"])

    def compile(self, out: str | os.PathLike[str], *, budget: Budget | None = None) -> Compiled:
        """Compile the program, measure it before and after, and leave it in a folder.

        Args:
            out: The folder. One that an earlier, killed run left goes on; other files there are a fault.
            budget: Limits of all of it, measuring included. None: no more calls than `plan` says.

        Raises:
            NotConfiguredError: There is no LM.
            ConfigurationError: The folder holds something else, or the budget cannot work; nothing was paid for.
            JournalError: The folder cannot be written, or another process works in it.
            EvaluationError: The program as it is written failed on all rows; nothing was searched.
        CompileInterrupted: Ctrl-C (a `KeyboardInterrupt`); the best program so far is in the folder.
            CompileStopped: Too many failures; likewise.

        Cost: see `plan`.
        """
        if setting("lm") is None:
            raise NotConfiguredError(
                "a recipe needs an LM; call telic.configure(lm=telic.LM('provider/model')) once, or pass --lm"
            )
        least, most = self.plan().calls
        whole = Budget(calls=most) if budget is None else budget
        if whole.calls is not None and whole.calls < least:
            raise ConfigurationError(
                f"a budget of {whole.calls} calls cannot hold this: it takes {least} at the least"
            )
        folder = ProgramFolder(Path(out))
        folder.prepare(self.name, self._source, self.parts, self.optimizer, self._save_index)
        evaluate = Evaluate(devset=self.parts.testset, metric=self.metric, display_progress=True)
        with context(budget=whole):
            before = evaluate(self.program, run_dir=folder.runs / "before")
            if len(before.failures) == before.n:
                raise EvaluationError(
                    f"the program as it is written failed on all {before.n} rows that it was measured on; "
                    f"nothing was searched. The first: {before.failures[0].error}",
                    results=before.rows,
                )
            compiled = self._searched(folder, search_budget(whole))
            try:
                after = evaluate(compiled, run_dir=folder.runs / "after")
            except BudgetExceeded:
                after = None
        found = Compiled(compiled, before, after, folder.path)
        folder.finish(f"{self}\n\n{compiled.report}\n\n{found}")
        return found

    def _searched(self, folder: ProgramFolder, budget: Budget | None) -> Module:
        rows = {"trainset": self.parts.trainset, "valset": self.parts.valset}
        try:
            compiled = self.optimizer.compile(
                self.program, **rows, run_dir=folder.runs / "search", budget=budget
            )
        except (CompileInterrupted, CompileStopped) as stopped:
            if stopped.program is not None:
                folder.save(stopped.program)
            raise
        folder.save(compiled)
        return compiled


def search_budget(whole: Budget) -> Budget:
    """Return what the search may use once the given program is measured: the compiled one is to be measured as well.

    Its demonstrations make that dearer, so twice the first measuring is kept.
    """
    left, used = whole.remaining(), whole.used

    def of(name: str, amount: float) -> float | None:
        limit = left[name]
        return None if limit is None else max(0.0, limit - 2 * amount)

    calls, tokens = of("calls", used.calls), of("tokens", used.total_tokens)
    return Budget(
        usd=of("usd", 0.0 if used.cost_usd is None else used.cost_usd),
        calls=None if calls is None else int(calls),
        tokens=None if tokens is None else int(tokens),
        seconds=of("seconds", whole.elapsed_s),
    )


def _told_parts(parts: Parts, choice: Choice) -> list[tuple[str, str]]:
    counts = [len(part) for part in parts[:3]]
    told = f"{counts[0]} to learn from, {counts[1]} to choose by, {plural(counts[2], 'row')} to measure by"
    return [("rows", told), ("optimizer", f"{type(choice.optimizer).__name__}: {choice.why}")]


def rows_of(parts: Parts) -> list[Example]:
    """Return the rows that may be looked at before measuring."""
    return [*parts.trainset, *parts.valset]
