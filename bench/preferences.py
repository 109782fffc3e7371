"""Finetuning by preference on the embedded LM: nobody shows the style that a metric asks for, it only tells runs apart.

    python bench/preferences.py [--seeds 3] [--tasks …] [--rows 60] [--rate …]      # needs telic[tiny,train]

The program runs each training row several times at temperature 1; `BootstrapFinetune` with `loss="dpo"` makes pairs of
better and worse answers to a question and trains LoRA on them. Right answers on test rows, greedy, before and after,
and for the LM beside it that learned the better ones alone ("sft", on the same runs). Prints Markdown.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from typing import Any

import telic
from telic.datasets import tiny
from telic.evaluate import Evaluate

TRAIN = 48
TASKS = {"answers as sentences": "qa_style", "number and unit": "units"}


def score(program: Any, data: Any) -> float:
    return Evaluate(devset=data.testset, metric=data.metric, num_threads=4)(program).score


def trained(loss: str, data: Any, seed: int, given: argparse.Namespace) -> tuple[Any, float]:
    """Return the program with other weights, and the seconds that it took."""
    program = telic.Predict(data.signature)
    kwargs = {"loss": loss, "epochs": given.epochs, "batch_size": 8, "seed": seed}
    if loss == "dpo" and given.rate:
        kwargs["learning_rate"] = given.rate
    optimizer = telic.BootstrapFinetune(
        data.metric,
        train_kwargs=kwargs,
        teacher_settings={"lm_options": {"temperature": 1.0, "seed": seed}},
        display_progress=False,
    )
    started = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        made = optimizer.compile(
            program, teacher=[program] * given.runs, trainset=data.trainset, run_dir=folder
        )
        print(*[note for note in made.report.notes if "finetuned" in note or " of " in note], sep="\n")
        return score(made, data), time.perf_counter() - started


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--tasks", nargs="*", default=list(TASKS), choices=list(TASKS))
    parser.add_argument("--rows", type=int, default=60)
    parser.add_argument("--runs", type=int, default=4)
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--rate", type=float)
    given = parser.parse_args()
    lines = [
        "| task | seed | as it is | DPO | SFT on the better runs | seconds of DPO |",
        "|---|---|---|---|---|---|",
    ]
    for task in given.tasks:
        for seed in range(given.first_seed, given.first_seed + given.seeds):
            data = tiny.load(TASKS[task], seed=seed, n_train=TRAIN, n_val=1, n_test=given.rows)
            lm = telic.LM("telic/tiny", temperature=0.0, cache=False, max_tokens=64)
            with telic.context(lm=lm, num_threads=4):
                before = score(telic.Predict(data.signature), data)
                preferred, seconds = trained("dpo", data, seed, given)
                shown, _ = trained("sft", data, seed, given)
            lines.append(
                f"| {task} | {seed} | {before:.0f} | {preferred:.0f} | {shown:.0f} | {seconds:.0f} |"
            )
            print(lines[-1], flush=True)
    print("\n".join(lines))


if __name__ == "__main__":
    main()
