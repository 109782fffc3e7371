"""MIPROv2: instructions and demonstrations of all predictors, chosen together.

Three steps, as in the paper:

1. *Bootstrap* sets of demonstrations (`_mipro_demos`).
2. *Propose* instructions, grounded in data, program and demonstrations (`_mipro_propose`).
3. *Search* over which instruction and which set each predictor gets, by a tree-structured Parzen estimator (`_tpe`)
   that sees scores on minibatches; every few trials the best combination on average is evaluated in full (`_trials`).
   The best full evaluation wins.

Source: Opsahl-Ong et al. 2024, "Optimizing Instructions and Demonstrations for Multi-Stage Language Model Programs"
(arXiv 2406.11695), MIPRO with minibatches; the run modes, tips and numbers of candidates and trials are those of DSPy.
Deviations:

- All of it runs at once: bootstraps, looks at the data (independent of each other, and then summed up), the evaluation
  of the given program, proposals; then a few trials at a time, each of which sees the results up to a fixed number of
  trials before it, so that any number of threads finds the same.
- Shuffled rows are spread, so that the demos of a set show each class as often as the others.
- Rows that a combination was scored on are not paid for again; the estimator sees the mean of all its rows. At the end
  the two best on average are evaluated in full. What is not likely to beat the best full evaluation gets none.
- A quarter of the instructions is proposed in the middle of the search, from the scores so far; each of them gets a
  trial.
- The code of a program is described by the prompt model only where the program has code of its own; the fields of its
  steps are told in any case. What shows a proposal no demonstration of its step shows it labelled rows.
- Demonstrations that the program came with are one of the sets. Predictors keep LMs of their own: `task_model` is for
  the others.
- Scores are compared by a paired test, and the winner is checked on training rows that it does not show.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY, dataclass
from typing import TYPE_CHECKING, Any, final

from telic._seed import derive
from telic._text import did_you_mean
from telic.context import context
from telic.context import get as get_setting
from telic.errors import ConfigurationError
from telic.evaluate import MetricCall, check_count
from telic.optimizers._base import Optimizer, P
from telic.optimizers._bootstrap import BootstrapOptions
from telic.optimizers._checks import (
    check_common,
    check_settings,
    check_student,
    check_teacher,
    checked_sets,
    error_limit,
)
from telic.optimizers._choice import Tally, best_of
from telic.optimizers._compile import Compile
from telic.optimizers._frozen import check_learnable
from telic.optimizers._mipro_plan import Rows, mipro_work
from telic.optimizers._mipro_search import MiproSearch, SearchOptions
from telic.optimizers._mipro_settings import (
    Asked,
    AskedOptions,
    Settings,
    check_asked,
    check_constructor,
    settled,
    split_share,
)
from telic.optimizers._plan import CostPlan, Work, teacher_lm
from telic.optimizers._propose_asks import check_prompt_model, check_temperature
from telic.optimizers._selection import split_rows, split_sizes

if TYPE_CHECKING:
    import os
    from typing import Unpack

    from telic.budget import Budget
    from telic.data import Example


@final
@dataclass(eq=False, repr=False)
class MIPROv2(Optimizer):
    """Finds instructions and demonstrations together, for all predictors of a program.

    Args:
        metric: `metric(example, prediction, trace=None)`; `trace` is the list of steps while bootstrapping.
        prompt_model: The LM that writes instructions; None: the configured one.
        task_model: The LM of the predictors that have none of their own; None: the configured one.
        teacher_settings: Settings for the runs that make demonstrations, as for `telic.context`.
        max_bootstrapped_demos: The most accepted examples a set of demonstrations looks for. With `max_labeled_demos`
            both 0, only instructions are searched.
        max_labeled_demos: Up to how many demos a predictor gets in all.
        auto: "light", "medium" or "heavy": 6, 12 or 18 candidates, at most 100, 300 or 1,000 rows of the valset, and a
            number of trials that grows with the number of predictors. None: `num_candidates` here, and `num_trials` of
            `compile`, say it.
        num_candidates: Sets of demonstrations, and instructions, for each predictor.
        num_threads: Calls at once; None: the setting. The result does not depend on it.
        max_errors: Failures of one bootstrap, or of one combination, that stop the compile; None: the setting.
        seed: Of all draws; 0 is a seed.
        init_temperature: Of the proposals.
        verbose: Tell every instruction that was proposed in the report's notes.
        track_stats: Give the program `trial_logs`, `mb_candidate_programs`, `total_calls` and
            `prompt_model_total_calls`.
        log_dir: The folder of the run, where `compile` gets no `run_dir`.
        metric_threshold: The least score that makes a demonstration (0 counts); None: any score but 0.
        recheck: Score the winner and the given program on training rows that the winner does not show.
        display_progress: Show how far it is on standard error, where that is a terminal; "force": wherever it goes.

    Cost: the given program on all rows (`V`); for each set of demonstrations about (demos / success rate) runs of the
    teacher; some 11 calls of the prompt model and one for each instruction; trials of 35 rows each, and what full
    evaluations lack to `V` rows; the check, at most `2 * V` runs. `plan` says it in numbers.

    Example:
        >>> from telic.data import Example
        >>> from telic.modules import Predict
        >>> rows = [Example(question=f"{i}?", answer="yes").with_inputs("question") for i in range(40)]
        >>> optimizer = MIPROv2(lambda row, found, trace=None: row.answer == found.answer, auto="light")
        >>> optimizer.plan(Predict("question -> answer"), trainset=rows, valset=rows).parts[0].runs
        (40, 40)
    """

    metric: Any
    prompt_model: Any = None
    task_model: Any = None
    teacher_settings: dict[str, Any] | None = None
    max_bootstrapped_demos: int = 4
    max_labeled_demos: int = 4
    auto: str | None = "light"
    num_candidates: int | None = None
    num_threads: int | None = None
    max_errors: int | None = None
    seed: int = 9
    init_temperature: float = 1.0
    verbose: bool = False
    track_stats: bool = True
    log_dir: str | os.PathLike[str] | None = None
    metric_threshold: float | None = None
    _: KW_ONLY
    recheck: bool = True
    display_progress: bool | str = True

    def __post_init__(self) -> None:
        check_common(self)
        check_count("max_bootstrapped_demos", self.max_bootstrapped_demos, 0)
        check_count("max_labeled_demos", self.max_labeled_demos, 0)
        check_constructor(self.auto, self.num_candidates)
        check_settings("teacher_settings", self.teacher_settings)
        check_temperature("init_temperature", self.init_temperature)
        self._asked = Asked()

    def compile(
        self,
        student: P,
        *,
        trainset: Sequence[Example],
        teacher: Any = None,
        valset: Sequence[Example] | None = None,
        run_dir: str | os.PathLike[str] | None = None,
        budget: Budget | None = None,
        requires_permission_to_run: bool | None = None,
        provide_traceback: bool | None = None,
        **asked: Unpack[AskedOptions],
    ) -> P:
        """Return the best combination, with `.report`, `.candidate_programs`, `.score` and `.trial_logs`.

        Args:
            student: The program.
            trainset: Examples to make demonstrations of, and to tell the prompt model of.
            teacher: A program with the same predictors that makes the demonstrations; None: the student itself.
            valset: Examples to choose by; None: four fifths of `trainset` where that has at least 20 rows, else all.
            run_dir: See `Optimizer.compile`.
            budget: Limits of this compile; at a limit the best combination that was evaluated in full is returned.
            requires_permission_to_run: Nothing is asked for: must not be True.
            provide_traceback: The setting of that name, for this compile.
            asked: `num_trials`, `max_bootstrapped_demos`, `max_labeled_demos`, `seed` (before those of the
                constructor); `minibatch`, `minibatch_size` (35) and `minibatch_full_eval_steps` (5 trials): trials on
                some rows only, where there are more than that; `program_aware_proposer`, `data_aware_proposer` (with
                `view_data_batch_size`, 10 rows), `tip_aware_proposer`, `fewshot_aware_proposer` and
                `history_aware_proposer`: what the prompt model is told of, all of it unless one is False.

        Raises: see `Optimizer.compile`.
        """
        if requires_permission_to_run:
            raise ConfigurationError(
                "telic never asks whether it may run; plan(…) tells the cost, budget= holds it"
            )
        metric = MetricCall(self.metric)
        check_student(student)
        check_learnable(student, self, "instructions", "demos")
        check_teacher(teacher, student)
        check_prompt_model(self.prompt_model)
        rows, held_out = checked_sets(trainset, valset)
        arranged = self._arranged(asked)
        options = arranged._asked._asdict()
        arranged._settled(student, len(rows), None if held_out is None else len(held_out))
        run_dir = self.log_dir if run_dir is None else run_dir
        data: dict[str, Any] = {"trainset": rows, "teacher": teacher, "valset": held_out}
        with (
            context(**self._surroundings(provide_traceback)),
            Compile(arranged, student, run_dir=run_dir, budget=budget, options=options, **data) as run,
        ):
            return arranged._search(run, student, teacher, rows, held_out, metric)

    def _search(
        self,
        run: Compile,
        student: Any,
        teacher: Any,
        rows: list[Example],
        valset: list[Example] | None,
        metric: MetricCall,
    ) -> Any:
        seed = self.seed
        made, scored = split_rows(run, rows, valset, seed, share=split_share(len(rows)))
        settings = self._settled(student, len(rows), None if valset is None else len(valset))
        fresh = made if made is not scored and self.recheck else []
        if settings.rows < len(scored):
            drawn = derive(seed, "valset").sample(range(len(scored)), settings.rows)
            run.note(f"auto={self.auto!r}: {settings.rows} of {len(scored)} rows of the valset are used")
            scored = [scored[index] for index in sorted(drawn)]
        search = MiproSearch(run, student, teacher, made, scored, metric, self._options(settings))

        def best(stopped: str | None) -> Any:
            tally = Tally(stopped, search.failures, search.demo_sets.extra_runs)
            self._tell(run, search)
            program = best_of(run, search.trials.found, search.given, fresh, tally=tally, seed=seed)
            if program is not None:
                program.score = program.report.score
                if self.track_stats:
                    spend = program.report.spend
                    program.prompt_model_total_calls = spend["proposer"].calls if "proposer" in spend else 0
                    program.total_calls = program.report.total_spend.calls
                    program.trial_logs = search.logs()
                    program.mb_candidate_programs = search.minibatch_candidates()
            return program

        return run.guarded(search.run, best)

    def _tell(self, run: Compile, search: MiproSearch) -> None:
        for path, texts in search.proposer.instructions.items():
            if self.verbose:
                for number, text in enumerate(texts):
                    run.note(f"instruction {number} for {path}: {text}")
            if len(texts) == 1 and search.asks.finished:
                run.note(f"no new instruction was proposed for {path}: its own was the only choice")

    # Settings

    def _arranged(self, asked: Mapping[str, Any]) -> MIPROv2:
        """Return this optimizer with the arguments of one compile."""
        unknown = [name for name in asked if name not in Asked._fields]
        if unknown:
            raise ConfigurationError(
                f"MIPROv2.compile has no option {unknown[0]!r}{did_you_mean(unknown[0], Asked._fields)}"
            )
        made = copy.copy(self)
        made._asked = Asked(**asked)
        made.log_dir = None  # where a run is kept decides nothing
        if self.task_model is not None and self.prompt_model is None:
            made.prompt_model = get_setting("lm")
        check_asked(self.auto, made._asked)
        for name in ("max_bootstrapped_demos", "max_labeled_demos", "seed"):
            if asked.get(name) is not None:
                setattr(made, name, asked[name])
        return made

    def _settled(self, program: Any, trainset: int, valset: int | None) -> Settings:
        _, rows = split_sizes(trainset, valset, split_share(trainset))
        predictors = len(program.predictors())
        demos = (self.max_bootstrapped_demos, self.max_labeled_demos)
        return settled(self.auto, self.num_candidates, self._asked, predictors, rows, demos)

    def _options(self, settings: Settings) -> SearchOptions:
        most = error_limit(self.max_errors)
        bootstrap = BootstrapOptions(
            self.metric_threshold,
            self.teacher_settings,
            settings.bootstrapped,
            settings.labelled,
            1,
            most,
            self.seed,
        )
        return SearchOptions(
            settings, self._asked, bootstrap, self.prompt_model, self.init_temperature, most, self.seed
        )

    def _surroundings(self, provide_traceback: bool | None) -> dict[str, Any]:
        """Return the settings of the task: its LM."""
        traced = {} if provide_traceback is None else {"provide_traceback": provide_traceback}
        return traced if self.task_model is None else {**traced, "lm": self.task_model}

    # Cost

    def plan(
        self,
        program: Any,
        *,
        trainset: Sequence[Example],
        valset: Sequence[Example] | None = None,
        calls_per_run: int | tuple[int, int] | None = None,
        **asked: Unpack[AskedOptions],
    ) -> CostPlan:
        """Return what a compile of `program` will cost, as ranges, without a call of an LM.

        Args:
            program: What would be compiled.
            trainset: As for `compile`.
            valset: As for `compile`.
            calls_per_run: Calls of an LM in one run of the program, or the least and the most; None: counted.
            asked: As for `compile`.

        Raises:
            ConfigurationError: Something cannot work.
            DatasetError: A list is empty or its rows do not declare their inputs.
        """
        arranged = self._arranged({**self._asked._asdict(), **asked})
        return super(MIPROv2, arranged).plan(
            program, trainset=trainset, valset=valset, calls_per_run=calls_per_run
        )

    def _work(
        self, program: Any, trainset: Sequence[Example], valset: Sequence[Example] | None
    ) -> Sequence[Work]:
        held_out = None if valset is None else len(valset)
        settings = self._settled(program, len(trainset), held_out)
        made, _ = split_sizes(len(trainset), held_out, split_share(len(trainset)))
        checked = made if valset is not None or made < len(trainset) else 0
        return mipro_work(
            settings,
            self._asked,
            program,
            Rows(made, checked if self.recheck else 0, max(len(row) for row in trainset)),
            prompt_model=self.prompt_model,
            teacher_lm=teacher_lm(self.teacher_settings),
        )
