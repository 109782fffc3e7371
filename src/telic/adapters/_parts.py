"""Values that are more than text, as parts of a message's content: alone, in lists, and inside of JSON.

Parts travel as values from the field to the message. They are never written into a string to be found there again, so
nothing that a user's text holds can become one. A list of them is numbered, so that an instruction can speak of the
second picture; inside dicts and models each stands where its JSON would.

A `document` part is for LMs that cite by themselves; for all others `as_text` shows it under a number.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

from telic._text import truncate
from telic.adapters._values import block, plain_fields, to_json, value_text
from telic.types import has_parts, text_of_value

if TYPE_CHECKING:
    from telic.adapters._guard import Guard

Part = dict[str, Any]
Piece = str | list[Part]
Content = str | list[Part]

_ATOMS = frozenset({str, int, float, bool, type(None)})
_MAX_DEPTH = 40  # what is nested deeper is shown as JSON, which knows cycles


def holds_parts(value: Any, depth: int = 0) -> bool:
    """Return whether a value has parts, or contains one that has."""
    kind: type = type(cast("object", value))
    if kind in _ATOMS or depth > _MAX_DEPTH:
        return False
    inner: Any
    if kind is list or kind is tuple:
        inner = value
    elif kind is dict:
        inner = value.values()
    elif has_parts(value):
        return True
    else:
        inner = _inner(value)
    for item in inner:  # noqa: SIM110  done for every value that is no text, and `any` takes three times as long
        if type(item) not in _ATOMS and holds_parts(item, depth + 1):
            return True
    return False


def parts_piece(value: Any, guard: Guard) -> Piece | None:
    """Return a value's piece of a turn where parts are in it, or None where it is text all through.

    Raises:
        TypeError: A field type's `to_parts` returns no list of parts.
    """
    if has_parts(value):
        return _own(value, guard)
    if not holds_parts(value):
        return None
    if isinstance(value, (list, tuple)) and any(has_parts(item) for item in cast("Sequence[Any]", value)):
        return as_piece(_numbered(cast("Sequence[Any]", value), guard))
    return as_piece(_json(value, guard))


def join_pieces(pieces: Iterable[Piece]) -> Content:
    """Return text where all pieces are text, else parts, with neighbouring texts made one part."""
    parts: list[Part] = []
    text: list[str] = []
    for piece in pieces:
        for part in (piece,) if isinstance(piece, str) else piece:
            if isinstance(part, str):
                text.append(part)
            elif part.keys() == {"type", "text"} and part["type"] == "text":
                text.append(part["text"])
            else:
                parts += [{"type": "text", "text": joined}] if (joined := "".join(text)) else []
                parts.append(part)
                text = []
    last = "".join(text)
    if not parts:
        return last
    return [*parts, {"type": "text", "text": last}] if last else parts


def plain_output(value: Any) -> Any:
    """Return an output as the plain data that an LM is to write for it: no parts, as an answer is text.

    A model is its fields, also one with a form of its own, since it is read from these.
    """
    if has_parts(value) and not hasattr(value, "model_dump"):
        text = text_of_value(value)
        return json.loads(text) if getattr(value, "shown_as_json", False) else text
    if not holds_parts(value):
        return value
    fields = plain_fields(value)
    if fields is None:
        return [plain_output(item) for item in cast("Iterable[Any]", value)]
    return {name: plain_output(item) for name, item in fields.items()}


def as_piece(pieces: Iterable[Piece]) -> Piece:
    """Return pieces as one."""
    return join_pieces(pieces)


def as_text(pieces: Iterable[Piece], guard: Guard) -> Iterator[Piece]:
    """Yield pieces with every `document` part as text under a number that counts up; a PDF becomes a file."""
    number = 0
    follows = False
    for piece in pieces:
        if isinstance(piece, str):
            yield piece
            follows = follows and not piece
            continue
        for part in piece:
            if part.get("type") == "document":
                number += 1
                yield "\n" if follows else ""
                yield from _document(part, number, guard)
                follows = True
            else:
                yield [part]
                follows = False


def _document(part: Part, number: int, guard: Guard) -> Iterator[Piece]:
    name = f"{number}: {part['title']}" if part.get("title") else str(number)
    context = f" ({part['context']})" if part.get("context") else ""
    head = guard.hide(f"[Document {name}]{context}\n")
    source: Any = part.get("source")
    given: Mapping[str, Any] = cast("Mapping[str, Any]", source) if isinstance(source, Mapping) else {}
    if given.get("type") == "text":
        yield head + block(guard.hide(str(given.get("data"))))
    elif given.get("type") == "base64":
        uri = f"data:{given.get('media_type')};base64,{given.get('data')}"
        title = part.get("title")
        yield head
        yield [{"type": "file", "file": {"file_data": uri, "filename": title or f"document-{number}.pdf"}}]
    else:
        yield [part]


def guarded_content(content: Any, guard: Guard) -> Any:
    """Return a message's content, text or parts, with no marker in its texts."""
    if isinstance(content, str):
        return guard.hide(content)
    if not isinstance(content, list):
        return content
    return [_guarded(part, guard.hide) for part in cast("list[Any]", content)]


