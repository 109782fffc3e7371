"""Prompts and weights on the embedded LM: what each does alone, and both in turns, on rows that nothing was chosen by.

    python bench/weights.py [--seeds 3] [--tasks …] [--rows 60] [--results FILE]      # needs telic[tiny,train]

Each piece (a run of an optimizer on a task with a seed) runs once: what came of it is in bench/results/weights.jsonl,
and only missing ones are run; two of these commands may share the work by `--only-seed`. The programs along
"p -> w -> p" and "w -> p" are those that BetterTogether makes and scores on its way: a strategy's line is the program
that was best on the validation rows up to there. Prints Markdown.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any, Final

import telic
from telic.datasets import tiny
from telic.evaluate import Evaluate
from telic.lm.tiny._network import Network

HERE = Path(__file__).parent
RESULTS = HERE / "results" / "weights.jsonl"
TRAIN, VAL = 48, 24
PIECES: Final = ("zero-shot", "GRPO", "p -> w -> p", "w -> p")
LINES: Final = {
    "zero-shot": "as it is",
    "p": "prompts alone",
    "w": "weights alone (SFT)",
    "GRPO": "weights alone (GRPO)",
    "p -> w": "prompts, then weights",
    "w -> p": "weights, then prompts",
    "p -> w -> p": "prompts, weights, prompts",
}
GRPO_STEPS = 20


class Hops(telic.Module):
    """Two predictors: a search over all facts, and an answer from what it finds."""

    def __init__(self, search: Any) -> None:
        self.ask = telic.Predict(
            telic.Signature("context, question -> search_query", "Write a search query.")
        )
        self.answer = telic.Predict(
            telic.Signature("context, question -> answer", "Answer the question from the context.")
        )
        self._search = search

    def forward(self, context: str, question: str) -> Any:
        query = self.ask(context=context, question=question).search_query
        found = "\n".join([context, *self._search(query)])
        return self.answer(context=found, question=question)


TASKS: Final = {
    "answers as sentences": "qa_style",
    "number and unit": "units",
    "two predictors": "two hops",
}


def words(text: str) -> list[str]:
    return text.lower().replace(".", " ").replace("?", " ").split()


def hops(seed: int, rows: int) -> tuple[Any, Any, list[list[Any]]]:
    """Return the program, the metric and the rows of the task with two predictors.

    A row has one of the two facts that its question needs; the other one is found by the words of the query.
    """
    data = tiny.load("agent_facts", seed=seed, n_train=TRAIN, n_val=VAL, n_test=rows)
    parts = [data.trainset, data.valset, data.testset]
    facts = sorted({fact for part in parts for row in part for fact in row.gold_passages})

    def search(query: str) -> list[str]:
        asked = set(words(query))
        ranked = sorted(facts, key=lambda fact: (-len(asked & set(words(fact))), fact))
        return ranked[:2]

    def with_fact(row: Any) -> Any:
        made = telic.Example(context=row.gold_passages[0], question=row.question, answer=row.answer)
        return made.with_inputs("context", "question")

    return Hops(search), data.metric, [[with_fact(row) for row in part] for part in parts]


def task_of(name: str, seed: int, rows: int) -> tuple[Any, Any, list[list[Any]]]:
    if TASKS[name] == "two hops":
        return hops(seed, rows)
    data = tiny.load(TASKS[name], seed=seed, n_train=TRAIN, n_val=VAL, n_test=rows)
    return telic.Predict(data.signature), data.metric, [data.trainset, data.valset, data.testset]


class InTheModel:
    """Seconds that the embedded LM computes, in whatever thread."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self._lock = threading.Lock()
        for name in ("read", "step"):
            setattr(Network, name, self._timed(getattr(Network, name)))

    def _timed(self, method: Any) -> Any:
        def timed(*args: Any) -> Any:
            started = time.perf_counter()
            try:
                return method(*args)
            finally:
                with self._lock:
                    self.seconds += time.perf_counter() - started

        return timed


