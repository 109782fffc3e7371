"""Small words about words."""

from __future__ import annotations

from collections.abc import Iterable
from importlib import import_module
from typing import Any


def nearest(name: str, known: Iterable[str], *, likeness: float = 0.6) -> str | None:
    """Return the known name that is most like `name`, or None where none is (0: nothing in common, 1: equal)."""
    near: list[str] = import_module("difflib").get_close_matches(name, list(known), n=1, cutoff=likeness)
    return near[0] if near else None


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return "; did you mean 'x'?" for the nearest known name, or ""."""
    near = nearest(name, known)
    return "" if near is None else f"; did you mean {near!r}?"


def join_names(names: Iterable[str], last: str = "and") -> str:
    """Return names quoted with backquotes and joined as a person would: "`a`, `b` and `c`"."""
    quoted = [f"`{name}`" for name in names]
    if len(quoted) < 2:
        return "".join(quoted)
    return f"{', '.join(quoted[:-1])} {last} {quoted[-1]}"


def plural(count: int, noun: str) -> str:
    """Return the count with its noun: "1 row", "2 rows"."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def truncate(text: str, limit: int = 200) -> str:
    """Return `text`, cut to `limit` characters with the number of those left out."""
    return text if len(text) <= limit else f"{text[:limit]}… (+{len(text) - limit} characters)"


def whole_escapes(text: str) -> str:
    r"""Return JSON text in which escaped halves of surrogate pairs, which no encoding can carry, are `\ufffd`.

    Example:
        >>> print(whole_escapes(r'["\ud83d\ude00", "\ud83d cut", "\\ud83d"]'))
        ["\ud83d\ude00", "\ufffd cut", "\\ud83d"]
    """
    if "\\ud" not in text and "\\uD" not in text:
        return text

    def whole(found: Any) -> str:
        return "\\ufffd" if found[1] else found[0]

    return import_module("re").sub(_ESCAPE, whole, text)


_ESCAPE = r"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|(\\u[dD][89a-fA-F][0-9a-fA-F]{2})|\\."
