"""Which optimizer a recipe uses, and why."""

from __future__ import annotations

from typing import Any, NamedTuple

from telic.optimizers import BootstrapFewShotWithRandomSearch


class Choice(NamedTuple):
    """An optimizer, and the reason in words."""

    optimizer: Any
    why: str


def choose_optimizer(metric: Any, rows: int, seed: int, num_threads: int | None = None) -> Choice:
    """Return the optimizer for so many rows to learn from."""
    candidates = 4 if rows < 20 else 8
    optimizer = BootstrapFewShotWithRandomSearch(
        metric, max_bootstrapped_demos=3, max_labeled_demos=3, num_candidate_programs=candidates, seed=seed,
        num_threads=num_threads,
    )  # fmt: skip
    return Choice(
        optimizer, f"{candidates} sets of at most 3 demonstrations are tried, and the best is taken"
    )
