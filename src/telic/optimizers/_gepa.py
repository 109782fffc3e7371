"""GEPA: instructions evolve by reflection on traces and feedback; a Pareto front keeps what is good at something.

A candidate is a set of instructions. Round after round (Algorithm 1, `_gepa_evolve`):

1. A parent is drawn from the candidates that lead on some validation row (Algorithm 2, `_gepa_pool`).
2. It is run on a few training rows. What one of its predictors was given and answered, with what was said to that
   (`_gepa_rollout`), goes to an LM, which writes new instructions for it (`_gepa_reflect`).
3. The child is tried on the same rows. If it does better there, it is scored on the validation rows (`_gepa_validate`)
   and joins the pool. Then, sometimes, two lineages are merged (Algorithms 3 and 4).

Source: Agrawal et al. 2025, "GEPA: Reflective Prompt Evolution Can Outperform Reinforcement Learning"
(arXiv 2507.19457).
Deviations:

- A few rounds are under way at once (`proposals_at_once`); each sees what the rounds before the open ones found.
  With 1 it is the paper's loop.
- Validation is dynamic: a candidate that is shown to be behind the best one on the same rows is given up, and keeps the
  rows that it leads (`validation="full"` scores all).
- Feedback holds what telic itself knows: messages of assertions, replies that could not be read, and, where a metric
  has only a number, the answer of the row.
- The budget of metric calls is never exceeded: a round begins only where all that it might cost is left. What is known
  is not counted again, and there is nothing to look for beyond a candidate that is perfect on all rows.
- Instructions may count by their length (`length_weight`).
- The winner is checked on training rows that no reflection has seen, where there are some.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, Literal, final

from telic.context import get as get_setting
from telic.errors import ConfigurationError
from telic.evaluate import MetricCall
from telic.optimizers._base import Optimizer, P
from telic.optimizers._checks import check_student, checked_sets, error_limit
from telic.optimizers._choice import Tally, best_of
from telic.optimizers._compile import Compile
from telic.optimizers._components import free_components
from telic.optimizers._frozen import check_learnable
from telic.optimizers._gepa_evolve import Evolution
from telic.optimizers._gepa_pool import Frontier
from telic.optimizers._gepa_reflect import SHORT, InstructionProposer, Reflection
from telic.optimizers._gepa_result import GEPAResult
from telic.optimizers._gepa_settings import (
    Auto,
    EvolveOptions,
    check_settings,
    frontier_of,
    limit_of,
    refuse_gone,
)
from telic.optimizers._plan import Work
from telic.optimizers._propose_asks import check_prompt_model
from telic.optimizers._selection import split_rows, split_sizes

if TYPE_CHECKING:
    import os

    from telic.budget import Budget
    from telic.data import Example

_LEAST_FRESH: Final = 5


@final
class GEPA(Optimizer):
    """Improves the instructions of each predictor by reflection on traces and feedback.

    Args:
        metric: `metric(example, prediction, trace=None, pred_name=None, pred_trace=None)`; fewer arguments will do. It
            returns a number, or `Prediction(score=…, feedback="why")`; asked with `pred_name`, words on this predictor.
        auto: How much to spend: "light", "medium" or "heavy". Give this or one of the next two.
        max_full_evals: The same as metric calls for so many times all rows of trainset and valset.
        max_metric_calls: How many rows are scored, at most.
        reflection_minibatch_size: Training rows of a round.
        candidate_selection_strategy: "pareto": parents are drawn from the front; "current_best": always the best.
        reflection_lm: The LM that writes instructions; None: the configured one. A strong one pays off.
        skip_perfect_score: Do not reflect on rows that all have `perfect_score`.
        add_format_failure_as_feedback: Show replies that could not be read, and why.
        instruction_proposer: Writes instructions in place of the usual `InstructionProposer()`; called with
            `candidate`, `reflective_dataset` and `components_to_update`, returns texts by predictor.
        component_selector: Which predictors a round changes: "round_robin" (of those that were called, the next),
            "all", or a function of (pool, rollouts, scores, index of the parent, its instructions) that returns names.
        use_merge: Merge lineages that changed different predictors.
        max_merge_invocations: How often, at most.
        num_threads: Calls at once; None: the setting. The result does not depend on it.
        failure_score: What a row scores that failed.
        perfect_score: What a row scores on which nothing is to be improved.
        log_dir: The folder of the run, as `run_dir` of `compile`.
        track_stats: Give the program `detailed_results` (`GEPAResult`).
        track_best_outputs: With what the best candidates answered.
        warn_on_score_mismatch: Taken and not needed: only the score of the whole program counts.
        seed: Of all chance.
        gepa_kwargs: `{"frontier_type": …}` as DSPy has it; the same as `frontier`.
        proposals_at_once: How many rounds are under way at once. More is sooner done; each round then knows less.
        validation: "race": give up candidates that are shown to be behind; "full": score all rows.
        frontier: What the front is over: "instance" (rows), "objective" (what the metric names in
            `Prediction(score=…, objective_scores={…})`), "hybrid" (both), "cartesian" (rows times objectives).
        length_weight: How much score 1,000 characters of instructions cost when the best candidate is chosen. Above 0
            short instructions are asked for, and the shortest candidate has a place on the front.
        learn: What is rewritten: "instructions", "fields" (the descriptions of fields, by the names `path:field`), or
            both. The fields of an agent's steps stay as they are.
        max_errors: Failed rows of one candidate that stop the compile; None: the setting.
        recheck: Score the winner and the given program on training rows that no reflection has seen.
        display_progress: Show how far it is on standard error, where that is a terminal; "force": wherever it goes.

    Cost: one run of the program for each metric call; for each round of two minibatches at most one reflection for each
    predictor that it changes; with a metric of five arguments one more call of it for each row of a minibatch; and the
    check of the winner, at most `2 * len(valset)` runs.
    Source and deviations: see the module.

    Example:
        >>> from telic.context import context
        >>> from telic.data import Example, Prediction
        >>> from telic.modules import Predict
        >>> from telic.testing import FunctionLM
        >>> def reply(request):
        ...     if "new_instruction" in str(request.messages):
        ...         return {"new_instruction": "Answer in capitals."}
        ...     return {"answer": "YES" if "capitals" in request.messages[0]["content"] else "yes"}
        >>> def metric(row, found, trace=None, pred_name=None, pred_trace=None):
        ...     right = row.answer == found.answer
        ...     return Prediction(score=float(right), feedback="" if right else "Write it in capitals.")
        >>> rows = [Example(question=f"Is {i} a number?", answer="YES").with_inputs("question") for i in range(6)]
        >>> with context(lm=FunctionLM(reply)):
        ...     better = GEPA(metric=metric, max_metric_calls=40).compile(Predict("question -> answer"), trainset=rows)
        >>> better.signature.instructions, better.report.baseline, better.report.score
        ('Answer in capitals.', 0.0, 100.0)
    """

    takes = frozenset(("valset",))

    def __init__(
        self,
        metric: Callable[..., Any],
        *,
        auto: Auto | None = None,
        max_full_evals: int | None = None,
        max_metric_calls: int | None = None,
        reflection_minibatch_size: int = 3,
        candidate_selection_strategy: Literal["pareto", "current_best"] = "pareto",
        reflection_lm: Any = None,
        skip_perfect_score: bool = True,
        add_format_failure_as_feedback: bool = True,
        instruction_proposer: Any = None,
        component_selector: Any = "round_robin",
        use_merge: bool = True,
        max_merge_invocations: int | None = 5,
        num_threads: int | None = None,
        failure_score: float = 0.0,
        perfect_score: float = 1.0,
        log_dir: str | os.PathLike[str] | None = None,
        track_stats: bool = False,
        track_best_outputs: bool = False,
        warn_on_score_mismatch: bool = True,
        seed: int = 0,
        gepa_kwargs: Mapping[str, Any] | None = None,
        proposals_at_once: int = 5,
        validation: Literal["race", "full"] = "race",
        frontier: Frontier = "instance",
        length_weight: float = 0.0,
        learn: Sequence[str] = ("instructions",),
        max_errors: int | None = None,
        recheck: bool = True,
        display_progress: bool | str = True,
        **gone: Any,
    ) -> None:
        refuse_gone(gone)
        MetricCall(metric)
        self.metric = metric
        self.auto = auto
        self.max_full_evals = max_full_evals
        self.max_metric_calls = max_metric_calls
        self.reflection_minibatch_size = reflection_minibatch_size
        self.candidate_selection_strategy = candidate_selection_strategy
        self.reflection_lm = reflection_lm
        self.skip_perfect_score = skip_perfect_score
        self.add_format_failure_as_feedback = add_format_failure_as_feedback
        self.instruction_proposer = instruction_proposer
        self.component_selector = component_selector
        self.use_merge = use_merge
        self.max_merge_invocations = max_merge_invocations
        self.num_threads = num_threads
        self.failure_score = failure_score
        self.perfect_score = perfect_score
        self.track_stats = track_stats
        self.track_best_outputs = track_best_outputs
        self.warn_on_score_mismatch = warn_on_score_mismatch
        self.seed = seed
        self.proposals_at_once = proposals_at_once
        self.validation = validation
        self.frontier: Frontier = frontier_of(frontier, gepa_kwargs)
        self.length_weight = length_weight
        self.learn = (learn,) if isinstance(learn, str) else tuple(learn)
        self.max_errors = max_errors
        self.recheck = recheck
        self.display_progress = display_progress
        self._log_dir = log_dir
        check_settings(self)

    @property
    def log_dir(self) -> str | os.PathLike[str] | None:
        """The folder of the run, unless `compile` is given one."""
        return self._log_dir

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
        """Return the program with the best instructions that were found, with `.report`.

        Args:
            student: The program; its demos stay.
            trainset: Rows to reflect on; without a valset, where there are 20 or more, half of them choose.
            teacher: Not used: there must be none.
            valset: Rows that choose. As few as stand for the task: each good candidate is scored on them.
            run_dir: The folder of the run: given again, it goes on where it ended; None: `log_dir`, or one under the
                user's data directory.
            budget: Limits of this compile; at a limit the best scored candidate is returned.

        Raises: see `Optimizer.compile`.
        """
        if teacher is not None:
            raise ConfigurationError("GEPA makes no demonstrations: it has no use for teacher=")
        metric = MetricCall(self.metric)
        check_student(student)
        check_learnable(student, self, *self.learn)
        if self.instruction_proposer is None:
            check_prompt_model(self.reflection_lm)
        rows, held_out = checked_sets(trainset, valset)
        limit = limit_of(self, len(student.predictors()), rows, held_out)
        folder = self._log_dir if run_dir is None else run_dir
        data: dict[str, Any] = {"trainset": rows, "valset": held_out}
        with Compile(self, student, run_dir=folder, budget=budget, **data) as run:
            shown, chosen_by = split_rows(run, rows, held_out, self.seed, purpose="to reflect on")
            proposer = self._proposer()
            reflection = Reflection(run, student, self.reflection_lm, proposer, self.seed)
            evolution = Evolution(self._options(limit), run, student, shown, chosen_by, metric, reflection)

            def best(stopped: str | None) -> Any:
                return self._best(run, evolution, [] if shown is chosen_by else shown, stopped)

            return run.guarded(evolution.evolve, best)

    def _best(self, run: Compile, evolution: Evolution, shown: Sequence[Example], stopped: str | None) -> Any:
        members = evolution.pool.members
        found = [one.scored for one in members if one.scored is not None]
        if not found:
            return None
        unseen = [row for i, row in enumerate(shown) if i not in evolution.used] if self.recheck else []
        given_up = len(members) - len(found)
        if given_up:
            run.note(
                f"{given_up} of {len(members)} candidates were given up before all validation rows were scored: they "
                "were behind the best"
            )
        first = members[0].scored
        program = best_of(
            run, found, first, unseen if len(unseen) >= _LEAST_FRESH else [],
            tally=Tally(stopped, evolution.failures), seed=self.seed,
            value=lambda one: evolution.value(members[one.candidate.seed or 0]),
        )  # fmt: skip
        if self.track_stats:
            folder = None if run.live is None else str(run.live.folder)
            program.detailed_results = GEPAResult(
                evolution, seed=self.seed, log_dir=folder, track_best_outputs=self.track_best_outputs
            )
        return program

    def _proposer(self) -> Any:
        if self.instruction_proposer is not None:
            return self.instruction_proposer
        return InstructionProposer(additional_instructions=SHORT if self.length_weight > 0 else None)

    def _options(self, limit: int) -> EvolveOptions:
        merges = self.max_merge_invocations
        return EvolveOptions(
            limit=limit,
            minibatch=self.reflection_minibatch_size,
            width=self.proposals_at_once,
            selection=self.candidate_selection_strategy,
            selector=self.component_selector,
            skip_perfect=self.skip_perfect_score,
            show_unread=self.add_format_failure_as_feedback,
            max_merges=0 if not self.use_merge else limit if merges is None else merges,
            race=self.validation == "race",
            frontier=self.frontier,
            length_weight=self.length_weight,
            failure_score=self.failure_score,
            perfect_score=self.perfect_score,
            max_errors=error_limit(self.max_errors),
            learn=self.learn,
            seed=self.seed,
        )

    def _work(
        self, program: Any, trainset: Sequence[Example], valset: Sequence[Example] | None
    ) -> list[Work]:
        shown, scored = split_sizes(len(trainset), None if valset is None else len(valset))
        predictors = len(program.predictors())
        limit = limit_of(self, predictors, trainset, valset)
        batch = min(self.reflection_minibatch_size, shown)
        each = 1 if self.component_selector == "round_robin" else len(free_components(program, self.learn))
        reflections = (limit - scored) // batch * each
        retries = 1 + get_setting("max_retries")
        unseen = 0 if valset is None and shown == scored == len(trainset) else min(shown, scored)
        return [
            Work("the program as given", (scored, scored), first=True),
            Work("rounds", (0, limit - scored)),
            Work(
                "reflecting",
                (0, reflections),
                "proposer",
                calls=(1, 2 * retries),
                lm=self.reflection_lm,
                characters=(300, 4_000 + 12_000 * batch),
            ),
            Work("checking the winner", (0, 2 * unseen if self.recheck else 0)),
        ]
