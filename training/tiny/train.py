"""Train `telic/tiny` on CPU cores, for a given wall time.

    python training/tiny/train.py --out runs/tiny --minutes 100 --processes 2

A vocabulary that has grown since the last checkpoint keeps the rows it shares with the old one (`grow.py`).
Resumable: the same command continues from the folder's last checkpoint (SIGTERM and Ctrl-C save one before they end);
what remains of the time is measured from the first start. `--start weights.safetensors` begins from exported weights.
Learning rates are constant, then go linearly to 0 over the last 30 % of the time, in which the longest rows come in.
Each process has one thread; they share parameters and take micro-batches of one step as they come (see `optim.py`).
"""

from __future__ import annotations

import argparse
import json
import signal
import time
from pathlib import Path
from random import Random
from typing import Any

import torch
import torch.multiprocessing as mp
from batches import batch, context
from grow import carried
from mixture import draw_task
from model import Shape, TinyLM
from optim import Shared

from telic.lm.tiny._tokenizer import PAD, Tokenizer

HERE = Path(__file__).parent
MICRO = 4096  # tokens of one forward and backward pass
EASY = 1_200_000  # tokens of the first stage
GOING, STOPPED, DONE = 0, 1, 2


def lengths(progress: float, tokens: int) -> dict[int, float]:
    """Return the mix of row lengths."""
    if tokens < EASY:
        return {256: 1.0}
    if progress < 0.7:
        return {256: 0.5, 512: 0.5}
    return {256: 0.35, 512: 0.3, 1024: 0.25, 2048: 0.1}


