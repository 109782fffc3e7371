"""The settings of `GEPA`: what is refused at the door, and how many metric calls a compile may make."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal, NamedTuple, cast

from telic._optional import load
from telic._text import did_you_mean, join_names
from telic.errors import ConfigurationError
from telic.evaluate import callable_name, check_count
from telic.optimizers._checks import check_common
from telic.optimizers._components import KINDS
from telic.optimizers._gepa_pool import FRONTIERS, Frontier
from telic.optimizers._selection import split_sizes

Auto = Literal["light", "medium", "heavy"]
_AUTO: Final = {"light": 6, "medium": 12, "heavy": 18}
"""How many candidates each is meant to try."""
_SELECTIONS: Final = ("pareto", "current_best")
_SELECTORS: Final = ("round_robin", "all")
_VALIDATIONS: Final = ("race", "full")
_GONE: Final = {
    "code_proposer": "there are no components of code here",
    "use_wandb": "follow the run by `telic runs show`, or by callbacks",
    "wandb_api_key": "follow the run by `telic runs show`, or by callbacks",
    "wandb_init_kwargs": "follow the run by `telic runs show`, or by callbacks",
    "use_mlflow": "follow the run by `telic runs show`, or by callbacks",
}
"""Parameters that only their usual value is taken for, and what there is in their place."""


class EvolveOptions(NamedTuple):
    """The settings of one evolution; see `GEPA`."""

    limit: int
    minibatch: int
    width: int
    selection: str
    selector: Any
    skip_perfect: bool
    show_unread: bool
    max_merges: int
    """0: no merges."""
    race: bool
    frontier: Frontier
    length_weight: float
    failure_score: float
    perfect_score: float
    max_errors: int
    learn: Sequence[str]
    seed: int


def check_settings(optimizer: Any) -> None:
    """Refuse settings of a `GEPA` that cannot work.

    Raises:
        ConfigurationError: They cannot.
    """
    given = {name: getattr(optimizer, name) for name in ("auto", "max_full_evals", "max_metric_calls")}
    chosen = [name for name, value in given.items() if value is not None]
    if len(chosen) != 1:
        raise ConfigurationError(
            f"GEPA needs exactly one of auto='light', max_full_evals= and max_metric_calls=; got {given!r}"
        )
    if optimizer.auto is not None:
        _check_choice("auto", optimizer.auto, tuple(_AUTO))
    check_common(optimizer)
    for name in ("max_full_evals", "max_metric_calls"):
        check_count(name, getattr(optimizer, name), 1, optional=True)
    check_count("max_merge_invocations", optimizer.max_merge_invocations, 0, optional=True)
    check_count("reflection_minibatch_size", optimizer.reflection_minibatch_size, 1)
    check_count("proposals_at_once", optimizer.proposals_at_once, 1)
    check_count("seed", optimizer.seed, 0)
    _check_choice("candidate_selection_strategy", optimizer.candidate_selection_strategy, _SELECTIONS)
    _check_choice("validation", optimizer.validation, _VALIDATIONS)
    if not callable(optimizer.component_selector):
        _check_choice("component_selector", optimizer.component_selector, _SELECTORS)
    if optimizer.instruction_proposer is not None and not callable(optimizer.instruction_proposer):
        raise ConfigurationError(
            f"instruction_proposer must be callable, got {optimizer.instruction_proposer!r}; pass "
            "InstructionProposer(…) or a function of (candidate, reflective_dataset, components_to_update)"
        )
    _check_takes("instruction_proposer", optimizer.instruction_proposer, _PROPOSED)
    if not optimizer.learn or not set(optimizer.learn) <= set(KINDS):
        raise ConfigurationError(
            f"learn must name one or both of {join_names(map(repr, KINDS))}, got {optimizer.learn!r}"
        )
    for name in ("failure_score", "perfect_score", "length_weight"):
        value = getattr(optimizer, name)
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
            raise ConfigurationError(f"{name} must be a number, got {value!r}")
    if optimizer.length_weight < 0:
        raise ConfigurationError(f"length_weight must be 0 or more, got {optimizer.length_weight!r}")
    if optimizer.failure_score >= optimizer.perfect_score:
        raise ConfigurationError(
            f"failure_score={optimizer.failure_score!r} must be below perfect_score={optimizer.perfect_score!r}"
        )
    if optimizer.track_best_outputs and not optimizer.track_stats:
        raise ConfigurationError(
            "track_best_outputs=True has nowhere to put them: they are in `detailed_results`; set track_stats=True"
        )


_PROPOSED: Final = ("candidate", "reflective_dataset", "components_to_update")


def _check_takes(name: str, function: Any, keywords: Sequence[str]) -> None:
    """Refuse a function that does not take the keywords that it will be called with.

    Raises:
        ConfigurationError: It does not.
    """
    if function is None:
        return
    inspect = load("inspect")
    try:
        taken = inspect.signature(function)
    except (TypeError, ValueError):  # written in C, without a signature
        return
    try:
        taken.bind(**dict.fromkeys(keywords))
    except TypeError as error:
        raise ConfigurationError(
            f"{name} is called with {', '.join(f'{one}=' for one in keywords)}, and {callable_name(function)}{taken} "
            f"cannot be ({error})"
        ) from None


def limit_of(optimizer: Any, predictors: int, trainset: Sequence[Any], valset: Sequence[Any] | None) -> int:
    """Return how many metric calls a `GEPA` may make.

    Raises:
        ConfigurationError: Not even one round fits.
    """
    shown, chosen_by = split_sizes(len(trainset), None if valset is None else len(valset))
    if optimizer.auto is not None:
        return auto_limit(_AUTO[optimizer.auto], predictors, chosen_by)
    if optimizer.max_full_evals is not None:
        limit = optimizer.max_full_evals * (len(trainset) + (0 if valset is None else len(valset)))
    else:
        limit = cast("int", optimizer.max_metric_calls)
    least = 2 * chosen_by + 2 * min(optimizer.reflection_minibatch_size, shown)
    if limit < least:
        raise ConfigurationError(
            f"{limit:,} metric calls are too few for a single round: the given program and a new one on "
            f"{chosen_by} validation rows, and two minibatches, make {least:,}; raise max_metric_calls (or "
            "max_full_evals), or pass fewer rows as valset="
        )
    return limit


def auto_limit(candidates: int, predictors: int, valset: int) -> int:
    """Return the metric calls of `auto`: as many as DSPy takes for it, so that budgets compare.

    Args:
        candidates: Meant to be tried.
        predictors: Of the program.
        valset: Validation rows.

    Example:
        >>> auto_limit(6, 1, 50)
        580
    """
    trials = int(max(4 * predictors * math.log2(candidates), 1.5 * candidates))
    evaluations = (trials + 1) // 5 + 1 + (trials < 5)
    return valset + 5 * candidates + 35 * trials + evaluations * valset


def frontier_of(given: Any, gepa_kwargs: Mapping[str, Any] | None) -> Frontier:
    options = {} if gepa_kwargs is None else dict(gepa_kwargs)
    chosen = options.pop("frontier_type", given)
    if "max_reflection_cost" in options:
        raise ConfigurationError(
            "gepa_kwargs: a limit of cost holds for all that a compile pays: pass budget=Budget(usd=…) to compile"
        )
    if options:
        raise ConfigurationError(
            f"gepa_kwargs has {next(iter(options))!r}, which is no option here; there is frontier_type, and everything "
            "else is a parameter of GEPA"
        )
    _check_choice("frontier", chosen, FRONTIERS)
    return chosen


def refuse_gone(given: Mapping[str, Any]) -> None:
    for name, value in given.items():
        if name not in _GONE:
            raise TypeError(f"GEPA has no parameter {name!r}{did_you_mean(name, _GONE)}")
        if value is not None and value is not False:
            raise ConfigurationError(f"GEPA: {name}={value!r} cannot be used here; {_GONE[name]}")


def _check_choice(name: str, value: Any, known: Sequence[str]) -> None:
    if value not in known:
        raise ConfigurationError(
            f"{name} must be one of {join_names(map(repr, known))}, got {value!r}{did_you_mean(str(value), known)}"
        )
