"""JSON as LMs write it (in fences, in prose, cut, with comments, trailing commas, single quotes, Python's words), and
the output fields in it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection
from typing import Any, cast

from telic._optional import load
from telic._text import whole_escapes
from telic.adapters._reading import EMPTY, Reading, unwrap

_decoder = json.JSONDecoder(strict=False)  # raw line breaks inside strings are what LMs write
_FENCED = re.compile(r"```[\w+-]*[^\S\n]*\n(.*?)```", re.DOTALL)
_STRUCTURE = re.compile(r"""[\[{]\s{0,200}(?:["'{\[\d]|\w{1,80}\s{0,4}:|//|/\*|#|\Z)""")
_BEGIN = re.compile(r"[\[{]")
_PERCENT = re.compile(r'"(?:[^"\\]|\\.)*"|(-?\d{1,40}(?:\.\d{1,40})?\s?%)')
MAX_REPAIR = 200_000  # characters; the repair is pure Python
# The repair takes quadratic time over brackets that are never closed, and over tuples: text that no one meant as JSON.
_MAX_OPEN = 100
_MAX_TUPLES = 50
_TUPLE = re.compile(r"[\[{:,)]\s{0,4}\(")
_MAX_STARTS = 50


class NoJSON(ValueError):
    """The text holds nothing that could be meant as JSON."""


def read_object(text: str, names: Collection[str]) -> Reading:
    """Return the fields of the JSON object in `text`; "complete" means that it needed no closing.

    Keys that are no field are dropped. One level of wrapping around the object is taken off, names are compared without
    regard to case where needed, and with a single field a bare value stands for it.
    """
    try:
        value, whole = read_json(text)
    except NoJSON:
        return EMPTY
    found = _fields(value, names)
    if not found and isinstance(value, dict) and len(cast("dict[str, Any]", value)) == 1:
        found = _fields(next(iter(cast("dict[str, Any]", value).values())), names)
    if not found and isinstance(value, list) and len(cast("list[Any]", value)) == 1:
        found = _fields(cast("list[Any]", value)[0], names)
    if not found and len(names) == 1:
        found = {next(iter(names)): cast("Any", value)}
    return Reading(found, whole)


def _fields(value: Any, names: Collection[str]) -> dict[str, Any]:
    if not isinstance(value, dict):
        return {}
    keyed = cast("dict[Any, Any]", value)
    found = {name: keyed[name] for name in names if name in keyed}
    if len(found) < len(names):
        folded = {str(key).strip().casefold(): item for key, item in keyed.items()}
        for name in names:
            if name not in found and name.casefold() in folded:
                found[name] = folded[name.casefold()]
    return found


def read_json(text: str) -> tuple[Any, bool]:
    """Return the JSON value that `text` means, and whether it was whole as it stood.

    Raises:
        NoJSON: There is no JSON value, not even a broken one.
    """
    text = whole_escapes(text)
    value, whole = _as_is(text)
    if whole:
        return value, True
    text = unwrap(text)
    value, whole = _as_is(text)
    if whole:
        return value, True
    fenced = _FENCED.search(text)
    if fenced:
        value, whole = _as_is(fenced.group(1))
        if whole:
            return value, True
    if text.startswith("("):
        literal = _python_literal(text)
        if literal is not None:
            return literal, True
    start = _BEGIN.search(text)
    if start is None:
        raise NoJSON("no JSON value in the text")
    value, whole = _embedded(text)
    return (value, True) if whole else (_repaired(text[start.start() :]), False)


def _as_is(text: str) -> tuple[Any, bool]:
    try:
        return _decoder.decode(text), True
    except (ValueError, RecursionError):
        return None, False


def _embedded(text: str) -> tuple[Any, bool]:
    """Read the first object or array that stands whole in prose; the first bracket must begin it or be prose."""
    for count, match in enumerate(_BEGIN.finditer(text)):
        if count == _MAX_STARTS:
            break
        try:
            return _decoder.raw_decode(text, match.start())[0], True
        except (ValueError, RecursionError):
            if _STRUCTURE.match(text, match.start()):
                break  # broken JSON: an object inside it is not what was meant
    return None, False


def _repaired(text: str) -> Any:
    if len(text) > MAX_REPAIR:
        raise NoJSON(f"broken JSON of {len(text):,} characters; repair stops at {MAX_REPAIR:,}")
    literal = _python_literal(text)
    if literal is not None:
        return literal
    _refuse_hopeless(text)
    if "%" in text:  # the repair would drop the sign of a bare 85% and so change the number
        text = _PERCENT.sub(_quoted_percent, text)
    try:
        value = load("json_repair").loads(text, skip_json_loads=True)
    except (RecursionError, ValueError) as error:
        raise NoJSON(f"JSON that cannot be repaired ({type(error).__name__})") from None
    if value == "":
        raise NoJSON("no JSON value in the text")
    return value


def _refuse_hopeless(text: str) -> None:
    for opened, closed in ("[]", "{}", "()"):
        if abs(text.count(opened) - text.count(closed)) > _MAX_OPEN:
            raise NoJSON(f"more than {_MAX_OPEN} {opened!r} and {closed!r} without their other half")
    if sum(1 for _ in _TUPLE.finditer(text)) > _MAX_TUPLES:
        raise NoJSON(f"more than {_MAX_TUPLES} tuples in broken JSON")


def _quoted_percent(match: re.Match[str]) -> str:
    return f'"{match.group(1)}"' if match.group(1) else match.group()


def _python_literal(text: str) -> Any:
    if "\\" in text:  # Python warns of escapes that JSON has
        return None
    try:
        return load("ast").literal_eval(text.strip())
    except (ValueError, SyntaxError, RecursionError, MemoryError, TypeError):
        return None
