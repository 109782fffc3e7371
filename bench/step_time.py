"""The time of a training step beside TRL's: the same model, batch, lengths, precision and number of threads.

    python bench/step_time.py [--rounds 5] [--steps 6] [--json FILE]      # needs telic[train] and trl

A Llama with random weights learns rows of equal length. For each kind of step the two sides take turns, A-B-A-B, some
steps at a time; the first step of each turn is left out. A step is what lies between two updates: forward, backward,
clipping and AdamW; of GRPO without the rollouts, which here are the same fixed ones, and without TRL's copies of data
to a device. telic's steps also turn text into tokens (GRPO) and write their line of `progress.jsonl`. Processor seconds
are those of this process alone: other work on the machine counts less in them than in wall time. That both learn the
same is checked: the first losses and, in full, norms of gradients of both sides must agree, or it ends.
"""

from __future__ import annotations

import argparse
import json
import logging
import statistics
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random
from typing import Any, Final, NamedTuple

import peft
import tokenizers
import torch
import transformers
import trl

import datasets
from telic.training import (
    ChatRow,
    GRPOLearner,
    GRPOSettings,
    HeardCall,
    RewardGroup,
    SFTSettings,
    finetune,
    open_trainable,
)
from telic.training._grpo_groups import Member
from telic.training._hub import HubTrainable

WORDS: Final = 2_000
PROMPT, REPLY, ROWS = 128, 64, 8
RATE, RANK, CLIP = 1e-4, 16, 1e6
KINDS: Final = ("SFT, full", "SFT, LoRA", "GRPO, full", "GRPO, LoRA")


class Turn(NamedTuple):
    """Some steps of one side, after the first."""

    wall: list[float]
    cpu: list[float]
    first: tuple[float, float]
    """Loss of the first step, and norm of its gradients."""


class Clock:
    """Notes how long steps took."""

    def __init__(self) -> None:
        self.wall: list[float] = []
        self.cpu: list[float] = []
        self.start()

    def start(self) -> None:
        self._began = time.perf_counter(), time.process_time()

    def stop(self) -> None:
        self.wall.append(time.perf_counter() - self._began[0])
        self.cpu.append(time.process_time() - self._began[1])

    def turn(self, loss: float, norm: float) -> Turn:
        return Turn(self.wall[1:], self.cpu[1:], (loss, norm))


def make_model(folder: Path) -> int:
    """Write a small Llama with random weights; return how many parameters it has."""
    torch.manual_seed(0)
    vocabulary = {"<pad>": 0, "</s>": 1, **{f"w{at}": at + 2 for at in range(WORDS)}}
    made = tokenizers.Tokenizer(tokenizers.models.WordLevel(vocabulary, unk_token="<pad>"))
    made.pre_tokenizer = tokenizers.pre_tokenizers.WhitespaceSplit()
    tokenizer = transformers.PreTrainedTokenizerFast(
        tokenizer_object=made, pad_token="<pad>", eos_token="</s>"
    )
    tokenizer.chat_template = "{% for m in messages %}{{ m['content'] }} {% endfor %}"
    config = transformers.LlamaConfig(
        vocab_size=16_384, hidden_size=256, intermediate_size=768, num_hidden_layers=8, num_attention_heads=4,
        num_key_value_heads=2, tie_word_embeddings=True, eos_token_id=1, pad_token_id=0, bos_token_id=None,
    )  # fmt: skip
    model = transformers.AutoModelForCausalLM.from_config(config)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return sum(p.numel() for p in model.parameters())


def make_rows(rng: Random) -> list[ChatRow]:
    def words(count: int) -> str:
        return " ".join(f"w{rng.randrange(WORDS)}" for _ in range(count))

    return [ChatRow(({"role": "user", "content": words(PROMPT)},), words(REPLY - 1)) for _ in range(ROWS)]


# telic


def telic_sft(name: str, rows: list[ChatRow], method: str, steps: int) -> Turn:
    clock, told = Clock(), []

    def watch(progress: Any) -> None:
        clock.stop()
        told.append(progress)
        clock.start()

    settings = SFTSettings(
        method, rank=RANK, steps=steps, batch_size=ROWS, learning_rate=RATE, warmup=0.0, schedule="constant",
        checkpoint_every=10**6, clip=CLIP,
    )  # fmt: skip
    with tempfile.TemporaryDirectory() as folder, begun(clock):
        finetune(name, rows, folder, settings, watch=watch)
    return clock.turn(told[0].loss, told[0].norm)


@contextmanager
def begun(clock: Clock) -> Iterator[None]:
    """Start the clock when the network is ready: loading is no step."""
    ready = HubTrainable.training

    def training(self: HubTrainable, on: bool) -> None:
        ready(self, on)
        clock.start()

    HubTrainable.training = training
    try:
        yield
    finally:
        HubTrainable.training = ready


