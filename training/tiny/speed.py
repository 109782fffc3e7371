"""Measure the NumPy engine on one core, in seconds of that core: what others do on the machine matters little.

    OPENBLAS_NUM_THREADS=1 python training/tiny/speed.py [--weights FILE]

Prints a Markdown table: loading, reading, generating alone and sixteen at once, and a hundred short answers to an
8-shot prompt through the client, with its prefix cache.
"""

from __future__ import annotations

import argparse
import statistics
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from telic.adapters import ChatAdapter
from telic.data import Request
from telic.datasets import tiny
from telic.lm.tiny import TinyClient
from telic.lm.tiny._load import FOLDER, load_engine
from telic.lm.tiny._network import Cache, Network

if TYPE_CHECKING:
    from collections.abc import Callable


def seconds(work: Callable[[], Any], times: int = 5) -> float:
    """Return the median of the processor seconds that the work takes."""
    taken: list[float] = []
    for _ in range(times):
        start = time.process_time()
        work()
        taken.append(time.process_time() - start)
    return statistics.median(taken)


def answers(client: TinyClient, count: int) -> None:
    """Ask for short answers to a prompt of eight demos."""
    data = tiny.load("hidden_labels", n_train=8, n_val=0, n_test=count)
    plan = ChatAdapter().plan(data.signature, data.trainset, client.capabilities)
    for row in data.testset:
        client.complete(
            Request(plan.render(row.inputs().toDict()), {"temperature": 0}, prefix=len(plan.prefix))
        )


def generating(network: Network, prompt: list[int], batch: int, count: int) -> float:
    """Return the processor seconds of `count` tokens for each of `batch` sequences, prompts not included."""
    caches = [Cache(network.shape, 1024) for _ in range(batch)]
    for cache in caches:
        network.read(prompt, cache)
    last = prompt[:1] * batch
    start = time.process_time()
    for _ in range(count):
        last = network.step(last, caches).argmax(-1).tolist()
    return time.process_time() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--weights", type=Path, default=FOLDER / "tiny.safetensors")
    weights = parser.parse_args().weights
    vocabulary = weights.with_name("vocab.json")
    load_engine(weights, vocabulary)
    engine = load_engine(weights, vocabulary)
    network = engine.network
    rng = np.random.default_rng(0)

    def tokens(count: int) -> list[int]:
        return rng.integers(400, 2000, count).tolist()

    lines = [("load, after import", f"{1000 * seconds(lambda: load_engine(weights, vocabulary)):.0f} ms")]
    for length in (100, 300, 900):
        prompt = tokens(length)
        taken = seconds(lambda p=prompt: network.read(p, Cache(network.shape, 1024)))
        lines.append((f"reading, prompt of {length}", f"{length / taken:,.0f} tokens/s"))
    for batch in (1, 16):
        taken = generating(network, tokens(300), batch, 64)
        lines.append((f"generating, {batch} at once, context of 300", f"{64 * batch / taken:,.0f} tokens/s"))
    taken = seconds(lambda: answers(TinyClient(engine=load_engine(weights, vocabulary)), 100), 3)
    lines.append(("100 answers, 8-shot prompt, fresh engine", f"{taken:.2f} s"))
    print("| what | one core |\n|---|---|")
    for what, figure in lines:
        print(f"| {what} | {figure} |")


if __name__ == "__main__":
    main()
