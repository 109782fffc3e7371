"""What has parts of its own in a message, and what stands for these where only text can."""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import sha256
from typing import Any, cast

from telic.types._media import as_mapping


def has_parts(value: Any) -> bool:
    """Return whether a value brings parts of its own."""
    return (
        hasattr(value, "to_parts")
        and not isinstance(value, type)
        and not getattr(cast("Any", type(value)), "shown_as_model", False)
    )


def text_of_value(value: Any) -> str:
    """Return what stands for a value with parts where only text can.

    Example:
        >>> from telic.types import Code, Image
        >>> text_of_value(Code("x = 1")), text_of_value(Image("https://x/y")), text_of_value(Image(b"GIF89a"))
        ('x = 1', 'https://x/y', '<image_url 52a12ce5>')
    """
    return "".join(map(part_text, value.to_parts()))


def part_text(part: dict[str, Any]) -> str:
    """Return what stands for a part where only text can: its text, its address, or its type and a mark of it."""
    text = part.get("text")
    if isinstance(text, str):
        return text
    inner = as_mapping(part.get("source" if part.get("type") == "document" else str(part.get("type"))))
    given: Mapping[str, Any] = {} if inner is None else inner
    if given.get("type") == "text":
        return str(given.get("data"))
    url = given.get("url")
    if isinstance(url, str) and not url.startswith("data:"):
        return url
    mark = sha256(repr(sorted(given.items())).encode("utf-8", "surrogatepass")).hexdigest()[:8]
    return f"<{part.get('type')} {mark}>"
