"""List prices of well-known hosted models, and prices that users set.

A price that is not known here is unknown, None, and never 0: a total that holds an unknown price is unknown as well,
and a budget in dollars refuses such a model before its first call. The table is short on purpose and dated; `set_price`
is for everything else, also for what a contract makes cheaper. Nothing is ever fetched.

Prices are of plain calls: no batch discount, no surcharge for long contexts, cache writes as plain input.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final, NamedTuple

from telic.errors import ConfigurationError

if TYPE_CHECKING:
    from telic.data import Usage

PRICES_AS_OF: Final = "2026-11"
"""When the table was compared with the providers' list prices."""


class Price(NamedTuple):
    """USD for a million tokens."""

    input: float
    output: float
    cached_input: float | None = None
    """For input tokens that the provider had cached; None: as `input`."""


FREE: Final = Price(0.0, 0.0)

_LOCAL_PROVIDERS: Final = frozenset(("telic", "ollama", "ollama_chat", "lm_studio", "llamafile", "llama_cpp"))
"""Run by the user on a machine of his own: nobody is paid for tokens."""

_LIST: Final[dict[str, Price]] = {
    "gpt-3.5-turbo": Price(0.5, 1.5),
    "gpt-4": Price(30, 60),
    "gpt-4-turbo": Price(10, 30),
    "gpt-4o": Price(2.5, 10, 1.25),
    "gpt-4o-mini": Price(0.15, 0.6, 0.075),
    "gpt-4.1": Price(2, 8, 0.5),
    "gpt-4.1-mini": Price(0.4, 1.6, 0.1),
    "gpt-4.1-nano": Price(0.1, 0.4, 0.025),
    "gpt-5": Price(1.25, 10, 0.125),
    "gpt-5-mini": Price(0.25, 2, 0.025),
    "gpt-5-nano": Price(0.05, 0.4, 0.005),
    "gpt-5-pro": Price(15, 120),
    "gpt-5.1": Price(1.25, 10, 0.125),
    "gpt-5.2": Price(1.75, 14, 0.175),
    "gpt-5.4": Price(2.5, 15, 0.25),
    "gpt-5.4-mini": Price(0.75, 4.5, 0.075),
    "gpt-5.4-nano": Price(0.2, 1.25, 0.02),
    "gpt-5.5": Price(5, 30, 0.5),
    "o1": Price(15, 60, 7.5),
    "o3": Price(2, 8, 0.5),
    "o3-mini": Price(1.1, 4.4, 0.55),
    "o4-mini": Price(1.1, 4.4, 0.275),
    "text-embedding-3-small": Price(0.02, 0),
    "text-embedding-3-large": Price(0.13, 0),
    "text-embedding-ada-002": Price(0.1, 0),
    "claude-haiku-4-5": Price(1, 5, 0.1),
    "claude-sonnet-4-5": Price(3, 15, 0.3),
    "claude-sonnet-4-6": Price(3, 15, 0.3),
    "claude-opus-4-5": Price(5, 25, 0.5),
    "claude-opus-4-6": Price(5, 25, 0.5),
    "claude-opus-4-7": Price(5, 25, 0.5),
    "gemini-2.5-pro": Price(1.25, 10, 0.125),
    "gemini-2.5-flash": Price(0.3, 2.5, 0.03),
    "gemini-2.5-flash-lite": Price(0.1, 0.4, 0.01),
    "gemini-3-flash-preview": Price(0.5, 3, 0.05),
    "deepseek-chat": Price(0.28, 0.42, 0.028),
    "deepseek-reasoner": Price(0.28, 0.42, 0.028),
    "mistral-large-latest": Price(0.5, 1.5, 0.05),
    "mistral-medium-latest": Price(1.5, 7.5, 0.15),
    "mistral-small-latest": Price(0.15, 0.6, 0.015),
    "openai/gpt-oss-120b": Price(0.15, 0.6, 0.075),
    "openai/gpt-oss-20b": Price(0.075, 0.3, 0.0375),
}
_OF_ONE_HOST: Final = {"openai/gpt-oss-120b": "groq", "openai/gpt-oss-20b": "groq"}
"""Open models cost what their host asks; these prices are that host's."""

_set: dict[str, Price | None] = {}
_known: dict[str, Price | None] = {}  # what `price_of` found, by model


def set_price(
    model: str, *, input: float | None = None, output: float | None = None, cached_input: float | None = None
) -> None:
    """Say what a model costs, for this process.

    Args:
        model: As given to `LM`: "provider/model".
        input: USD for a million input tokens; 0 means free. None, with `output` None: the price is unknown.
        output: USD for a million output tokens.
        cached_input: USD for a million input tokens that the provider had cached; None: as `input`.

    Raises:
        ConfigurationError: Only one of `input` and `output` is given, or a price is negative.
    """
    if (input is None) != (output is None):
        raise ConfigurationError(f"set_price({model!r}): give both `input` and `output`, or neither")
    for name, value in (("input", input), ("output", output), ("cached_input", cached_input)):
        if value is not None and not (value >= 0 and math.isfinite(value)):
            raise ConfigurationError(f"set_price({model!r}): {name} is {value!r}; a price is 0 or more")
    _set[model] = None if input is None or output is None else Price(input, output, cached_input)
    _known.clear()


def price_of(model: str) -> Price | None:
    """Return what "provider/model" costs, or None where that is unknown.

    A dated name (`gpt-4o-2024-08-06`, `claude-haiku-4-5-20251001`) costs what the name without its date costs.

    Example:
        >>> price_of("openai/gpt-4o-mini-2024-07-18")
        Price(input=0.15, output=0.6, cached_input=0.075)
        >>> price_of("openai/my-own-model") is None
        True
    """
    try:
        return _known[model]
    except KeyError:
        price = _known[model] = _find(model)
        return price


def _find(model: str) -> Price | None:
    if model in _set:
        return _set[model]
    provider, _, name = model.partition("/")
    if provider in _LOCAL_PROVIDERS:
        return FREE
    if provider in ("litellm", "any-llm"):
        inner = name.replace(":", "/", 1)
        return _find(inner) if "/" in inner else _LIST.get(inner)
    for candidate in (name, _undated(name)):
        if candidate in _LIST and _OF_ONE_HOST.get(candidate, provider) == provider:
            return _LIST[candidate]
    return None


def _undated(name: str) -> str:
    head, _, tail = name.rpartition("-")
    if len(tail) == 8 and tail.isdigit():
        return head  # …-20251001
    parts = name.rsplit("-", 3)
    if len(parts) == 4 and [len(part) for part in parts[1:]] == [4, 2, 2] and "".join(parts[1:]).isdigit():
        return parts[0]  # …-2024-08-06
    return name


def cost_usd(price: Price, usage: Usage) -> float:
    """Return what a call cost. `cached_input_tokens` are part of `input_tokens`."""
    cached = min(usage.cached_input_tokens, usage.input_tokens)
    cached_rate = price.input if price.cached_input is None else price.cached_input
    fresh = usage.input_tokens - cached
    return (fresh * price.input + cached * cached_rate + usage.output_tokens * price.output) / 1e6
