"""Reading `[[ ## field ## ]]` sections out of a reply.

Three passes, each only where the one before left a field missing: exact markers at the start of a line; markers with
other spacing, case, dashes or markdown around them; exact markers in the middle of a line. The first section of a
name wins, order is free, an unknown name ends the section before it and its own text is dropped, and
`[[ ## completed ## ]]` ends the reply. Markers that `Guard` has hidden are never read.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator
from re import Match

from telic.adapters._reading import Reading

COMPLETED = "completed"
END = "[[ ## completed ## ]]"
_EXACT = re.compile(r"\[\[ ## (\w+) ## \]\]")
_LOOSE = re.compile(
    r"(?<![\\\[])\[+[^\S\n]{0,4}#{2,4}[^\S\n]{0,4}(\w[\w -]{0,80}?)[^\S\n]{0,4}#{2,4}[^\S\n]{0,4}\]{0,4}[*_`:]{0,4}"
)
_DECORATION = " \t\r*_`>#-+."
_LONGEST_NAME = 200
_LINE_HEAD = 40  # how far before a marker its line may begin


def opening(name: str) -> str:
    """Return the line that begins the section of a field."""
    return f"[[ ## {name} ## ]]\n"


def read_markers(text: str, names: Collection[str]) -> Reading:
    """Return the sections of `text` that are named in `names`; "complete" means that the end marker was there."""
    best = _exact_sections(text, names)
    if len(best.found) == len(names) or "##" not in text:
        return best
    known = {_plain(name): name for name in names}
    for marks in (_loose_marks(text, known), _inline_marks(text)):
        reading = _sections(text, marks, names)
        if len(reading.found) > len(best.found):
            best = reading
    return best


def has_markers(text: str) -> bool:
    """Return whether anything in `text` looks like a marker of this layout."""
    return "##" in text and _LOOSE.search(text) is not None


_Mark = tuple[str, int, int]  # name, where the marker's line begins, where the section's text begins


def _exact_sections(text: str, names: Collection[str]) -> Reading:
    """Do what `_sections` does for exact markers at the start of a line, in one loop: most replies need no more."""
    found: dict[str, str] = {}
    name = ""
    begin = 0
    at = text.find("[[ ## ")
    while at >= 0:
        name_at = at + 6
        end = text.find(" ## ]]", name_at, name_at + _LONGEST_NAME)
        next_name = text[name_at:end]
        if (
            end < 0
            or not next_name.isidentifier()
            or (at and text[at - 1] != "\n" and not _at_line_start(text, at, str.strip))
        ):
            at = text.find("[[ ## ", name_at)
            continue
        if name in names and name not in found:
            found[name] = text[begin:at].strip()
        if next_name == COMPLETED and name and (COMPLETED not in names or COMPLETED in found):
            return Reading(found, True)
        name = next_name
        begin = end + 6
        at = text.find("[[ ## ", begin)
    if name in names and name not in found:
        found[name], complete = without_end(text[begin:].strip())
        return Reading(found, complete)
    return Reading(found, False)


def _sections(text: str, marks: Iterator[_Mark], names: Collection[str]) -> Reading:
    found: dict[str, str] = {}
    name = ""
    begin = 0
    for next_name, start, end in marks:
        if name in names and name not in found:
            found[name] = text[begin:start].strip()
        if next_name == COMPLETED and (COMPLETED not in names or COMPLETED in found) and name:
            return Reading(found, complete=True)
        name, begin = next_name, end
    if name not in names or name in found:
        return Reading(found, complete=False)
    found[name], complete = without_end(text[begin:].strip())
    return Reading(found, complete)


def without_end(value: str) -> tuple[str, bool]:
    """Cut an end marker, whole or begun, that stands in the last line of the last section."""
    at = value.rfind("[[")
    if (
        at < 0
        or (at and value[at - 1] == "\\")
        or not END.startswith(value[at:])
        or len(value) - at < len("[[ ##")
    ):
        return value, False
    return value[:at].rstrip(), len(value) - at == len(END)


def _loose_marks(text: str, known: dict[str, str]) -> Iterator[_Mark]:
    for match in _LOOSE.finditer(text):
        if _at_line_start(text, match.start(), lambda head: head.strip(_DECORATION)):
            name = _plain(match.group(1))
            yield known.get(name, name), _line_start(text, match), match.end()


def _inline_marks(text: str) -> Iterator[_Mark]:
    for match in _EXACT.finditer(text):
        if match.start() == 0 or text[match.start() - 1] not in "\\[`":
            yield match.group(1), match.start(), match.end()


def _at_line_start(text: str, start: int, rest: Callable[[str], str]) -> bool:
    head = text[max(0, start - _LINE_HEAD) : start]
    line = head[head.rfind("\n") + 1 :]
    return (len(line) < len(head) or start <= _LINE_HEAD) and not rest(line)


def _line_start(text: str, match: Match[str]) -> int:
    return text.rfind("\n", max(0, match.start() - _LINE_HEAD), match.start()) + 1 or (
        0 if match.start() <= _LINE_HEAD else match.start()
    )


def _plain(name: str) -> str:
    return name.strip().casefold().replace(" ", "_").replace("-", "_")
