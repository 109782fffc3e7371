"""`improve`: the one call for people who do not want to choose an optimizer.

It scores the program, tries what is cheap first (demonstrations), then what an LM proposes (instructions), gives up
early what is plainly behind, ends where trying no longer helps, and checks the winner on rows that did not choose it.
Where the evidence does not show that the winner is better, the answer is "no improvement found", and the program comes
back as it was given. The steps are in `_improve_search`, early rejection in `_improve_race`, evidence in
`_improve_verdict`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import KW_ONLY, dataclass
from typing import TYPE_CHECKING, Any, Final, TypedDict, Unpack, final

from telic._text import plural
from telic.errors import ConfigurationError
from telic.evaluate import MetricCall, check_count
from telic.optimizers._base import Optimizer, P
from telic.optimizers._checks import check_common, check_settings, check_student, checked_sets, error_limit
from telic.optimizers._choice import Scored
from telic.optimizers._compile import Compile
from telic.optimizers._frozen import check_learnable, learners
from telic.optimizers._improve_race import most_runs
from telic.optimizers._improve_reflect import BATCH
from telic.optimizers._improve_rows import Sizes, parted, partition
from telic.optimizers._improve_search import FEW, MANY, MOST_TRIED, ImproveSearch, SearchOptions
from telic.optimizers._improve_verdict import chance_of_best, combined, one_sided
from telic.optimizers._measure import rechecked
from telic.optimizers._plan import Work, questions, teacher_lm
from telic.optimizers._propose_asks import check_prompt_model
from telic.optimizers._report import CandidatePrograms
from telic.optimizers._selection import optimism, tell_size

if TYPE_CHECKING:
    import os

    from telic.budget import Budget
    from telic.data import Example

_FIXED_ASKS: Final = 12
"""Questions about data and program, before any proposal, at most."""


class ImproveOptions(TypedDict, total=False):
    """The settings of `Improve` beside the metric, by name."""

    prompt_model: Any
    teacher_settings: dict[str, Any] | None
    vectorizer: Callable[[list[str]], Any] | None
    max_rows: int
    num_instructions: int
    max_rounds: int
    confidence: float
    perfect_score: float | None
    num_threads: int | None
    max_errors: int | None
    seed: int
    display_progress: bool | str


@final
@dataclass(eq=False, repr=False)
class Improve(Optimizer):
    """Makes a program better by whatever helps, or says that nothing did: `telic.improve` as an optimizer.

    Args:
        metric: `metric(example, prediction, trace=None)`.
        prompt_model: The LM that writes instructions; None: the configured one.
        teacher_settings: Settings of the runs that make demonstrations, as for `telic.context`: `{"lm": LM(…)}`.
        vectorizer: Takes a list of texts and returns their vectors; with it, demonstrations by nearness are tried too,
            and the result may be a `telic.modules.NearestDemos` around the program.
        max_rows: At most so many rows choose, and so many check the winner.
        num_instructions: How many instructions are proposed in a round, over all predictors.
        max_rounds: How many rounds of instructions at most; 0: none. Two in a row that bring nothing are the last.
        confidence: How sure a winner must be better to be returned (one-sided).
        perfect_score: What a row scores that cannot be better; where all rows that choose have it, the search ends.
            None: exactly 1.
        num_threads: Runs at once; None: the setting. The result does not depend on it.
        max_errors: Failed rows of the given program that stop the compile, and of a candidate that end its race; None:
            the setting.
        seed: Of all draws.
        display_progress: Show how far it is on standard error, where that is a terminal; "force": wherever it goes.

    Source: the parts are those of Khattab et al. 2023 (arXiv 2310.03714; demonstrations), Opsahl-Ong et al. 2024
    (arXiv 2406.11695; grounded proposals), Agrawal et al. 2025 (arXiv 2507.19457; reflection) and Maron and Moore
    1994 (racing); their order and the verdict are our own.

    Cost: one run of the program for each row that chooses; demonstrations some 10 to 130 runs of the teacher; at
    most `num_instructions` proposals a round and some 12 questions; of each candidate a quarter of the rows, of the
    good ones all; two runs for each row that checks.
    """

    takes = frozenset(("valset",))

    metric: Any
    _: KW_ONLY
    prompt_model: Any = None
    teacher_settings: dict[str, Any] | None = None
    vectorizer: Callable[[list[str]], Any] | None = None
    max_rows: int = 200
    num_instructions: int = 6
    max_rounds: int = 4
    confidence: float = 0.95
    perfect_score: float | None = None
    num_threads: int | None = None
    max_errors: int | None = None
    seed: int = 0
    display_progress: bool | str = True

    def __post_init__(self) -> None:
        MetricCall(self.metric)
        check_settings("teacher_settings", self.teacher_settings)
        check_count("max_rows", self.max_rows, 1)
        check_count("num_instructions", self.num_instructions, 1)
        check_count("max_rounds", self.max_rounds, 0)
        check_common(self)
        _check_number("confidence", self.confidence, 0.5, 1.0)
        if self.perfect_score is not None:
            _check_number("perfect_score", self.perfect_score, -math.inf, math.inf)
        if self.vectorizer is not None and not callable(self.vectorizer):
            raise ConfigurationError(
                f"vectorizer must be a function from texts to vectors, got {self.vectorizer!r}"
            )

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
        """Return a better program, or the given one where none was shown to be, with its `.report`.

        Args:
            student: The program.
            trainset: Rows; without `valset` they are parted: some to learn from, some to choose by, some to check the
                winner. Fewer than 20 serve for all at once.
            teacher: Not used: there must be none (see `teacher_settings`).
            valset: Rows to choose by.
            run_dir: See `Optimizer.compile`.
            budget: Limits of this compile; the check of the winner is kept back from it.

        Returns:
            The program. `report.improved` is True, False ("no improvement found") or None: the end came too early to
            say, and the program is the best so far.

        Raises: see `Optimizer.compile`.
        """
        if teacher is not None:
            raise ConfigurationError(
                "improve takes no teacher=; for a stronger LM that shows how it is done pass "
                "teacher_settings={'lm': LM(…)}"
            )
        metric = MetricCall(self.metric)
        check_student(student)
        check_learnable(student, self, "instructions", "demos")
        if self.max_rounds and all(predictor.lm is None for predictor in student.predictors()):
            check_prompt_model(self.prompt_model)
        rows, held_out = checked_sets(trainset, valset)
        data: dict[str, Any] = {"trainset": rows, "valset": held_out}
        with Compile(self, student, run_dir=run_dir, budget=budget, **data) as run:
            parts = parted(run, rows, held_out, self.seed, self.max_rows)
            search = ImproveSearch(run, student, parts, metric, self._options())
            return run.guarded(search.look, lambda stopped: self._best(run, search, parts.check, stopped))

    def _best(
        self, run: Compile, search: ImproveSearch, check: Sequence[Example], stopped: str | None
    ) -> Any:
        """Return the winner, or the given program where it is not shown to be better; None: nothing was scored."""
        given = search.given
        if given is None:
            return None
        ranked = sorted(search.found, key=lambda one: -one.result.mean)
        best = ranked[0]
        told: dict[str, Any] = {
            "baseline": given.result.score,
            "candidates": [one.candidate for one in ranked],
            "optimism": 100 * optimism([[row.score for row in one.result.rows] for one in search.found]),
            "failures": search.failures,
            "extra_runs": search.extra_runs,
        }
        given_up = sum(one.is_out for one in search.entrants)
        if given_up:
            tried = plural(len(search.entrants) - 1, "candidate")
            run.note(
                f"{given_up} of {tried} were given up before all rows that choose were scored: they were behind"
            )
        if best is given:
            improved = None if stopped is not None and not search.kept_for_check else False
            if improved is False:
                tried = plural(len(search.entrants) - 1, "candidate")
                run.note(f"no improvement found in {tried}: the program is as it was given")
        else:
            improved = self._weigh(run, search, best, check, stopped, told)
        winner = given if improved is False else best
        stopped = told.pop("stopped", None) if stopped is None else stopped
        if stopped is None:
            run.decide(
                "winner", [winner.candidate.seed, winner.candidate.label, winner.result.score, improved]
            )
        program = winner.candidate.program.deepcopy()
        program.candidate_programs = CandidatePrograms(told["candidates"])
        program.report = run.report(
            stopped=stopped,
            score=winner.result.score,
            improved=improved,
            assertions=winner.result.assertions,
            **told,
        )
        return program

    def _weigh(
        self,
        run: Compile,
        search: ImproveSearch,
        best: Scored,
        check: Sequence[Example],
        stopped: str | None,
        told: dict[str, Any],
    ) -> bool | None:
        """Return whether the best is shown to be better; None: the end came before that could be known."""
        given = search.given
        assert given is not None
        tell_size(run, best.result, given.result)
        chance = chance_of_best(search.differences(), self.seed)
        compared = best.result.compare(given.result)._replace(p_value=min(1.0, 2 * chance))
        told["comparison"] = compared
        if stopped is not None and not search.kept_for_check:
            run.note("the end came before the winner was checked on other rows")
            return None
        programs = best.candidate.program, given.candidate.program
        told |= rechecked(run, *programs, check, len(best.result.rows), self.seed)
        if "stopped" in told:
            return None
        checked = told.get("check")
        p = chance if checked is None else combined(chance, one_sided(checked))
        shown = p < 1 - self.confidence and (checked is None or checked.difference > 0)
        where = f"{len(best.result.rows)} rows, where it was chosen of {plural(len(search.entrants) - 1, 'candidate')}"
        words = f"{best.candidate.label!r} made {100 * compared.difference:+.1f} points on {where}"
        if checked is not None:
            words += f", and {100 * checked.difference:+.1f} on {checked.n} rows that did not choose it"
        run.note(f"{words}; chance alone gives that with p = {p:.2g}")
        if not shown:
            run.note(
                "no improvement found: the program is as it was given; what was tried is in report.candidates"
            )
            for name in ("comparison", "check", "check_score"):
                told.pop(name, None)
        return shown

    def _options(self) -> SearchOptions:
        return SearchOptions(
            self.prompt_model,
            self.teacher_settings,
            self.vectorizer,
            self.num_instructions,
            self.max_rounds,
            self.perfect_score,
            error_limit(self.max_errors),
            self.seed,
        )

    def _work(
        self, program: Any, trainset: Sequence[Example], valset: Sequence[Example] | None
    ) -> list[Work]:
        held_out = None if valset is None else list(valset)
        parts = partition(list(trainset), held_out, self.seed, self.max_rows)
        sizes = Sizes(*map(len, parts))
        predictors, shows = len(learners(program, "instructions")), bool(learners(program, "demos"))
        each = max(2, self.num_instructions // max(1, predictors))
        rounds = self.max_rounds * most_runs(each * (predictors + (predictors > 1)), sizes.choose)
        asks = _FIXED_ASKS + self.max_rounds * each * predictors if self.max_rounds and predictors else 0
        lm = teacher_lm(self.teacher_settings)
        return [
            Work("the program as given", (sizes.choose, sizes.choose), first=True),
            Work(
                "bootstrapping",
                (0, 2 * min(MOST_TRIED, sizes.learn) if shows else 0),
                "teacher",
                demos=MANY,
                lm=lm,
            ),
            Work("racing demonstrations", (0, most_runs(4, sizes.choose) if shows else 0), demos=MANY),
            questions("proposing instructions", (0, asks), self.prompt_model, (300, 60_000)),
            Work(
                "running what is reflected on",
                (0, self.max_rounds * min(BATCH, sizes.learn) if predictors else 0),
                demos=MANY,
            ),
            Work("racing instructions", (0, rounds), demos=MANY),
            Work(
                "racing the nearest rows",
                (0, sizes.choose if self.vectorizer is not None and shows else 0),
                demos=MANY,
            ),
            Work("checking the winner", (0, 2 * min(sizes.check, sizes.choose)), demos=MANY + FEW),
        ]


def improve(
    program: P,
    trainset: Sequence[Example],
    metric: Any,
    budget: Budget | None = None,
    *,
    valset: Sequence[Example] | None = None,
    run_dir: str | os.PathLike[str] | None = None,
    **options: Unpack[ImproveOptions],
) -> P:
    """Return a better program, or the given one where none was shown to be better; `.report` says which, and why.

    Args:
        program: The program; it stays as it is.
        trainset: Rows. The more there are, the smaller the gains that it can tell from chance.
        metric: `metric(example, prediction, trace=None)`: a number or True and False.
        budget: Limits, as `Budget(usd=4)`; None: none. `Improve(metric).plan(…)` tells the cost beforehand.
        valset: Rows to choose by; None: a part of `trainset`.
        run_dir: The folder of the run: given again, it goes on where it ended.
        options: The settings of `Improve`: `prompt_model`, `seed`, `max_rounds` ….

    Raises:
        ConfigurationError: Something cannot work; nothing was paid for.
        NotConfiguredError: There is no LM to write instructions.
        CompileStopped: The given program fails on too many rows.
        CompileInterrupted: Ctrl-C (a `KeyboardInterrupt`); `.program` is the best so far, or None.

    Cost: see `Improve`.

    Example:
        >>> from telic.context import context
        >>> from telic.data import Example
        >>> from telic.modules import Predict
        >>> from telic.testing import FunctionLM
        >>> def reply(request):
        ...     if "proposed_instruction" in str(request.messages):
        ...         return {"proposed_instruction": "Answer in capitals.", "summary": "", "observations": ""}
        ...     return {"answer": "YES" if "capitals" in request.messages[0]["content"] else "yes"}
        >>> rows = [Example(question=f"Is {i} a number?", answer="YES").with_inputs("question") for i in range(40)]
        >>> def metric(row, found, trace=None):
        ...     return row.answer == found.answer
        >>> with context(lm=FunctionLM(reply)):
        ...     better = improve(Predict("question -> answer"), rows, metric)
        >>> better.signature.instructions, better.report.improved, better.report.baseline, better.report.check_score
        ('Answer in capitals.', True, 0.0, 100.0)
    """
    optimizer = Improve(metric, **options)
    return optimizer.compile(program, trainset=trainset, valset=valset, run_dir=run_dir, budget=budget)


def _check_number(name: str, value: Any, least: float, below: float) -> None:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not least <= value < below:
        raise ConfigurationError(f"{name} must be a number from {least:g} to below {below:g}, got {value!r}")
