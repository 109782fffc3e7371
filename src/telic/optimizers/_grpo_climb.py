"""The loop of GRPO: rollouts, a step, and from time to time a validation, for one or several networks.

Resuming: validations and rollouts are steps of the run, weights and moments are in checkpoints. A loop that begins
again goes over the steps before the last checkpoint without doing anything but reading what was validated, takes the
checkpoint back, and goes on; what it had already rolled out behind the checkpoint is there.
"""

from __future__ import annotations

import math
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, final

from telic._hash import content_key
from telic._seed import derive
from telic._text import join_names, plural
from telic.context import context
from telic.context import get as get_setting
from telic.data import Prediction
from telic.errors import ConfigurationError, ProgramError
from telic.evaluate import EvaluationResult, Row
from telic.lm import LM
from telic.optimizers._finetune_groups import own_settings, shared_lms
from telic.optimizers._grpo_rollouts import Rewards, RolloutJob, RolloutMaker, check_openable
from telic.optimizers._pool import Standing, run_pool
from telic.optimizers._progress import shown_progress
from telic.optimizers._simba_runs import Runs
from telic.training import (
    GRPOLearner,
    GRPOSettings,
    RewardGroup,
    Rollout,
    SFTSettings,
    Trainable,
    check_size,
    check_trainable,
    groups_of_rollouts,
    is_trainable,
    read_grpo_settings,
)

if TYPE_CHECKING:
    from telic.data import Example
    from telic.optimizers._compile import Compile

_REPLY_TOKENS = 256  # of LMs without max_tokens, which is the embedded LM's own limit


class Learned(NamedTuple):
    """Weights that are trained, and the predictors that call them."""

    name: str
    """Of their folder."""
    lms: Mapping[str, LM]
    """By path of the predictor."""
    settings: GRPOSettings
    network: Trainable | None = None
    """Once it is open."""

    @property
    def longest(self) -> int:
        """Most tokens of a reply."""
        known = [lm.kwargs.get("max_tokens") for lm in self.lms.values()]
        return max(_REPLY_TOKENS if one is None else int(one) for one in known)

    def renamed(self, folder: Path, client: Any = None, **changes: Any) -> dict[str, LM]:
        """Return the LMs with the weights of a folder, or of a client; predictors that shared one share one again."""
        own = {} if client is None else {"client": client}
        new = {id(lm): lm.copy(model=f"local/{folder}", **own, **changes) for lm in self.lms.values()}
        return {path: new[id(lm)] for path, lm in self.lms.items()}


def learned_lms(student: Any, train_kwargs: Mapping[Any, Any] | None, *, multitask: bool) -> list[Learned]:
    """Return what is trained, with its settings.

    Raises:
        ConfigurationError: A predictor has no LM, or one that cannot be trained here, or settings cannot work.
        MissingExtraError: A package that training needs is not installed.
    """
    found: list[Learned] = []
    for name, lms in shared_lms(student, multitask=multitask):
        lm = next(iter(lms.values()))
        settings = read_grpo_settings(own_settings("train_kwargs", train_kwargs, lm))
        if not isinstance(lm, LM) or not is_trainable(lm):
            raise ConfigurationError(
                f"the LM {str(getattr(lm, 'model', lm))!r} of {join_names(list(lms))} cannot be trained by GRPO: its "
                "weights are not on this machine; use LM('local/PATH-or-hub-id') or LM('telic/tiny')"
            )
        check_trainable(lm, settings.method)
        size = SFTSettings(method=settings.method, device=settings.device, dtype=settings.dtype)
        check_size(lm, size, copies=2 if settings.beta and settings.method == "full" else 1)
        found.append(
            Learned(f"{name}-{content_key([lm.model, list(lms), settings.of_result])[:8]}", lms, settings)
        )
    return found


class Course(NamedTuple):
    """How a training goes: the optimizer's settings of these names."""

    steps: int
    examples: int
    rollouts: int
    validate_every: int
    grouping: Any
    fill: Any
    seed: int
    max_errors: int


class Validated(NamedTuple):
    """The program with the weights of a step, and its scores."""

    step: int
    program: Any
    result: EvaluationResult

    @property
    def label(self) -> str:
        """What it is called."""
        return "as given" if self.step == 0 else f"step {self.step}"


