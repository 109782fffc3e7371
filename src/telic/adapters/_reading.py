"""What a reply was found to hold, before its values have types; and the wrappings that any format may come in."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection
from typing import Any, NamedTuple


class Reading(NamedTuple):
    """Raw values by field name: text, or what JSON held."""

    found: dict[str, Any]
    complete: bool
    """The reply showed that it was whole: an end marker, a closed object, a closed last tag."""


Reader = Callable[[str, Collection[str]], Reading]

EMPTY = Reading({}, complete=False)

_FENCE = re.compile(r"\A```[\w+-]*[^\S\n]*\n(.*?)\n?[^\S\n]*```\Z", re.DOTALL)
_OPEN_FENCE = re.compile(r"\A```[\w+-]*[^\S\n]*\n")


def without_thoughts(text: str) -> str:
    """Return `text` without the thoughts that some models put before their reply, up to `</think>`.

    Servers that add the opening tag to the prompt return the closing one alone.
    """
    text = text.strip()
    end = text.find("</think>")
    if text.startswith("<think>"):
        return text[end + len("</think>") :].lstrip() if end >= 0 else ""
    if end >= 0 and "<think>" not in text[:end] and not text.startswith(("[[", "{", "<")):
        return text[end + len("</think>") :].lstrip()
    return text


def unwrap(text: str) -> str:
    """Return `text` without a `<think>` block before it and without a code fence around all of it."""
    text = without_thoughts(text)
    if text.startswith("```"):
        whole = _FENCE.match(text)
        text = whole.group(1).strip() if whole else _OPEN_FENCE.sub("", text)
    return text
