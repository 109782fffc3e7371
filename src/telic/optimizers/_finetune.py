"""BootstrapFinetune: what a program shows in its prompts, learned by the weights of the LMs that it calls.

Teachers run the training set; the calls of runs that metric and assertions accept become training rows of the student's
own predictors (`telic.training`), and the student's LMs are finetuned on them: one for all predictors that share it, or
one each. The student is a copy with the new LMs; weights, rows and checkpoints lie in the run's folder.
"""

from __future__ import annotations

import math
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast, final

from telic._text import join_names, plural
from telic.context import get as get_setting
from telic.errors import ConfigurationError, TrainingError
from telic.evaluate import MetricCall, check_count, checked_examples
from telic.optimizers._base import Optimizer, P
from telic.optimizers._bootstrap import any_run
from telic.optimizers._checks import check_settings, check_student, check_teacher
from telic.optimizers._compile import Compile
from telic.optimizers._finetune_groups import Group, groups_of, result_settings
from telic.optimizers._finetune_traces import Traces, labelled_calls
from telic.optimizers._frozen import check_excluded
from telic.optimizers._measure import measured
from telic.optimizers._plan import Work
from telic.optimizers._pool import Standing
from telic.optimizers._progress import check_display, shown_progress
from telic.training import (
    ChatRow,
    JobSettings,
    Learnable,
    PreferencePair,
    Progress,
    Rows,
    TracedRun,
    TrainingPlan,
    pairs_of_runs,
    plan_finetune,
    rows_of_runs,
    write_pairs,
    write_rows,
)

if TYPE_CHECKING:
    import os

    from telic.budget import Budget
    from telic.data import Example