def run(piece: str, task: str, seed: int, rows: int, model: InTheModel) -> list[dict[str, Any]]:
    """Run a piece; return a line for each program that it made."""
    program, metric, (train, val, test) = task_of(task, seed, rows)
    lm = telic.LM("telic/tiny", temperature=0.0, cache=False, max_tokens=64)
    made: dict[str, Any] = {}
    cost: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder, telic.context(lm=lm, num_threads=16):
        before, started = model.seconds, time.perf_counter()
        if piece == "zero-shot":
            made[piece] = program
        elif piece == "GRPO":
            grpo = telic.GRPO(metric, num_train_steps=GRPO_STEPS, num_steps_for_val=5, seed=seed)
            made[piece] = grpo.compile(program, trainset=train, valset=val, run_dir=folder)
        else:
            prompts = telic.BootstrapRS(
                metric, max_bootstrapped_demos=3, max_labeled_demos=3, num_candidate_programs=3, seed=seed
            )
            weights = telic.BootstrapFinetune(
                metric, train_kwargs={"epochs": 4, "batch_size": 8, "seed": seed}
            )
            both = telic.BetterTogether(metric, prompts, weights)
            best = both.compile(
                program, trainset=train, valset=val, strategy=piece, seed=seed, run_dir=folder
            )
            scores = {one.label: one for one in best.report.candidates}
            way = [" -> ".join(piece.split(" -> ")[: n + 1]) for n in range(len(piece.split(" -> ")))]
            for at, label in enumerate(way):
                so_far = [scores[one] for one in ("as given", *way[: at + 1]) if one in scores]
                made[label] = max(so_far, key=lambda one: one.score).program
        wall = time.perf_counter() - started
        steps = [
            json.loads(line)
            for path in Path(folder).glob("weights/**/progress.jsonl")
            for line in path.open()
        ]
        cost = {
            "seconds": wall,
            "generating": model.seconds - before,
            "training": sum(one["seconds"] for one in steps),
            "tokens": sum(one["tokens"] for one in steps),
            "updates": len(steps),
        }
        if piece == "GRPO":
            cost["rewards"] = [round(one["reward"], 4) for one in steps]
        lines = []
        for label, one in made.items():
            result = Evaluate(devset=test, metric=metric, num_threads=16)(one)
            right = "".join(str(int(row.score > 0)) for row in result.rows)
            lines.append({"line": label, "right": right})
        lines[-1] |= cost
        return [{"piece": piece, "task": task, "seed": seed, "rows": rows, **line} for line in lines]


def known(path: Path) -> list[dict[str, Any]]:
    if not path.exists():
        return []
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def interval(right: int, n: int) -> tuple[float, float]:
    """Return Wilson's 95 % interval."""
    z, p = 1.96, right / n
    middle, half = p + z * z / (2 * n), z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    return (middle - half) / (1 + z * z / n), (middle + half) / (1 + z * z / n)


def rendered(lines: list[dict[str, Any]]) -> str:
    """Return the tables."""
    shown: list[str] = [
        "| task | what changes | right | 95 % interval | n | seeds |",
        "|---|---|---|---|---|---|",
    ]
    for task in TASKS:
        for label, told in LINES.items():
            own = [one for one in lines if one["task"] == task and one["line"] == label]
            own = [one for one in own if label != "w" or one["piece"] == "w -> p"]
            if own:
                right, n = sum(one["right"].count("1") for one in own), sum(len(one["right"]) for one in own)
                low, high = interval(right, n)
                shown.append(
                    f"| {task} | {told} | {right / n:.2f} | {low:.2f} to {high:.2f} | {n} | {len(own)} |"
                )
    shown += [
        "",
        "| task | run | seconds | updates | tokens/s of training | training | generating |",
        "|---" * 7 + "|",
    ]
    for task in TASKS:
        for piece in PIECES[1:]:
            own = [one for one in lines if one["task"] == task and one["piece"] == piece and "tokens" in one]
            if own:
                wall, training = (sum(one[name] for one in own) for name in ("seconds", "training"))
                tokens, generating = (sum(one[name] for one in own) for name in ("tokens", "generating"))
                updates = sum(one["updates"] for one in own) / len(own)
                speed = f"{tokens / training:,.0f}" if training else "–"
                shown.append(
                    f"| {task} | {piece} | {wall / len(own):.0f} | {updates:.0f} | {speed} "
                    f"| {training / wall:.0%} | {generating / wall:.0%} |"
                )
    curves = [one for one in lines if "rewards" in one]
    if curves:
        part = GRPO_STEPS // 4
        spans = [f"steps {at + 1} to {at + part}" for at in range(0, GRPO_STEPS, part)]
        shown += ["", f"| task | {' | '.join(spans)} | seeds |", "|---" * 6 + "|"]
        for task in TASKS:
            own = [one["rewards"] for one in curves if one["task"] == task]
            if own:
                means = [[sum(c[at : at + part]) / part for c in own] for at in range(0, GRPO_STEPS, part)]
                cells = [f"{sum(v) / len(v):.2f} ({min(v):.2f} to {max(v):.2f})" for v in means]
                shown.append(f"| {task} | {' | '.join(cells)} | {len(own)} |")
    return "\n".join(shown)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--only-seed", type=int, action="append")
    parser.add_argument("--tasks", choices=TASKS, action="append")
    parser.add_argument("--rows", type=int, default=60)
    parser.add_argument("--results", type=Path, default=RESULTS)
    args = parser.parse_args()
    import torch

    torch.set_num_threads(1)
    model = InTheModel()
    found = known(args.results)
    for seed in args.only_seed or range(args.seeds):
        for task in args.tasks or TASKS:
            for piece in PIECES:
                cell = [piece, task, seed, args.rows]
                if cell in [
                    [one["piece"], one["task"], one["seed"], one["rows"]] for one in known(args.results)
                ]:
                    continue
                started = time.monotonic()
                lines = run(*cell, model)
                found += lines
                with args.results.open("a") as file:
                    file.write("".join(json.dumps(line) + "\n" for line in lines))
                shares = [
                    f"{line['line']} {line['right'].count('1') / len(line['right']):.2f}" for line in lines
                ]
                print(
                    seed,
                    task,
                    piece,
                    shares,
                    f"{time.monotonic() - started:.0f} s",
                    file=sys.stderr,
                    flush=True,
                )
    print(rendered(found))


if __name__ == "__main__":
    main()