def telic_grpo(name: str, rows: list[ChatRow], method: str, steps: int) -> Turn:
    members = tuple(
        Member(HeardCall("p", rows[0].messages, row.reply), float(at % 2)) for at, row in enumerate(rows)
    )
    settings = GRPOSettings(method, rank=RANK, learning_rate=RATE, beta=0.0, rows_at_once=ROWS, clip=CLIP)
    clock, told = Clock(), []
    with tempfile.TemporaryDirectory() as folder:
        learner = GRPOLearner(name, Path(folder), settings, steps=steps, seed=0, longest=REPLY)
        learner.resume(0)
        for _ in range(steps):
            clock.start()
            told.append(learner.step([RewardGroup("p", 0, members)]))
            clock.stop()
    return clock.turn(told[0].loss, told[0].norm)


class Share:
    """How much of telic's time is spent in the network: forward with the head, and backward."""

    seconds = 0.0

    @classmethod
    @contextmanager
    def measured(cls) -> Iterator[None]:
        forward, backward = HubTrainable.logprobs, torch.Tensor.backward
        cls.seconds = 0.0

        def timed(function: Callable[..., Any]) -> Callable[..., Any]:
            def call(*args: Any, **kwargs: Any) -> Any:
                started = time.process_time()
                try:
                    return function(*args, **kwargs)
                finally:
                    cls.seconds += time.process_time() - started

            return call

        HubTrainable.logprobs, torch.Tensor.backward = timed(forward), timed(backward)
        try:
            yield
        finally:
            HubTrainable.logprobs, torch.Tensor.backward = forward, backward


# TRL


