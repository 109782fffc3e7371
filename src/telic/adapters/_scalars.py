"""Single words as LMs write them: truth values and numbers (`True.`, `yes`, `1,234`, `$3.50`, `85%`, `**7**`), and one
of a closed set of spellings (Literal values, enum members).

A spelling is matched as it is; without quotes, markdown and end marks; without regard to case; without regard to
blanks, dashes and underscores; and at last with one slip of the pen, where exactly one choice is that near. A slip
never changes the first letter, so "atypical" is never taken for "typical".
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

_WRAPPERS = "*_`'\"“”‘’«» \t"
_END_MARKS = ".,;:!"
_TRUE = frozenset({"true", "yes", "y", "1"})
_FALSE = frozenset({"false", "no", "n", "0"})
_AS_TYPE = re.compile(r"(?:Literal|str|int|Enum)\[(.*)\]")
_NUMBER = re.compile(
    r"([+\-−]?)\s?[$€£¥₹]?\s?([+\-−]?)(\d{1,3}(?:,\d{3})+|\d*)(\.\d*)?([eE][+-]?\d{1,6})?\s?(%?)\s?[$€£¥₹]?"
)


def bare(text: str) -> str:
    """Return the first line of `text` without the note of the prompt, quotes, markdown and end marks around it."""
    line = text.strip().partition("\n")[0].partition("        # ")[0].strip(_WRAPPERS)
    return line.rstrip(_END_MARKS).rstrip(_WRAPPERS) if line[-1:] in _END_MARKS else line


def read_bool(text: str) -> bool:
    """Return the truth value that `text` states.

    Raises:
        ValueError: It states none.
    """
    word = bare(text).casefold()
    if word in _TRUE:
        return True
    if word in _FALSE:
        return False
    raise ValueError("not a truth value")


def read_int(text: str) -> int:
    """Return the whole number that `text` states; of a percentage, the number before the sign.

    Raises:
        ValueError: It states none, or one with a fraction.
    """
    try:
        return int(text)
    except ValueError:
        sign, digits, fraction, exponent, _ = _split(text)
    if exponent:
        number = float(f"{sign}{digits or '0'}{fraction}{exponent}")
        if not number.is_integer():
            raise ValueError("not a whole number")
        return int(number)
    if fraction.strip(".0"):
        raise ValueError("not a whole number")
    return int(f"{sign}{digits or '0'}")


def read_float(text: str, *, percent_is_fraction: bool = True, kind: Callable[[str], Any] = float) -> Any:
    """Return the number that `text` states.

    Args:
        text: What the LM wrote.
        percent_is_fraction: `85%` is 0.85; False: it is 85.0, for a field whose limits lie above 1.
        kind: `float`, or `Decimal`, which keeps all digits.

    Raises:
        ValueError: It states none.
    """
    try:
        return kind(text)
    except (ValueError, ArithmeticError):
        sign, digits, fraction, exponent, percent = _split(text)
    number = kind(f"{sign}{digits or '0'}{fraction}{exponent}")
    return number / 100 if percent and percent_is_fraction else number


def _split(text: str) -> tuple[str, str, str, str, str]:
    text = bare(text)
    match = _NUMBER.fullmatch(text)
    if match is None or not (match.group(3) or (match.group(4) or ".") != "."):
        raise ValueError("not a number")
    before, after, digits, fraction, exponent, percent = match.groups(default="")
    if before and after:
        raise ValueError("not a number")
    sign = "-" if (before or after) in {"-", "−"} else ""
    return sign, digits.replace(",", ""), fraction, exponent, percent


def match_choice(text: str, choices: Mapping[str, Any]) -> str | None:
    """Return the spelling in `choices` that `text` means, or None."""
    if text in choices:
        return text
    text = bare(text)
    wrapped = _AS_TYPE.fullmatch(text)  # the prompt's word for the type, with the value in its brackets
    text = text if wrapped is None else bare(wrapped[1])
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
