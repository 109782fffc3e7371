"""How well optimizers keep an LM busy that takes 50 ms: calls in flight, and the share of the ideal.

    python bench/concurrency.py [--threads 16] [--latency 0.05] [--optimizers GEPA …] [--quick]

A real server on the loopback answers any signature after the latency (`telic.testing.FaultServer`); nothing is cached.
60 training and 100 validation questions, one predictor. "Ideal" is LM calls × latency / threads; the share is ideal
over wall time, and times the threads it is the mean number of calls in flight. Prints Markdown.
"""

from __future__ import annotations

import argparse
import logging
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import telic
from telic.testing import DummyVectorizer, FaultServer
from telic.testing._optimizer_suite import OptimizerSuite
from telic.testing._optimizer_task import answered, equal_answer, sums

TARGETS = {
    "BootstrapFewShot": 12, "BootstrapFewShotWithRandomSearch": 14, "MIPROv2": 12, "GEPA": 8,
}  # fmt: skip
"""Calls in flight of 16 that are asked of them."""


def told(example: Any, prediction: Any, trace: Any = None) -> Any:
    right = equal_answer(example, prediction)
    return telic.Prediction(score=float(right), feedback="" if right else "The sum is wrong.")


def optimizers(threads: int) -> dict[str, Callable[[], tuple[Any, dict[str, Any]]]]:
    """Return how each optimizer is made, and the further arguments of its `compile`."""
    common: dict[str, Any] = {"num_threads": threads, "display_progress": False}
    demos = {"max_bootstrapped_demos": 4, "max_labeled_demos": 16}
    return {
        "BootstrapFewShot": lambda: (
            telic.BootstrapFewShot(equal_answer, max_bootstrapped_demos=16, **common),
            {"valset": None},
        ),
        "BootstrapFewShotWithRandomSearch": lambda: (
            telic.BootstrapFewShotWithRandomSearch(equal_answer, **demos, num_candidate_programs=8, **common),
            {},
        ),
        "BootstrapFewShotWithOptuna": lambda: (
            telic.BootstrapFewShotWithOptuna(equal_answer, **demos, num_candidate_programs=8, **common),
            {},
        ),
        "KNNFewShot": lambda: (
            telic.KNNFewShot(4, vectorizer=DummyVectorizer(), metric=equal_answer, **common),
            {},
        ),
        "COPRO": lambda: (telic.COPRO(metric=equal_answer, breadth=5, depth=2, **common), {}),
        "MIPROv2": lambda: (telic.MIPROv2(equal_answer, auto="light", **common), {}),
        "SIMBA": lambda: (telic.SIMBA(metric=equal_answer, max_steps=3, **common), {}),
        "GEPA": lambda: (telic.GEPA(metric=told, max_metric_calls=600, **common), {}),
        "Improve": lambda: (telic.Improve(equal_answer, **common), {}),
        "InferRules": lambda: (
            telic.InferRules(num_candidates=8, metric=equal_answer, **demos, **common),
            {},
        ),
    }


def answers(body: Any) -> str:
    text = "\n".join(str(message["content"]) for message in body["messages"])
    return answered(text, OptimizerSuite().reply)


def line(name: str, make: Callable[[], tuple[Any, dict[str, Any]]], args: argparse.Namespace) -> str:
    """Return one row of the table."""
    rows = (32, 20) if args.quick else (60, 100)
    data: dict[str, Any] = {"trainset": sums(rows[0]), "valset": sums(rows[1], 500)}
    optimizer, options = make()
    program = telic.Predict("question -> answer")
    with FaultServer(answers, latency_s=args.latency) as server, tempfile.TemporaryDirectory() as folder:
        with telic.context(lm=OptimizerSuite().lm()):  # loads all that a compile loads
            optimizer.compile(program, **{**data, **options}, run_dir=Path(folder) / "warm")
        lm = telic.LM("openai/m", base_url=server.url, api_key="none", cache=False, temperature=0.7)
        with telic.context(lm=lm):
            program(question="What is 1 plus 2?")
            before = len(server.requests)
            start, cpu = time.perf_counter(), time.process_time()
            optimizer.compile(program, **{**data, **options}, run_dir=Path(folder) / "run")
            wall, cpu = time.perf_counter() - start, time.process_time() - cpu
        calls, most = len(server.requests) - before, server.max_in_flight
    ideal = calls * args.latency / args.threads
    flying = args.threads * ideal / wall
    target = TARGETS.get(name, "") if args.threads == 16 else ""
    return (
        f"| {name} | {calls:,} | {wall:.2f} s | {ideal:.2f} s | {ideal / wall:.0%} | {flying:.1f} | {most} | {target} "
        f"| {1e6 * cpu / max(1, calls):,.0f} µs |"
    )


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, default=16)
    parser.add_argument("--latency", type=float, default=0.05)
    parser.add_argument("--optimizers", nargs="*")
    parser.add_argument("--quick", action="store_true")
    args = parser.parse_args(arguments)
    print(
        f"| at {1000 * args.latency:.0f} ms, {args.threads} at once | LM calls | wall | ideal | share | mean in "
        "flight | most | must be | CPU per call, the server's too |\n|---|---|---|---|---|---|---|---|---|"
    )
    for name, make in optimizers(args.threads).items():
        if not args.optimizers or name in args.optimizers:
            print(line(name, make, args), flush=True)


if __name__ == "__main__":
    logging.getLogger("telic").setLevel(logging.ERROR)  # what was split, and where runs are kept
    main()