@final
class Climb:
    """One training under way.

    Args:
        run: The compile.
        program: What is run: the student, without demos where they are excluded.
        groups: Which weights.
        course: How.
        rewards: What rollouts are worth.
        settings: For all runs.
        rows: The training rows.
        valset: Rows that choose; None: the last weights are taken.
        folder: For weights and checkpoints.
    """

    def __init__(
        self,
        run: Compile,
        program: Any,
        groups: Sequence[Learned],
        course: Course,
        rewards: Rewards,
        settings: Mapping[str, Any],
        rows: Sequence[Example],
        valset: Sequence[Example] | None,
        folder: Path,
    ) -> None:
        self.validated: list[Validated] = []
        self.failures: list[str] = []
        self.rows = rows
        self._run, self._program, self._groups, self._course = run, program, groups, course
        self._rewards, self._settings, self._valset = rewards, settings, valset
        self._folder = folder.resolve()
        self._learners: list[GRPOLearner] = []

    def run(self, show: bool | str) -> str | None:
        """Train; return why it ended early, or None.

        Raises:
            TrainingError: A loss that is no number, or a full disk.
            EvaluationError: Too many faults.
        """
        course = self._course
        with context(**self._settings), shown_progress("GRPO", show) as tell:
            first = self._open()
            if get_setting("executor") is not None:
                check_openable(self._job("first"), join_names([group.name for group in self._groups]))
            for step in range(course.steps + 1):
                if self._is_due(step):
                    self._validate(step)
                if step == course.steps:
                    break
                if step >= first:
                    stopped = self._step(step)
                    if stopped is not None:
                        return stopped
                if tell is not None:
                    tell(Standing(step + 1, course.steps, self._words()))
        return None

    def _open(self) -> int:
        """Open the networks, and take back the last step that all have a checkpoint of."""
        for group in self._groups:
            learner = GRPOLearner(
                next(iter(group.lms.values())),
                self._folder / group.name,
                group.settings,
                steps=self._course.steps,
                seed=self._course.seed,
                longest=group.longest,
                network=group.network,
            )
            self._run.decide(f"weights of {group.name}", learner.network.identity)
            self._learners.append(learner)
        first = max(set[int].intersection(*(learner.kept() for learner in self._learners)), default=0)
        for learner in self._learners:
            learner.resume(first)
        return first

    def _step(self, step: int) -> str | None:
        course = self._course
        job = self._job(f"drawn-{step:06d}")
        maker = RolloutMaker(self._run, job, self._settings, course.seed, step)
        rows = self._rows_of(step)
        runs = Runs(
            [maker.work(row, at, number) for at, row in enumerate(rows) for number in range(course.rollouts)],
            course.max_errors,
        )
        run_pool(runs, self._run.threads)
        self.failures += runs.failures
        if runs.stopped is not None:
            return runs.stopped
        found: list[Any] = runs.found
        groups: list[RewardGroup] = []
        for at in range(len(rows)):
            own: list[Rollout] = found[at * course.rollouts : (at + 1) * course.rollouts]
            rng = derive(course.seed, "fill", step, at)
            groups += groups_of_rollouts(own, list(job.lms), course.grouping, course.fill or "max", rng)
        for group, learner in zip(self._groups, self._learners, strict=True):
            learner.step([one for one in groups if one.predictor in group.lms])
        if (
            (step + 1) == course.steps
            or self._is_due(step + 1)
            or any((step + 1) % group.settings.checkpoint_every == 0 for group in self._groups)
        ):
            for learner in self._learners:
                learner.keep()
        return self._spent()

    def _job(self, name: str) -> RolloutJob:
        """Return what rollouts by the weights of this moment have in common."""
        lms: dict[str, Any] = {}
        for group, learner in zip(self._groups, self._learners, strict=True):
            lms |= group.renamed(learner.folder / name, _client(learner), cache=False)
        return RolloutJob(self._program, lms, self._rewards)

    def _spent(self) -> str | None:
        over = [name for name, left in self._run.remaining.items() if left <= 0]
        return f"budget: no {join_names(over)} left" if over else None

    def _rows_of(self, step: int) -> list[Example]:
        """Return the rows of a step: one epoch after the other, each in an order of its own."""
        found: list[Example] = []
        for place in range(step * self._course.examples, (step + 1) * self._course.examples):
            epoch, at = divmod(place, len(self.rows))
            order = list(range(len(self.rows)))
            derive(self._course.seed, "epoch", epoch).shuffle(order)
            found.append(self.rows[order[at]])
        return found

    # Validation

    def _is_due(self, step: int) -> bool:
        last = step == self._course.steps
        return self._valset is not None and (last or step % self._course.validate_every == 0)

    def _validate(self, step: int) -> None:
        """Score the program with the weights of a step, and keep them if they are the best so far.

        A step before the one that a resumed run goes on from was validated then: its scores are in the journal.
        """
        valset: Sequence[Example] = () if self._valset is None else self._valset

        def work() -> list[Any]:
            if step:
                self._save(step)  # before the scores: where they are known, the weights are there
            result = self._run.evaluate(self._with_weights(step, live=True), valset)
            return [[row.score, None if row.error is None else str(row.error)] for row in result.rows]

        scores = self._run.step(["validate", step], work)
        rows = [
            Row(at, example, Prediction(), score, error=None if error is None else ProgramError(error))
            for at, (example, (score, error)) in enumerate(zip(valset, scores, strict=True))
        ]
        before = self._best_validated()
        self.validated.append(Validated(step, self._with_weights(step), EvaluationResult(rows)))
        after = self._best_validated()
        for one in (before, self.validated[-1]):
            if one is not None and one is not after and one.step:
                for learner in self._learners:
                    shutil.rmtree(self._place(learner, one.step), ignore_errors=True)

    def _best_validated(self) -> Validated | None:
        """Return the best so far; of equal ones the first, which is nearest to the weights as they were."""
        return max(self.validated, key=lambda one: (one.result.mean, -one.step), default=None)

    def _with_weights(self, step: int, *, live: bool = False) -> Any:
        """Return the program with the weights of a step, from their folder, or, `live`, from the networks."""
        program = self._program.deepcopy()
        if step == 0:
            return program
        lms: dict[str, Any] = {}
        for group, learner in zip(self._groups, self._learners, strict=True):
            client = _client(learner) if live else None
            lms |= group.renamed(self._place(learner, step), client)
        for path, predictor in program.named_predictors():
            predictor.lm = lms.get(path, predictor.lm)
        return program

    def _place(self, learner: GRPOLearner, step: int) -> Path:
        return learner.folder / f"step-{step:06d}"

    def _save(self, step: int) -> None:
        for learner in self._learners:
            learner.save(self._place(learner, step))

    # What came of it

    def best(self) -> tuple[Any, EvaluationResult | None, str] | None:
        """Return the best program (None: the given one), its scores, and its name; None: nothing was done."""
        chosen = self._best_validated()
        if chosen is not None:
            return chosen.program, chosen.result, chosen.label
        done = self._learners[0].done if self._learners else 0
        if self._valset is not None or not done:
            return None
        self._save(done)
        return self._with_weights(done), None, f"step {done}"

    @property
    def notes(self) -> list[str]:
        """What a reader must know: how the rewards went, and what could not be learned from."""
        found: list[str] = []
        for group, learner in zip(self._groups, self._learners, strict=True):
            told = learner.told
            if not told:
                continue
            part = max(1, len(told) // 5)
            first, last = (_mean([one.reward for one in some]) for some in (told[:part], told[-part:]))
            silent = sum(one.groups - one.telling for one in told)
            every = sum(one.groups for one in told)
            words = (
                f"{join_names(list(group.lms))}: {plural(len(told), 'step')}, mean reward {first:.3f} in the first "
                f"{part} and {last:.3f} in the last {part}; {silent} of {every} groups had equal rewards and taught "
                f"nothing; divergence {told[-1].divergence:.4f}; {learner.folder / 'progress.jsonl'}"
            )
            left = sum(one.left_out for one in told)
            found.append(words + (f"; {left} replies were too long or empty and left out" if left else ""))
            if every == silent:
                found.append(
                    "all rollouts of each row scored the same: GRPO had nothing to compare. Take a metric that gives "
                    "parts of the score, more rollouts, or first examples or finetuning that make some runs right"
                )
        return found

    def _words(self) -> str:
        told = self._learners[0].told
        best = self._best_validated()
        words = f"reward {told[-1].reward:.3f}" if told else ""
        return words if best is None else f"{words}, best {best.result.score:.1f} % ({best.label})"


def _client(learner: GRPOLearner) -> Any:
    """Return a client of the weights of this moment, for where the program runs."""
    return learner.network.client() if get_setting("executor") is None else learner.sent_client()


def _mean(values: Sequence[float]) -> float:
    known = [value for value in values if not math.isnan(value)]
    return math.fsum(known) / len(known) if known else math.nan