@torch.no_grad()
def evaluate(model: TinyLM, tokenizer: Tokenizer, *, held_out: bool, count: int, seed: int) -> dict[str, Any]:
    """Whole last values right under teacher forcing, by family and number of examples before (0, 1-2, 3-6, 7+)."""
    rng = Random(seed)
    hits: dict[str, dict[str, list[int]]] = {}
    for _ in range(count // 8):
        made = [context(rng, tokenizer, draw_task(rng, held_out=held_out), 512) for _ in range(8)]
        rows = torch.full((8, 512), PAD)
        for r, c in enumerate(made):
            rows[r, : len(c.tokens)] = torch.tensor(c.tokens)
        guess = model(rows).argmax(-1)
        right = guess[:, :-1] == rows[:, 1:]
        for r, c in enumerate(made):
            for s in c.spans:
                k = s.examples_before
                column = "0" if k == 0 else "1-2" if k < 3 else "3-6" if k < 7 else "7+"
                if not s.known:
                    column = "unknown"
                name = c.task.family.split("/silent")[0].split("/told")[0]
                cell = hits.setdefault(name, {}).setdefault(column, [0, 0])
                cell[0] += bool(right[r, s.start - 1 : s.stop - 1].all())
                cell[1] += 1
    return {f: {c: f"{a / n:.2f}/{n}" for c, (a, n) in sorted(v.items())} for f, v in sorted(hits.items())}


class Board:
    """What the processes tell each other: the number of the step, which micro-batch is next, when to end."""

    def __init__(self, processes: int, state: dict[str, Any]) -> None:
        context = mp.get_context("fork")
        self.barrier = context.Barrier(processes)
        self.lock = context.Lock()
        self.numbers = torch.zeros(4, dtype=torch.int64).share_memory_()  # next micro, micros, end, length
        self.progress = torch.zeros(1, dtype=torch.float64).share_memory_()
        self.losses = torch.zeros(2, dtype=torch.float64).share_memory_()  # sum, count
        self.tokens = torch.tensor([state["tokens"]], dtype=torch.int64).share_memory_()
        self.step = torch.tensor([state["step"]], dtype=torch.int64).share_memory_()

    def take(self) -> bool:
        """Return whether there is one more micro-batch for this process."""
        with self.lock:
            if self.numbers[0] >= self.numbers[1]:
                return False
            self.numbers[0] += 1
            return True


class Trainer:
    def __init__(self, args: argparse.Namespace) -> None:
        self.args = args
        torch.manual_seed(args.seed)
        args.out.mkdir(parents=True, exist_ok=True)
        self.tokenizer = Tokenizer.from_json(args.vocab.read_text())
        shape = Shape(
            vocab=-(-len(self.tokenizer) // 64) * 64, width=args.width, layers=args.layers,
            heads=args.width // 64, hidden=args.hidden, context=args.context,
        )  # fmt: skip
        self.model = TinyLM(shape)
        self.state: dict[str, Any] = {"step": 0, "tokens": 0, "started": time.time()}
        self.latest = args.out / "latest.pt"
        saved = None
        if self.latest.exists():
            saved = torch.load(self.latest, weights_only=False)
            self.state = saved["state"]
            if saved["vocab"] != args.vocab.read_text():
                old, new = json.loads(saved["vocab"]), json.loads(args.vocab.read_text())
                saved["model"]["embed"] = carried(saved["model"]["embed"], old, new, shape.vocab)
            self.model.load_state_dict(saved["model"])
        elif args.start:
            from safetensors.torch import load_file

            self.model.load_state_dict({k: v.float() for k, v in load_file(args.start).items()})
        self.shared = Shared(self.model, args.processes)
        if saved and saved["first"].numel() == self.shared.first.numel():
            self.shared.first.copy_(saved["first"])
            self.shared.second.copy_(saved["second"])
        self.board = Board(args.processes, self.state)
        self.end = self.state["started"] + args.minutes * 60 if args.until is None else args.until

    def write(self, **record: object) -> None:
        with (self.args.out / "log.jsonl").open("a") as log:
            log.write(json.dumps(record) + "\n")

    def save(self) -> None:
        self.state |= {"step": int(self.board.step), "tokens": int(self.board.tokens)}
        torch.save(
            {
                "model": self.model.state_dict(), "first": self.shared.first, "second": self.shared.second,
                "state": self.state, "shape": self.model.shape.to_dict(), "vocab": self.args.vocab.read_text(),
            },
            self.args.out / "next.pt",
        )  # fmt: skip
        (self.args.out / "next.pt").rename(self.latest)

    def evaluate(self, count: int) -> None:
        for held_out in (False, True):
            table = evaluate(self.model, self.tokenizer, held_out=held_out, count=count, seed=7)
            self.write(event="eval", held_out=held_out, tokens=int(self.board.tokens), table=table)

    def plan(self, rng: Random, stopping: list[int]) -> None:
        """Say what the next step is; only the first process does."""
        board, now = self.board, time.time()
        progress = (now - self.state["started"]) / (self.end - self.state["started"])
        board.progress[0] = progress
        board.numbers[0] = 0
        board.numbers[1] = 2 if board.tokens < 4_000_000 else 4
        board.numbers[2] = STOPPED if stopping else DONE if progress >= 1 else GOING
        mix = lengths(progress, int(board.tokens))
        board.numbers[3] = rng.choices(list(mix), list(mix.values()))[0]

    def run(self, rank: int) -> None:
        """Train until the time is over or a signal comes."""
        torch.set_num_threads(1)
        args, board, shared = self.args, self.board, self.shared
        shared.adopt(self.model)
        rng = Random(f"{args.seed}/{rank}/{int(board.step)}")
        stopping: list[int] = []
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda n, _: stopping.append(n))
        loss_of = self.model.loss if args.eager else torch.compile(self.model.loss, dynamic=False)
        watch = Watch(self) if rank == 0 else None
        while True:
            if rank == 0:
                self.plan(rng, stopping)
            board.barrier.wait()
            if board.numbers[2] != GOING:
                break
            micros, length = int(board.numbers[1]), int(board.numbers[3])
            easy = bool(board.tokens < EASY)
            while board.take():
                loss = loss_of(*batch(rng, self.tokenizer, MICRO, length, easy=easy)) / micros
                loss.backward()
                with board.lock:
                    board.losses += torch.tensor([float(loss) * micros, 1.0], dtype=torch.float64)
            shared.give(self.model, rank)
            board.barrier.wait()
            step = int(board.step) + 1
            scale = min(1.0, step / 60, max(0.0, 1 - float(board.progress)) / 0.3)
            shared.update(rank, args.processes, step, scale)
            board.barrier.wait()
            if watch:
                board.step += 1
                board.tokens += MICRO * micros
                watch.look()
        if rank == 0:
            self.save()
            if board.numbers[2] == DONE:
                self.evaluate(240)
            self.write(event="stopped" if board.numbers[2] == STOPPED else "end", **self.state)


class Watch:
    """Logs, saves and evaluates now and then."""

    def __init__(self, trainer: Trainer) -> None:
        self.trainer = trainer
        self.logged = self.saved = time.time()
        self.then = self.evaluated = int(trainer.board.tokens)

    def look(self) -> None:
        board, now = self.trainer.board, time.time()
        tokens = int(board.tokens)
        if now - self.logged > 30:
            self.trainer.write(
                event="train", step=int(board.step), tokens=tokens,
                loss=round(float(board.losses[0] / board.losses[1]), 4),
                rate=round((tokens - self.then) / (now - self.logged)),
                progress=round(float(board.progress), 4), clock=time.strftime("%H:%M:%S"),
            )  # fmt: skip
            board.losses.zero_()
            self.logged, self.then = now, tokens
        if now - self.saved > 180:
            self.trainer.save()
            self.saved = now
        if tokens - self.evaluated > 3_000_000:
            self.evaluated = tokens
            self.trainer.evaluate(64)
            self.logged, self.then = time.time(), tokens


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--vocab", type=Path, default=HERE.parents[1] / "src/telic/lm/tiny/vocab.json")
    parser.add_argument("--start", type=Path, default=None, help="exported weights to begin from")
    parser.add_argument("--minutes", type=float, default=100, help="wall time from the first start")
    parser.add_argument("--until", type=float, default=None, help="or: a time (seconds since 1970) to end at")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--width", type=int, default=256)
    parser.add_argument("--layers", type=int, default=4)
    parser.add_argument("--hidden", type=int, default=704)
    parser.add_argument("--context", type=int, default=2048)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--eager", action="store_true")
    args = parser.parse_args()
    torch.set_num_threads(1)
    trainer = Trainer(args)
    trainer.write(
        event="start",
        parameters=trainer.shared.values.numel(),
        shape=trainer.model.shape.to_dict(),
        **trainer.state,
    )
    others = [mp.get_context("fork").Process(target=trainer.run, args=(r,)) for r in range(1, args.processes)]
    for process in others:
        process.start()
    trainer.run(0)
    for process in others:
        process.join()


if __name__ == "__main__":
    main()
