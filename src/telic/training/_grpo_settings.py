"""What GRPO is told of its updates, `train_kwargs`. TRL's names of the same things are taken too."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Final, Literal, NamedTuple, get_args

from telic._text import did_you_mean
from telic.errors import ConfigurationError
from telic.training._settings import NOT_OF_RESULT
from telic.training._trainable import Adaptation, Method

Scale = Literal["group", "batch", "none"]
LossType = Literal["grpo", "bnpo", "dr_grpo"]


class GRPOSettings(NamedTuple):
    """Settings of the updates of GRPO."""

    method: Method = "lora"
    """"lora" or "full"."""
    rank: int = 16
    alpha: float = 32.0
    dropout: float = 0.0
    learning_rate: float | None = None
    """None: of LoRA 1e-3 for an embedded LM and 2e-5 for others; in full a tenth of it."""
    beta: float = 0.04
    """What the divergence from the weights that training began with weighs; 0: nothing, and it is not computed."""
    epsilon: float = 0.2
    """How far below 1 the ratio of a token's probabilities counts."""
    epsilon_high: float | None = None
    """How far above 1; None: as `epsilon`."""
    scale_rewards: Scale = "group"
    """What advantages are divided by: "group", "batch" (a standard deviation) or "none" (Dr. GRPO)."""
    loss_type: LossType = "grpo"
    """Which mean of tokens: "grpo" (of replies' means), "bnpo" (of all tokens), "dr_grpo" (over a constant)."""
    importance_sampling_level: Literal["token", "sequence"] = "token"
    num_iterations: int = 1
    """Updates on the same rollouts."""
    rows_at_once: int = 32
    """Rows in memory at once: less memory, more time, the same result but for rounding."""
    clip: float = 1.0
    """Longest gradient, as a norm."""
    weight_decay: float = 0.0
    warmup: float = 0.0
    """Share of the steps over which the rate rises."""
    schedule: Literal["constant", "linear"] = "constant"
    """How the rate goes on."""
    max_length: int | None = None
    """Most tokens of a row; longer ones teach nothing and are counted. None: the model's context."""
    checkpoint_every: int = 5
    """Steps."""
    device: str | None = None
    dtype: str | None = None

    @property
    def of_result(self) -> GRPOSettings:
        """These settings without those that the result does not depend on but for rounding."""
        known = self._field_defaults
        return self._replace(**{name: known[name] for name in NOT_OF_RESULT if name in known})

    @property
    def high(self) -> float:
        """`epsilon_high`, or what stands for it."""
        return self.epsilon if self.epsilon_high is None else self.epsilon_high

    def adaptation(self, seed: int) -> Adaptation:
        """Return what of the network is trained."""
        return Adaptation(self.method, self.rank, self.alpha, self.dropout, seed)

    def rate(self, step: int, steps: int, peak: float) -> float:
        """Return the learning rate of a step, counted from 0."""
        rise = math.ceil(self.warmup * steps)
        if step < rise:
            return peak * (step + 1) / rise
        return peak if self.schedule == "constant" else peak * (1 - (step - rise) / max(1, steps - rise))

    def checked(self) -> GRPOSettings:
        """Return this, or refuse it.

        Raises:
            ConfigurationError: A value cannot work.
        """
        self.adaptation(0).checked()
        for name, least in _COUNTS.items():
            value = getattr(self, name)
            if value is None and name == "max_length":
                continue
            if isinstance(value, bool) or not isinstance(value, int) or value < least:
                raise ConfigurationError(f"{name}={value!r}: a whole number, {least} or more")
        for name, (low, high) in _NUMBERS.items():
            value = getattr(self, name)
            if value is None and name in ("learning_rate", "epsilon_high"):
                continue
            if isinstance(value, bool) or not isinstance(value, (int, float)) or not low <= value <= high:
                raise ConfigurationError(f"{name}={value!r}: a number from {low:g} to {high:g}")
        for name, known in _WORDS.items():
            if getattr(self, name) not in known:
                near = did_you_mean(str(getattr(self, name)), known)
                raise ConfigurationError(f"{name}={getattr(self, name)!r}{near}: one of {', '.join(known)}")
        return self


_COUNTS: Final = {"rank": 1, "num_iterations": 1, "rows_at_once": 1, "max_length": 2, "checkpoint_every": 1}
_NUMBERS: Final = {
    "learning_rate": (0.0, math.inf), "beta": (0.0, math.inf), "epsilon": (0.0, 1.0), "epsilon_high": (0.0, math.inf),
    "clip": (1e-12, math.inf), "weight_decay": (0.0, 1.0), "warmup": (0.0, 1.0),
}  # fmt: skip
_WORDS: Final = {
    "scale_rewards": get_args(Scale), "loss_type": get_args(LossType),
    "importance_sampling_level": ("token", "sequence"), "schedule": ("constant", "linear"),
}  # fmt: skip
_SAME: Final = {
    "lr": "learning_rate", "max_grad_norm": "clip", "lora_r": "rank", "lora_alpha": "alpha", "lora_dropout": "dropout",
    "warmup_ratio": "warmup", "lr_scheduler_type": "schedule", "epsilon_low": "epsilon",
    "save_steps": "checkpoint_every",
    "per_device_train_batch_size": "rows_at_once", "max_seq_length": "max_length",
}  # fmt: skip
_OURS: Final = {
    "num_generations": "num_rollouts_per_grpo_step", "max_steps": "num_train_steps", "temperature": "nothing: it is 1",
    "gradient_accumulation_steps": "num_dspy_examples_per_grpo_step", "seed": "seed", "max_completion_length":
    "the LM's max_tokens",
}  # fmt: skip
"""What is said elsewhere, and where."""


def read_grpo_settings(given: Mapping[str, Any] | None) -> GRPOSettings:
    """Return settings from `train_kwargs`.

    Raises:
        ConfigurationError: A name is unknown, given twice, or a value cannot work.

    Example:
        >>> read_grpo_settings({"lr": 1e-4, "scale_rewards": False}).scale_rewards
        'none'
    """
    found: dict[str, Any] = {}
    kwargs: dict[str, Any] = {} if given is None else dict(given)
    for name, value in kwargs.items():
        known = _SAME.get(name, name)
        if name == "use_peft":
            known, value = "method", "lora" if value else "full"
        elif name == "scale_rewards" and isinstance(value, bool):
            value = "group" if value else "none"
        if known in found:
            raise ConfigurationError(f"train_kwargs: {known!r} is given twice, under two names")
        if known not in GRPOSettings._fields:
            near = did_you_mean(name, [*GRPOSettings._fields, *_SAME])
            place = f"; GRPO takes it as {_OURS[name]}" if name in _OURS else ""
            raise ConfigurationError(
                f"train_kwargs has no {name!r}{near}{place}; it has: {', '.join(GRPOSettings._fields)}"
            )
        found[known] = value
    return GRPOSettings(**found).checked()
