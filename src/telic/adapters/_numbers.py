"""Truth values and numbers as LMs write them: `True.`, `yes`, `1,234`, `$3.50`, `85%`, `**7**`."""

from __future__ import annotations

import re

from telic.adapters._choices import bare

_TRUE = frozenset({"true", "yes", "y", "1"})
_FALSE = frozenset({"false", "no", "n", "0"})
_NUMBER = re.compile(
    r"([+\-−]?)\s?[$€£¥₹]?\s?([+\-−]?)(\d{1,3}(?:,\d{3})+|\d*)(\.\d*)?([eE][+-]?\d{1,6})?\s?(%?)\s?[$€£¥₹]?"
)


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


def read_float(text: str, *, percent_is_fraction: bool = True) -> float:
    """Return the number that `text` states.

    Args:
        text: What the LM wrote.
        percent_is_fraction: `85%` is 0.85; False: it is 85.0, for a field whose limits lie above 1.

    Raises:
        ValueError: It states none.
    """
    try:
        return float(text)
    except ValueError:
        sign, digits, fraction, exponent, percent = _split(text)
    number = float(f"{sign}{digits or '0'}{fraction}{exponent}")
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
