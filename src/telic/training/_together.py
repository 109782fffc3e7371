"""`Together`: which of the processes of a training this one is, and how they add up what each has found.

Each process has the whole network and its share of every batch. A share's loss is divided by what the whole batch
learns, so the sum of the gradients is the gradient of the batch: as one process would have it, but for rounding.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from telic._optional import load


class Together(NamedTuple):
    """One of the processes that train together."""

    rank: int = 0
    """Counted from 0: the first alone writes."""
    processes: int = 1

    @property
    def first(self) -> bool:
        """Whether this process writes checkpoints, progress and weights."""
        return self.rank == 0

    @property
    def chance(self) -> tuple[int, ...]:
        """What this one's chance depends on beside the step: two shares do not drop the same numbers."""
        return () if self.first else (self.rank,)

    def share(self, batch: Sequence[int]) -> list[int]:
        """Return this process's part of a batch; it may be empty."""
        return list(batch[self.rank :: self.processes])

    def add(self, loss: float, tensors: Sequence[Any]) -> float:
        """Sum a loss and the gradients of tensors over all processes; return the loss."""
        if self.processes == 1:
            return loss
        torch, group = load("torch"), load("torch.distributed")
        total = torch.tensor(loss, dtype=torch.float64, device=tensors[0].device)
        group.all_reduce(total)
        for tensor in tensors:
            if tensor.grad is None:  # an empty share
                tensor.grad = torch.zeros_like(tensor)
            group.all_reduce(tensor.grad)
        return float(total)

    def wait(self) -> None:
        """Return when all processes are here."""
        if self.processes > 1:
            load("torch.distributed").barrier()


ALONE: Final = Together()
