"""Train `telic/tiny` on a CPU (or a GPU), for a given wall time.

    python training/tiny/train.py --out /some/folder --minutes 70

Resumable: the same command continues from the folder's last checkpoint; what remains of the time is measured from the
first start. Muon (matrices) and AdamW (embedding and gains); learning rate constant, then linear to 0 over the last
30 % of the time, in which the long rows come in too.
"""

from __future__ import annotations

import argparse
import json
import signal
import time
from pathlib import Path
from random import Random

import torch
from batches import batch, context
from model import Shape, TinyLM
from torch import Tensor

from telic.datasets.tiny import _mix
from telic.lm.tiny._tokenizer import PAD, Tokenizer

VOCAB = Path(__file__).parents[2] / "src/telic/lm/tiny/vocab.json"
MICRO = 4096  # tokens of one forward and backward pass


def newton_schulz(g: Tensor) -> Tensor:
    """Return the nearest orthogonal matrix, roughly: five steps of the quintic iteration of Muon (Jordan 2024)."""
    a, b, c = 3.4445, -4.7750, 2.0315
    x = g.bfloat16()
    turned = x.shape[-2] > x.shape[-1]
    if turned:
        x = x.mT
    x = x / (x.norm(dim=(-2, -1), keepdim=True) + 1e-7)
    for _ in range(5):
        s = x @ x.mT
        x = a * x + (b * s + c * s @ s) @ x
    return (x.mT if turned else x).float()


class Muon:
    def __init__(self, matrices: list[tuple[torch.nn.Parameter, int]], lr: float) -> None:
        self.matrices, self.lr = matrices, lr
        self.momentum = [torch.zeros_like(p) for p, _ in matrices]

    @torch.no_grad()
    def step(self, scale: float) -> None:
        lr = self.lr * scale
        for (p, parts), m in zip(self.matrices, self.momentum, strict=True):
            m.mul_(0.95).add_(p.grad, alpha=0.05)
            update = p.grad.lerp(m, 0.95)
            p.mul_(1 - 0.05 * lr)
            # q, k, v and gate, up lie in one tensor; each is orthogonalised for itself
            for target, u in zip(p.chunk(parts), update.chunk(parts), strict=True):
                shape = max(1.0, u.shape[0] / u.shape[1]) ** 0.5
                target.add_(newton_schulz(u), alpha=-lr * shape)


def lengths(progress: float, tokens: int) -> tuple[dict[int, float], bool]:
    """Return the mix of row lengths, and whether the tasks are the easy ones."""
    if tokens < 1_200_000:
        return {256: 1.0}, True
    if progress < 0.7:
        return {128: 0.25, 256: 0.5, 512: 0.25}, False
    return {128: 0.2, 256: 0.35, 512: 0.25, 1024: 0.2}, False


def family(name: str) -> str:
    return name.split("/silent")[0].split("/told")[0]


