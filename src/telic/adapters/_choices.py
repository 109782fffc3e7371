"""Matching a reply's text to one of a closed set of spellings: Literal values and enum members.

Tried in order: as it is; without quotes, markdown and end marks; without regard to case; without regard to blanks,
dashes and underscores; and at last one slip of the pen, where exactly one choice is that near. A slip never changes
the first letter, so "atypical" is never taken for "typical".
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_WRAPPERS = "*_`'\"“”‘’«» \t"
_END_MARKS = ".,;:!"


def bare(text: str) -> str:
    """Return the first line of `text` without the note of the prompt, quotes, markdown and end marks around it."""
    line = text.strip().partition("\n")[0].partition("        # ")[0].strip(_WRAPPERS)
    return line.rstrip(_END_MARKS).rstrip(_WRAPPERS) if line[-1:] in _END_MARKS else line


def match_choice(text: str, choices: Mapping[str, Any]) -> str | None:
    """Return the spelling in `choices` that `text` means, or None."""
    if text in choices:
        return text
    text = bare(text)
    if text in choices:
        return text
    if not text:
        return None
    for form in (str.casefold, _letters):
        wanted = form(text)
        near = [choice for choice in choices if form(choice) == wanted]
        if len(near) == 1 and wanted:
            return near[0]
    near = [choice for choice in choices if _is_slip(_letters(text), _letters(choice))]
    return near[0] if len(near) == 1 else None


def _letters(text: str) -> str:
    return "".join(character for character in text.casefold() if character.isalnum())


def _is_slip(text: str, choice: str) -> bool:
    allowed = 0 if len(choice) < 5 else 1 if len(choice) < 9 else 2
    if not allowed or abs(len(text) - len(choice)) > allowed or text[:1] != choice[:1]:
        return False
    return _distance(text, choice) <= allowed


def _distance(a: str, b: str) -> int:
    """Return the number of letters to insert, drop or change to make `b` of `a`."""
    row = list(range(len(b) + 1))
    for i, x in enumerate(a, 1):
        left, row[0] = row[0], i
        for j, y in enumerate(b, 1):
            left, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, left + (x != y))
    return row[-1]
