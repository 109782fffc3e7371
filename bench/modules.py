"""Strategies beside plain Predict on the embedded LM: share of right answers and LM calls per row.

    python bench/modules.py [--rows 60] [--seeds 3] [--lm telic/tiny]

Test rows of `telic.datasets.tiny`, whose names, labels and phrasings the model never saw in training; zero-shot, no
demos. A cell pools the rows of all seeds (each seed is another task of the same kind), with a 95 % interval. Prints
Markdown.
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any, NamedTuple

import telic
from telic.datasets import tiny
from telic.evaluate._statistics import wilson

if TYPE_CHECKING:
    from collections.abc import Callable

    from telic.datasets.tiny import TinyDataset

M = 3  # attempts that are compared


class Compared(telic.Module):
    """Several chains of thought at temperature 1, then a comparison."""

    def __init__(self, signature: Any) -> None:
        super().__init__()
        self.attempt = telic.ChainOfThought(signature, temperature=1.0, n=M)
        self.compare = telic.MultiChainComparison(signature, M=M, temperature=0.0)

    def forward(self, **inputs: Any) -> Any:
        return self.compare(self.attempt(**inputs).completions, **inputs)


class Line(NamedTuple):
    task: str
    strategies: dict[str, Callable[[TinyDataset], Any]]


def predict(data: TinyDataset) -> Any:
    return telic.Predict(data.signature)


def chain(data: TinyDataset) -> Any:
    return telic.ChainOfThought(data.signature)


LINES = (
    Line("agent_facts", {"Predict": predict, "ReAct": lambda d: telic.ReAct(d.signature, d.tools, max_iters=5)}),
    Line("agent_sums", {"Predict": predict, "ReAct": lambda d: telic.ReAct(d.signature, d.tools, max_iters=5)}),
    Line(
        "arithmetic",
        {
            "Predict": predict, "ChainOfThought": chain,
            "ProgramOfThought": lambda d: telic.ProgramOfThought(d.signature),
            "MultiChainComparison": lambda d: Compared(d.signature),
        },
    ),
    Line(
        "arithmetic3",
        {
            "Predict": predict, "ChainOfThought": chain,
            "ProgramOfThought": lambda d: telic.ProgramOfThought(d.signature),
            "MultiChainComparison": lambda d: Compared(d.signature),
        },
    ),
    Line(
        "two_hops",
        {"Predict": predict, "ChainOfThought": chain, "MultiChainComparison": lambda d: Compared(d.signature)},
    ),
)  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=60)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--lm", default="telic/tiny")
    parser.add_argument("--only", default="", help="tasks whose name contains this")
    args = parser.parse_args()
    print(
        "| task | strategy | right | 95 % interval | n | LM calls per row | failures |\n|---|---|---|---|---|---|---|"
    )
    for line in LINES:
        if args.only not in line.task:
            continue
        for name, make in line.strategies.items():
            right = rows = calls = failures = 0
            for seed in range(args.seeds):
                data = tiny.load(line.task, n_train=0, n_val=0, n_test=args.rows, seed=seed)
                lm = telic.LM(args.lm, temperature=0.0, cache=False, max_tokens=200)
                with telic.context(lm=lm):
                    result = telic.Evaluate(devset=data.testset, metric=data.metric, num_threads=16)(
                        make(data)
                    )
                right += sum(bool(score) for _, _, score in result.results)
                rows += len(result.results)
                calls += result.spend.calls
                failures += len(result.failures)
            low, high = wilson(right, rows)
            print(
                f"| {line.task} | {name} | {right / rows:.2f} | {low:.2f} to {high:.2f} | {rows} | "
                f"{calls / rows:.1f} | {failures} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
