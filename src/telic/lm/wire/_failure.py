"""From a server's refusal to the error of ours that stands for it.

Servers agree on status codes and on little else, so the status decides first and the words of the body after: a full
context, a used-up quota and a blocked prompt are all told by phrase. Keys never reach a message, even where a server
repeats them. Dialects load this file at the first failure: compiling the phrases takes as long as all else of a client.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, NamedTuple, cast

from telic._optional import load
from telic._text import truncate
from telic.errors import (
    ContentFilterError,
    ContextWindowExceededError,
    LMAuthError,
    LMBillingError,
    LMError,
    LMInvalidRequestError,
    LMRateLimitError,
    LMResponseError,
    LMServerError,
    LMTimeoutError,
    LMUnsupportedModelError,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from telic.lm.wire._dialect import Place

_CONTEXT = re.compile(
    r"context_length_exceeded|context_window_exceeded|exceed_context_size|model_context_window"
    r"|(maximum|max|model'?s?) (context|model|sequence|input) ?(length|window|size|tokens?)"
    r"|context (length|window|size|limit)|prompt is too long|input is too long|prompt too long"
    r"|reduce the length of the (messages|prompt|input)|too many input tokens|input tokens? exceed"
    r"|exceeds? the (maximum|available|model'?s?) (number of )?(tokens?|input|context|length)"
    r"|longer than the maximum|greater than the maximum (model|context|input) length"
    r"|larger than the maximum (input|context)|token count .{0,40}exceeds",
    re.IGNORECASE,
)
_BILLING = re.compile(
    r"insufficient_quota|billing_hard_limit|exceeded your current quota|credit balance is too low"
    r"|insufficient (balance|credits?|funds)|payment required|account .{0,30}(is )?not active",
    re.IGNORECASE,
)
_FILTER = re.compile(
    r"content_filter|content_policy_violation|responsibleaipolicy|content management policy|data_inspection_failed"
    r"|flagged as potentially|usage policies|prohibited_content|blocked by .{0,20}safety",
    re.IGNORECASE,
)
_MODEL = re.compile(
    r"model_not_found|unknown model|invalid model|no such model|not a valid model"
    r"|model .{0,120}(not exist|not found|not supported|is not available|not loaded|does not exist|decommissioned)"
    r"|deploymentnotfound|try pulling it first",
    re.IGNORECASE,
)
_KEYS = re.compile(r"\b(?:sk|pk|gsk|xai|hf|key|nvapi|fw|AIza|r8|csk)[-_][A-Za-z0-9_\-*.]{6,}|Bearer\s+\S+")
_TRY_AGAIN = re.compile(
    r"(?:try again|retry) (?:in|after) ((?:\d+(?:\.\d+)?\s*(?:ms|milliseconds?|s|m|h)[a-z]*\s*)+)", re.I
)
_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s|m|h)")
_UNIT_S: Final[Mapping[str, float]] = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
_MAX_WAIT_S: Final = 86400.0


class Refusal(NamedTuple):
    """What a server said."""

    message: str
    code: str
    request_id: str | None


def read_refusal(headers: Mapping[str, str], body: bytes, secrets: Sequence[str] = ()) -> Refusal:
    """Return message and code of an error body in any of the usual shapes, keys blotted out."""
    try:
        value: Any = load("orjson").loads(body)
    except ValueError:
        value = body[:4000].decode("utf-8", "replace").strip()
    request_id = headers.get("x-request-id") or headers.get("request-id")
    message, code = _words(value)
    if isinstance(value, dict) and request_id is None:
        own = cast("dict[str, Any]", value).get("request_id")
        request_id = own if isinstance(own, str) else None
    return Refusal(blot(message, secrets), blot(code, secrets), request_id)


def _words(value: Any) -> tuple[str, str]:
    if isinstance(value, list) and value:
        value = cast("list[Any]", value)[0]
    if not isinstance(value, dict):
        return str(value) if isinstance(value, str) else "", ""
    outer = cast("dict[str, Any]", value)
    inner: Any = outer.get("error", outer)
    if isinstance(inner, str):
        return inner, str(outer.get("code") or outer.get("type") or "")
    if not isinstance(inner, dict):
        return str(outer)[:400], ""
    error = cast("dict[str, Any]", inner)
    message: Any = error.get("message") or error.get("detail") or error.get("msg") or ""
    codes = [str(error[name]) for name in ("code", "type", "param") if error.get(name)]
    if not message and not codes:
        message = outer
    return message if isinstance(message, str) else str(message)[:400], " ".join(codes)


def blot(text: str, secrets: Sequence[str]) -> str:
    """Return `text` without `secrets` and without what looks like a key."""
    for secret in secrets:
        if len(secret) >= 4:
            text = text.replace(secret, "[key]")
    return _KEYS.sub("[key]", text)


def failure(place: Place, status: int, headers: Mapping[str, str], body: bytes) -> LMError:
    """Return the error for an answer whose status is not 2xx.

    Args:
        place: Who answered.
        status: The HTTP status; a failure told within a stream passes the status it would have had.
        headers: By lower-case name.
        body: The error's body; not more than its start is shown.
    """
    refusal = read_refusal(headers, body, place.secrets)
    words = f"{refusal.code} {refusal.message}"
    kind, advice = _classify(place, status, words, headers)
    said = truncate(" ".join(refusal.message.split()), 200)
    text = f"{place}: HTTP {status}{': ' + said if said else ' without a message'}"
    return kind(
        f"{text}; {advice}",
        model=place.model,
        provider=place.provider,
        status=status,
        code=refusal.code or None,
        request_id=refusal.request_id,
        retry_after_s=retry_after_s(headers, refusal.message)
        if status in (408, 409, 425, 429) or status >= 500
        else None,
    )


def _classify(place: Place, status: int, words: str, headers: Mapping[str, str]) -> tuple[type[LMError], str]:
    if status == 402 or (status < 500 and status != 401 and _BILLING.search(words)):
        return LMBillingError, "add credit or raise the limit of the account"
    if status in (401, 403):
        if status == 403 and _FILTER.search(words):
            return ContentFilterError, "change the prompt"
        return LMAuthError, place.key_hint or "check the key and what it may do"
    if status == 429:
        return LMRateLimitError, "lower the concurrency (num_threads) or raise the account's limit"
    if 300 <= status < 400:
        target = headers.get("location", "").partition("?")[0]
        return LMResponseError, f"it points to {target!r}; set base_url to where the API is"
    if status == 408:
        return LMTimeoutError, "the server gave up waiting; try again"
    if 400 <= status < 500 or _CONTEXT.search(words):
        return _classify_request(status, words)
    return LMServerError, "the server failed; try again later"


def _classify_request(status: int, words: str) -> tuple[type[LMError], str]:
    if _CONTEXT.search(words):
        return (
            ContextWindowExceededError,
            "shorten the inputs, use fewer demos, or a model with a larger context",
        )
    if _FILTER.search(words):
        return ContentFilterError, "change the prompt"
    if _MODEL.search(words):
        return LMUnsupportedModelError, "check the model's name"
    if status == 404:
        return (
            LMInvalidRequestError,
            "nothing is there: check base_url (most end in /v1) and the model's name",
        )
    return LMInvalidRequestError, "correct the request"


def retry_after_s(headers: Mapping[str, str], message: str = "", now: datetime | None = None) -> float | None:
    """Return how many seconds the server asked to wait, or None.

    Read from `retry-after-ms`, `retry-after` (seconds or a date), the reset of whichever rate header stands at 0,
    `x-ratelimit-reset`, and "try again in 1.2s" in the message, in this order.
    """
    milliseconds = _number(headers.get("retry-after-ms"))
    if milliseconds is not None:
        return _bounded(milliseconds / 1000)
    after = headers.get("retry-after")
    if after is not None:
        seconds = _number(after)
        return _until(after, now) if seconds is None else _bounded(seconds)
    reset = rate_reset_s(headers, now)
    if reset is not None:
        return reset
    found = _TRY_AGAIN.search(message)
    return None if found is None else _duration(found.group(1))


def rate_reset_s(headers: Mapping[str, str], now: datetime | None = None) -> float | None:
    """Return the seconds until a used-up allowance (remaining: 0) is full again, or None if none is used up."""
    waits: list[float] = []
    for remaining, reset in _RATE_HEADERS:
        if headers.get(remaining, "").strip() == "0" and reset in headers:
            wait = _reset(headers[reset], now)
            if wait is not None:
                waits.append(wait)
    return max(waits) if waits else None


_RATE_HEADERS: Final = (
    ("x-ratelimit-remaining-requests", "x-ratelimit-reset-requests"),
    ("x-ratelimit-remaining-tokens", "x-ratelimit-reset-tokens"),
    ("anthropic-ratelimit-requests-remaining", "anthropic-ratelimit-requests-reset"),
    ("anthropic-ratelimit-tokens-remaining", "anthropic-ratelimit-tokens-reset"),
    ("x-ratelimit-remaining", "x-ratelimit-reset"),
)


def _reset(text: str, now: datetime | None) -> float | None:
    number = _number(text)
    if number is None:
        return _duration(text) if _DURATION.match(text.strip()) else _until(text, now)
    if number > 1e9:  # a point in time, in seconds or milliseconds
        moment = number / 1000 if number > 1e12 else number
        return _bounded(moment - (datetime.now(UTC) if now is None else now).timestamp())
    return _bounded(number)


def _number(text: str | None) -> float | None:
    try:
        value = float(text) if text is not None else None
    except ValueError:
        return None
    return value if value is not None and value == value and abs(value) != float("inf") else None


def _duration(text: str) -> float | None:
    parts = _DURATION.findall(text)
    return _bounded(sum(float(value) * _UNIT_S[unit] for value, unit in parts)) if parts else None


def _until(text: str, now: datetime | None) -> float | None:
    try:
        moment = (
            datetime.fromisoformat(text.strip())
            if text.strip()[:1].isdigit()
            else load("email.utils").parsedate_to_datetime(text)
        )
    except (ValueError, TypeError):
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return _bounded((moment - (datetime.now(UTC) if now is None else now)).total_seconds())


def _bounded(seconds: float) -> float:
    return min(max(seconds, 0.0), _MAX_WAIT_S)