@final
class BootstrapFinetune(Optimizer):
    """Finetunes the LMs of a program on what teachers, or the program itself, get right.

    Args:
        metric: `metric(example, prediction, trace)`; runs with a score other than 0 are learned from, and weigh their
            scores. None: every run that does not fail.
        multitask: One finetuned LM for all predictors that share an LM; False: one for each predictor.
        train_kwargs: Settings of the finetuning (`telic.training.SFTSettings`: `method`, `epochs`, `batch_size`,
            `learning_rate`, `max_length`, `too_long` …; DSPy's and TRL's names too), or such settings by LM or by its
            name. `loss="dpo"`: what is learned is which of two replies to a prompt was the better one, by the scores of
            their runs; that takes several runs of each row: several teachers, or one of them several times.
        adapter: How prompts and replies are written, or adapters by LM; None: the adapter of the settings. The
            compiled program must be run with the same.
        exclude_demos: Prompts are learned, and the compiled program works, without the student's demos; refused where
            such demos are frozen.
        num_threads: Runs at once; None: the setting `num_threads`. The result does not depend on it.
        metric_threshold: The least score that is learned from (0 counts); None: any score but 0.
        teacher_settings: Settings for the teachers' runs, as for `telic.context`: `{"lm": LM(…)}`.
        max_errors: Failures of program or metric that stop it; None: the setting `max_errors`.
        display_progress: Show how far it is on standard error, where that is a terminal; "force": wherever it goes.

    Source: Khattab et al. 2023 (arXiv 2310.03714), section 4; Soylu et al. 2024 (arXiv 2407.10930). Deviations: calls
    are attributed by predictor, not by their place in the trace; rows weigh their scores and count once; a run in
    which an assertion did not hold teaches nothing; the loss is on replies alone; the student is not changed.

    LMs that can be trained: those of this machine ("local/…", "telic/…"), and those of servers with OpenAI's finetuning
    jobs ("openai/…").

    Cost: one run of each teacher for each training row; no LM call for the training itself, which is paid for in
    computing here, or by the token at a provider.
    """

    def __init__(
        self,
        metric: Any = None,
        multitask: bool = True,
        train_kwargs: Mapping[Any, Any] | None = None,
        adapter: Any = None,
        exclude_demos: bool = False,
        num_threads: int | None = None,
        *,
        metric_threshold: float | None = None,
        teacher_settings: dict[str, Any] | None = None,
        max_errors: int | None = None,
        display_progress: bool | str = True,
    ) -> None:
        check_count("num_threads", num_threads, 1, optional=True)
        check_count("max_errors", max_errors, 1, optional=True)
        check_display(display_progress)
        check_settings("teacher_settings", teacher_settings)
        self.metric = metric
        self.multitask = multitask
        self.train_kwargs = train_kwargs
        self.adapter = adapter
        self.exclude_demos = exclude_demos
        self.num_threads = num_threads
        self.metric_threshold = metric_threshold
        self.teacher_settings = teacher_settings
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
        """Return a copy of `student` whose predictors call finetuned LMs.

        Args:
            student: The program.
            trainset: Examples with declared inputs; labels only as far as the metric needs them.
            teacher: A program with the same predictors, or several, whose runs are learned from; None: the student.
            valset: Rows to score the given and the compiled program on, for the report; None: nothing is scored.
            run_dir: The folder of the run, and of the weights: given again, it goes on where it ended.
            budget: Limits of the runs; at a limit the traces made so far are learned from.

        Raises:
            ConfigurationError: An LM cannot be trained, or something else cannot work; nothing was paid for.
            MissingExtraError: torch, transformers or peft is not installed; nothing was paid for.
            TrainingError: No run was accepted, or a training failed; what was made is in the run's folder.
            CompileStopped: `max_errors` failures.

        Cost: see the class; and with `valset`, two runs of the program for each of its rows.
        """
        metric = MetricCall(any_run if self.metric is None and valset is None else self.metric)
        self.check(student)
        teachers = _teachers(teacher, student)
        rows = checked_examples("trainset", trainset)
        held_out = None if valset is None else checked_examples("valset", valset)
        groups = groups_of(student, self.train_kwargs, self.adapter, multitask=self.multitask)
        prefers = any(group.prefers for group in groups)
        if prefers and len(teachers) == 1:
            raise ConfigurationError(
                "loss='dpo' compares several runs of each row, and there is one teacher, which makes one; give "
                "several, or one of them several times: teacher=[program] * 4, at a temperature above 0"
            )
        data: dict[str, Any] = {"trainset": rows, "valset": held_out}
        data |= {f"teacher_{at}": one for at, one in enumerate(teachers) if one is not student}
        with Compile(self, student, run_dir=run_dir, budget=budget, **data) as run:
            limit = get_setting("max_errors") if self.max_errors is None else self.max_errors
            traces = Traces(
                teachers,
                rows,
                metric,
                threshold=-math.inf if prefers else self.metric_threshold,
                settings=self.teacher_settings,
                max_errors=limit,
            )
            lms: dict[str, Any] = {}

            def search() -> str | None:
                run.pool(traces, "collecting traces")
                self._train(run, student, groups, traces, lms)
                return traces.stopped

            def best(stopped: str | None) -> Any:
                if not lms:
                    return None
                compiled = self._finished(run, student, lms, traces, stopped)
                if held_out is None or stopped is not None:
                    run.candidate(compiled, None, "finetuned")
                else:
                    compiled.report = measured(run, student, compiled, held_out, metric=self.metric)
                return compiled

            return run.guarded(search, best)

    def check(self, program: Any) -> None:
        """Refuse LMs that cannot be finetuned, settings that cannot work, and frozen demos that are to be left out."""
        super().check(program)
        check_excluded(program, self.exclude_demos)
        groups = groups_of(program, self.train_kwargs, self.adapter, multitask=self.multitask)
        if self.metric is None and any(group.prefers for group in groups):
            raise ConfigurationError(
                "loss='dpo' learns to prefer replies of runs that score higher, and metric is None; pass a metric"
            )

    def identity(self) -> dict[str, Any]:
        """Return the settings that the result depends on; where and in how small pieces it computes is none of them."""
        return {**super().identity(), "train_kwargs": result_settings(self.train_kwargs)}

    def training_plans(
        self, program: Any, *, trainset: Sequence[Example], measure: bool = True
    ) -> dict[str, TrainingPlan]:
        """Return what the finetuning of each LM will take, by its folder's name: tokens, memory, time. A dry run.

        The rows are not known before the teachers ran: here they are the training rows that have values of a
        predictor's fields, with the program's prompts (of "dpo": a pair for each, of two such replies). So it holds
        for predictors whose fields the rows have.

        Args:
            program: What would be compiled.
            trainset: As for `compile`.
            measure: Compute one batch to tell the time.

        Raises:
            ConfigurationError: An LM cannot be trained here, or no row has the fields of one of its predictors.

        Cost: no LM call; loads each model.
        """
        check_student(program, "program")
        self.check(program)
        rows = checked_examples("trainset", trainset)
        plans: dict[str, TrainingPlan] = {}
        for group in groups_of(program, self.train_kwargs, self.adapter, multitask=self.multitask):
            if isinstance(group.settings, JobSettings):
                raise ConfigurationError(
                    f"{group.lm.model!r} is finetuned by its provider, which alone knows what it takes"
                )
            calls = labelled_calls(program, group.paths, rows)
            made = self._rows(program, group, [TracedRun(calls, 1.0, 0)])
            if not made.rows:
                raise ConfigurationError(
                    f"no training row has values of the fields of {join_names(group.paths)}, so what its finetuning "
                    "takes cannot be told beforehand; collect traces first, and see telic.training.plan_finetune"
                )
            learned: Sequence[Learnable] = made.rows
            if group.prefers:
                learned = [PreferencePair(row.messages, row.reply, row.reply, 0.0) for row in made.rows]
            plans[group.name] = plan_finetune(group.lm, learned, group.settings, measure=measure)
        return plans

    def _train(
        self, run: Compile, student: Any, groups: Sequence[Group], traces: Traces, lms: dict[str, Any]
    ) -> None:
        """Finetune the LM of each group; put the new ones into `lms`, by the paths of their predictors."""
        runs = traces.runs()
        made = [(group, *self._learned(student, group, runs)) for group in groups]
        if not any(rows for _, rows, _ in made):
            raise self._nothing(run, traces, len(runs), preferred=all(group.prefers for group in groups))
        folder = Path(tempfile.mkdtemp(prefix="telic-weights-")) if run.live is None else run.live.folder
        for group, rows, counted in made:
            place = folder / "weights" / group.folder_for(rows)
            file = place / ("pairs.jsonl" if group.prefers else "rows.jsonl")
            try:
                place.mkdir(parents=True, exist_ok=True)
                if group.prefers:
                    write_pairs(file, cast("Sequence[PreferencePair]", rows))
                else:
                    write_rows(file, cast("Sequence[ChatRow]", rows))
            except OSError as error:
                raise TrainingError(
                    f"the training rows cannot be written to {str(place)!r} ({error.strerror or error}); make room "
                    "and run the same again: what was collected is kept",
                    folder=str(place),
                ) from error
            run.note(f"{join_names(group.paths)}: {counted}; {file}")
            if not rows:
                run.note(
                    f"{join_names(group.paths)}: nothing to learn; its LM stays {group.lm.model!r}", warn=True
                )
                continue
            with shown_progress(f"finetuning {group.name}", self.display_progress) as tell:
                watch = None if tell is None else _watching(tell)
                trained, words = group.train(rows, place, watch)
            run.note(f"{join_names(group.paths)}: {words}")
            lms.update(trained)

    def _learned(
        self, student: Any, group: Group, runs: Sequence[TracedRun]
    ) -> tuple[Sequence[Learnable], str]:
        """Return the rows or pairs of a model, and how many they are in words."""
        if group.prefers:
            pairs = pairs_of_runs(
                student, _calls_of(group, runs), adapter=group.adapter, exclude_demos=self.exclude_demos
            )
            return pairs, f"{plural(len(pairs), 'pair')} of {plural(len(runs), 'run')}"
        least = self.metric_threshold
        rows = self._rows(student, group, [run for run in runs if least is None or run.score >= least])
        return rows.rows, str(rows)

    def _rows(self, student: Any, group: Group, runs: Sequence[TracedRun]) -> Rows:
        return rows_of_runs(
            student, _calls_of(group, runs), adapter=group.adapter, exclude_demos=self.exclude_demos
        )

    def _nothing(self, run: Compile, traces: Traces, accepted: int, *, preferred: bool) -> TrainingError:
        reason = "" if not traces.failures else f"; the first failure: {traces.failures[0]}"
        made = plural(traces.harvest.used, "run")
        told = f"of {made}, {accepted} were accepted by the metric and the assertions{reason}"
        advice = "Use a better teacher=, or a metric that gives part of the score"
        if preferred:
            told = f"in {made} no prompt was answered twice with different scores{reason}"
            advice = "Run each row several times (teacher=[program] * 4), at a temperature above 0"
        return TrainingError(
            f"nothing to learn from: {told}. {advice}",
            folder="" if run.live is None else str(run.live.folder),
        )

    def _finished(
        self, run: Compile, student: Any, lms: Mapping[str, Any], traces: Traces, stopped: str | None
    ) -> Any:
        compiled = student.deepcopy()
        for path, predictor in compiled.named_predictors():
            if path in lms:
                predictor.lm = lms[path]
            if self.exclude_demos:
                predictor.demos = []
        compiled._compiled = True
        compiled.report = run.report(stopped=stopped, failures=traces.failures, assertions=traces.assertions)
        return compiled

    def _work(
        self, program: Any, trainset: Sequence[Example], valset: Sequence[Example] | None
    ) -> list[Work]:
        lm = None if self.teacher_settings is None else self.teacher_settings.get("lm")
        rows = len(trainset)
        work = [Work("traces, for each teacher", (rows, rows), "teacher", first=True, lm=lm)]
        if valset is not None:
            runs = (len(valset), len(valset))
            work += [Work("the program as given", runs), Work("the finetuned program", runs)]
        return work


def _calls_of(group: Group, runs: Sequence[TracedRun]) -> list[TracedRun]:
    return [run._replace(calls=[call for call in run.calls if call.path in group.paths]) for run in runs]


def _teachers(teacher: Any, student: Any) -> list[Any]:
    if teacher is None:
        return [student]
    several = cast("list[Any]", list(teacher) if isinstance(teacher, (list, tuple)) else [teacher])  # pyright: ignore[reportUnknownArgumentType]
    if not several:
        raise ConfigurationError(
            "teacher=[]: there is no program to learn from; leave it out for the student itself"
        )
    for one in several:
        if one is not student:
            check_teacher(one, student)
    return several


def _watching(tell: Any) -> Any:
    def watch(told: Progress) -> None:
        tell(Standing(told.step, told.steps, f"loss {told.loss:.3f}"))

    return watch
