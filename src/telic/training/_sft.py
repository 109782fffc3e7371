"""Supervised finetuning: a small loop that can be read, killed, and run again.

    loss = -sum over rows (weight x sum of the log-probabilities of the reply's tokens) / sum of (weight x tokens)

or, with `loss="dpo"`, the mean over pairs of what `_preferences` says.

AdamW, a rate that rises and falls, gradients no longer than `clip`. The order of rows in an epoch follows from the seed
and the epoch's number, chance inside the network (dropout) from the step's: nothing depends on what was before, so a
training that was killed goes on from its last checkpoint to the same weights, bit by bit on the same machine with the
same number of threads. The folder holds `training.json` (what is trained on what: another training is refused),
`progress.jsonl`, checkpoints, and in the end `weights`, which `LM("local/FOLDER/weights")` answers with.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple, cast

from telic._hash import content_key
from telic._optional import load
from telic._seed import derive, derive_seed
from telic.errors import RunMismatchError, TrainingError
from telic.journal import RunLock
from telic.training._checkpoints import last_checkpoint, refuse_unwritten, write_checkpoint
from telic.training._files import written_whole
from telic.training._lengths import Encoded, Learnable, check_kind, encoded
from telic.training._open import check_trainable, model_of, open_trainable, tiny_files
from telic.training._plan import check_room
from telic.training._preferences import preference_losses, with_margins
from telic.training._processes import train_in_processes
from telic.training._settings import SFTSettings
from telic.training._together import ALONE, Together
from telic.training._trainable import Trainable

WEIGHTS: Final = "weights"
_ADAM: Final = ("exp_avg", "exp_avg_sq")


class Progress(NamedTuple):
    """One update, as `progress.jsonl` holds it."""

    step: int
    """Counted from 1."""
    steps: int
    """In all."""
    loss: float
    """Mean over the tokens of the replies, or over pairs, before the update."""
    rate: float
    norm: float
    """Of the gradients, before they are cut to `clip`."""
    tokens: int
    seconds: float


class Trained(NamedTuple):
    """What a finetuning came to."""

    weights: str
    """The folder that `LM("local/…")` takes."""
    steps: int
    losses: tuple[float, ...]
    rows: int
    dropped: int
    """Rows that were too long and left out."""
    cut: int
    """Rows that were too long and lost tokens."""
    tokens: int
    """That went through the network."""
    seconds: float
    """Of the updates, those before a resume too."""
    resumed_at: int | None = None
    """The step that it went on from; None: it was not interrupted."""


def finetune(
    lm: Any,
    rows: Sequence[Learnable],
    folder: str | Path,
    settings: SFTSettings | None = None,
    *,
    watch: Callable[[Progress], None] | None = None,
) -> Trained:
    """Train an LM's weights on rows.

    Args:
        lm: An LM on this machine, or its name: "local/PATH-or-hub-id", "telic/tiny". It is not changed.
        rows: Prompts with the replies to be learned; for `loss="dpo"`, with two replies each.
        folder: Of this training alone. One that was begun with the same is gone on with; one that was finished is read.
        settings: None: LoRA, three epochs.
        watch: Told of each update.

    Raises:
        MissingExtraError: torch, transformers or peft (with `processes`: accelerate) is not installed.
        ConfigurationError: The LM cannot be trained here, does not fit into memory, or no row can be learned from.
        RunLockedError: Another process works in the folder.
        RunMismatchError: The folder holds another training.
        TrainingError: The loss is no number any more, the disk is full, or one of several processes died;
            `.checkpoint` is the last good one.

    Cost: no LM call. Three passes' worth of computing for each token of each epoch.
    """
    chosen = (SFTSettings() if settings is None else settings).checked()
    check_kind(rows, chosen)
    if chosen.in_processes == 1:
        return train_share(lm, rows, Path(folder), chosen, watch, ALONE)
    check_trainable(lm, chosen.method)

    def tell(told: dict[str, Any]) -> None:
        if watch is not None:
            watch(Progress(**told))

    made: Any = train_in_processes(model_of(lm), rows, Path(folder), chosen, tell)
    return Trained(**made)._replace(losses=tuple(made["losses"]))


def train_share(
    lm: Any,
    rows: Sequence[Learnable],
    place: Path,
    chosen: SFTSettings,
    watch: Callable[[Progress], None] | None,
    together: Together,
) -> Trained:
    """Train in this process: all of every batch, or its share."""
    network = open_trainable(lm, chosen.adaptation, device=chosen.device, dtype=chosen.dtype)
    ready = encoded(network, rows, chosen)
    check_room(network, ready, chosen)
    peak = peak_rate(lm, chosen)
    if not together.first:
        together.wait()
        return _Training(network, ready, place, chosen, peak, together).run(None)
    try:
        place.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise refuse_unwritten(f"the folder {str(place)!r}", error, place) from error
    lock = RunLock(place)
    try:
        known = _begun(place, _identity(network, rows, chosen))
        if known is not None:
            return known
        together.wait()  # the others read the last checkpoint now, and no sooner
        return _Training(network, ready, place, chosen, peak, together).run(watch)
    finally:
        lock.release()


def peak_rate(lm: Any, settings: SFTSettings) -> float:
    """Return the learning rate at its highest: the one that was asked for, or what suits method and model."""
    if settings.learning_rate is not None:
        return settings.learning_rate
    usual = 2e-3 if tiny_files(model_of(lm)) is not None else 2e-4
    if settings.method == "full":
        usual = 1e-4
    return usual if settings.loss == "sft" else usual / 10  # a preference is soon learned, and soon overdone


def _identity(network: Trainable, rows: Sequence[Learnable], settings: SFTSettings) -> dict[str, str]:
    """Return what a training is of, as digests by name; where it computes does not belong to it."""
    own = settings.of_result._asdict()
    learned = [row.learned for row in rows]
    return {
        "weights": network.identity,
        "rows": content_key(learned)[:32],
        "settings": content_key(own)[:32],
    }


def _begun(folder: Path, identity: dict[str, str]) -> Trained | None:
    """Begin a folder's training, or go on with it; return its result where it is finished."""
    path = folder / "training.json"
    try:
        found: Any = json.loads(path.read_bytes())
        known = cast("dict[str, str]", found["identity"])
    except FileNotFoundError:
        try:
            written_whole(path, json.dumps({"format": 1, "identity": identity}, indent=1).encode())
        except OSError as error:
            raise refuse_unwritten(f"the folder {str(folder)!r}", error, folder) from error
        return None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RunMismatchError(
            f"{str(path)!r} cannot be read ({error}); choose another folder for this training",
            folder=str(folder),
        ) from error
    other = sorted(name for name, digest in identity.items() if known.get(name) != digest)
    if other:
        raise RunMismatchError(
            f"{str(folder)!r} holds another training: its {' and '.join(other)} differ; choose another folder",
            folder=str(folder),
        )
    try:
        done: Any = json.loads((folder / "result.json").read_bytes())
    except OSError:
        return None
    if not (folder / WEIGHTS).is_dir():
        return None  # somebody made room: they are written again from the last checkpoint
    return Trained(**done)._replace(losses=tuple(done["losses"]), weights=str((folder / WEIGHTS).resolve()))


