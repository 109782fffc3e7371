"""What one compile of MIPROv2 does, settled from its constructor, its arguments, the program and the number of rows."""

from __future__ import annotations

import math
from typing import Any, Final, NamedTuple, TypedDict

from telic.errors import ConfigurationError
from telic.evaluate import check_count

_CANDIDATES: Final = {"light": 6, "medium": 12, "heavy": 18}
_MOST_ROWS: Final = {"light": 100, "medium": 300, "heavy": 1000}
_BATCH: Final = 35
_BATCH_FROM: Final = 51
"""So many rows are evaluated by minibatches where `auto` decides."""
_SHOWN_ONLY: Final = 3
"""Demonstrations that are made for the proposals alone, where the program gets none."""
VALSET_SHARE: Final = 0.8
_MOST_ROWS_OF_SPLIT: Final = 1000


class Asked(NamedTuple):
    """The arguments of a compile; None: not given."""

    num_trials: int | None = None
    max_bootstrapped_demos: int | None = None
    max_labeled_demos: int | None = None
    seed: int | None = None
    minibatch: bool | None = None
    minibatch_size: int | None = None
    minibatch_full_eval_steps: int = 5
    program_aware_proposer: bool = True
    data_aware_proposer: bool = True
    view_data_batch_size: int = 10
    tip_aware_proposer: bool = True
    fewshot_aware_proposer: bool = True
    history_aware_proposer: bool = True


class AskedOptions(TypedDict, total=False):
    """The same by name, as `compile` and `plan` take them."""

    num_trials: int | None
    max_bootstrapped_demos: int | None
    max_labeled_demos: int | None
    seed: int | None
    minibatch: bool | None
    minibatch_size: int | None
    minibatch_full_eval_steps: int
    program_aware_proposer: bool
    data_aware_proposer: bool
    view_data_batch_size: int
    tip_aware_proposer: bool
    fewshot_aware_proposer: bool
    history_aware_proposer: bool


class Settings(NamedTuple):
    """What is done."""

    instructions: int
    """Candidates for each predictor, its own instructions among them."""
    demo_sets: int
    """Candidates for each predictor; 1 where the program gets no demonstrations."""
    trials: int
    rows: int
    """Of the valset, what is scored on."""
    batch: int
    """Rows of a trial."""
    full_every: int | None
    """None: every trial is on all rows."""
    bootstrapped: int
    labelled: int
    zero_shot: bool
    """The program gets no demonstrations; those that are made are shown to the prompt model alone."""

    def late(self, asked: Asked) -> int:
        """Return how many instructions of each predictor are proposed in the middle of the search, from scores."""
        return max(1, self.instructions // 4) if self.instructions > 2 and asked.history_aware_proposer else 0

    def sets(self, asked: Asked) -> int:
        """Return how many sets of demonstrations are made, the given one among them."""
        if self.zero_shot:
            return self.instructions if asked.fewshot_aware_proposer else 1
        return self.demo_sets

    def bootstraps(self, asked: Asked) -> int:
        """Return how many of them are bootstrapped."""
        return max(0, self.sets(asked) - 1 - bool(self.labelled)) if self.bootstrapped else 0


def settled(
    auto: str | None,
    num_candidates: int | None,
    asked: Asked,
    predictors: int,
    rows: int,
    demos: tuple[int, int],
) -> Settings:
    """Return the settings of a compile.

    Args:
        auto: "light", "medium", "heavy", or None.
        num_candidates: Given where `auto` is None.
        asked: The arguments.
        predictors: How many the program has.
        rows: Of the valset.
        demos: The limits of bootstrapped and labelled demonstrations.

    Raises:
        ConfigurationError: They contradict each other, or the rows.
    """
    bootstrapped, labelled = demos
    zero_shot = bootstrapped == 0 and labelled == 0
    count = num_candidates if auto is None else _CANDIDATES[auto]
    if count is None:
        raise ConfigurationError(
            "with auto=None, num_candidates= is needed (and num_trials= of compile, unless the usual number for as "
            "many candidates will do); or pass auto='light', 'medium' or 'heavy'"
        )
    trials = asked.num_trials
    if trials is None:
        trials = _trials_for(count, predictors if zero_shot else 2 * predictors)
    used = rows if auto is None else min(rows, _MOST_ROWS[auto])
    batch = _batch_of(auto, asked, used)
    return Settings(
        instructions=count if zero_shot or auto is None else count // 2,
        demo_sets=1 if zero_shot else count,
        trials=trials,
        rows=used,
        batch=batch,
        full_every=asked.minibatch_full_eval_steps if batch < used else None,
        bootstrapped=_SHOWN_ONLY if zero_shot else bootstrapped,
        labelled=labelled,
        zero_shot=zero_shot,
    )


def _trials_for(count: int, variables: int) -> int:
    """Return how many trials a search of so many variables with so many choices gets."""
    return int(max(2 * variables * math.log2(count), 1.5 * count))


def _batch_of(auto: str | None, asked: Asked, rows: int) -> int:
    size = asked.minibatch_size
    if asked.minibatch is False:
        if size is not None:
            raise ConfigurationError(
                f"minibatch_size={size} has no meaning with minibatch=False; leave one out"
            )
        return rows
    if size is not None and size > rows:
        raise ConfigurationError(
            f"minibatch_size={size} is more than the {rows} rows that are scored on; make it smaller, or pass "
            "minibatch=False"
        )
    if auto is not None and asked.minibatch is None and size is None and rows < _BATCH_FROM:
        return rows
    return min(rows, _BATCH if size is None else size)


def check_constructor(auto: Any, num_candidates: Any) -> None:
    """Refuse what cannot be meant.

    Raises:
        ConfigurationError: An unknown run mode, or one beside a number of candidates.
    """
    if auto is not None and auto not in _CANDIDATES:
        raise ConfigurationError(f"auto must be {', '.join(map(repr, _CANDIDATES))} or None, got {auto!r}")
    check_count("num_candidates", num_candidates, 2, optional=True)
    if auto is not None and num_candidates is not None:
        raise ConfigurationError(
            f"auto={auto!r} sets num_candidates itself; leave num_candidates= out, or pass auto=None with it and "
            "num_trials= to compile"
        )


def check_asked(auto: str | None, asked: Asked) -> None:
    """Refuse arguments of `compile` that cannot be meant.

    Raises:
        ConfigurationError: A size is impossible, or `num_trials` beside a run mode.
    """
    check_count("num_trials", asked.num_trials, 1, optional=True)
    check_count("max_bootstrapped_demos", asked.max_bootstrapped_demos, 0, optional=True)
    check_count("max_labeled_demos", asked.max_labeled_demos, 0, optional=True)
    check_count("minibatch_size", asked.minibatch_size, 1, optional=True)
    check_count("minibatch_full_eval_steps", asked.minibatch_full_eval_steps, 1)
    check_count("view_data_batch_size", asked.view_data_batch_size, 1)
    if auto is not None and asked.num_trials is not None:
        raise ConfigurationError(
            f"auto={auto!r} sets num_trials itself; leave num_trials= out, or pass auto=None and num_candidates= to "
            "MIPROv2"
        )


def split_share(rows: int) -> float:
    """Return which share of a trainset becomes the valset where none was given."""
    return min(VALSET_SHARE, _MOST_ROWS_OF_SPLIT / rows)