def _guarded(part: Any, hide: Callable[[str], str]) -> Any:
    if not isinstance(part, dict):
        return part
    given = cast("Part", part)
    text = given.get("text")
    return {**given, "text": hide(text)} if isinstance(text, str) else given


def _own(value: Any, guard: Guard) -> Piece:
    parts = _checked_parts(value)
    hide = guard.hide_json if getattr(value, "shown_as_json", False) else guard.hide
    if all(_is_text(part) for part in parts):
        return hide("".join(part["text"] for part in parts))
    return [_guarded(part, hide) for part in parts]


def _checked_parts(value: Any) -> list[Part]:
    parts: Any = value.to_parts()
    if not isinstance(parts, list) or not all(isinstance(part, dict) for part in cast("list[Any]", parts)):
        raise TypeError(
            f"{type(value).__name__}.to_parts() must return a list of dicts such as {{'type': 'text', 'text': …}}, not "
            f"{truncate(repr(cast('object', parts)), 80)}"
        )
    return cast("list[Part]", parts)


def _is_text(part: Part) -> bool:
    return part.keys() == {"type", "text"} and part["type"] == "text"


def _numbered(values: Sequence[Any], guard: Guard) -> Iterator[Piece]:
    """Yield `[1] `, the first value, a line break, and so on; documents have numbers and ends of their own."""
    for number, value in enumerate(values, 1):
        piece = parts_piece(value, guard)
        if piece is None:
            piece = guard.hide(value_text(value, as_str=False)[0])
        is_document = not isinstance(piece, str) and any(part.get("type") == "document" for part in piece)
        if not is_document:
            yield f"\n[{number}] " if number > 1 else f"[{number}] "
        yield block(piece) if isinstance(piece, str) else piece


def _json(value: Any, guard: Guard, depth: int = 0) -> Iterator[Piece]:
    """Yield JSON in which the parts of values stand in their places."""
    if has_parts(value):
        for part in _checked_parts(value):
            yield guard.hide_json(to_json(part["text"])) if _is_text(part) else [part]
        return
    if not holds_parts(value, depth):
        yield guard.hide_json(to_json(value))
        return
    fields = plain_fields(value)
    if fields is None:
        for number, item in enumerate(cast("Iterable[Any]", value)):
            yield ", " if number else "["
            yield from _json(item, guard, depth + 1)
        yield "]"
        return
    for number, (name, item) in enumerate(fields.items()):
        yield f"{', ' if number else '{'}{guard.hide_json(to_json(str(name)))}: "
        yield from _json(item, guard, depth + 1)
    yield "}"


def _inner(value: Any) -> Iterable[Any]:
    """Return what a container, a model or a dataclass holds; nothing for anything else."""
    if isinstance(value, (list, tuple, set, frozenset)):
        return cast("Iterable[Any]", value)
    fields = plain_fields(value)
    return () if fields is None else fields.values()