class _Training:
    """One finetuning at work."""

    def __init__(
        self,
        network: Trainable,
        ready: Encoded,
        folder: Path,
        settings: SFTSettings,
        peak: float,
        together: Together,
    ) -> None:
        if settings.loss == "dpo":
            ready = with_margins(network, ready, settings.held)
        self._network, self._ready, self._folder, self._settings = network, ready, folder, settings
        self._peak, self._together = peak, together
        self._names = list(network.parameters())
        self._tensors = list(network.parameters().values())
        self._adam: Any = load("torch").optim.AdamW(
            self._tensors, lr=peak, betas=(0.9, 0.999), weight_decay=settings.weight_decay
        )
        size = settings.batch_size
        self._per_epoch = math.ceil(ready.items / size)
        self._steps = settings.steps if settings.steps is not None else settings.epochs * self._per_epoch
        self._told: list[Progress] = []

    def run(self, watch: Callable[[Progress], None] | None) -> Trained:
        """Train from the last checkpoint, or from the beginning, to the end."""
        first = self._resume()
        self._network.training(True)
        for step in range(first, self._steps):
            told = self._update(step)
            if not self._together.first:
                continue
            self._tell(told)
            if watch is not None:
                watch(told)
            if (step + 1) % self._settings.checkpoint_every == 0 or step + 1 == self._steps:
                self._keep(step + 1)
        self._network.training(False)
        return self._finish(first)

    def _batch(self, step: int) -> list[int]:
        epoch, at = divmod(step, self._per_epoch)
        order = list(range(self._ready.items))
        derive(self._settings.seed, "epoch", epoch).shuffle(order)
        size = self._settings.batch_size
        return order[at * size : (at + 1) * size]

    def _update(self, step: int) -> Progress:
        torch, settings = load("torch"), self._settings
        started = time.perf_counter()
        batch = self._batch(step)
        ready = self._ready
        learned = ready.amount(batch)
        rate = settings.rate(step, self._steps, self._peak)
        for group in self._adam.param_groups:
            group["lr"] = rate
        self._adam.zero_grad(set_to_none=True)
        own = self._together.share(batch)
        at_once = len(batch) if settings.rows_at_once is None else settings.rows_at_once
        loss = 0.0
        with torch.random.fork_rng(devices=self._devices()):
            torch.manual_seed(derive_seed(settings.seed, "step", step, *self._together.chance))
            for at in range(0, len(own), at_once):
                share = self._loss(own[at : at + at_once]) / learned
                share.backward()
                loss += float(share.detach())
        loss = self._together.add(loss, self._tensors)
        norm = float(torch.nn.utils.clip_grad_norm_(self._tensors, settings.clip))
        if not math.isfinite(loss) or not math.isfinite(norm):
            raise self._diverged(step, loss, norm)
        self._adam.step()
        tokens = sum(row.length for row in ready.of(batch))
        return Progress(step + 1, self._steps, loss, rate, norm, tokens, time.perf_counter() - started)

    def _loss(self, part: Sequence[int]) -> Any:
        """Return the sum of the losses of some items."""
        torch, ready = load("torch"), self._ready
        values = self._network.logprobs(ready.of(part))
        if ready.before:
            before = torch.tensor([ready.before[i] for i in part], device=values.device)
            return preference_losses(values, before, self._settings.beta).sum()
        weights = torch.tensor([ready.weights[i] for i in part], device=values.device)
        return -(values.sum(1) * weights).sum()

    def _devices(self) -> list[str]:
        return [self._network.device] if self._network.device.startswith("cuda") else []

    def _diverged(self, step: int, loss: float, norm: float) -> TrainingError:
        last = last_checkpoint(self._folder)
        kept = (
            "no checkpoint was written yet" if last is None else f"the last good one is {str(last.folder)!r}"
        )
        return TrainingError(
            f"the training stopped at step {step + 1} of {self._steps}: the loss is {loss:g} and the norm of its "
            f"gradients {norm:g}; {kept}. Try a smaller learning_rate (it is {self._peak:g}) in another folder",
            folder=str(self._folder),
            checkpoint=None if last is None else str(last.folder),
            step=step,
        )

    # What is written down

    def _keep(self, step: int) -> None:
        moments: dict[str, Any] = {}
        for name, tensor in zip(self._names, self._tensors, strict=True):
            state = self._adam.state[tensor]
            moments |= {f"{name}/{kind}": state[kind].detach().cpu().contiguous() for kind in _ADAM}
        try:
            write_checkpoint(self._folder, step, {"weights": self._network.state(), "adam": moments})
        except OSError as error:
            raise refuse_unwritten(f"the checkpoint of step {step}", error, self._folder) from error

    def _resume(self) -> int:
        """Take the last checkpoint back; return how many updates it stands behind."""
        found = last_checkpoint(self._folder)
        first = self._together.first
        if found is None:
            if first:
                self._rewrite(0)
            return 0
        torch = load("torch")
        self._network.load_state(found.tensors["weights"])
        for name, tensor in zip(self._names, self._tensors, strict=True):
            moments = {kind: found.tensors["adam"][f"{name}/{kind}"].to(tensor.device) for kind in _ADAM}
            self._adam.state[tensor] = {"step": torch.tensor(float(found.step)), **moments}
        if first:
            self._rewrite(found.step)
        return found.step

    def _rewrite(self, step: int) -> None:
        """Forget the updates behind the checkpoint: they are made again."""
        try:
            lines = (self._folder / "progress.jsonl").read_text().splitlines()
        except OSError:
            lines = []
        for line in lines:
            try:
                told = Progress(**json.loads(line))
            except (ValueError, TypeError):
                break  # the line that was being written
            if told.step <= step:
                self._told.append(told)
        try:
            body = "".join(json.dumps(told._asdict()) + "\n" for told in self._told)
            written_whole(self._folder / "progress.jsonl", body.encode())
        except OSError as error:
            raise refuse_unwritten("the progress", error, self._folder) from error

    def _tell(self, told: Progress) -> None:
        self._told.append(told)
        try:
            with (self._folder / "progress.jsonl").open("a") as file:
                file.write(json.dumps(told._asdict()) + "\n")
        except OSError as error:
            raise refuse_unwritten("the progress", error, self._folder) from error

    def _finish(self, first: int) -> Trained:
        ready = self._ready
        made = Trained(
            WEIGHTS,
            self._steps,
            tuple(told.loss for told in self._told),
            ready.items,
            ready.dropped,
            ready.cut,
            sum(told.tokens for told in self._told),
            sum(told.seconds for told in self._told),
            first or None,
        )
        weights = (self._folder / WEIGHTS).resolve()
        if not self._together.first:
            return made
        try:
            self._network.save(weights)
            written_whole(self._folder / "result.json", json.dumps(made._asdict(), indent=1).encode())
        except (OSError, load("safetensors").SafetensorError) as error:
            cause = error if isinstance(error, OSError) else OSError(str(error))
            raise refuse_unwritten("the weights", cause, self._folder) from error
        return made._replace(weights=str(weights))
