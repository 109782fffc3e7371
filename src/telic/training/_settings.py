"""What finetuning is told. DSPy's and TRL's names of the same things are taken too."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Final, Literal, NamedTuple

from telic._text import did_you_mean
from telic.errors import ConfigurationError
from telic.training._trainable import Adaptation, Method

TooLong = Literal["drop", "cut", "refuse"]


class SFTSettings(NamedTuple):
    """Settings of supervised finetuning."""

    method: Method = "lora"
    """"lora" or "full"."""
    rank: int = 16
    alpha: float = 32.0
    dropout: float = 0.0
    """Of LoRA; a model's own dropout is on as well."""
    loss: Literal["sft", "dpo"] = "sft"
    """What is learned: to say the replies ("sft", of `ChatRow`s), or to prefer the better of two ("dpo", of pairs)."""
    beta: float = 0.1
    """Of "dpo": how dear it is to depart from the weights that training began with."""
    epochs: int = 3
    """How often each row is seen."""
    steps: int | None = None
    """Updates in all, instead of `epochs`."""
    batch_size: int = 16
    """Rows of one update."""
    rows_at_once: int | None = None
    """Rows in memory at once: less memory, more time, the same result but for rounding. None: all of an update."""
    learning_rate: float | None = None
    """None: 1e-4 in full, 2e-3 for LoRA of an embedded LM, 2e-4 for others (Hu et al. 2021; Schulman 2025)."""
    schedule: Literal["linear", "cosine", "constant"] = "linear"
    """How the rate falls after the warm-up."""
    warmup: float = 0.1
    """Share of the steps over which the rate rises."""
    weight_decay: float = 0.0
    clip: float = 1.0
    """Longest gradient, as a norm."""
    max_length: int | None = None
    """Most tokens of a row (with an encoder: of prompt and of reply each); None: the model's context."""
    too_long: TooLong = "drop"
    """Rows that are longer: left out, cut at the head of the prompt, or refused. They are counted in any case."""
    seed: int = 0
    checkpoint_every: int = 50
    """Steps."""
    device: str | None = None
    dtype: str | None = None
    processes: int | None = None
    """Processes that share every batch: one for each GPU, or on a CPU for each share of its cores; None: this one."""

    @property
    def adaptation(self) -> Adaptation:
        """What of the network is trained."""
        return Adaptation(self.method, self.rank, self.alpha, self.dropout, self.seed)

    @property
    def of_result(self) -> SFTSettings:
        """These settings without those that the result does not depend on but for rounding."""
        return self._replace(**{name: SFTSettings._field_defaults[name] for name in NOT_OF_RESULT})

    @property
    def in_processes(self) -> int:
        """How many processes train."""
        return 1 if self.processes is None else self.processes

    @property
    def held(self) -> int:
        """Rows that are in the memory of one process at once."""
        share = math.ceil(self.batch_size / self.in_processes)
        return share if self.rows_at_once is None else min(self.rows_at_once, share)

    def checked(self) -> SFTSettings:
        """Return this, or refuse it.

        Raises:
            ConfigurationError: A value cannot work.
        """
        self.adaptation.checked()
        for name, least in _COUNTS.items():
            value = getattr(self, name)
            if value is None and name in _OPTIONAL:
                continue
            if isinstance(value, bool) or not isinstance(value, int) or value < least:
                raise ConfigurationError(f"{name}={value!r}: a whole number, {least} or more")
        for name, (low, high) in _NUMBERS.items():
            value = getattr(self, name)
            if value is None and name in _OPTIONAL:
                continue
            if isinstance(value, bool) or not isinstance(value, (int, float)) or not low <= value <= high:
                raise ConfigurationError(f"{name}={value!r}: a number from {low:g} to {high:g}")
        for name, known in _WORDS.items():
            if getattr(self, name) not in known:
                near = did_you_mean(str(getattr(self, name)), known)
                raise ConfigurationError(f"{name}={getattr(self, name)!r}{near}: one of {', '.join(known)}")
        return self

    def rate(self, step: int, steps: int, peak: float) -> float:
        """Return the learning rate of a step, counted from 0."""
        rise = math.ceil(self.warmup * steps)
        if step < rise:
            return peak * (step + 1) / rise
        if self.schedule == "constant":
            return peak
        done = (step - rise) / max(1, steps - rise)
        return peak * ((1 - done) if self.schedule == "linear" else (1 + math.cos(math.pi * done)) / 2)


NOT_OF_RESULT: Final = ("rows_at_once", "checkpoint_every", "device", "processes")
"""Where, and in how many pieces, a training computes."""
_COUNTS: Final = {
    "rank": 1, "epochs": 1, "steps": 1, "batch_size": 1, "rows_at_once": 1, "max_length": 2, "checkpoint_every": 1,
    "seed": 0, "processes": 1,
}  # fmt: skip
_NUMBERS: Final = {
    "learning_rate": (0.0, math.inf), "warmup": (0.0, 1.0), "weight_decay": (0.0, 1.0), "clip": (1e-12, math.inf),
    "beta": (1e-6, math.inf),
}  # fmt: skip
_WORDS: Final = {
    "schedule": ("linear", "cosine", "constant"), "too_long": ("drop", "cut", "refuse"), "loss": ("sft", "dpo"),
}  # fmt: skip
_OPTIONAL: Final = frozenset(("steps", "rows_at_once", "learning_rate", "max_length", "processes"))

_SAME: Final = {
    "num_train_epochs": "epochs", "num_epochs": "epochs", "n_epochs": "epochs", "max_steps": "steps",
    "lr": "learning_rate", "max_seq_length": "max_length", "max_seq_len": "max_length", "lora_r": "rank",
    "lora_alpha": "alpha", "lora_dropout": "dropout", "max_grad_norm": "clip", "warmup_ratio": "warmup",
    "lr_scheduler_type": "schedule", "save_steps": "checkpoint_every",
}  # fmt: skip
"""Names that others have for the same thing."""
_POINTLESS: Final = frozenset(("packing", "device_map", "output_dir", "gradient_checkpointing", "use_cpu"))


def read_settings(given: Mapping[str, Any] | None) -> SFTSettings:
    """Return settings from `train_kwargs`.

    Raises:
        ConfigurationError: A name is unknown, given twice, or a value cannot work.

    Example:
        >>> read_settings({"num_train_epochs": 5, "use_peft": False}).epochs
        5
    """
    found: dict[str, Any] = {}
    kwargs = dict({} if given is None else given)

    def take(name: str, value: Any) -> None:
        if name in found:
            raise ConfigurationError(f"train_kwargs: {name!r} is given twice, under two names")
        found[name] = value

    if "use_peft" in kwargs:
        take("method", "lora" if kwargs.pop("use_peft") else "full")
    for half, name in (("bf16", "bfloat16"), ("fp16", "float16")):
        if kwargs.pop(half, False):
            take("dtype", name)
    together = kwargs.pop("gradient_accumulation_steps", None)
    at_once = kwargs.pop("per_device_train_batch_size", None)
    if together is not None or at_once is not None:
        rows = 1 if at_once is None else at_once
        take("batch_size", rows * (1 if together is None else together))
        take("rows_at_once", rows)
    for name, value in kwargs.items():
        known = _SAME.get(name, name)
        if known in SFTSettings._fields:
            take(known, value)
        elif name not in _POINTLESS or value not in (None, False, "auto"):
            near = did_you_mean(name, [*SFTSettings._fields, *_SAME])
            raise ConfigurationError(
                f"train_kwargs has no {name!r}{near}; it has: {', '.join(SFTSettings._fields)}"
            )
    return SFTSettings(**found).checked()
