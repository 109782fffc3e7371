"""Muon and Adam over one flat, shared vector of parameters, so that several processes can train one model.

Every process computes gradients for its own rows into its own vector; after a barrier each one updates its share of the
tensors from the sum of all vectors. Nothing is sent anywhere: parameters, gradients and moments lie in shared memory.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from model import TinyLM
from torch import Tensor

MUON_LR, ADAM_LR, CLIP = 0.02, 4e-3, 1.0


class Slot(NamedTuple):
    """One tensor in the flat vectors; `parts` matrices lie in it one above the other, 0: Adam's."""

    start: int
    stop: int
    shape: torch.Size
    parts: int


class Shared:
    """What the processes share.

    Attributes:
        values: The parameters, flat; the model's tensors are views of it.
        grads: One vector per process.
        first, second: Moments (Muon uses the first alone).
    """

    def __init__(self, model: TinyLM, processes: int) -> None:
        self.slots: list[Slot] = []
        at = 0
        parts = {"qkv": 3, "out": 1, "gate_up": 2, "down": 1}
        for name, p in model.named_parameters():
            self.slots.append(Slot(at, at + p.numel(), p.shape, parts.get(name.rpartition(".")[2], 0)))
            at += p.numel()
        self.values = torch.empty(at).share_memory_()
        self.grads = torch.zeros(processes, at).share_memory_()
        self.first = torch.zeros(at).share_memory_()
        self.second = torch.zeros(at).share_memory_()
        for slot, p in zip(self.slots, model.parameters(), strict=True):
            self.values[slot.start : slot.stop] = p.detach().flatten()
        self.adopt(model)

    def adopt(self, model: TinyLM) -> None:
        """Let the model's parameters be views of the shared vector."""
        for slot, p in zip(self.slots, model.parameters(), strict=True):
            p.data = self.values[slot.start : slot.stop].view(slot.shape)

    def give(self, model: TinyLM, rank: int) -> None:
        """Put the gradients of this process where all see them, and forget them."""
        for slot, p in zip(self.slots, model.parameters(), strict=True):
            target = self.grads[rank, slot.start : slot.stop]
            if p.grad is None:
                target.zero_()
            else:
                target.copy_(p.grad.flatten())
                p.grad.zero_()

    @torch.no_grad()
    def update(self, rank: int, processes: int, step: int, scale: float) -> None:
        """Update this process's share of the tensors; `scale` is that of both learning rates."""
        total = self.grads.sum(0)
        total *= min(1.0, CLIP / (float(total.norm()) + 1e-6))
        for slot in self._share(rank, processes):
            value, grad = self.values[slot.start : slot.stop], total[slot.start : slot.stop]
            first = self.first[slot.start : slot.stop]
            if slot.parts:
                self._muon(slot, value, grad, first, MUON_LR * scale)
            else:
                second = self.second[slot.start : slot.stop]
                first.lerp_(grad, 0.1)
                second.lerp_(grad * grad, 0.05)
                right = (1 - 0.95**step) ** 0.5 / (1 - 0.9**step)
                value.addcdiv_(first, second.sqrt() + 1e-8, value=-ADAM_LR * scale * right)

    def _share(self, rank: int, processes: int) -> list[Slot]:
        """Return the slots of this process: the largest go round first, so that the shares are alike."""
        order = sorted(self.slots, key=lambda s: (s.parts == 0, -(s.stop - s.start)))
        return order[rank::processes]

    @staticmethod
    def _muon(slot: Slot, value: Tensor, grad: Tensor, first: Tensor, lr: float) -> None:
        first.mul_(0.95).add_(grad, alpha=0.05)
        update = grad.lerp(first, 0.95).view(slot.shape)
        matrix = value.view(slot.shape)
        matrix.mul_(1 - 0.05 * lr)
        # q, k, v and gate, up lie in one tensor; each is orthogonalised for itself.
        for target, u in zip(matrix.chunk(slot.parts), update.chunk(slot.parts), strict=True):
            tall = max(1.0, u.shape[0] / u.shape[1]) ** 0.5
            target.add_(newton_schulz(u), alpha=-lr * tall)


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