class Timed(transformers.TrainerCallback):
    """Notes steps, and the first norm; that is never cut, so the gradients are as they came."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.norm = -1.0

    def on_pre_optimizer_step(
        self, args: Any, state: Any, control: Any, *, model: Any, **kwargs: Any
    ) -> None:
        if self.norm < 0:
            gradients = [p.grad for p in model.parameters() if p.grad is not None]
            self.norm = float(torch.nn.utils.get_total_norm(gradients))

    def on_step_begin(self, *args: Any, **kwargs: Any) -> None:
        self.clock.start()

    def on_step_end(self, *args: Any, **kwargs: Any) -> None:
        self.clock.stop()


def trl_settings(folder: str, steps: int) -> dict[str, Any]:
    return {
        "output_dir": folder, "max_steps": steps, "per_device_train_batch_size": ROWS, "learning_rate": RATE,
        "lr_scheduler_type": "constant", "use_cpu": True, "bf16": False, "gradient_checkpointing": False,
        "logging_strategy": "no", "save_strategy": "no", "report_to": "none", "disable_tqdm": True, "seed": 0,
        "max_grad_norm": CLIP, "optim": "adamw_torch", "dataloader_pin_memory": False,
    }  # fmt: skip


def lora(method: str) -> Any:
    if method == "full":
        return None
    return peft.LoraConfig(
        r=RANK, lora_alpha=32, lora_dropout=0.0, target_modules="all-linear", task_type="CAUSAL_LM"
    )


def trl_sft(name: str, rows: list[ChatRow], method: str, steps: int) -> Turn:
    network = open_trainable(name)
    tokens = [network.encode(row.messages, row.reply) for row in rows]
    data = datasets.Dataset.from_list([
        {"input_ids": row.prompt + row.reply, "completion_mask": [0] * len(row.prompt) + [1] * len(row.reply)}
        for row in tokens
    ])  # fmt: skip
    folder, timed, losses = name.partition("/")[2], Timed(Clock()), []

    class Trainer(trl.SFTTrainer):
        def compute_loss(self, *args: Any, **kwargs: Any) -> Any:
            loss = super().compute_loss(*args, **kwargs)
            losses.append((loss[0] if isinstance(loss, tuple) else loss).detach())
            return loss

    with tempfile.TemporaryDirectory() as place:
        trainer = Trainer(
            transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32),
            args=trl.SFTConfig(**trl_settings(place, steps), completion_only_loss=True),
            train_dataset=data,
            processing_class=transformers.AutoTokenizer.from_pretrained(folder),
            peft_config=lora(method),
            callbacks=[timed],
        )
        assert not trainer.model.is_gradient_checkpointing
        trainer.train()
    return timed.clock.turn(float(losses[0]), timed.norm)


def trl_grpo(name: str, rows: list[ChatRow], method: str, steps: int) -> Turn:
    network = open_trainable(name)
    tokens = [network.encode(rows[0].messages, row.reply) for row in rows]
    rewards = torch.tensor([float(at % 2) for at in range(ROWS)])
    fixed = {
        "prompt_ids": torch.tensor([row.prompt for row in tokens]),
        "prompt_mask": torch.ones(ROWS, PROMPT, dtype=torch.long),
        "completion_ids": torch.tensor([row.reply for row in tokens]),
        "completion_mask": torch.ones(ROWS, REPLY, dtype=torch.long),
        "advantages": (rewards - rewards.mean()) / (rewards.std() + 1e-4),
        "num_items_in_batch": torch.tensor(ROWS * REPLY),
    }
    folder, timed, losses = name.partition("/")[2], Timed(Clock()), []

    class Trainer(trl.GRPOTrainer):
        def _prepare_inputs(self, generation_batch: Any) -> Any:
            return dict(fixed)

        def compute_loss(self, *args: Any, **kwargs: Any) -> Any:
            loss = super().compute_loss(*args, **kwargs)
            losses.append(loss.detach())
            return loss

    with tempfile.TemporaryDirectory() as place:
        trainer = Trainer(
            transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32),
            reward_funcs=lambda completions, **_: [0.0] * len(completions),
            args=trl.GRPOConfig(
                **trl_settings(place, steps), num_generations=ROWS, beta=0.0, loss_type="grpo",
                max_completion_length=REPLY,
            ),
            train_dataset=datasets.Dataset.from_list([{"prompt": "w1 w2"}] * ROWS),
            processing_class=transformers.AutoTokenizer.from_pretrained(folder),
            peft_config=lora(method),
            callbacks=[timed],
        )  # fmt: skip
        assert not trainer.model.is_gradient_checkpointing
        trainer.train()
    return timed.clock.turn(float(losses[0]), timed.norm)


# Both


def compare(kind: str, name: str, rows: list[ChatRow], rounds: int, steps: int) -> dict[str, Any]:
    task, _, method = kind.lower().partition(", ")
    ours, theirs = (telic_sft, trl_sft) if task == "sft" else (telic_grpo, trl_grpo)
    found: dict[str, list[Turn]] = {"telic": [], "trl": []}
    inside = total = 0.0
    for _ in range(rounds):
        with Share.measured():
            turn = ours(name, rows, method, steps)
        inside += Share.seconds * (steps - 1) / steps
        total += sum(turn.cpu)
        found["telic"].append(turn)
        found["trl"].append(theirs(name, rows, method, steps))
    made: dict[str, Any] = {"kind": kind, "in the network": inside / total}
    for side, turns in found.items():
        made[side] = {
            "wall": statistics.median(s for turn in turns for s in turn.wall),
            "cpu": statistics.median(s for turn in turns for s in turn.cpu),
            "first": turns[0].first,
        }
    # LoRA begins at random, and each side draws for itself: then the losses alone are the same.
    compared = 1 if method == "lora" else 2
    for one, other in zip(made["telic"]["first"][:compared], made["trl"]["first"][:compared], strict=True):
        if abs(one - other) > 1e-4 * max(1.0, abs(other)):
            raise SystemExit(f"the two sides do not learn the same: {made}")
    for clock in ("wall", "cpu"):
        ratios = [
            statistics.median(getattr(a, clock)) / statistics.median(getattr(b, clock))
            for a, b in zip(found["telic"], found["trl"], strict=True)
        ]
        made[f"{clock} ratio"] = [statistics.median(ratios), min(ratios), max(ratios)]
    return made


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=6)
    parser.add_argument("--kinds", nargs="*", default=list(KINDS), choices=KINDS)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    transformers.utils.logging.disable_progress_bar()
    datasets.disable_progress_bars()
    transformers.trainer_callback.PrinterCallback.on_log = lambda *args, **kwargs: None
    with tempfile.TemporaryDirectory() as folder:
        count = make_model(Path(folder))
        rows = make_rows(Random(0))
        print(
            f"Llama of {count / 1e6:.1f} M parameters, {ROWS} rows of {PROMPT} + {REPLY} tokens, float32, one thread; "
            f"{given.rounds} turns of {given.steps - 1} steps each; torch {torch.__version__}, TRL {trl.__version__}\n"
        )
        print(
            "| step | telic, CPU ms | TRL, CPU ms | telic / TRL, CPU | telic / TRL, wall | telic: in the network |\n"
            "|---|---|---|---|---|---|"
        )
        results = []
        for kind in given.kinds:
            made = compare(kind, f"local/{folder}", rows, given.rounds, given.steps)
            results.append(made)
            cpu, wall = ("{:.2f} ({:.2f} to {:.2f})".format(*made[f"{c} ratio"]) for c in ("cpu", "wall"))
            print(
                f"| {kind} | {made['telic']['cpu'] * 1e3:,.0f} | {made['trl']['cpu'] * 1e3:,.0f} | {cpu} | {wall} "
                f"| {made['in the network']:.0%} |",
                flush=True,
            )
    if given.json is not None:
        given.json.write_text(json.dumps(results, indent=1))


if __name__ == "__main__":
    main()
