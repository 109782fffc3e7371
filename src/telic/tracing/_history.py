"""The last calls of the process, for `inspect_history`: a bounded ring of references.

An entry keeps what the call held anyway (the request with its shared prefix, the response); it becomes a dict
or text only when someone looks. The ring has `max_history_size` entries (a setting); `disable_history` keeps
none.
"""

from __future__ import annotations

import sys
import time
from collections import deque
from typing import TYPE_CHECKING, Any, TextIO, cast, final

from telic.context import DEFAULTS
from telic.context import get as setting

if TYPE_CHECKING:
    from collections.abc import Iterable

    from telic.data import Request, Response
    from telic.tracing._usage import UsageTracker


_NOT_SHOWN = frozenset({"api_key", "headers", "extra_headers", "extra_query", "api_base", "base_url"})
"""Options that may hold a key."""


@final
class HistoryEntry:
    """One call of an LM: what was asked, what came back, how long it took."""

    __slots__ = ("callers", "error", "lm_name", "request", "response", "role", "seconds", "timestamp")

    def __init__(
        self,
        lm_name: str,
        request: Request,
        response: Response | None,
        error: BaseException | None,
        seconds: float,
        role: str,
        callers: tuple[Any, ...],
    ) -> None:
        self.lm_name = lm_name
        self.request = request
        self.response = response
        # As text: the exception would keep its traceback, and with it the values of all callers.
        self.error = None if error is None else f"{type(error).__name__}: {error}"
        self.seconds = seconds
        self.role = role
        self.callers = callers
        self.timestamp = time.time()

    def to_dict(self) -> dict[str, Any]:
        """Return the call with the keys that tools look for: `messages`, `outputs`, `usage`, `cost` …."""
        response = self.response
        usage = None if response is None else response.usage
        return {
            "model": self.lm_name,
            "messages": list(self.request.messages),
            "kwargs": {name: value for name, value in self.request.options.items() if name not in _NOT_SHOWN},
            "outputs": [] if response is None else [completion.text for completion in response.completions],
            "response": response,
            "usage": {} if usage is None else usage.to_dict(),
            "cost": None if usage is None else usage.cost_usd,
            "cached": response is not None and response.cached,
            "error": self.error,
            "seconds": self.seconds,
            "role": self.role,
            "timestamp": self.timestamp,
            "response_model": None if response is None else response.model,
        }

    def __getitem__(self, key: str) -> Any:
        return self.to_dict()[key]

    def __repr__(self) -> str:
        return f"HistoryEntry({self.lm_name!r}, {len(self.request.messages)} messages, {self.seconds:.3f} s)"


_ring: deque[HistoryEntry] = deque(maxlen=DEFAULTS["max_history_size"])


def record_call(
    lm_name: str,
    request: Request,
    response: Response | None,
    error: BaseException | None = None,
    seconds: float = 0.0,
) -> HistoryEntry | None:
    """Keep one finished LM call in the history, and count it in the usage tracker in force.

    Args:
        lm_name: The model as configured.
        request: What was asked. It must hold no secrets.
        response: What came back, or None where the call failed.
        error: Why it failed.
        seconds: How long the call took.

    Returns:
        The entry, or None where `disable_history` is set.
    """
    tracker: UsageTracker | None = setting("usage_tracker")
    callers: tuple[Any, ...] = setting("caller")
    if tracker is not None and response is not None:
        tracker.add(
            response.usage,
            lm=lm_name,
            role=setting("role"),
            predictor=callers[-1] if callers else None,
            cached=response.cached,
        )
    if setting("disable_history"):
        return None
    entry = HistoryEntry(lm_name, request, response, error, seconds, setting("role"), callers)
    _ring_in_force().append(entry)
    return entry


def _ring_in_force() -> deque[HistoryEntry]:
    global _ring  # noqa: PLW0603  one ring per process; replaced only when its size setting changes
    size: int = setting("max_history_size")
    if _ring.maxlen != size:
        _ring = deque(_ring, maxlen=size)
    return _ring


def history(module: Any = None) -> list[HistoryEntry]:
    """Return the calls kept, oldest first.

    Args:
        module: Only those made inside a call of this module.
    """
    entries = list(_ring)
    return (
        entries if module is None else [e for e in entries if any(caller is module for caller in e.callers)]
    )


def clear_history() -> None:
    """Forget all calls."""
    _ring.clear()


def inspect_history(n: int = 1, file: TextIO | None = None) -> None:
    """Write the last `n` calls of the process, messages and replies, to standard output.

    Args:
        n: How many calls, at least 1.
        file: Where to write instead; a terminal is not assumed.
    """
    write_entries(history(), n, file)


def write_entries(entries: Iterable[Any], n: int, file: TextIO | None) -> None:
    """Write the last `n` of `entries` as text."""
    out = sys.stdout if file is None else file
    chosen = list(entries)
    for entry in chosen[max(0, len(chosen) - n) :]:
        out.write(_as_text(entry))


def _as_text(entry: HistoryEntry) -> str:
    when = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(entry.timestamp))
    lines = ["", f"[{when}] {entry.lm_name}  ({entry.seconds * 1e3:.0f} ms)"]
    for message in entry.request.messages:
        lines += ["", f"{message['role'].capitalize()} message:", "", _content(message.get("content"))]
        lines += [f"Tool call: {call}" for call in message.get("tool_calls", ())]
    if entry.response is not None:
        for index, completion in enumerate(entry.response.completions):
            lines += ["", "Response:" if index == 0 else f"Response {index + 1}:", "", completion.text]
            lines += [
                f"Tool call: {call.get('name')}({call.get('arguments')})" for call in completion.tool_calls
            ]
    if entry.error is not None:
        lines += ["", f"Failed: {entry.error}"]
    return "\n".join([*lines, "", ""])


def _described(part: dict[str, Any]) -> str:
    """Return a part that is no text in a line: its type, and its address where it has one."""
    kind = str(part.get("type", "part"))
    inner = part.get(kind)
    url = cast("dict[str, Any]", inner).get("url") if isinstance(inner, dict) else None
    return f"<{kind} {url}>" if isinstance(url, str) and not url.startswith("data:") else f"<{kind}>"


def _content(content: object) -> str:
    if isinstance(content, str):
        return content
    if not isinstance(content, list):
        return ""
    parts: list[str] = []
    for part in cast("list[dict[str, Any]]", content):
        text = part.get("text")
        parts.append(text if isinstance(text, str) else _described(part))
    return "\n".join(parts)
