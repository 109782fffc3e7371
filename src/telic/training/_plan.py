"""What a finetuning will take, before it is begun: rows, tokens, updates, memory, and time by one measured batch.

Memory is counted: weights, gradients and two moments of what is trained, and what the longest batch holds on its way
back. Time is measured on the rows with most tokens, once there and back, without an update.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from telic._optional import load
from telic.errors import ConfigurationError
from telic.lm.local._open import (
    base_of,
    best_device,
    check_bases,
    config_of,
    free_bytes,
    precision_of,
    size_of,
)
from telic.training._lengths import Encoded, Learnable, encoded
from telic.training._open import model_of, open_trainable, tiny_files
from telic.training._settings import SFTSettings
from telic.training._trainable import Trainable

MOMENTS: Final = 12  # bytes of gradient and two moments, for each number that is trained


class TrainingPlan(NamedTuple):
    """What a finetuning will take; `str` of it is a table."""

    model: str
    device: str
    method: str
    parameters: int
    trained: int
    rows: int
    dropped: int
    cut: int
    tokens: int
    """Of one epoch."""
    reply_tokens: int
    """Those of them that are learned."""
    longest: int
    """Tokens of the longest row, before it is cut."""
    steps: int
    memory_bytes: int
    free_bytes: int | None
    """What the device had left before the weights were loaded, roughly; None: it cannot tell."""
    seconds: float | None
    """None: nothing was measured."""

    def __str__(self) -> str:
        long = f" ({self.dropped} dropped and {self.cut} cut: too long)" if self.dropped or self.cut else ""
        free = "unknown" if self.free_bytes is None else f"{self.free_bytes / 1e9:.2f} GB"
        seconds = (
            "not measured"
            if self.seconds is None
            else f"{self.seconds:,.0f} s on this machine, as busy as it is"
        )
        return "\n".join((
            f"model       {self.model} on {self.device}: {self.parameters:,} parameters",
            f"trained     {self.trained:,} of them ({self.method})",
            f"rows        {self.rows:,}{long}",
            f"tokens      {self.tokens:,} an epoch, {self.reply_tokens:,} of them learned; {self.longest:,} in a row",
            f"updates     {self.steps:,}",
            f"memory      {self.memory_bytes / 1e9:.2f} GB; free: {free}",
            f"time        {seconds}",
        ))  # fmt: skip


def plan_finetune(
    lm: Any, rows: Sequence[Learnable], settings: SFTSettings | None = None, *, measure: bool = True
) -> TrainingPlan:
    """Return what `finetune` would take; nothing is trained or written.

    Args:
        lm: As for `finetune`.
        rows: As for `finetune`.
        settings: As for `finetune`.
        measure: Compute one batch to tell the time.

    Raises:
        MissingExtraError: torch, transformers or peft is not installed.
        ConfigurationError: The LM cannot be trained here, or no row can be learned from. That it would not fit into
            memory is told, not raised, as long as the weights alone fit.
    """
    chosen = (SFTSettings() if settings is None else settings).checked()
    network = open_trainable(lm, chosen.adaptation, device=chosen.device, dtype=chosen.dtype)
    ready = encoded(network, rows, chosen)
    needs, memory = network.needs(), memory_of(network, ready, chosen)
    left = free_bytes(network.device)
    fits = left is None or memory - needs.weight_bytes <= left
    steps = steps_of(ready, chosen)
    return TrainingPlan(
        network.name,
        network.device,
        chosen.method,
        needs.parameters,
        needs.trained,
        ready.items,
        ready.dropped,
        ready.cut,
        ready.tokens,
        ready.reply_tokens,
        ready.longest,
        steps,
        memory,
        None if left is None else left + needs.weight_bytes,
        _seconds(network, ready, chosen, steps) if measure and fits else None,
    )


def steps_of(ready: Encoded, settings: SFTSettings) -> int:
    """Return how many updates there will be."""
    if settings.steps is not None:
        return settings.steps
    return settings.epochs * math.ceil(ready.items / settings.batch_size)


def memory_of(network: Trainable, ready: Encoded, settings: SFTSettings) -> int:
    """Return the bytes that training holds on a device at its highest, roughly."""
    needs = network.needs()
    longest = max(row.length for row in ready.rows)
    one = (
        needs.weight_bytes
        + needs.trained * MOMENTS
        + settings.held * ready.span * longest * needs.token_bytes
    )
    return one * _sharing(network, settings)


def _sharing(network: Trainable, settings: SFTSettings) -> int:
    """Return how many processes a device has to hold: a GPU one, the machine's memory all."""
    return 1 if network.device.startswith("cuda") else settings.in_processes


