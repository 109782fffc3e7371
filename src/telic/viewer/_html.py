"""HTML by construction: what is not `Html` is text, and is escaped; so no text of a prompt can become markup.

Text of programs and rows may hold anything: control characters become their pictures, lone surrogates the replacement
character, and each text is isolated, so that right-to-left marks in it cannot turn what stands around it.
"""

from __future__ import annotations

import html
import json
import re
from typing import Any, Final, cast, final

_CONTROLS: Final = {code: 0x2400 + code for code in range(32) if code not in (9, 10)} | {0x7F: 0x2421}
_SURROGATES: Final = re.compile("[\ud800-\udfff]")
_VOID: Final = frozenset({"meta", "br", "hr"})
_IN_SCRIPT: Final = {ord(c): f"\\u{ord(c):04x}" for c in "<>&\u2028\u2029"}


@final
class Html(str):
    """Markup that is safe as it is."""

    __slots__ = ()


def clean(text: str) -> str:
    """Return text that any page can show.

    Example:
        >>> clean("a" + chr(0) + chr(0xD800))
        'a␀�'
    """
    return _SURROGATES.sub("\ufffd", text.translate(_CONTROLS))


def escaped(value: Any) -> Html:
    """Return a value as markup: `Html` as it is, anything else as text; None is nothing."""
    if isinstance(value, Html):
        return value
    return Html("" if value is None else html.escape(clean(str(value))))


def join(*children: Any) -> Html:
    """Return the children one after another; lists are opened."""
    return Html("".join([_markup(child) for child in children]))


def _markup(child: Any) -> Html:
    return join(*cast("list[Any]", child)) if isinstance(child, (list, tuple)) else escaped(child)


def tag(name: str, /, *children: Any, **attributes: Any) -> Html:
    """Return an element; an attribute `class_` is `class`, `data_x` is `data-x`, None and False are left out.

    Example:
        >>> tag("p", "a < b", class_="x")
        '<p class="x">a &lt; b</p>'
    """
    written = "".join(_attribute(key, value) for key, value in attributes.items())
    if name in _VOID:
        return Html(f"<{name}{written}>")
    return Html(f"<{name}{written}>{join(*children)}</{name}>")


def _attribute(key: str, value: Any) -> str:
    if value is None or value is False:
        return ""
    name = key.rstrip("_").replace("_", "-")
    return f" {name}" if value is True else f' {name}="{escaped(value)}"'


def data_script(name: str, value: Any) -> Html:
    """Return a script element that holds plain data and never runs."""
    text = json.dumps(value, separators=(",", ":"), allow_nan=False).translate(_IN_SCRIPT)
    return Html(f'<script type="application/json" id="{name}">{text}</script>')


def cut(text: str, most: int) -> str:
    """Return a text, or its beginning and how much is left out."""
    return text if len(text) <= most else f"{text[:most]} … ({len(text) - most:,} more characters)"
