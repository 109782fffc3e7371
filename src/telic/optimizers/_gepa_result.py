"""`GEPAResult`: all that an evolution knows, under the names that DSPy's users read it by (`detailed_results`)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, final

if TYPE_CHECKING:
    from telic.optimizers._gepa_evolve import Evolution
    from telic.optimizers._gepa_pool import Member


@final
class GEPAResult:
    """The candidates of an evolution, in the order in which they were accepted; candidate 0 is the given program.

    Attributes:
        candidates: The programs.
        parents: The indices of what each was made from: none, one, or two (a merge).
        val_aggregate_scores: The mean score of each on the validation rows that it was scored on.
        val_subscores: These scores, by the place of the row. Candidates that were given up have some rows only.
        per_val_instance_best_candidates: Who scores best, by the place of the row.
        discovery_eval_counts: How many metric calls it took up to each.
        val_aggregate_subscores: The mean of each objective that the metric names, for each candidate; {} where it
            names none.
        per_objective_best_candidates: Who is best, by objective.
        objective_pareto_front: The best mean, by objective.
        best_outputs_valset: What the best candidates answered, by the place of the row, as (candidate, prediction);
            None unless asked for.
        best_idx: The returned program.
        total_metric_calls: In all.
        num_full_val_evals: Candidates that were scored on all validation rows.
        rounds: What became of each round, in words.
        log_dir: The folder of the run.
        seed: Of all chance.
    """

    _share_on_copy: ClassVar[bool] = True

    def __init__(
        self, evolution: Evolution, *, seed: int, log_dir: str | None, track_best_outputs: bool
    ) -> None:
        members = evolution.pool.members
        self.candidates = [member.program for member in members]
        self.parents = [list(member.parents) for member in members]
        self.val_aggregate_scores = [member.mean for member in members]
        self.val_subscores = [_scores(member) for member in members]
        self.per_val_instance_best_candidates: dict[int, set[int]] = _best(self.val_subscores)
        self.discovery_eval_counts = [member.found_after for member in members]
        self.val_aggregate_subscores = [member.means() for member in members]
        self.per_objective_best_candidates = _best(
            [
                means if m.complete else {}
                for m, means in zip(members, self.val_aggregate_subscores, strict=True)
            ]
        )
        self.objective_pareto_front = {
            name: self.val_aggregate_subscores[min(best)][name]
            for name, best in self.per_objective_best_candidates.items()
        }
        self.best_outputs_valset = self._outputs(members) if track_best_outputs else None
        self.best_idx = evolution.pool.best.index
        self.total_metric_calls = evolution.metric_calls
        self.num_full_val_evals = sum(member.complete for member in members)
        self.rounds = [outcome.words for outcome in evolution.outcomes if outcome.number >= 0]
        self.log_dir = log_dir
        self.seed = seed

    def _outputs(self, members: Sequence[Member]) -> dict[int, list[tuple[int, Any]]]:
        found: dict[int, list[tuple[int, Any]]] = {}
        for place, best in self.per_val_instance_best_candidates.items():
            for index in sorted(best):
                row = members[index].rows[place]
                if row is not None:
                    found.setdefault(place, []).append((index, row.prediction))
        return found

    @property
    def best_candidate(self) -> Any:
        """The best program."""
        return self.candidates[self.best_idx]

    @property
    def highest_score_achieved_per_val_task(self) -> list[float]:
        """The best score of each validation row."""
        best = self.per_val_instance_best_candidates
        return [self.val_subscores[min(best[place])][place] for place in sorted(best)]

    def to_dict(self) -> dict[str, Any]:
        """Return all as plain data; of programs, their instructions."""
        plain = {name: value for name, value in vars(self).items() if name != "candidates"}
        for name in ("per_val_instance_best_candidates", "per_objective_best_candidates"):
            plain[name] = {key: sorted(best) for key, best in plain[name].items()}
        told = [
            {path: str(p.signature.instructions) for path, p in one.named_predictors()}
            for one in self.candidates
        ]
        return {"candidates": told, **plain}

    def __deepcopy__(self, memo: object) -> GEPAResult:
        return self

    def __repr__(self) -> str:
        return f"GEPAResult({len(self.candidates)} candidates, best: {self.best_idx})"


def _scores(member: Member) -> dict[int, float]:
    return {place: row.score for place, row in enumerate(member.rows) if row is not None}


def _best(scores: Sequence[Mapping[Any, float]]) -> dict[Any, set[int]]:
    found: dict[Any, set[int]] = {}
    for key in dict.fromkeys(key for one in scores for key in one):
        top = max(one[key] for one in scores if key in one)
        found[key] = {index for index, one in enumerate(scores) if one.get(key) == top}
    return dict(sorted(found.items()))
