"""`GRPOLearner`: a network that learns from groups of rewarded replies, one step after another.

    learner = GRPOLearner("telic/tiny", folder, GRPOSettings(), steps=100, seed=0, longest=256)
    at = learner.resume(learner.kept())               # 0, or the step of the last checkpoint
    client = learner.network.client()                 # answers with the weights of this moment
    told = learner.step(groups)                       # groups: see `groups_of_rollouts`
    learner.keep()                                    # a checkpoint

A step is `num_iterations` updates on the same rollouts. What replies were drawn with is known by the network itself,
once before the first of them: with one update the ratio of probabilities is 1, and clipping has nothing to do. The same
steps on the same machine, with the same number of threads, come to the same weights bit by bit, killed and gone on
with or not: nothing is drawn but dropout, which follows from the step's number.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any, Final, NamedTuple, final

from telic._optional import load
from telic._seed import derive_seed
from telic.errors import TrainingError
from telic.training._checkpoints import checkpoints, read_checkpoint, refuse_unwritten, write_checkpoint
from telic.training._files import written_whole
from telic.training._grpo_groups import RewardGroup
from telic.training._grpo_loss import advantages, deviation, token_losses, token_weights
from telic.training._grpo_plan import short_of_room
from telic.training._grpo_settings import GRPOSettings
from telic.training._open import model_of, open_trainable, tiny_files
from telic.training._sent import SentClient, Source, sent_client
from telic.training._trainable import TokenRow, Trainable

_ADAM: Final = ("exp_avg", "exp_avg_sq")


class GRPOProgress(NamedTuple):
    """One step, as `progress.jsonl` holds it."""

    step: int
    """Counted from 1."""
    reward: float
    """Mean over the replies."""
    spread: float
    """Standard deviation of the rewards."""
    groups: int
    telling: int
    """Groups whose rewards differ: the others teach nothing."""
    rows: int
    left_out: int
    """Replies too long to be learned from."""
    loss: float
    divergence: float
    """From the weights that training began with, a mean over tokens (k3); 0 where `beta` is 0."""
    clipped: float
    """Share of tokens whose ratio was cut."""
    norm: float
    """Of the gradients, before they are cut to `clip`."""
    rate: float
    tokens: int
    """That went through the network, once for each update."""
    seconds: float
    """Of the updates, without the rollouts."""


class _Row(NamedTuple):
    tokens: TokenRow
    advantage: float
    weight: float


@final
class GRPOLearner:
    """A network that is trained by GRPO.

    Args:
        lm: An LM on this machine, or its name.
        folder: For checkpoints, `progress.jsonl` and weights; made if it is not there.
        settings: Of the updates.
        steps: How many there will be, for the learning rate.
        seed: Of LoRA's beginning and of dropout.
        longest: Most tokens of a reply; for `loss_type="dr_grpo"`.
        network: The LM's, where it is open already; None: it is opened here.

    Raises:
        MissingExtraError: torch, transformers or peft is not installed.
        ConfigurationError: The LM cannot be trained here.
        TrainingError: The folder cannot be made.
    """

    def __init__(
        self,
        lm: Any,
        folder: Path,
        settings: GRPOSettings,
        *,
        steps: int,
        seed: int,
        longest: int,
        network: Trainable | None = None,
    ) -> None:
        self.folder = folder
        self._model = model_of(lm)
        self.told: list[GRPOProgress] = []
        self._settings, self._steps, self._seed, self._longest = settings, steps, seed, longest
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise refuse_unwritten(f"the folder {str(folder)!r}", error, folder) from error
        adaptation, device, dtype = settings.adaptation(seed), settings.device, settings.dtype
        opened = open_trainable(lm, adaptation, device=device, dtype=dtype) if network is None else network
        self.network = opened
        self._first = None  # the network as it was, where LoRA does not keep it
        if settings.beta and settings.method == "full":
            self._first = open_trainable(lm, adaptation, device=device, dtype=dtype)
        self._peak = _peak_rate(lm, settings)
        self._names = list(self.network.parameters())
        self._tensors = list(self.network.parameters().values())
        self._adam: Any = load("torch").optim.AdamW(
            self._tensors, lr=self._peak, betas=(0.9, 0.99), weight_decay=settings.weight_decay
        )

    @property
    def done(self) -> int:
        """How many steps were made."""
        return len(self.told)

    def sent_client(self) -> SentClient:
        """Return a client of the weights of this moment for other processes."""
        own = self._settings
        opened = (self._model, own.adaptation(self._seed), own.device, own.dtype)
        return sent_client(self.network, Source(*opened, str(self.folder.parent), self.folder.name))

    # A step

    def step(self, groups: Sequence[RewardGroup]) -> GRPOProgress:
        """Learn from the groups of one step.

        Raises:
            TrainingError: The loss is no number, the disk is full, or the rows do not fit into memory; `.checkpoint`
                is the last good one.
        """
        torch, settings = load("torch"), self._settings
        started = time.perf_counter()
        rows, left_out = self._rows(groups)
        self._check_room(rows)
        rate = settings.rate(self.done, self._steps, self._peak)
        for group in self._adam.param_groups:
            group["lr"] = rate
        sums = [0.0] * 4  # of the last update: loss, divergence, clipped tokens, tokens
        norm = 0.0
        old: dict[int, Any] = {}
        rounds = settings.num_iterations if rows else 0
        with torch.random.fork_rng(devices=[self.network.device] if "cuda" in self.network.device else []):
            torch.manual_seed(derive_seed(self._seed, "step", self.done))
            self.network.training(True)
            for number in range(rounds):
                sums, norm = self._update(rows, old, more=number + 1 < rounds)
            self.network.training(False)
        rewards = [member.reward for group in groups for member in group.members]
        told = GRPOProgress(
            self.done + 1,
            math.fsum(rewards) / len(rewards) if rewards else math.nan,
            deviation(rewards),
            len(groups),
            sum(len({member.reward for member in group.members}) > 1 for group in groups),
            len(rewards),
            left_out,
            sums[0],
            sums[1] / max(1.0, sums[3]),
            sums[2] / max(1.0, sums[3]),
            norm,
            rate,
            rounds * sum(row.tokens.length for row in rows),
            time.perf_counter() - started,
        )
        self._tell(told)
        return told

    def _rows(self, groups: Sequence[RewardGroup]) -> tuple[list[_Row], int]:
        """Return what can be learned from, and how many replies were too long or empty."""
        settings, network = self._settings, self.network
        rises = advantages([[m.reward for m in group.members] for group in groups], settings.scale_rewards)
        found: list[tuple[TokenRow, float]] = []
        left_out = 0
        limits = [limit for limit in (network.context, settings.max_length) if limit is not None]
        for group, own in zip(groups, rises, strict=True):
            for member, rise in zip(group.members, own, strict=True):
                call = member.call
                row = network.encode(call.messages, call.reply, complete=call.complete)
                size = max(len(row.prompt), len(row.reply)) if network.seq2seq else row.length
                if not row.reply or any(size > limit for limit in limits):
                    left_out += 1
                else:
                    found.append((row, rise))
        weights = token_weights([len(row.reply) for row, _ in found], settings.loss_type, self._longest)
        rows = [_Row(row, rise, weight) for (row, rise), weight in zip(found, weights, strict=True)]
        # Without a divergence, replies that are no better and no worse than the others only count in the means.
        return [row for row in rows if settings.beta or row.advantage], left_out

    def _update(self, rows: Sequence[_Row], old: dict[int, Any], *, more: bool) -> tuple[list[float], float]:
        torch = load("torch")
        self._adam.zero_grad(set_to_none=True)
        sums = [0.0] * 4
        for at, part in self._parts(rows):
            tokens = [row.tokens for row in part]
            reference = self._reference(tokens)
            new = self.network.logprobs(tokens)
            if at not in old:
                old[at] = new.detach()
            sizes = torch.tensor([len(row.reply) for row in tokens], device=new.device)
            mask = (torch.arange(new.shape[1], device=new.device)[None, :] < sizes[:, None]).float()
            rise = torch.tensor([row.advantage for row in part], device=new.device)
            weight = torch.tensor([row.weight for row in part], device=new.device)
            found = token_losses(new, old[at], reference, mask, rise, self._settings)
            loss = (found.loss * weight[:, None]).sum()
            loss.backward()
            for place, value in enumerate((loss, found.divergence.sum(), found.clipped.sum(), mask.sum())):
                sums[place] += float(value.detach())
        norm = float(torch.nn.utils.clip_grad_norm_(self._tensors, self._settings.clip))
        if not math.isfinite(sums[0]) or not math.isfinite(norm):
            raise self._diverged(sums[0], norm)
        self._adam.step()
        if not more:
            old.clear()
        return sums, norm

    def _parts(self, rows: Sequence[_Row]) -> Iterator[tuple[int, Sequence[_Row]]]:
        """Yield rows that are in memory at once; those of one length together, to compute little padding."""
        order = sorted(rows, key=lambda row: row.tokens.length)
        size = self._settings.rows_at_once
        for at in range(0, len(order), size):
            yield at, order[at : at + size]

    def _reference(self, tokens: Sequence[TokenRow]) -> Any:
        if not self._settings.beta:
            return None
        network = self.network if self._first is None else self._first
        with load("torch").no_grad(), network.reference() if self._first is None else nullcontext():
            return network.logprobs(tokens)

    def _check_room(self, rows: Sequence[_Row]) -> None:
        short = short_of_room(self.network, [[row.tokens for row in part] for _, part in self._parts(rows)])
        if short is not None:
            raise self._stopped(
                short,
                "Make room and run the same again: it goes on from there; or take a smaller rows_at_once= or "
                "max_length= in another run_dir",
            )

    def _diverged(self, loss: float, norm: float) -> TrainingError:
        return self._stopped(
            f"the loss is {loss:g} and the norm of its gradients {norm:g}",
            f"Try a smaller learning_rate (it is {self._peak:g}) in another run_dir",
        )

    def _stopped(self, why: str, then: str) -> TrainingError:
        places = checkpoints(self.folder)
        last = str(places[-1]) if places else None
        kept = "no checkpoint was written yet" if last is None else f"the last good one is {last!r}"
        return TrainingError(
            f"GRPO stopped at step {self.done + 1} of {self._steps}: {why}; {kept}. {then}",
            folder=str(self.folder),
            checkpoint=last,
            step=self.done,
        )

    # What is written down

    def kept(self) -> set[int]:
        """Return the steps that there are whole checkpoints of."""
        found = (read_checkpoint(place) for place in checkpoints(self.folder))
        return {one.step for one in found if one is not None}

    def resume(self, step: int) -> None:
        """Go on from the checkpoint of a step; 0: from the beginning."""
        if step:
            found = read_checkpoint(self.folder / f"checkpoint-{step:06d}")
            if found is None:
                raise TrainingError(
                    f"{str(self.folder)!r} has no checkpoint of step {step}", folder=str(self.folder)
                )
            self.network.load_state(found.tensors["weights"])
            for name, tensor in zip(self._names, self._tensors, strict=True):
                moments = {
                    kind: found.tensors["adam"][key].to(tensor.device)
                    for kind in _ADAM
                    if (key := f"{name}/{kind}") in found.tensors["adam"]
                }
                if moments:  # a step without anything to learn makes none
                    count = found.tensors["adam"]["updates"].clone()
                    self._adam.state[tensor] = {"step": count, **moments}
        self._rewrite(step)

    def keep(self) -> None:
        """Write a checkpoint.

        Raises:
            TrainingError: It cannot be written; `.checkpoint` is the last good one.
        """
        adam: dict[str, Any] = {"updates": load("torch").tensor(0.0)}
        for name, tensor in zip(self._names, self._tensors, strict=True):
            state = self._adam.state.get(tensor)
            if state:
                adam["updates"] = state["step"].detach().cpu().clone()
                adam |= {f"{name}/{kind}": state[kind].detach().cpu().contiguous() for kind in _ADAM}
        try:
            write_checkpoint(self.folder, self.done, {"weights": self.network.state(), "adam": adam})
        except OSError as error:
            raise refuse_unwritten(f"the checkpoint of step {self.done}", error, self.folder) from error

    def save(self, folder: Path) -> None:
        """Write weights that an LM answers with.

        Raises:
            TrainingError: They cannot be written.
        """
        try:
            self.network.save(folder)
        except (OSError, load("safetensors").SafetensorError) as error:
            cause = error if isinstance(error, OSError) else OSError(str(error))
            raise refuse_unwritten("the weights", cause, self.folder) from error

    def _rewrite(self, step: int) -> None:
        """Forget the steps behind the checkpoint: they are made again."""
        path = self.folder / "progress.jsonl"
        lines = path.read_text().splitlines() if path.exists() else []
        self.told = [GRPOProgress(**json.loads(line)) for line in lines[:step]]
        self._written(lambda: written_whole(path, "".join(f"{line}\n" for line in lines[:step]).encode()))

    def _tell(self, told: GRPOProgress) -> None:
        self.told.append(told)

        def write() -> None:
            with (self.folder / "progress.jsonl").open("a") as file:
                file.write(json.dumps(told._asdict()) + "\n")

        self._written(write)

    def _written(self, write: Any) -> None:
        try:
            write()
        except OSError as error:
            raise refuse_unwritten("the progress", error, self.folder) from error


def _peak_rate(lm: Any, settings: GRPOSettings) -> float:
    if settings.learning_rate is not None:
        return settings.learning_rate
    lora = 1e-3 if tiny_files(model_of(lm)) is not None else 2e-5
    return lora if settings.method == "lora" else lora / 10
