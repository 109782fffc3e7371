"""Whether two answers in LaTeX say the same number or expression, as the MATH benchmark compares them.

Answers are brought to one form by text alone (no algebra): sizes, spaces, units and words are taken off, fractions and
roots get braces, and numbers are compared as exact fractions.
"""

from __future__ import annotations

import re
from fractions import Fraction
from typing import Final

_REMOVED: Final = re.compile(
    r"\\left|\\right|\\!|\\,|\\;|\\:|\\ |\\quad|\\qquad|\\displaystyle|\\\$|\$|\\%|%|\^\{?\\circ\}?|\\degree"
    r"|\\(?:big|Big|bigg|Bigg)(?![a-zA-Z])"
)
_WORDS: Final = re.compile(r"\\(?:text|mbox|textrm|mathrm|textbf|operatorname)\s*\{([^{}]*)\}")
_THOUSANDS: Final = re.compile(r"(?<=\d),(?:\\!)?(?=\d{3}(?!\d))")
_NAMES: Final = {
    r"\dfrac": r"\frac", r"\tfrac": r"\frac", r"\cfrac": r"\frac", r"\cdot": "*", r"\times": "*", r"\le": r"\leq",
    r"\ge": r"\geq", r"\ne": r"\neq", r"\lbrace": r"\{", r"\rbrace": r"\}",
}  # fmt: skip
_NAME: Final = re.compile(r"\\[a-zA-Z]+")
_SHORT_FRACTION: Final = re.compile(r"\\frac\s*([0-9a-zA-Z])\s*([0-9a-zA-Z])")
_HALF_FRACTION: Final = re.compile(r"\\frac\s*(?:([0-9a-zA-Z])\s*(\{[^{}]*\})|(\{[^{}]*\})\s*([0-9a-zA-Z]))")
_SHORT_ROOT: Final = re.compile(r"\\sqrt\s*([0-9a-zA-Z])")
_FRACTION: Final = re.compile(r"(-?)\\frac\{(-?\d+)\}\{(-?\d+)\}")
_MIXED: Final = re.compile(r"(-?)(\d+)\\frac\{(\d+)\}\{(\d+)\}")
_PLAIN: Final = re.compile(r"-?(?:\d+(?:\.\d*)?|\.\d+)(?:/-?\d+)?")


def boxed(solution: str) -> str | None:
    r"""Return what stands in the last `\boxed{…}` (or `\fbox`) of a solution, or None.

    Example:
        >>> boxed(r"So the answer is $\boxed{\frac{1}{2}}$.")
        '\\frac{1}{2}'
    """
    start = max(solution.rfind(r"\boxed"), solution.rfind(r"\fbox"))
    if start < 0:
        return None
    rest = solution[start:].partition("{")
    if not rest[1] or rest[0].strip() not in (r"\boxed", r"\fbox"):
        bare = re.match(r"\\(?:boxed|fbox)\s+([^\s$]+)", solution[start:])
        return bare.group(1) if bare else None
    depth = 1
    for place, char in enumerate(rest[2]):
        depth += (char == "{") - (char == "}")
        if depth == 0:
            return rest[2][:place].strip()
    return None


def same_answer(one: str, other: str) -> bool:
    r"""Return whether two answers say the same.

    Example:
        >>> same_answer(r"\dfrac12", "0.5"), same_answer(r"x = 3\text{ cm}", "3"), same_answer("(1,2)", "(2,1)")
        (True, True, False)
    """
    first, second = _normal(one), _normal(other)
    if first == second:
        return True
    a, b = _value(first), _value(second)
    return a is not None and a == b


def _normal(answer: str) -> str:
    text = answer.strip()
    inner = boxed(text)
    text = inner if inner is not None else text
    text = _NAME.sub(lambda match: _NAMES.get(match.group(), match.group()), text)
    text = _THOUSANDS.sub("", text)
    text = _REMOVED.sub("", text)
    alone = _WORDS.fullmatch(text.strip())
    text = alone.group(1) if alone else _WORDS.sub("", text)
    text = re.sub(r"\s+", "", text).rstrip(".,;")
    text = _SHORT_FRACTION.sub(r"\\frac{\1}{\2}", text)
    text = _HALF_FRACTION.sub(_braced, text)
    text = _SHORT_ROOT.sub(r"\\sqrt{\1}", text)
    head, equals, tail = text.partition("=")
    return tail if equals and len(head) <= 2 and "=" not in tail else text


def _braced(match: re.Match[str]) -> str:
    top, low = match.group(1) or match.group(3), match.group(2) or match.group(4)
    return rf"\frac{{{top.strip('{}')}}}{{{low.strip('{}')}}}"


def _value(text: str) -> Fraction | None:
    """Return the number that a text is, or None."""
    try:
        if match := _MIXED.fullmatch(text):
            whole = Fraction(int(match[2])) + Fraction(int(match[3]), int(match[4]))
            return -whole if match[1] else whole
        if match := _FRACTION.fullmatch(text):
            value = Fraction(int(match[2]), int(match[3]))
            return -value if match[1] else value
        if _PLAIN.fullmatch(text) and len(text) < 100:
            top, _, low = text.partition("/")
            return Fraction(top) / Fraction(low or "1")
    except ZeroDivisionError:
        return None
    return None
