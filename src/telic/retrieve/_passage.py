"""`Passage`: a text that knows where it is from.

A passage is a `str`, so that it goes into any field that takes text, is shown in prompts as its text, and is equal to
the plain text. What is known about it rides along: its place in the corpus, its score for the query that found it, its
source and page. DSPy's programs read `.long_text`, or `["long_text"]`; both work.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, cast, final

from telic._text import truncate
from telic.errors import RetrievalError


@final
class Passage(str):
    """A text with its origin.

    Args:
        text: What it says.
        facts: What is known of it: `pid`, `score`, `source`, `page`, or anything else, read as attributes.

    Example:
        >>> passage = Passage("Ada was born in London.", source="ada.pdf", page=2)
        >>> passage == "Ada was born in London.", passage.source, passage.page, passage["long_text"][:3]
        (True, 'ada.pdf', 2, 'Ada')
    """

    pid: Any = None
    """Its place in the corpus, counted from 0, or the id that its store gives it."""
    score: float | None = None
    """How well it fits the query that found it; larger is better. Scores of different retrievers do not compare."""
    source: str = ""
    """The file or page that it is from."""
    page: int | None = None
    """The page of the source, counted from 1."""

    def __new__(cls, text: str = "", **facts: Any) -> Passage:
        made = super().__new__(cls, text)
        made.__dict__.update(facts)
        return made

    @property
    def long_text(self) -> str:
        """The text, as plain `str`."""
        return str.__str__(self)

    text = long_text

    @property
    def facts(self) -> dict[str, Any]:
        """What is known of it, by name."""
        return dict(self.__dict__)

    def but(self, **facts: Any) -> Passage:
        """Return the same text with some facts changed or added."""
        return Passage(self, **{**self.__dict__, **facts})

    def __getitem__(self, key: Any) -> Any:
        """Return a fact for a name, as DSPy's programs read them; characters for a position or slice."""
        if isinstance(key, str):
            try:
                return getattr(self, key)
            except AttributeError:
                raise KeyError(key) from None
        return str.__getitem__(self, key)

    def __str__(self) -> str:
        return str.__str__(self)

    def __repr__(self) -> str:
        shown = "".join(f", {name}={value!r}" for name, value in self.__dict__.items())
        return f"Passage({str.__repr__(self)}{shown})"


def as_passage(item: Any) -> Passage:
    """Return what a retriever found as a passage: a text, an object or mapping with `long_text` (or `text`).

    Raises:
        RetrievalError: It is neither.
    """
    if isinstance(item, Passage):
        return item
    if isinstance(item, str):
        return Passage(item)
    facts = _facts_of(item)
    text = facts.pop("long_text", None)
    short = facts.pop("text", None)
    text = short if text is None else text
    if not isinstance(text, str):
        raise RetrievalError(
            f"a retriever returned {_shown(item)}, which is no passage; return texts, or objects with `long_text`"
        )
    return Passage(text, **facts)


def as_passages(items: Any) -> list[Passage]:
    """Return all that a retriever returned: a list of items, or an object that holds one in `passages`.

    Raises:
        RetrievalError: It is no list, or holds what is no passage.
    """
    held: Any = getattr(items, "passages", items)
    if isinstance(held, (str, Mapping)) or not isinstance(held, Iterable):
        raise RetrievalError(
            f"a retriever returned {_shown(held)}; it must return a list of passages, or an object with `passages`"
        )
    return [as_passage(item) for item in cast("Iterable[Any]", held)]


_FACTS = ("long_text", "text", "pid", "score", "source", "page", "prob", "rank", "title")


def _facts_of(item: Any) -> dict[str, Any]:
    if isinstance(item, Mapping):
        return {str(key): value for key, value in cast("Mapping[Any, Any]", item).items()}
    return {name: getattr(item, name) for name in _FACTS if hasattr(item, name)}


def _shown(value: Any) -> str:
    return f"{type(value).__name__} {truncate(repr(value), 200)}"
