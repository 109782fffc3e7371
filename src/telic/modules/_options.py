"""Generation options of a predictor: checked when they are given, split from what the library itself reads."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from telic._text import did_you_mean
from telic.errors import ConfigurationError

KNOWN: Final = frozenset({
    "temperature", "top_p", "top_k", "min_p", "n", "max_tokens", "max_completion_tokens", "stop", "seed",
    "frequency_penalty", "presence_penalty", "repetition_penalty", "logit_bias", "logprobs", "top_logprobs",
    "response_format", "tools", "tool_choice", "parallel_tool_calls", "reasoning_effort", "reasoning",
    "prediction", "stream_options", "extra_body", "extra_headers", "metadata", "user", "timeout",
    "service_tier", "store", "verbosity", "thinking", "modalities", "audio", "cache", "rollout_id",
    "max_retries", "num_retries",
})  # fmt: skip
LOCAL: Final = frozenset({"max_retries", "rollout_id", "cache"})
"""Options that are the library's own and never sent."""

_LOWEST: Final[Mapping[str, float]] = {
    "n": 1, "max_tokens": 1, "max_completion_tokens": 1, "temperature": 0, "top_p": 0, "max_retries": 0,
}  # fmt: skip


def checked_options(options: Mapping[str, Any], owner: str) -> dict[str, Any]:
    """Return the options as a dict of one's own.

    Raises:
        ConfigurationError: A name looks like a misspelt one, or a value cannot be. Other unknown names are left to
            the LM, whose provider may know them.
    """
    for name, value in options.items():
        if name not in KNOWN:
            hint = did_you_mean(name, KNOWN)
            if hint:
                raise ConfigurationError(
                    f"{owner} has no option {name!r}{hint}; what only the provider knows goes into extra_body"
                )
            continue
        lowest = _LOWEST.get(name)
        if lowest is None or value is None:
            continue
        if isinstance(value, bool) or not isinstance(value, (int, float)) or value < lowest:
            raise ConfigurationError(f"{owner}: {name} must be a number of {lowest} or more, got {value!r}")
    return dict(options)
