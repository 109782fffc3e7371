"""SIMBA, stochastic introspective mini-batch ascent: a program learns from the rows on which its own runs differ most.

Each step runs a minibatch several times, by programs of a growing pool; takes the rows where the best and the worst run
lie furthest apart; makes a candidate of each, by showing the good run as a demo, or by asking an LM for rules that tell
the good run from the bad one; scores the candidates on the same minibatch; and puts them into the pool. In the end the
winners of the steps are scored on rows of their own.

The steps are in `_simba_climb`, the changes in `_simba_edits`, the runs in `_simba_runs`.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, final

from telic.errors import ConfigurationError
from telic.evaluate import MetricCall, check_count, checked_examples
from telic.optimizers._base import Optimizer, P
from telic.optimizers._checks import check_common, check_settings, check_student, error_limit
from telic.optimizers._choice import Tally, best_of
from telic.optimizers._compile import Compile
from telic.optimizers._frozen import check_learnable
from telic.optimizers._plan import Work, questions
from telic.optimizers._propose_asks import check_prompt_model, check_temperature
from telic.optimizers._report import CandidatePrograms
from telic.optimizers._selection import split_rows, split_sizes
from telic.optimizers._simba_climb import Climb, ClimbOptions

if TYPE_CHECKING:
    import os

    from telic.budget import Budget
    from telic.data import Example


@final
@dataclass(eq=False, repr=False, kw_only=True)
class SIMBA(Optimizer):
    """Adds demos and rules to a program, by what runs of the same row did differently.

    Args:
        metric: `metric(example, prediction, trace=None)`; its feedback, if it gives any, is shown with the runs.
        bsize: Rows of a minibatch, no more than there are.
        num_candidates: Runs of each row; and about how many candidates a step makes.
        max_steps: Minibatches.
        max_demos: About how many demos a predictor has at most: more are dropped again. 0: rules alone.
        prompt_model: Writes the rules; None: the configured LM.
        teacher_settings: Settings of the first run of each row, as for `telic.context`: `{"lm": LM(…)}`. None: it is
            a run as the others are.
        demo_input_field_maxlen: Texts in the inputs of demos are cut at so many characters.
        num_threads: Pieces of work at once; None: the setting. The result does not depend on it.
        temperature_for_sampling: Of the choice of a program for a run: higher is more even, 0 always the best.
        temperature_for_candidates: Of the choice of the program that a candidate is made from.
        max_errors: Failures within one candidate or one step's runs that stop the compile; None: the setting.
        recheck: Score the winner and the given program on rows that were in no minibatch, where there are any.
        seed: Of all draws.
        display_progress: Show how far it is on standard error, where that is a terminal; "force": wherever it goes.

    Source: DSPy's optimizer of that name; there is no paper. Deviations: without a valset, a trainset of 20 rows or
    more is split, one half for minibatches and one to choose by; the given program is scored on those rows, and that is
    its mean in the pool; a run does not see its own row among the demos; runs in which an assertion did not hold are
    no demos; rules of a program with one step are asked for as text; where no run of a row is better than the others,
    the question says so by showing one; candidates of a step that are equal are scored once.

    Cost: `max_steps * bsize * num_candidates` runs of the program, up to about as many again to score candidates,
    `len(valset)` for each of at most `num_candidates + 1` finalists, and at most `num_candidates + 1` questions for
    rules a step.

    Example:
        >>> from telic.context import context
        >>> from telic.data import Example
        >>> from telic.modules import Predict
        >>> from telic.testing import FunctionLM
        >>> def reply(request):
        ...     if "rules" in request.messages[0]["content"]:
        ...         return {"rules": "Answer in capitals."}
        ...     loud = "capitals" in request.messages[0]["content"] or request.sample % 2
        ...     return {"answer": "YES" if loud else "yes"}
        >>> rows = [Example(question=f"Is {i} a number?", answer="YES").with_inputs("question") for i in range(6)]
        >>> optimizer = SIMBA(
        ...     metric=lambda row, found, trace=None: row.answer == found.answer,
        ...     bsize=4, max_steps=2, max_demos=0,
        ... )
        >>> with context(lm=FunctionLM(reply)):
        ...     better = optimizer.compile(Predict("question -> answer"), trainset=rows)
        >>> better.signature.instructions.endswith("Answer in capitals.")
        True
        >>> better.report.baseline, better.report.score
        (0.0, 100.0)
    """

    takes = frozenset(("valset",))

    metric: Any
    bsize: int = 32
    num_candidates: int = 6
    max_steps: int = 8
    max_demos: int = 4
    prompt_model: Any = None
    teacher_settings: dict[str, Any] | None = None
    demo_input_field_maxlen: int = 100_000
    num_threads: int | None = None
    temperature_for_sampling: float = 0.2
    temperature_for_candidates: float = 0.2
    max_errors: int | None = None
    recheck: bool = True
    seed: int = 0
    display_progress: bool | str = True

    def __post_init__(self) -> None:
        check_count("bsize", self.bsize, 1)
        check_count("num_candidates", self.num_candidates, 2)
        check_count("max_steps", self.max_steps, 1)
        check_count("max_demos", self.max_demos, 0)
        check_count("demo_input_field_maxlen", self.demo_input_field_maxlen, 1)
        check_common(self)
        check_temperature("temperature_for_sampling", self.temperature_for_sampling)
        check_temperature("temperature_for_candidates", self.temperature_for_candidates)
        check_settings("teacher_settings", self.teacher_settings)

    def compile(
        self,
        student: P,
        *,
        trainset: Sequence[Example],
        teacher: Any = None,
        valset: Sequence[Example] | None = None,
        seed: int | None = None,
        run_dir: str | os.PathLike[str] | None = None,
        budget: Budget | None = None,
    ) -> P:
        """Return the best of the step winners and the given program, with `.report`, `.candidate_programs` and logs.

        Args:
            student: The program; its demos stay, as far as they are not dropped on the way.
            trainset: Rows for minibatches; without `valset`, half of them choose where there are 20 or more, all
                where there are fewer.
            teacher: Not used: there must be none (see `teacher_settings`).
            valset: Rows that choose among the winners of the steps.
            seed: In the place of the optimizer's.
            run_dir: See `Optimizer.compile`.
            budget: Limits of this compile; at a limit the best program so far is returned.

        Returns:
            The program; `.trial_logs` has the scores of each step in percent, `.simba_idx` its number in the pool.

        Raises: see `Optimizer.compile`.
        """
        metric = MetricCall(self.metric)
        check_student(student)
        check_learnable(student, self, "instructions", "demos")
        if teacher is not None:
            raise ConfigurationError(
                "SIMBA takes no teacher=; for a stronger LM in some of the runs pass teacher_settings={'lm': LM(…)}"
            )
        rows = checked_examples("trainset", trainset)
        if len(rows) < self.bsize:
            raise ConfigurationError(
                f"bsize={self.bsize} is more than the {len(rows)} rows of trainset; pass bsize={len(rows)} or less"
            )
        held_out = None if valset is None else checked_examples("valset", valset)
        check_prompt_model(self.prompt_model)
        arranged = copy.copy(self)
        arranged.seed = self.seed if seed is None else seed
        data: dict[str, Any] = {"trainset": rows, "valset": held_out}
        with Compile(arranged, student, run_dir=run_dir, budget=budget, **data) as run:
            made, chosen_by = split_rows(run, rows, held_out, arranged.seed, purpose="for minibatches")
            climb = Climb(arranged._options(), run, student, made, chosen_by, metric)

            def best(stopped: str | None) -> Any:
                unseen = [row for index, row in enumerate(made) if index not in climb.seen]
                fresh = unseen if made is not chosen_by and self.recheck else []
                tally = Tally(stopped, [*climb.failures, *climb.asks.failures])
                program = _of_minibatches(run, climb, tally)
                if program is None:
                    program = best_of(run, climb.found, climb.given, fresh, tally=tally, seed=arranged.seed)
                if program is not None:
                    program.trial_logs = climb.logs
                    program.simba_idx = program.report.candidates[0].seed
                return program

            return run.guarded(climb.climb, best)

    def _options(self) -> ClimbOptions:
        return ClimbOptions(
            self.bsize,
            self.num_candidates,
            self.max_steps,
            self.max_demos,
            self.prompt_model,
            self.teacher_settings,
            self.demo_input_field_maxlen,
            self.temperature_for_sampling,
            self.temperature_for_candidates,
            error_limit(self.max_errors),
            self.seed,
        )

    def _work(
        self, program: Any, trainset: Sequence[Example], valset: Sequence[Example] | None
    ) -> list[Work]:
        made, scored = split_sizes(len(trainset), None if valset is None else len(valset))
        batch = min(self.bsize, made)
        runs, most = self.max_steps * batch * self.num_candidates, self.num_candidates + 1
        finalists = min(self.num_candidates, self.max_steps)
        unseen = made - batch if valset is not None or made < len(trainset) else 0
        predictors = len(program.predictors())
        size = (300, 20_000 + 20_000 * predictors)
        return [
            Work("the program as given", (scored, scored), first=True),
            Work("running minibatches", (runs, runs), demos=self.max_demos + 1),
            questions("writing rules", (0, self.max_steps * most), self.prompt_model, size),
            Work("scoring candidates", (0, self.max_steps * most * batch), demos=self.max_demos + 1),
            Work("scoring the winners", (0, finalists * scored), demos=self.max_demos + 1),
            Work("checking the winner", (0, 2 * min(unseen, scored) if self.recheck else 0)),
        ]


def _of_minibatches(run: Compile, climb: Climb, tally: Tally) -> Any:
    """Return the best winner of a step, where the end came before any was scored on the rows that choose; else None.

    That is one which did better on its minibatch than the given program does on the rows that choose.
    """
    given = climb.given
    if tally.stopped is None or given is None or len(climb.found) > 1 or not climb.winners:
        return None
    best = max(climb.winners, key=lambda member: member.mean)
    if best.mean <= given.result.mean:
        return None
    program = best.program.deepcopy()
    run.note(
        "the end came before the winners of the steps were scored on the rows that choose: this is the one with the "
        "best score on its minibatch, which is likely to be too high"
    )
    program.report = run.report(
        stopped=tally.stopped,
        baseline=given.result.score,
        candidates=[given.candidate._replace(program=program, seed=best.number, label=best.label,
                    score=100 * best.mean, subscores=(), interval=(float("nan"), float("nan"))), given.candidate],
        failures=list(tally.failures),
    )  # fmt: skip
    program.candidate_programs = CandidatePrograms(program.report.candidates)
    return program
