"""What GRPO will take, before a rollout is made: memory of its largest update, tokens, and time by measured pieces.

Memory is counted as for finetuning (`_plan`): gradients and moments of what is trained, the weights as they were where
`beta` asks for them and LoRA does not keep them, and what the largest part of an update holds on its way back. What
later predictors of a program will be asked is not known beforehand; so each step counts its own rows once more, and
ends the training with the numbers before the machine does without.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Final, NamedTuple

from telic._optional import load
from telic.data import Request
from telic.errors import ConfigurationError
from telic.lm.local._open import free_bytes
from telic.training._grpo_settings import GRPOSettings
from telic.training._plan import MOMENTS
from telic.training._trainable import TokenRow, Trainable

if TYPE_CHECKING:
    from telic.data import Message

_DRAWN: Final = 64  # most tokens of the replies that time is measured by


class AskedPrompt(NamedTuple):
    """A prompt as far as it is known before the program runs."""

    messages: tuple[Message, ...]
    open_inputs: int = 0
    """Inputs that replies of other predictors will fill: each counts as a reply of the greatest length."""


class GRPOWork(NamedTuple):
    """A network with what GRPO will do to it."""

    network: Trainable
    settings: GRPOSettings
    replies: int
    """Of one step."""
    longest: int
    """Most tokens of prompt and reply together."""

    @property
    def kept_bytes(self) -> int:
        """What stays in memory from step to step, beside the weights."""
        needs = self.network.needs()
        twice = bool(self.settings.beta) and self.settings.method == "full"
        return needs.trained * MOMENTS + (needs.weight_bytes if twice else 0)

    @property
    def held(self) -> int:
        """Rows that are in memory at once."""
        return min(self.replies, self.settings.rows_at_once)

    @property
    def part_bytes(self) -> int:
        """What the largest part of an update holds."""
        return self.held * self.longest * self.network.needs().token_bytes


class GRPOPlan(NamedTuple):
    """What the updates of GRPO will take, at most; `str` of it is a table."""

    model: str
    device: str
    method: str
    parameters: int
    trained: int
    steps: int
    replies: int
    """Of one step, if each predictor is called once in a rollout."""
    longest: int
    """Tokens of prompt and reply, as far as prompts are known."""
    tokens: int
    """That go through the network in all updates, at most."""
    memory_bytes: int
    free_bytes: int | None
    """What the device had left before the weights were loaded, roughly; None: it cannot tell."""
    reply_seconds: float | None
    """Of all rollouts, those for validations left out; None: nothing was measured."""
    update_seconds: float | None
    """Of all updates, at most."""

    def __str__(self) -> str:
        free = "unknown" if self.free_bytes is None else f"{self.free_bytes / 1e9:.2f} GB"
        spent = "not measured"
        if self.reply_seconds is not None and self.update_seconds is not None:
            spent = (
                f"{self.reply_seconds:,.0f} s of rollouts, at most {self.update_seconds:,.0f} s of updates, on this "
                "machine, as busy as it is"
            )
        return "\n".join((
            f"model       {self.model} on {self.device}: {self.parameters:,} parameters",
            f"trained     {self.trained:,} of them ({self.method})",
            f"steps       {self.steps:,} of {self.replies:,} replies, with their prompts up to {self.longest:,} tokens",
            f"tokens      {self.tokens:,} at most",
            f"memory      {self.memory_bytes / 1e9:.2f} GB; free: {free}",
            f"time        {spent}",
        ))  # fmt: skip


def work_of_grpo(
    network: Trainable, settings: GRPOSettings, prompts: Sequence[AskedPrompt], *, replies: int, reply: int
) -> GRPOWork:
    """Return what GRPO will do to a network.

    Args:
        network: The network.
        settings: Of the updates.
        prompts: Those that are known; the longest counts.
        replies: Of one step.
        reply: Most tokens of one.
    """
    sizes = [len(network.encode(one.messages, "").prompt) + one.open_inputs * reply for one in prompts]
    limits = [limit for limit in (network.context, settings.max_length) if limit is not None]
    if network.seq2seq:  # prompt and reply have a limit each
        longest = min([max(sizes, default=0), *limits]) + min([reply, *limits])
    else:
        longest = min([max(sizes, default=0) + reply, *limits])
    return GRPOWork(network, settings, replies, longest)


def check_grpo_room(works: Sequence[GRPOWork]) -> None:
    """Refuse networks that will not fit while they are trained; their weights are in memory already.

    Raises:
        ConfigurationError: They need more than their device has left.
    """
    for device in {work.network.device for work in works}:
        own = [work for work in works if work.network.device == device]
        free = free_bytes(device)
        kept, largest = sum(work.kept_bytes for work in own), max(own, key=lambda work: work.part_bytes)
        if free is None or kept + largest.part_bytes <= free:
            continue
        full = any(work.settings.method == "full" for work in own)
        first = " and the weights as they were" if any(w.settings.beta for w in own) and full else ""
        tips = (
            ("method='lora'", full),
            ("beta=0", bool(first)),
            ("a smaller rows_at_once=", largest.held > 1),
            ("a smaller max_length=", True),
        )
        raise ConfigurationError(
            f"GRPO of {', '.join(repr(work.network.name) for work in own)} ({largest.settings.method}) needs "
            f"{(kept + largest.part_bytes) / 1e9:.1f} GB beside its weights, and {device!r} has {free / 1e9:.1f} GB "
            f"left: {kept / 1e9:.1f} GB for gradients, moments{first}, {largest.part_bytes / 1e9:.1f} GB for "
            f"{largest.held} rows of up to {largest.longest:,} tokens at once. Take "
            f"{', '.join(tip for tip, fits in tips if fits)}, or a smaller model"
        )


def short_of_room(network: Trainable, parts: Sequence[Sequence[TokenRow]]) -> str | None:
    """Return, in words, why the rows of a step will not fit; None: they will."""
    free = free_bytes(network.device)
    largest = max(parts, key=_padded, default=())
    need = _padded(largest) * network.needs().token_bytes
    if free is None or need <= free:
        return None
    return (
        f"{len(largest)} rows of up to {max(row.length for row in largest):,} tokens need {need / 1e9:.1f} GB at once, "
        f"and {network.device!r} has {free / 1e9:.1f} GB left"
    )


def _padded(rows: Sequence[TokenRow]) -> int:
    return len(rows) * max((row.length for row in rows), default=0)


def plan_grpo(
    work: GRPOWork, prompts: Sequence[AskedPrompt], *, steps: int, reply: int, threads: int, measure: bool
) -> GRPOPlan:
    """Return what a work will take; nothing is trained or written.

    Args:
        work: What will be done.
        prompts: Those that are known.
        steps: How many.
        reply: Most tokens of a reply.
        threads: Replies that are drawn at once.
        measure: Draw some replies, and compute one part of an update, to tell the time.
    """
    network, settings, needs = work.network, work.settings, work.network.needs()
    left = free_bytes(network.device)
    more = work.kept_bytes + work.part_bytes
    tokens = steps * settings.num_iterations * work.replies * work.longest
    drawn = updated = None
    if measure and prompts and (left is None or more <= left):
        drawn = _reply_seconds(network, prompts, reply, threads) * steps * work.replies
        updated = (
            _token_seconds(work) * tokens * (4 / 3 if settings.beta else 1)
        )  # the reference: a pass there alone
    return GRPOPlan(
        network.name,
        network.device,
        settings.method,
        needs.parameters,
        needs.trained,
        steps,
        work.replies,
        work.longest,
        tokens,
        needs.weight_bytes + more,
        None if left is None else left + needs.weight_bytes,
        drawn,
        updated,
    )


def _reply_seconds(network: Trainable, prompts: Sequence[AskedPrompt], reply: int, threads: int) -> float:
    """Return how long a reply takes, of several that are drawn at once; longer ones than were drawn in proportion."""
    client, limit = network.client(), min(reply, _DRAWN)
    asked = [
        Request(prompts[at % len(prompts)].messages, {"temperature": 1.0, "max_tokens": limit}, sample=at + 1)
        for at in range(threads)
    ]
    client.complete(asked[0])  # pays for what is made only once
    started = time.perf_counter()
    with ThreadPoolExecutor(threads) as pool:
        responses = list(pool.map(client.complete, asked))
    took = (time.perf_counter() - started) / threads
    whole = all(one.finish_reason != "length" for response in responses for one in response.completions)
    return took if whole else took * reply / limit


def _token_seconds(work: GRPOWork) -> float:
    """Return how long a token takes there and back, in rows of the greatest length."""
    torch, network = load("torch"), work.network
    half = max(1, work.longest // 2)
    rows = [TokenRow([0] * (work.longest - half or 1), [0] * half)] * min(work.held, 8)
    tensors = list(network.parameters().values())
    took = 0.0
    for _ in range(2):
        started = time.perf_counter()
        torch.autograd.grad(network.logprobs(rows).sum(), tensors, allow_unused=True)
        took = time.perf_counter() - started
    return took / sum(row.length for row in rows)
