r"""Field markers inside values: hidden on the way into a prompt, back as they were on the way out.

A value that holds `[[ ## answer ## ]]` must not pass for the reply's own field. `Guard.hide` puts one backslash before
what looks like a marker, `Guard.restore` takes one away, so any text comes back unchanged, also one that already
had backslashes there. Text without the trigger characters is not touched and costs one substring search. In JSON text a
backslash would break the JSON, so the first character is written as its `\u` escape there, which JSON undoes by itself.

Patterns have bounded repeats only: hostile text costs linear time.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import final


@final
class Guard:
    """How one layout's markers are hidden inside values. Immutable; shared by threads."""

    __slots__ = ("_escape", "_hidden", "_marker", "trigger")

    def __init__(self, trigger: str, marker: str, *, before: str = "", flags: int = 0) -> None:
        r"""Store the patterns.

        Args:
            trigger: A substring of everything that `marker` matches; texts without it are left alone.
            marker: Regular expression of the beginning of a marker, as hidden text must not have it.
            before: A lookbehind that holds before `marker` in text that was never hidden.
            flags: Flags of `re` for `marker`.
        """
        self.trigger = trigger
        self._marker = re.compile(before + marker, flags)
        self._hidden = re.compile(rf"\\(?={marker})", flags)
        self._escape = "\\u005b" if trigger == "##" else "\\u003c"

    def hide(self, text: str) -> str:
        """Return `text` with a backslash before each marker in it."""
        return self._marker.sub(r"\\\g<0>", text) if self.trigger in text else text

    def hide_json(self, text: str) -> str:
        r"""Return JSON text with the first character of each marker as its `\u` escape: equal JSON, no marker."""
        if self.trigger not in text:
            return text
        return self._marker.sub(lambda match: self._escape + match.group()[1:], text)

    def restore(self, text: str) -> str:
        """Return `text` as it was before `hide`."""
        return self._hidden.sub("", text) if "\\" in text and self.trigger in text else text


MARKERS = Guard("##", r"\[+[^\S\n]{0,4}##", before=r"(?<!\[)")
"""Hides `[[ ## field ## ]]`, whatever its name and spacing."""


def tag_guard(names: Iterable[str]) -> Guard:
    """Return the guard that hides the opening and closing tags `<name>` of the given fields."""
    alternatives = "|".join(re.escape(name) for name in sorted(names))
    return Guard("<", rf"<(?=[^\S\n]{{0,4}}/?[^\S\n]{{0,4}}(?:{alternatives})\b)", flags=re.IGNORECASE)