def check_size(lm: Any, settings: SFTSettings, *, copies: int = 1) -> None:
    """Refuse a model that cannot fit, by its configuration alone: before its weights are read or anything is paid for.

    Args:
        lm: The model.
        settings: How it is trained, and where.
        copies: How often its weights are in memory: twice where they are compared with what they were.

    Raises:
        ConfigurationError: Weights, gradients and moments need more than the device has, or it is an adapter of other
            base weights.
        LMUnsupportedModelError: There is no such model.
    """
    name = model_of(lm)
    if tiny_files(name) is not None:
        return
    base, adapters = base_of(name.partition("/")[2])
    config = config_of(base)
    check_bases(base, adapters, config)
    device = best_device() if settings.device is None else settings.device
    size = size_of(config, precision_of(config, device, settings.dtype))
    weights = copies * size.bytes
    moments = size.parameters * MOMENTS if settings.method == "full" else 0
    free = free_bytes(device)
    if free is not None and weights + moments > free:
        raise ConfigurationError(
            f"training {name!r} ({settings.method}) needs {(weights + moments) / 1e9:.1f} GB at least: "
            f"{weights / 1e9:.1f} GB for {size.parameters:,} weights{' twice' if copies > 1 else ''}, "
            f"{moments / 1e9:.1f} GB for what is learned; "
            f"{device!r} has {free / 1e9:.1f} GB left. Take "
            + ("method='lora', " if moments else "")
            + "dtype='bfloat16', a smaller model, or another device"
        )


def check_room(network: Trainable, ready: Encoded, settings: SFTSettings) -> None:
    """Refuse a training that will not fit; the weights are in memory already.

    Raises:
        ConfigurationError: It needs more than the device has left.
    """
    needs, free, sharing = network.needs(), free_bytes(network.device), _sharing(network, settings)
    more = memory_of(network, ready, settings) - needs.weight_bytes * sharing
    if free is None or more <= free:
        return
    moments = needs.trained * MOMENTS * sharing
    raise ConfigurationError(
        f"training {network.name!r} ({settings.method}) needs {more / 1e9:.1f} GB beside its weights, and "
        f"{network.device!r} has {free / 1e9:.1f} GB left: {moments / 1e9:.1f} GB for gradients and moments of "
        f"{needs.trained:,} numbers, {(more - moments) / 1e9:.1f} GB for {settings.held * sharing} rows of up to "
        f"{max(row.length for row in ready.rows):,} tokens at once. Take method='lora', a smaller rows_at_once= (the "
        "training goes on with it), a smaller max_length=, or a smaller model"
    )


def _seconds(network: Trainable, ready: Encoded, settings: SFTSettings, steps: int) -> float:
    """Return how long the updates will take, by the longest rows that are in memory at once."""
    batch = sorted(ready.rows, key=lambda row: row.length)[-settings.held * ready.span :]
    tensors = list(network.parameters().values())
    took = 0.0
    for _ in range(2):  # the first one also pays for what is made only once
        started = time.perf_counter()
        load("torch").autograd.grad(network.logprobs(batch).sum(), tensors, allow_unused=True)
        took = time.perf_counter() - started
    per_token = took / sum(row.length for row in batch)
    items = math.ceil(min(settings.batch_size, ready.items) / settings.in_processes)
    first = (
        per_token * ready.tokens / 3 if ready.span > 1 else 0.0
    )  # what the weights say of pairs, there alone
    return first + per_token * ready.tokens / ready.items * items * steps
