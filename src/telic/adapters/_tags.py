"""Reading `<field>…</field>` out of a reply, and nested elements inside a field's value.

No XML parser reads the whole reply: prose around the tags, a stray `<` or `&` in a value and a missing closing tag
must not cost a second call. A field's text is verbatim, nothing is unescaped; only nested elements, which an LM writes
as XML on purpose, have their five entities resolved. Tags that `Guard` has hidden are never read.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from functools import lru_cache
from typing import Any, NamedTuple

from telic.adapters._reading import EMPTY, Reading

_CDATA = re.compile(r"\A<!\[CDATA\[(.*)\]\]>\Z", re.DOTALL)
_BEGUN_CLOSE = re.compile(r"</?\w{0,80}\Z")
_ELEMENT = re.compile(r"<(/?)([A-Za-z_][\w.-]{0,80})((?:\s[^<>]{0,200}?)?)(/?)>")
_KEY = re.compile(r"""\bkey\s{0,4}=\s{0,4}["']([^"']{0,200})["']""")
_ENTITIES = (("&lt;", "<"), ("&gt;", ">"), ("&quot;", '"'), ("&apos;", "'"), ("&amp;", "&"))
MAX_DEPTH = 60


class _Tag(NamedTuple):
    name: str
    kind: str  # "open", "close" or "empty"
    start: int
    end: int


def read_tags(text: str, names: Collection[str]) -> Reading:
    """Return the text inside the first tag of each name; "complete" means that all are there and closed."""
    if "<" not in text:
        return EMPTY
    return _plain_tags(text, names) or _any_tags(text, names)


def _plain_tags(text: str, names: Collection[str]) -> Reading | None:
    """Return the reading of a reply with exact tags in order and no `<` beside them: most need no more."""
    found: dict[str, str] = {}
    at = 0
    for name in names:
        start = text.find("<", at)
        begin = start + len(name) + 2
        if start < 0 or text[start:begin] != f"<{name}>" or text[start - 1 : start] == "\\":
            return None
        end = text.find("<", begin)
        at = end + len(name) + 3
        if end < 0 or text[end:at] != f"</{name}>" or text[end - 1] == "\\":
            return None
        found[name] = text[begin:end].strip()
    return Reading(found, True)


def _any_tags(text: str, names: Collection[str]) -> Reading:
    tags = _tags(text, names)
    found: dict[str, str] = {}
    complete = False
    i = 0
    while i < len(tags):
        tag = tags[i]
        if tag.kind == "close" or tag.name in found:
            i += 1
            continue
        if tag.kind == "empty":
            found[tag.name], complete = "", True
            i += 1
            continue
        i, end, complete = _close(tags, i, found)
        value = text[tag.end : end if end >= 0 else len(text)].strip()
        found[tag.name] = _plain(value if complete else _BEGUN_CLOSE.sub("", value).rstrip())
    return Reading(found, complete and len(found) == len(names))


def _close(tags: list[_Tag], opened: int, found: dict[str, str]) -> tuple[int, int, bool]:
    """Return where to read on, where the value ends (-1: with the text), and whether the tag was closed."""
    name = tags[opened].name
    depth, first = 1, -1
    for j in range(opened + 1, len(tags)):
        tag = tags[j]
        if tag.name != name or tag.kind == "empty":
            continue
        if tag.kind == "open":
            depth += 1
            continue
        depth -= 1
        first = j if first < 0 else first
        if depth == 0:
            return j + 1, tag.start, True
    if first >= 0:  # an opening tag quoted in the value is never closed: the first closing tag counts
        return first + 1, tags[first].start, True
    for j in range(opened + 1, len(tags)):
        if tags[j].kind != "close" and tags[j].name != name and tags[j].name not in found:
            return j, tags[j].start, False
    return len(tags), -1, False


def _tags(text: str, names: Collection[str]) -> list[_Tag]:
    known = {name.casefold(): name for name in names}
    tags: list[_Tag] = []
    for match in tag_pattern(tuple(names)).finditer(text):
        kind = "close" if match.group(1) else "empty" if match.group(3) else "open"
        name = match.group(2)
        tags.append(_Tag(name if name in names else known[name.casefold()], kind, match.start(), match.end()))
    return tags


@lru_cache(maxsize=256)
def tag_pattern(names: tuple[str, ...]) -> re.Pattern[str]:
    alternatives = "|".join(re.escape(name) for name in sorted(names, key=len, reverse=True))
    return re.compile(
        rf"(?<!\\)<[^\S\n]{{0,4}}(/?)[^\S\n]{{0,4}}({alternatives})(?:\s[^<>]{{0,200}}?)?(/?)>", re.IGNORECASE
    )


def _plain(value: str) -> str:
    if value.startswith("<!["):
        match = _CDATA.match(value)
        return match.group(1).strip() if match else value
    return value


class _Node:
    __slots__ = ("attributes", "children", "start", "tag", "text")

    def __init__(self, tag: str, attributes: str, start: int) -> None:
        self.tag = tag
        self.attributes = attributes
        self.start = start
        self.text = ""
        self.children: list[_Node] = []

    def value(self) -> Any:
        return _combine(self.children) if self.children else unescape(self.text.strip())


def read_elements(text: str) -> Any:
    """Return nested elements as lists and dicts of strings.

    `<item>` repeated is a list; `<entry key="…">` a dict; other tags a dict by tag, with a list where one repeats.

    Raises:
        ValueError: No element, or they are nested deeper than `MAX_DEPTH`.
    """
    root = _Node("", "", 0)
    stack = [root]
    for match in _ELEMENT.finditer(text):
        closing, tag, attributes, empty = match.groups()
        if closing:
            if any(node.tag == tag for node in stack[1:]):
                while stack[-1].tag != tag:
                    stack.pop()
                stack[-1].text = text[stack[-1].start : match.start()]
                stack.pop()
            continue
        node = _Node(tag, attributes, match.end())
        stack[-1].children.append(node)
        if not empty:
            stack.append(node)
            if len(stack) > MAX_DEPTH:
                raise ValueError(f"elements are nested deeper than {MAX_DEPTH} levels")
    if not root.children:
        raise ValueError("there is no element in the text")
    return _combine(root.children)


def _combine(children: list[_Node]) -> Any:
    if all(node.tag == "item" for node in children):
        return [node.value() for node in children]
    keys = [_KEY.search(node.attributes) for node in children]
    if all(node.tag == "entry" and key for node, key in zip(children, keys, strict=True)):
        return {key.group(1): node.value() for node, key in zip(children, keys, strict=True) if key}
    grouped: dict[str, list[Any]] = {}
    for node in children:
        grouped.setdefault(node.tag, []).append(node.value())
    return {tag: values if len(values) > 1 else values[0] for tag, values in grouped.items()}


def unescape(text: str) -> str:
    """Return `text` with XML's five entities resolved."""
    if "&" in text:
        for entity, character in _ENTITIES:
            text = text.replace(entity, character)
    return text
