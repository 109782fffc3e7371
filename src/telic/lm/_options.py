"""Generation options: which names and sizes are refused before anything is sent.

Providers have options of their own, and new ones appear all the time, so an unknown name passes through. What is
refused is a name that is a slip of a known one, and a size that no provider can mean.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final

from telic._text import nearest
from telic.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

KNOWN: Final = frozenset((
    "temperature", "max_tokens", "max_completion_tokens", "max_output_tokens", "top_p", "top_k", "top_a", "min_p",
    "n", "stop", "stop_sequences", "stop_token_ids", "seed", "presence_penalty", "frequency_penalty",
    "repetition_penalty", "repeat_penalty", "length_penalty", "logit_bias", "logprobs", "top_logprobs",
    "prompt_logprobs", "response_format", "tools", "tool_choice", "parallel_tool_calls", "reasoning",
    "reasoning_effort", "thinking", "verbosity", "user", "metadata", "store", "service_tier", "modalities", "audio",
    "prediction", "extra_body", "extra_headers", "extra_query", "headers", "cache_control", "prompt_cache_key",
    "safety_settings", "web_search_options", "min_tokens", "best_of", "use_beam_search", "ignore_eos",
    "skip_special_tokens", "guided_json", "guided_regex", "guided_choice", "chat_template_kwargs", "num_ctx",
    "keep_alive", "rollout_id", "num_predict", "mirostat", "typical_p", "echo", "suffix", "stream_options",
))  # fmt: skip
"""Names that providers use; only there to tell a slip from a name that is new to us."""

_OF_THE_LM: Final = (
    "cache",
    "timeout",
    "num_retries",
    "api_key",
    "api_base",
    "base_url",
    "model_type",
    "client",
)
_checked: set[str] = set()  # names that were looked at and are no slips


def shows_reasoning(model: str, options: Mapping[str, Any]) -> bool:
    """Return whether a reasoning model, with these options, tells its reasoning beside its reply.

    OpenAI's own do not; Anthropic's do where they are told to think; DeepSeek's always do.

    Example:
        >>> shows_reasoning("anthropic/claude-x", {"reasoning_effort": "low"}), shows_reasoning("openai/o3", {})
        (True, False)
    """
    if not model.startswith("anthropic/"):
        return "deepseek-reasoner" in model or "deepseek-r1" in model.lower()
    thinking: Any = options.get("thinking")
    if isinstance(thinking, dict):
        return thinking.get("type") in ("enabled", "adaptive")  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
    return options.get("reasoning_effort") not in (None, "none")


def check_options(options: Mapping[str, Any], place: str) -> None:
    """Refuse options that cannot work.

    Args:
        options: By name; a None takes an option of the LM away.
        place: Who was given them, for the message: "LM('openai/gpt-5-mini')".

    Raises:
        ConfigurationError: A name is a slip of a known one, or a size is impossible.
    """
    for name, value in options.items():
        if name not in _checked:
            _check_name(name, place)
        if value is not None and name in _SIZES:
            fits, wanted = _SIZES[name]
            if not fits(value):
                raise ConfigurationError(f"{place}: {name} is {value!r}; it must be {wanted}")


def _check_name(name: str, place: str) -> None:
    if name not in KNOWN:
        if name in _OF_THE_LM:
            raise ConfigurationError(
                f"{place}: {name!r} belongs to the LM, not to one call; make a copy with it: lm.copy({name}=…)"
            )
        near = nearest(name, KNOWN, likeness=0.88)
        if near is not None:
            raise ConfigurationError(f"{place}: unknown option {name!r}; did you mean {near!r}?")
    _checked.add(name)


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def _not_negative(value: Any) -> bool:
    return _is_number(value) and value >= 0


def _count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1


def _share(value: Any) -> bool:
    return _is_number(value) and 0 <= value <= 1


def _whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


_SIZES: Final[dict[str, tuple[Callable[[Any], bool], str]]] = {
    "temperature": (_not_negative, "a number, 0 or more"),
    "max_tokens": (_count, "a whole number, 1 or more"),
    "max_completion_tokens": (_count, "a whole number, 1 or more"),
    "n": (_count, "a whole number, 1 or more"),
    "top_p": (_share, "a number from 0 to 1"),
    "rollout_id": (_whole, "a whole number: the index of the draw"),
}
