"""Tokens and dollars of one call."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, cast

from telic.data import Response, Usage
from telic.lm._prices import Price, cost_usd

ONE_CALL: Final = Usage(calls=1)
"""A call that did not say what it used."""


def usage_from(reported: Any) -> Usage:
    """Return the usage that an OpenAI-shaped object or dict reports; its cost is left open.

    Args:
        reported: Has `prompt_tokens` and `completion_tokens` (or `input_tokens`, `output_tokens`), and maybe details
            of each; None or empty: nothing was reported.
    """
    if not reported:
        return ONE_CALL
    if type(reported) is Usage:
        return reported if reported.calls else reported._replace(calls=1)
    inputs = _number(reported, "prompt_tokens") or _number(reported, "input_tokens")
    outputs = _number(reported, "completion_tokens") or _number(reported, "output_tokens")
    in_details = _part(reported, "prompt_tokens_details") or _part(reported, "input_tokens_details")
    out_details = _part(reported, "completion_tokens_details") or _part(reported, "output_tokens_details")
    return Usage(
        inputs,
        outputs,
        _number(in_details, "cached_tokens"),
        _number(out_details, "reasoning_tokens"),
        None,
        1,
    )


def priced(response: Response, price: Price | None) -> Response:
    """Return `response` with its cost, where that is known, and counted as at least one call."""
    usage = response.usage
    if usage.cost_usd is None and price is not None:
        # Nothing was reported: the cost is known only if tokens cost nothing.
        free = not price.input and not price.output
        if usage.total_tokens or free:
            return response._replace(
                usage=usage._replace(cost_usd=cost_usd(price, usage), calls=usage.calls or 1)
            )
    return response if usage.calls else response._replace(usage=usage._replace(calls=1))


def _part(holder: Any, name: str) -> Any:
    if isinstance(holder, Mapping):
        return cast("Mapping[str, Any]", holder).get(name)
    return getattr(holder, name, None)


def _number(holder: Any, name: str) -> int:
    value = _part(holder, name)
    return value if isinstance(value, int) else 0
