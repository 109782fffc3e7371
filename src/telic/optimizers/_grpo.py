"""GRPO: the weights of a program's LMs, learned from the metric alone.

For each of some training rows the program runs several times at temperature 1; what its predictors were asked and said
is compared within groups (`telic.training.groups_of_rollouts`), and the weights take a step towards replies that came
to more than the others (`telic.training.GRPOLearner`). No teacher and no labels are needed, only a metric, and replies
that sometimes are better than at other times: where every rollout of a row scores the same there is nothing to learn.

Every few steps the program is scored on the validation set, and the best weights are returned.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast, final

from telic._text import did_you_mean, join_names
from telic.context import context
from telic.context import get as get_setting
from telic.errors import ConfigurationError, MissingExtraError
from telic.evaluate import MetricCall, check_count, checked_examples
from telic.optimizers._base import Optimizer, P
from telic.optimizers._checks import check_student
from telic.optimizers._compile import Compile
from telic.optimizers._finetune_groups import result_settings
from telic.optimizers._frozen import check_excluded
from telic.optimizers._grpo_climb import Climb, Course, Learned, learned_lms
from telic.optimizers._grpo_rollouts import Rewards
from telic.optimizers._grpo_room import check_room, opened, plans
from telic.optimizers._plan import CostPlan, Work
from telic.optimizers._progress import check_display
from telic.optimizers._selection import optimism
from telic.training import FILL_STRATEGIES, GROUPING_MODES, GRPOPlan

if TYPE_CHECKING:
    import os

    from telic.budget import Budget
    from telic.data import Example


@final
class GRPO(Optimizer):
    """Trains the weights of a program's LMs by group-relative policy optimization, for programs of several predictors.

    Args:
        metric: `metric(example, prediction)`; its score is the reward of all calls of a rollout.
        multitask: One network for all predictors that share an LM; False: one for each predictor.
        train_kwargs: Settings of the updates (`telic.training.GRPOSettings`: `learning_rate`, `beta`, `epsilon`,
            `scale_rewards`, `loss_type`, `num_iterations`, `method`, `rank` …; TRL's names too), or such by LM.
        adapter: How prompts are written; None: the adapter of the settings. The compiled program needs the same.
        exclude_demos: Learn, and work, without the student's demonstrations; refused where such are frozen.
        num_threads: Runs at once; None: the setting `num_threads`. The result does not depend on it.
        num_train_steps: Steps.
        seed: Of the order of rows, the draws, and what LoRA begins with.
        num_dspy_examples_per_grpo_step: Training rows of a step.
        num_rollouts_per_grpo_step: Runs of the program on each of them; 2 or more.
        use_train_as_val: Validate on the trainset.
        num_steps_for_val: Validate, and keep the weights if they are the best, after so many steps.
        report_train_scores: Score the trainset too, before and after, for the report.
        failure_score: The reward of a run that failed.
        format_failure_score: The reward of a reply of which nothing could be read; below `failure_score`.
        variably_invoked_predictor_grouping_mode: "truncate", "fill" or "ragged": see `groups_of_rollouts`.
        variably_invoked_predictor_fill_strategy: "randint" or "max", for "fill".
        max_errors: Faults of program or metric in one step that stop it; None: the setting `max_errors`.
        display_progress: Show how far it is on standard error, where that is a terminal; "force": wherever it goes.

    Source: Ziems et al. 2025 (arXiv 2508.04660), mmGRPO; Shao et al. 2024 (arXiv 2402.03300). Deviations: calls belong
    to predictors by their path, not by their signature; what is learned is the reply as it was said, not as it was
    parsed; a rollout that ended at a reply that could not be read does not shorten the groups of the others; calls
    before such a reply get `failure_score`. Four rows and eight rollouts of each are a step here (DSPy: one of each,
    which compares nothing).

    Cost: `num_train_steps` times rows times rollouts runs of the program, all by LMs on this machine; and one run for
    each validation row at each validation.
    """

    takes = frozenset(("valset",))

    def __init__(
        self,
        metric: Any = None,
        multitask: bool = True,
        train_kwargs: Mapping[Any, Any] | None = None,
        adapter: Any = None,
        exclude_demos: bool = False,
        num_threads: int | None = None,
        num_train_steps: int = 100,
        seed: int = 0,
        num_dspy_examples_per_grpo_step: int = 4,
        num_rollouts_per_grpo_step: int = 8,
        use_train_as_val: bool = False,
        num_steps_for_val: int = 5,
        report_train_scores: bool = False,
        failure_score: float = 0,
        format_failure_score: float = -1,
        variably_invoked_predictor_grouping_mode: str = "truncate",
        variably_invoked_predictor_fill_strategy: str | None = None,
        *,
        max_errors: int | None = None,
        display_progress: bool | str = True,
    ) -> None:
        check_count("num_threads", num_threads, 1, optional=True)
        check_count("max_errors", max_errors, 1, optional=True)
        check_count("num_train_steps", num_train_steps, 1)
        check_count("num_dspy_examples_per_grpo_step", num_dspy_examples_per_grpo_step, 1)
        check_count("num_rollouts_per_grpo_step", num_rollouts_per_grpo_step, 2)
        check_count("num_steps_for_val", num_steps_for_val, 1)
        check_display(display_progress)
        mode, fill = variably_invoked_predictor_grouping_mode, variably_invoked_predictor_fill_strategy
        _check_word("variably_invoked_predictor_grouping_mode", mode, GROUPING_MODES)
        if mode == "fill" or fill is not None:
            _check_word("variably_invoked_predictor_fill_strategy", fill, FILL_STRATEGIES)
        if not format_failure_score < failure_score:
            raise ConfigurationError(
                f"format_failure_score={format_failure_score!r} must be below failure_score={failure_score!r}: a reply "
                "that can be read, of a run that failed, is worth more than one that cannot"
            )
        self.metric = metric
        self.multitask = multitask
        self.train_kwargs = train_kwargs
        self.adapter = adapter
        self.exclude_demos = exclude_demos
        self.num_threads = num_threads
        self.num_train_steps = num_train_steps
        self.seed = seed
        self.num_dspy_examples_per_grpo_step = num_dspy_examples_per_grpo_step
        self.num_rollouts_per_grpo_step = num_rollouts_per_grpo_step
        self.use_train_as_val = use_train_as_val
        self.num_steps_for_val = num_steps_for_val
        self.report_train_scores = report_train_scores
        self.failure_score = failure_score
        self.format_failure_score = format_failure_score
        self.variably_invoked_predictor_grouping_mode = mode
        self.variably_invoked_predictor_fill_strategy = fill
        self.max_errors = max_errors
        self.display_progress = display_progress

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
        """Return a copy of `student` whose predictors call LMs with trained weights.

        Args:
            student: The program.
            trainset: Examples with declared inputs; labels only as far as the metric needs them.
            teacher: None, or the student: GRPO learns from what the student's own weights say.
            valset: Chooses the best weights; None: the last ones are returned, unless `use_train_as_val`.
            run_dir: The folder of the run, and of the weights: given again, it goes on where it ended.
            budget: Limits of the run; at a limit the best weights so far are returned.

        Raises:
            ConfigurationError: An LM cannot be trained, its training does not fit into memory, or something else
                cannot work; nothing was run.
            MissingExtraError: torch, transformers or peft is not installed; nothing was run.
            TrainingError: The loss is no number any more, or the disk is full; the last good checkpoint is named.
            CompileStopped: `max_errors` faults of program or metric in one step.

        Cost: see the class.
        """
        metric = MetricCall(self.metric)
        check_student(student)
        _check_teacher(teacher, student)
        rows = checked_examples("trainset", trainset)
        held_out = None if valset is None else checked_examples("valset", valset)
        if self.use_train_as_val and held_out is not None:
            raise ConfigurationError(
                "use_train_as_val=True and a valset: which one chooses? Leave one of them out"
            )
        groups, asked, settings = self._prepared(student)
        course = self._course()
        check_room(groups, asked, rows, course, settings)
        with Compile(self, student, run_dir=run_dir, budget=budget, trainset=rows, valset=held_out) as run:
            folder = Path(tempfile.mkdtemp(prefix="telic-weights-")) if run.live is None else run.live.folder
            scored = rows if self.use_train_as_val else held_out
            if scored is None:
                run.note("no valset was given: the last weights are returned, not the best", warn=True)
            elif scored is rows:
                run.note(
                    "the weights were chosen on the trainset itself: their score is too high for new data"
                )
            place = folder / "weights" / run.prefix.rstrip("/").replace(" ", "-")
            rewards = Rewards(metric, self.failure_score, self.format_failure_score)
            climb = Climb(run, asked, groups, course, rewards, settings, rows, scored, place)

            def search() -> str | None:
                return climb.run(self.display_progress)

            def best(stopped: str | None) -> Any:
                with context(**settings):
                    return self._finished(run, student, climb, stopped)

            return run.guarded(search, best)

    def plan(
        self,
        program: Any,
        *,
        trainset: Sequence[Example],
        valset: Sequence[Example] | None = None,
        calls_per_run: int | tuple[int, int] | None = None,
    ) -> CostPlan:
        """Return what a compile will cost: calls and tokens as of any optimizer, and notes on its weights.

        The notes are `training_plans`, where torch is installed; see there.
        """
        cost = super().plan(program, trainset=trainset, valset=valset, calls_per_run=calls_per_run)
        try:
            told = [str(one) for one in self.training_plans(program, trainset=trainset).values()]
        except MissingExtraError as error:
            told = [f"memory and time are not known: {error}"]
        return cost._replace(notes=[*cost.notes, *told])

    def training_plans(
        self, program: Any, *, trainset: Sequence[Example], measure: bool = True
    ) -> dict[str, GRPOPlan]:
        """Return what the training of each network will take, by its folder's name: tokens, memory, time. A dry run.

        Prompts are those of the longest training rows; of predictors whose inputs come from others, what these say
        counts as a reply of the greatest length. A predictor counts once in each rollout.

        Args:
            program: What would be compiled.
            trainset: As for `compile`.
            measure: Draw some replies and compute one part of an update, to tell the time.

        Raises:
            ConfigurationError: An LM cannot be trained here, or its weights do not fit into memory.

        Cost: loads each model; with `measure`, `num_threads` replies by this machine.
        """
        check_student(program, "program")
        rows = checked_examples("trainset", trainset)
        groups, asked, settings = self._prepared(program)
        threads = get_setting("num_threads") if self.num_threads is None else self.num_threads
        return plans(groups, asked, rows, self._course(), settings, threads=threads, measure=measure)

    def check(self, program: Any) -> None:
        """Refuse LMs that cannot be trained here, settings that cannot work, frozen demos that are to be left out."""
        super().check(program)
        check_excluded(program, self.exclude_demos)
        self._settings(
            [
                lm
                for group in learned_lms(program, self.train_kwargs, multitask=self.multitask)
                for lm in group.lms.values()
            ]
        )

    def identity(self) -> dict[str, Any]:
        """Return the settings that the result depends on; where and in how small pieces it computes is none of them."""
        return {**super().identity(), "train_kwargs": result_settings(self.train_kwargs)}

    def _prepared(self, student: Any) -> tuple[list[Learned], Any, dict[str, Any]]:
        """Return what is trained, opened, the program as it is asked, and the settings for all runs."""
        check_excluded(student, self.exclude_demos)
        groups = learned_lms(student, self.train_kwargs, multitask=self.multitask)
        settings = self._settings([lm for group in groups for lm in group.lms.values()])
        asked = student.deepcopy()
        for _, predictor in asked.named_predictors() if self.exclude_demos else ():
            predictor.demos = []
        return opened(groups, self.seed), asked, settings

    def _course(self) -> Course:
        return Course(
            self.num_train_steps,
            self.num_dspy_examples_per_grpo_step,
            self.num_rollouts_per_grpo_step,
            self.num_steps_for_val,
            self.variably_invoked_predictor_grouping_mode,
            self.variably_invoked_predictor_fill_strategy,
            self.seed,
            get_setting("max_errors") if self.max_errors is None else self.max_errors,
        )

    def _finished(self, run: Compile, student: Any, climb: Climb, stopped: str | None) -> Any:
        found = climb.best()
        if found is None:
            return None
        program, result, label = found
        compiled = program.deepcopy() if program is not None else student.deepcopy()
        for note in climb.notes:
            run.note(note)
        report: dict[str, Any] = {"stopped": stopped, "failures": climb.failures}
        if result is None:
            candidates = [run.candidate(compiled, None, label)]
        else:
            scored = sorted(climb.validated, key=lambda one: -one.result.mean)
            first = climb.validated[0].result
            candidates = [run.candidate(one.program, one.result, one.label) for one in climb.validated]
            candidates = [candidates[climb.validated.index(one)] for one in scored]
            report |= {
                "score": result.score,
                "baseline": first.score,
                "comparison": result.compare(first),
                "optimism": 100
                * optimism([[row.score for row in one.result.rows] for one in climb.validated]),
            }
        if self.report_train_scores and stopped is None:
            rows = climb.rows
            before, after = run.evaluate(student, rows), run.evaluate(compiled, rows)
            run.note(
                f"on the {len(rows)} training rows: {before.score:.2f} % before, {after.score:.2f} % after"
            )
        compiled._compiled = True
        compiled.report = run.report(candidates=candidates, **report)
        return compiled

    def _settings(self, lms: Sequence[Any]) -> dict[str, Any]:
        """Return the settings for all runs: the adapter, where one was given."""
        given: Any = self.adapter
        if not isinstance(given, Mapping):
            return {} if given is None else {"adapter": given}
        by_lm = cast("Mapping[Any, Any]", given)
        own = {id(one): one for lm in lms if (one := by_lm.get(lm)) is not None}
        if len(own) > 1:
            raise ConfigurationError("adapter= has several adapters; a program runs with one: pass that")
        return {} if not own else {"adapter": own.popitem()[1]}

    def _work(
        self, program: Any, trainset: Sequence[Example], valset: Sequence[Example] | None
    ) -> list[Work]:
        runs = self.num_train_steps * self.num_dspy_examples_per_grpo_step * self.num_rollouts_per_grpo_step
        scored = trainset if self.use_train_as_val else valset
        work: list[Work] = []
        if scored is not None:
            later = -(-self.num_train_steps // self.num_steps_for_val) * len(scored)
            work = [
                Work("the program as given", (len(scored), len(scored)), first=True),
                Work("validations", (later, later)),
            ]
        step = self.num_dspy_examples_per_grpo_step * self.num_rollouts_per_grpo_step
        work.append(Work("rollouts of the first step", (step, step), first=scored is None))
        return [*work, Work("rollouts of the others", (runs - step, runs - step))]


def _check_word(name: str, value: Any, known: Sequence[str]) -> None:
    if value not in known:
        raise ConfigurationError(
            f"{name}={value!r}{did_you_mean(str(value), known)}: one of {join_names(known)}"
        )


def _check_teacher(teacher: Any, student: Any) -> None:
    given: list[Any] = list(teacher) if isinstance(teacher, (list, tuple)) else [teacher]  # pyright: ignore[reportUnknownArgumentType]
    if any(one is not None and one is not student for one in given):
        raise ConfigurationError(
            "GRPO compares what the student's own weights say, and takes no teacher; BootstrapFinetune learns from "
            "teachers, and BetterTogether runs both, one after the other"
        )
