"""What one program has that another has not: instructions word by word, field descriptions, demonstrations."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from difflib import SequenceMatcher
from typing import Any, Final, NamedTuple

_WORDS: Final = re.compile(r"\s+|\w+|[^\w\s]")
_MOST_WORDS: Final = 1500  # comparing takes the square of them; beyond, lines are compared
_MOST_LINES: Final = 3000
_ALIKE: Final = 0.5
_LARGE: Final = ("signature", "demos")


class Piece(NamedTuple):
    """A stretch of text."""

    kind: str
    """"same", "new" or "gone"."""
    text: str


class Changed(NamedTuple):
    """One predictor, before and after."""

    path: str
    instructions: Sequence[Piece]
    fields: Mapping[str, Sequence[Piece]]
    """Descriptions of fields that changed, by the field's name."""
    demos: Sequence[Mapping[str, Any]]
    """Of the second program."""
    demos_gone: int
    """Demonstrations of the first that the second has not."""
    others: Mapping[str, tuple[Any, Any]]
    """What else differs: generation options, the LM."""

    @property
    def is_same(self) -> bool:
        """Whether nothing changed."""
        texts = [self.instructions, *self.fields.values()]
        kept = all(piece.kind == "same" for text in texts for piece in text)
        return kept and not self.demos and not self.demos_gone and not self.others


def compare(before: Mapping[str, Any] | None, after: Mapping[str, Any]) -> list[Changed]:
    """Return all predictors of `after`, each against the one at the same path in `before`; None: all is new."""
    return [_changed(path, (before or {}).get(path), leaf) for path, leaf in after.items()]


def _changed(path: str, old: Any, new: Mapping[str, Any]) -> Changed:
    known: Mapping[str, Any] = new if old is None else old
    was, now = known.get("signature", {}), new.get("signature", {})
    old_texts, new_texts = _descriptions(was), _descriptions(now)
    demos: list[Any] = list(new.get("demos", ()))
    left = [] if old is None else [demo for demo in known.get("demos", ()) if demo not in demos]
    return Changed(
        path,
        pieces(was.get("instructions", ""), now.get("instructions", "")),
        {
            name: pieces(old_texts.get(name, ""), text)
            for name, text in new_texts.items()
            if old_texts.get(name, "") != text
        },
        demos,
        len(left),
        {
            name: (known.get(name), value)
            for name, value in new.items()
            if name not in _LARGE and known.get(name) != value
        },
    )


def _descriptions(signature: Mapping[str, Any]) -> dict[str, str]:
    fields: list[dict[str, Any]] = signature.get("fields", [])
    return {field["name"]: _text(field.get("description")) for field in fields}


def _text(value: Any) -> str:
    return value if isinstance(value, str) else "" if value is None else json.dumps(value)


def pieces(before: str, after: str) -> list[Piece]:
    """Return how one text became another, word by word, or line by line where both are long.

    Example:
        >>> [tuple(piece) for piece in pieces("Answer.", "Answer shortly.")]
        [('same', 'Answer'), ('new', ' shortly'), ('same', '.')]
    """
    if before == after:
        return [Piece("same", after)] if after else []
    old, new = _WORDS.findall(before), _WORDS.findall(after)
    if max(len(old), len(new)) > _MOST_WORDS:
        old, new = before.splitlines(keepends=True), after.splitlines(keepends=True)
    if max(len(old), len(new)) > _MOST_LINES:
        return [Piece("gone", before), Piece("new", after)]
    matcher = SequenceMatcher(None, old, new, autojunk=False)
    if _alike(matcher, old, new) < _ALIKE:  # another text: words that happen to be equal are only in the way
        return [piece for piece in (Piece("gone", before), Piece("new", after)) if piece.text]
    found: list[Piece] = []
    for kind, i, j, k, m in matcher.get_opcodes():
        if kind == "equal":
            found.append(Piece("same", "".join(old[i:j])))
            continue
        found += [
            Piece(name, text)
            for name, text in (("gone", "".join(old[i:j])), ("new", "".join(new[k:m])))
            if text
        ]
    return found


def _alike(matcher: SequenceMatcher[str], old: Sequence[str], new: Sequence[str]) -> float:
    """Return the share of words that stay, from 0 to 1; blanks do not count."""
    stay = sum(
        not old[k].isspace() for at, _, size in matcher.get_matching_blocks() for k in range(at, at + size)
    )
    return 2 * stay / max(1, sum(not word.isspace() for word in (*old, *new)))
