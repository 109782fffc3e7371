"""Which optimizer a recipe uses, and why."""

from __future__ import annotations

from typing import Any, NamedTuple

from telic.optimizers import BootstrapFewShotWithRandomSearch, Improve

MANY = 60
"""From so many rows to learn from on, instructions are searched too: with fewer, no gain of theirs could be told."""


class Choice(NamedTuple):
    """An optimizer, and the reason in words."""

    optimizer: Any
    why: str


def choose_optimizer(metric: Any, rows: int, seed: int, num_threads: int | None = None) -> Choice:
    """Return the optimizer for so many rows to learn from."""
    if rows >= MANY:
        optimizer = Improve(metric, seed=seed, num_threads=num_threads)
        return Choice(
            optimizer,
            "demonstrations, then instructions, for as long as they help; what is not shown is not kept",
        )
    candidates = 4 if rows < 20 else 8
    searched = BootstrapFewShotWithRandomSearch(
        metric, max_bootstrapped_demos=3, max_labeled_demos=3, num_candidate_programs=candidates, seed=seed,
        num_threads=num_threads,
    )  # fmt: skip
    why = f"{candidates} sets of at most 3 demonstrations are tried, and the best is taken"
    return Choice(searched, f"{why} (from {MANY} rows to learn from on, instructions are searched too)")