@torch.no_grad()
def evaluate(model: TinyLM, tokenizer: Tokenizer, *, held_out: bool, count: int, seed: int) -> dict:
    """Whole last values right under teacher forcing, by family and number of examples before (0, 1-2, 3-6, 7+)."""
    rng = Random(seed)
    hits: dict[str, dict[str, list[int]]] = {}
    for _ in range(count // 8):
        made = [context(rng, tokenizer, _mix.draw_task(rng, held_out=held_out), 512) for _ in range(8)]
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
                cell = hits.setdefault(family(c.task.family), {}).setdefault(column, [0, 0])
                cell[0] += bool(right[r, s.start - 1 : s.stop - 1].all())
                cell[1] += 1
    return {f: {c: f"{a / n:.2f}/{n}" for c, (a, n) in sorted(v.items())} for f, v in sorted(hits.items())}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=70, help="wall time from the first start")
    parser.add_argument("--until", type=float, default=None, help="or: a time (seconds since 1970) to end at")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--width", type=int, default=192)
    parser.add_argument("--layers", type=int, default=4)
    parser.add_argument("--hidden", type=int, default=512)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--eager", action="store_true")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.manual_seed(args.seed)
    args.out.mkdir(parents=True, exist_ok=True)
    tokenizer = Tokenizer.from_json(VOCAB.read_text())
    shape = Shape(
        vocab=-(-len(tokenizer) // 16) * 16,
        width=args.width,
        layers=args.layers,
        heads=args.width // 64,
        hidden=args.hidden,
    )
    model = TinyLM(shape)
    matrices = [
        (p, parts) for b in model.blocks for p, parts in ((b.qkv, 3), (b.out, 1), (b.gate_up, 2), (b.down, 1))
    ]
    muon = Muon(matrices, 0.02)
    ids = {id(p) for p, _ in matrices}
    adam = torch.optim.AdamW(
        [p for p in model.parameters() if id(p) not in ids], lr=4e-3, betas=(0.9, 0.95), weight_decay=0.0
    )
    state = {"step": 0, "tokens": 0, "started": time.time()}
    latest = args.out / "latest.pt"
    if latest.exists():
        saved = torch.load(latest, weights_only=False)
        model.load_state_dict(saved["model"])
        adam.load_state_dict(saved["adam"])
        muon.momentum = saved["muon"]
        state = saved["state"]
    rng = Random(args.seed * 1_000_003 + state["step"])
    end = state["started"] + args.minutes * 60 if args.until is None else args.until
    log = (args.out / "log.jsonl").open("a")

    def write(**record: object) -> None:
        log.write(json.dumps(record) + "\n")
        log.flush()

    def save() -> None:
        torch.save(
            {
                "model": model.state_dict(),
                "adam": adam.state_dict(),
                "muon": muon.momentum,
                "state": state,
                "shape": shape.to_dict(),
            },
            args.out / "next.pt",
        )
        (args.out / "next.pt").rename(latest)

    write(
        event="start", parameters=sum(p.numel() for p in model.parameters()), shape=shape.to_dict(), **state
    )
    loss_of = model.loss if args.eager else torch.compile(model.loss, dynamic=False)
    last_log = last_save = time.time()
    last_eval, tokens_then, losses = state["tokens"], state["tokens"], []
    stopping: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, _: stopping.append(number))  # save, then go
    while not stopping:
        now = time.time()
        progress = (now - state["started"]) / (end - state["started"])
        if progress >= 1:
            break
        scale = min(1.0, (state["step"] + 1) / 60, max(0.0, 1 - progress) / 0.3)
        micro = 1 if state["tokens"] < 4_000_000 else 2
        mix, easy = lengths(progress, state["tokens"])
        for _ in range(micro):
            length = rng.choices(list(mix), list(mix.values()))[0]
            b = batch(rng, tokenizer, MICRO, length, easy=easy)
            loss = loss_of(*b) / micro
            loss.backward()
            losses.append(loss.item() * micro)
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        muon.step(scale)
        for group in adam.param_groups:
            group["lr"] = 4e-3 * scale
        adam.step()
        model.zero_grad(set_to_none=False)
        state["step"] += 1
        state["tokens"] += MICRO * micro
        now = time.time()
        if now - last_log > 30:
            write(
                event="train",
                step=state["step"],
                tokens=state["tokens"],
                loss=round(sum(losses) / len(losses), 4),
                rate=round((state["tokens"] - tokens_then) / (now - last_log)),
                progress=round(progress, 4),
                clock=time.strftime("%H:%M:%S"),
            )
            last_log, tokens_then, losses = now, state["tokens"], []
        if now - last_save > 180:
            save()
            last_save = now
        if state["tokens"] - last_eval > 2_000_000:
            last_eval = state["tokens"]
            for held_out in (False, True):
                write(
                    event="eval",
                    held_out=held_out,
                    tokens=state["tokens"],
                    table=evaluate(model, tokenizer, held_out=held_out, count=64, seed=7),
                )
            last_log, tokens_then = time.time(), state["tokens"]
    save()
    if stopping:
        write(event="stopped", **state)
        return
    for held_out in (False, True):
        write(
            event="eval",
            held_out=held_out,
            tokens=state["tokens"],
            table=evaluate(model, tokenizer, held_out=held_out, count=240, seed=8),
        )
    write(event="end", **state)


if __name__ == "__main__":
    main()
