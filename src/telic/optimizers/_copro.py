"""COPRO: instructions written by an LM, round after round, each round shown what was tried and how it scored.

For each predictor (*coordinate ascent*: one at a time, the others as they are at their best so far):

1. `breadth` - 1 instructions are proposed from the present one, which is a candidate too.
2. All candidates are scored; the best stays.
3. For `depth` - 1 more rounds, `breadth` more are proposed from the attempts so far, worst to best, and scored.

Source: the coordinate-ascent optimizer of Khattab et al. 2023 (arXiv 2310.03714), after Yang et al. 2023, "Large
Language Models as Optimizers" (arXiv 2309.03409), from which the attempts with their scores are taken. Deviations:

- Proposals are separate calls with a draw of their own, and not one call with `n`: they go out at once, whatever the
  provider, and one that cannot be read costs no other.
- Programs that turn out equal are scored once. With several predictors all their candidates are candidates again in
  each round, as the others have changed, and only what changed is paid for.
- Without a valset a trainset of 20 rows or more is split: half of the rows choose, the others check the winner.
- The prefix of the last output field, which no adapter shows, is proposed only on request (`prefix=True`).
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY, dataclass
from typing import TYPE_CHECKING, Any, Final, final

from telic.context import context
from telic.errors import ConfigurationError
from telic.evaluate import MetricCall, check_count
from telic.optimizers._base import Optimizer, P
from telic.optimizers._checks import check_common, check_student, checked_sets, error_limit
from telic.optimizers._choice import Tally, best_of
from telic.optimizers._compile import Compile
from telic.optimizers._copro_ascent import Ascent, ClimbOptions
from telic.optimizers._frozen import check_learnable, learners
from telic.optimizers._plan import Work, questions
from telic.optimizers._propose import instructions_of
from telic.optimizers._propose_asks import check_prompt_model, check_temperature
from telic.optimizers._selection import split_rows, split_sizes

if TYPE_CHECKING:
    import os

    from telic.budget import Budget
    from telic.data import Example

_EVAL_OPTIONS: Final = ("num_threads", "max_errors", "display_progress", "display_table", "provide_traceback")


@final
@dataclass(eq=False, repr=False)
class COPRO(Optimizer):
    """Improves the instructions of each predictor by coordinate ascent over an LM's proposals.

    Args:
        prompt_model: The LM that writes instructions; None: the configured one.
        metric: `metric(example, prediction, trace=None)`; `trace` is None while scoring.
        breadth: How many instructions a round tries for each predictor; 2 or more.
        depth: How many rounds.
        init_temperature: Of the proposals.
        track_stats: Give the program `results_best` and `results_latest`: by predictor, for each round, mean, least,
            greatest and standard deviation of the scores.
        verbose: Tell every instruction that was scored in the report's notes.
        prefix: Propose a prefix of the last output field, too. It is kept in the signature; no adapter shows it.
        num_threads: Calls at once; None: the setting. The result does not depend on it.
        max_errors: Failed rows of one candidate that stop the compile; None: the setting.
        recheck: Score the winner and the given program on rows that had no part in choosing it.
        seed: Of the proposals' draws and of the split.
        display_progress: Show how far it is on standard error, where that is a terminal; "force": wherever it goes.

    Cost: `len(valset)` runs for each candidate: for a program of one predictor at most `breadth * depth` candidates,
    for P predictors P times 1 + 2 + … + depth times `breadth`; `breadth * depth` proposals for each predictor; and the
    check of the winner, at most `2 * len(valset)` runs.

    Example:
        >>> from telic.context import context
        >>> from telic.data import Example
        >>> from telic.modules import Predict
        >>> from telic.testing import FunctionLM
        >>> def reply(request):
        ...     if "proposed_instruction" in str(request.messages):
        ...         return {"proposed_instruction": "Answer in capitals."}
        ...     return {"answer": "YES" if "capitals" in request.messages[0]["content"] else "yes"}
        >>> rows = [Example(question=f"Is {i} a number?", answer="YES").with_inputs("question") for i in range(6)]
        >>> optimizer = COPRO(metric=lambda row, found, trace=None: row.answer == found.answer, breadth=2, depth=1)
        >>> with context(lm=FunctionLM(reply)):
        ...     better = optimizer.compile(Predict("question -> answer"), trainset=rows)
        >>> better.signature.instructions, better.report.baseline, better.report.score
        ('Answer in capitals.', 0.0, 100.0)
    """

    takes = frozenset(("valset",))

    prompt_model: Any = None
    metric: Any = None
    breadth: int = 10
    depth: int = 3
    init_temperature: float = 1.4
    track_stats: bool = False
    _: KW_ONLY
    verbose: bool = False
    prefix: bool = False
    num_threads: int | None = None
    max_errors: int | None = None
    recheck: bool = True
    seed: int = 0
    display_progress: bool | str = True

    def __post_init__(self) -> None:
        check_count("breadth", self.breadth, 2)
        check_count("depth", self.depth, 1)
        check_common(self)
        check_temperature("init_temperature", self.init_temperature)

    def compile(
        self,
        student: P,
        *,
        trainset: Sequence[Example],
        teacher: Any = None,
        valset: Sequence[Example] | None = None,
        eval_kwargs: Mapping[str, Any] | None = None,
        run_dir: str | os.PathLike[str] | None = None,
        budget: Budget | None = None,
    ) -> P:
        """Return the program with the best instructions that were found, with `.report` and `.candidate_programs`.

        Args:
            student: The program; its demos stay.
            trainset: Rows to choose by, half of them where there are 20 or more; with `valset`, rows to check by.
            teacher: Not used: there must be none.
            valset: Rows to choose by.
            eval_kwargs: `num_threads`, `max_errors`, `display_progress`, `provide_traceback` of this compile.
            run_dir: See `Optimizer.compile`.
            budget: Limits of this compile; at a limit the best scored candidate is returned.

        Raises: see `Optimizer.compile`.
        """
        if teacher is not None:
            raise ConfigurationError("COPRO makes no demonstrations: it has no use for teacher=")
        metric = MetricCall(self.metric)
        check_student(student)
        check_learnable(student, self, "instructions")
        check_prompt_model(self.prompt_model)
        rows, held_out = checked_sets(trainset, valset)
        arranged = self._arranged(eval_kwargs)
        traced = (
            {} if eval_kwargs is None else {k: v for k, v in eval_kwargs.items() if k == "provide_traceback"}
        )
        data: dict[str, Any] = {"trainset": rows, "valset": held_out}
        with context(**traced), Compile(arranged, student, run_dir=run_dir, budget=budget, **data) as run:
            fresh, chosen_by = split_rows(run, rows, held_out, self.seed, purpose="to check the winner")
            ascent = Ascent(arranged._options(), run, student, chosen_by, metric)

            def best(stopped: str | None) -> Any:
                checked = fresh if fresh is not chosen_by and self.recheck else []
                tally = Tally(stopped, [*ascent.failures, *ascent.asks.failures])
                self._tell(run, ascent)
                program = best_of(run, ascent.found, ascent.given, checked, tally=tally, seed=self.seed)
                if program is not None:
                    program.total_calls = sum(len(one.result.rows) for one in ascent.found)
                    if self.track_stats:
                        program.results_best, program.results_latest = ascent.best_stats, ascent.latest_stats
                return program

            return run.guarded(ascent.climb, best)

    def _tell(self, run: Compile, ascent: Ascent) -> None:
        for one in ascent.found if self.verbose else ():
            for path, text in instructions_of(one.candidate.program).items():
                label, score = one.candidate.label, one.result.score
                run.note(f"{score:.1f} % ({label}), instruction of {path}: {text}")

    def _arranged(self, eval_kwargs: Mapping[str, Any] | None) -> COPRO:
        """Return this optimizer with the options of one compile."""
        given = {} if eval_kwargs is None else dict(eval_kwargs)
        unknown = [name for name in given if name not in _EVAL_OPTIONS]
        if unknown:
            raise ConfigurationError(
                f"eval_kwargs has {unknown[0]!r}, which is no option of the scoring here; there are "
                f"{', '.join(_EVAL_OPTIONS)}"
            )
        if given.pop("display_table", False):
            raise ConfigurationError(
                "eval_kwargs: there is no one table to display of so many candidates; `.report` has their scores"
            )
        made = copy.copy(self)
        vars(made).update({name: given[name] for name in given if name != "provide_traceback"})
        check_count("num_threads", made.num_threads, 1, optional=True)
        check_count("max_errors", made.max_errors, 1, optional=True)
        return made

    def _options(self) -> ClimbOptions:
        return ClimbOptions(
            self.breadth,
            self.depth,
            self.prompt_model,
            self.init_temperature,
            self.prefix,
            error_limit(self.max_errors),
            self.seed,
        )

    def _work(
        self, program: Any, trainset: Sequence[Example], valset: Sequence[Example] | None
    ) -> list[Work]:
        fresh, scored = split_sizes(len(trainset), None if valset is None else len(valset))
        if valset is None and fresh == len(trainset):
            fresh = 0  # the same rows choose
        predictors = len(learners(program, "instructions"))
        rounds = range(1, self.depth + 1)
        tried = self.breadth * self.depth if predictors == 1 else predictors * self.breadth * sum(rounds)
        proposals = predictors * (self.breadth * self.depth - 1)
        size = (300, 4_000 + 8_000 * self.breadth)
        return [
            Work("the program as given", (scored, scored), first=True),
            questions("proposing instructions", (proposals, proposals), self.prompt_model, size),
            Work("scoring candidates", (0, tried * scored)),
            Work("checking the winner", (0, 2 * min(fresh, scored) if self.recheck else 0)),
        ]
