"""How often `improve` finds a gain that is there, and one that is not, by the number of rows: simulated, without an LM.

    python bench/improve_verdict.py [--repeats 400]

The given program is right on half of the rows, each by chance; of 8 candidates one is better by the gain, the others
are not, and all are right independently of each other. Rows are parted as `improve` parts a
trainset. Prints Markdown.
"""

from __future__ import annotations

import argparse
import random

from telic.data import Example, Prediction
from telic.evaluate import EvaluationResult, Row
from telic.optimizers._improve_rows import sizes_of
from telic.optimizers._improve_verdict import chance_of_best, combined, one_sided

CANDIDATES = 8
GAINS = (0.0, 0.1, 0.2, 0.4)
ROWS = (20, 40, 100, 300)


def result(scores: list[bool]) -> EvaluationResult:
    return EvaluationResult(
        [Row(i, Example(x=i), Prediction(), float(right)) for i, right in enumerate(scores)]
    )


def is_found(rng: random.Random, choose: int, check: int, gain: float) -> bool:
    """Whether the best of the candidates is believed to be better, once."""
    given = [rng.random() < 0.5 for _ in range(choose + check)]
    rights = [0.5 + gain * (number == 0) for number in range(CANDIDATES)]
    tried = [[rng.random() < right for _ in given] for right in rights]
    best = max(tried, key=lambda one: sum(one[:choose]))
    if sum(best[:choose]) <= sum(given[:choose]):
        return False
    differences = [[a - b for a, b in zip(one[:choose], given[:choose], strict=True)] for one in tried]
    checked = result(best[choose:]).compare(result(given[choose:]))
    return checked.difference > 0 and combined(chance_of_best(differences, 0), one_sided(checked)) < 0.05


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=400)
    repeats = parser.parse_args().repeats
    gains = " | ".join("none" if gain == 0 else f"{100 * gain:.0f} points" for gain in GAINS)
    print(f"| rows of trainset | {gains} |\n|---|{'---|' * len(GAINS)}")
    for rows in ROWS:
        sizes = sizes_of(rows, None, 200)
        rng = random.Random(rows)
        shares = [
            sum(is_found(rng, sizes.choose, sizes.check, gain) for _ in range(repeats)) / repeats
            for gain in GAINS
        ]
        print(f"| {rows} | {' | '.join(f'{share:.0%}' for share in shares)} |", flush=True)


if __name__ == "__main__":
    main()
