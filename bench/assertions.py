"""What assertions do and what they cost: the four programs of the assertions paper in miniature.

    python bench/assertions.py [--lm telic/tiny] [--rows 60] [--train 24] [--seeds 3] [--programs tweet quiz …]

Four ways: none; at inference; while compiling (a bootstrap of up to 4 demos, the answers without); both. For each the
share of rows in which all conditions held in the end, the mean of the program's metric (which knows the right answers;
the conditions do not), and LM calls for each row beyond those of the program without assertions. Rows of all seeds are
pooled; each seed is another set of names and facts. Intervals: 95 %, Wilson's for shares, Student's t for means.
Nothing is answered from a cache. Prints Markdown.
"""

from __future__ import annotations

import argparse
import importlib
import logging
import statistics
import sys
from pathlib import Path
from typing import Any, NamedTuple

import telic
from telic.evaluate._statistics import summarize
from telic.testing import FunctionLM

FOLDER = Path(__file__).parent.parent / "examples" / "assertions"
PROGRAMS = ("multihop", "longform", "quiz", "tweet")
OFF = {"bypass_assert": True, "bypass_suggest": True}
WAYS = {"none": (False, False), "inference": (False, True), "compile": (True, False), "both": (True, True)}


class Seen(NamedTuple):
    """One way, all rows of all seeds."""

    held: list[float]
    scores: list[float]
    calls: list[float]  # LM calls a row, one figure for each seed
    compiling: list[float]  # LM calls of the compile, one for each seed


def run(task: Any, seed: int, given: argparse.Namespace) -> dict[str, Seen]:
    """Return what each way came to for one seed."""
    train, test = task.rows(seed, given.rows)
    plain, compiled, paid = task.make(), None, 0
    seen: dict[str, Seen] = {}
    for way, (compile_first, assert_last) in WAYS.items():
        if compile_first and compiled is None:
            optimizer = telic.BootstrapFewShot(
                metric=task.metric, max_bootstrapped_demos=4, max_labeled_demos=0, display_progress=False
            )
            compiled = optimizer.compile(plain, trainset=train[: given.train])
            paid = compiled.report.total_spend.calls
        program = compiled if compile_first else plain
        evaluate = telic.Evaluate(devset=test, metric=task.metric, num_threads=given.threads)
        with telic.context(**({} if assert_last else OFF)):
            result = evaluate(program)
        seen[way] = Seen(
            [float(row.error is None and all(one.passed for one in row.assertions)) for row in result.rows],
            [row.score for row in result.rows],
            [result.spend.calls / result.n],
            [float(paid if compile_first else 0)],
        )
    return seen


def pooled(parts: list[Seen]) -> Seen:
    return Seen(*([value for column in columns for value in column] for columns in zip(*parts, strict=True)))


def share(values: list[float]) -> str:
    summary = summarize(values)
    low, high = summary.interval
    return f"{100 * summary.mean:.0f} % ({100 * max(0.0, low):.0f}–{100 * min(1.0, high):.0f})"


def lines(name: str, seen: dict[str, Seen]) -> list[str]:
    base = statistics.mean(seen["none"].calls)
    made = []
    for way, one in seen.items():
        extra = statistics.mean(one.calls) - base
        compiling = f"{statistics.mean(one.compiling):.0f}" if any(one.compiling) else "–"
        cells = (name, way, share(one.held), share(one.scores), f"{extra:+.2f}", compiling)
        made.append(f"| {' | '.join(cells)} |")
    return made


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--lm", default="telic/tiny")
    parser.add_argument("--stand-in", action="store_true", help="each program's own stand-in for an LM")
    parser.add_argument("--rows", type=int, default=60)
    parser.add_argument("--train", type=int, default=24)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=4)
    parser.add_argument("--programs", nargs="*", default=list(PROGRAMS))
    given = parser.parse_args(argv)
    sys.path.insert(0, str(FOLDER))
    print(
        "| program | assertions | all conditions held | metric | extra LM calls a row | LM calls to compile |"
    )
    print("|---|---|---|---|---|---|")
    for name in given.programs:
        task = importlib.import_module(name).TASK
        lm = FunctionLM(task.stand_in) if given.stand_in else telic.LM(given.lm, cache=False)
        with telic.context(lm=lm):
            parts = [run(task, seed, given) for seed in range(given.seeds)]
        for line in lines(name, {way: pooled([part[way] for part in parts]) for way in WAYS}):
            print(line, flush=True)


if __name__ == "__main__":
    logging.getLogger("telic").setLevel(logging.ERROR)
    main()
