"""Does finetuning on bootstrapped traces work? 200 traces, 20 steps, then the zero-shot score beside its teacher's.

    python training/tiny/finetune_check.py [--weights FILE]

The teacher is the model with demos in its prompt; the student the same weights with a bare prompt. Other skills are
measured before and after. Needs torch; about a minute on two cores.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

import torch
from batches import ADAPTERS, Writer
from cells import CELLS
from export import write_weights
from model import Shape, TinyLM
from safetensors import safe_open
from safetensors.torch import load_file

from evaluate import client_of, replies
from telic.datasets.tiny._arithmetic import arithmetic
from telic.datasets.tiny._classify import classification
from telic.datasets.tiny._qa import question_answering
from telic.lm.tiny._load import FOLDER
from telic.lm.tiny._tokenizer import PAD, SYSTEM, Tokenizer

TASKS = {
    "hidden labels, 3 topics": (
        partial(classification, told_by="demos", axis="topic", count=3, reasoning=False), 8,
    ),
    "answers as sentences": (
        partial(question_answering, style="full", told=False, hops=1, count=3, reasoning=False), 4,
    ),
    "number and unit, reasoned": (
        partial(arithmetic, steps=1, unit=True, told=False, reasoning=True, bare=False, top=20), 4,
    ),
}  # fmt: skip
OTHERS = (
    "labels by demos, sentiment",
    "one hop, short, told",
    "2 steps, reasoned",
    "labels by custom, 3 topics",
)
STEPS, BATCH, RATE = 20, 16, 1e-4


def score(client: Any, task: Any, demos: list[Any], rows: list[Any]) -> list[bool]:
    """Return for each row whether the answer is right."""
    name = list(task.signature.output_fields)[-1]
    greedy = {"temperature": 0}
    given = [replies(client, ADAPTERS[0], task.signature, demos, row.inputs, greedy)[0] for row in rows]
    return [g is not None and g[name] == row.outputs[name] for g, row in zip(given, rows, strict=True)]


def others(client: Any) -> float:
    """Return the mean score of the other skills, with 4 demos."""
    hits: list[bool] = []
    for name in OTHERS:
        for number in range(6):
            rng = Random(f"{name}/{number}")
            task = CELLS[name].make(rng, False)
            demos = [task.draw(rng) for _ in range(4)]
            hits += score(client, task, demos, [task.draw(rng) for _ in range(5)])
    return sum(hits) / len(hits)


def tuned(weights: Path, task: Any, rows: list[Any], folder: Path) -> Path:
    """Return the weights after `STEPS` steps on these rows, each with the bare prompt."""
    with safe_open(weights, "pt") as opened:
        meta = opened.metadata()
    model = TinyLM(Shape(**json.loads(meta["shape"])), dtype=torch.float32)
    model.load_state_dict({k: v.float() for k, v in load_file(weights).items()})
    tokenizer = Tokenizer.from_json(weights.with_name("vocab.json").read_text())
    rng = Random(0)
    made = []
    for row in rows:
        writer = Writer(Random(0), tokenizer, task, ADAPTERS[0])
        writer.rng = _Always()
        turn, marks, _, _ = writer.turn(row, known=True, first=True, complete=True)
        head = [SYSTEM, *tokenizer.encode(writer.system)]
        made.append(([*head, *turn], [0.0] * len(head) + [1.0 if m > 0 else 0.0 for m in marks]))
    adam = torch.optim.AdamW(model.parameters(), lr=RATE, weight_decay=0.0)
    for _ in range(STEPS):
        picked = [rng.choice(made) for _ in range(BATCH)]
        longest = max(len(t) for t, _ in picked)
        tokens = torch.tensor([t + [PAD] * (longest - len(t)) for t, _ in picked])
        weight = torch.tensor([w + [0.0] * (longest - len(w)) for _, w in picked])[:, 1:]
        logits = model(tokens)[:, :-1]
        loss = torch.nn.functional.cross_entropy(
            logits.flatten(0, 1), tokens[:, 1:].flatten(), reduction="none"
        )
        ((loss * weight.flatten()).sum() / weight.sum()).backward()
        adam.step()
        adam.zero_grad()
    folder.mkdir()
    (folder / "vocab.json").write_bytes(weights.with_name("vocab.json").read_bytes())
    write_weights(model.state_dict(), model.shape.to_dict(), 0, folder / "tiny.safetensors")
    return folder / "tiny.safetensors"


class _Always:
    """A source of chance that always asks for the request."""

    def random(self) -> float:
        return 0.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--weights", type=Path, default=FOLDER / "tiny.safetensors")
    args = parser.parse_args()
    client = client_of(args.weights)
    before = others(client)
    print("| task | traces kept | teacher | before | after | others before | others after |")
    print("|---" * 7 + "|")
    with tempfile.TemporaryDirectory() as scratch:
        for number, (name, (make, k)) in enumerate(TASKS.items()):
            rng = Random(f"{name}/finetune")
            task = make(rng, False)
            demos = [task.draw(rng) for _ in range(k)]
            rows, tests = [task.draw(rng) for _ in range(200)], [task.draw(rng) for _ in range(100)]
            kept = [r for r, ok in zip(rows, score(client, task, demos, rows), strict=True) if ok]
            teacher, bare = score(client, task, demos, tests), score(client, task, [], tests)
            student = client_of(tuned(args.weights, task, kept, Path(scratch) / str(number)))
            after = score(student, task, [], tests)
            print(
                f"| {name} | {len(kept)}/200 | {sum(teacher) / 100:.2f} | {sum(bare) / 100:.2f} | "
                f"{sum(after) / 100:.2f} | {before:.2f} | {others(student):.2f} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
