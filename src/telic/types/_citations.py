"""`Citations`: which words of which documents an answer rests on.

Citations are checked against the documents that were given: a quotation that does not stand in its document is an error
that the LM is told, and what passes has the document's own words and their place.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, ClassVar, Final, NamedTuple, Protocol, cast, final

from telic._text import did_you_mean, truncate
from telic.types._base import FieldValue
from telic.types._media import as_mapping, shown

_SAME_LENGTH: Final = str.maketrans("“”„‘’‚«»–—‑\u00a0", '"""\'\'\'""--- ')
_AROUND: Final = "\"'…. \t\n"
_FIELDS: Final = (
    "type", "cited_text", "document_index", "document_title", "start_char_index", "end_char_index", "supported_text",
    "start_page_number", "end_page_number",
)  # fmt: skip


class Source(Protocol):
    """What is asked of a document that citations are looked up in."""

    @property
    def data(self) -> str: ...
    @property
    def title(self) -> str | None: ...
    @property
    def is_text(self) -> bool: ...


class Citation(NamedTuple):
    """One quotation.

    Attributes:
        cited_text: The words quoted.
        document_index: Which of the documents given, from 0.
        document_title: Its title, or None.
        start_char_index: Where the words begin in its text, from 0; None where that is not known (a PDF).
        end_char_index: One past their end, or None.
        supported_text: What the answer says by them, or None where the LM does not tell.
        start_page_number: Of a PDF cited by the LM's own means: the first page, from 1; else None.
        end_page_number: One past the last page, or None.
        type: "char_location" or "page_location".
    """

    cited_text: str
    document_index: int
    document_title: str | None = None
    start_char_index: int | None = None
    end_char_index: int | None = None
    supported_text: str | None = None
    start_page_number: int | None = None
    end_page_number: int | None = None
    type: str = "char_location"

    @classmethod
    def of(cls, value: Any) -> Citation:
        """Return the citation that a dict stands for: in its own fields, or as an LM writes it.

        Raises:
            ValueError: It is no citation; the text is fit for an LM.

        Example:
            >>> Citation.of({"document": 1, "cited_text": "blue"}).document_index
            0
        """
        if isinstance(value, Citation):
            return value
        if not isinstance(value, Mapping):
            raise ValueError(f"a citation is an object with document and cited_text, not {shown(value)}")
        given = dict(cast("Mapping[str, Any]", value))
        if "document" in given and "document_index" not in given:
            number = given.pop("document")
            if isinstance(number, str) and number.strip(" []").isdecimal():
                number = int(number.strip(" []"))
            if isinstance(number, bool) or not isinstance(number, int) or number < 1:
                raise ValueError(
                    f"the document of a citation is its number, from 1, not {truncate(repr(number), 40)}"
                )
            given["document_index"] = number - 1
        text, index = given.get("cited_text"), given.get("document_index")
        if not isinstance(text, str) or not text.strip():
            raise ValueError(f"a citation needs its cited_text, and {shown(value)} has none")
        if isinstance(index, bool) or not isinstance(index, int) or index < 0:
            raise ValueError(f"a citation needs the number of its document, and {shown(value)} has none")
        for name in given:
            if name not in _FIELDS:
                raise ValueError(f"a citation has no {name!r}{did_you_mean(name, _FIELDS)}")
        return cls(**given)

    def __repr__(self) -> str:
        return f"Citation({', '.join(f'{name}={value!r}' for name, value in self.to_dict().items())})"

    def to_dict(self) -> dict[str, Any]:
        """Return what is known of the citation as plain data."""
        values = {name: getattr(self, name) for name in _FIELDS}
        return {name: value for name, value in values.items() if value is not None}

    def format(self) -> dict[str, Any]:
        """Return the same, under DSPy's name."""
        return self.to_dict()


@final
class Citations(FieldValue):
    """The citations of an answer; as an output field, what an LM is to give beside it.

    Args:
        citations: `Citation`s, or dicts of their fields.

    Raises:
        ValueError: One is no citation.

    Example:
        >>> found = Citations([{"document": 1, "cited_text": "the  sky is blue"}])
        >>> from telic.types import Document
        >>> found.verified([Document("Look: the sky is blue.")])[0].start_char_index
        6
    """

    __slots__ = ("citations",)
    Citation: ClassVar = Citation
    shown_as_json: ClassVar[bool] = True

    def __init__(self, citations: Iterable[Any] = ()) -> None:
        self.citations: Final = [Citation.of(value) for value in citations]

    @classmethod
    def from_dict_list(cls, citations_dicts: Iterable[Mapping[str, Any]]) -> Citations:
        """Return citations from dicts of their fields."""
        return cls(citations_dicts)

    @classmethod
    def of(cls, value: Any) -> Any:
        """Return the citations that a list, `{"citations": […]}` or one citation stands for; else `value`.

        Raises:
            ValueError: One is no citation.
        """
        given = as_mapping(value)
        if given is not None:
            return cls(given["citations"] if set(given) == {"citations"} else [given])
        return cls(cast("list[Any]", value)) if isinstance(value, (list, tuple)) else value

    @classmethod
    def output_note(cls) -> str:
        """Return what an LM is to write."""
        return (
            'must be a JSON list with {"document": number, "cited_text": "exact words of that document"} '
            "for each passage that the answer rests on"
        )

    def verified(self, documents: Sequence[Source]) -> Citations:
        """Return the citations with the documents' own words, their places and titles.

        Case, line breaks and the form of quotation marks and dashes may differ. PDFs cannot be looked into: what is
        said of them stays as it is.

        Raises:
            ValueError: A quotation does not stand in its document; names each, in words fit for an LM.
        """
        found: list[Citation] = []
        problems: list[str] = []
        for number, citation in enumerate(self.citations, 1):
            try:
                found.append(_located(citation, documents))
            except ValueError as error:
                problems.append(f"citation {number}: {error}")
        if problems:
            raise ValueError("; ".join(problems))
        return Citations(found)

    def to_parts(self) -> list[dict[str, Any]]:
        """Return the citations as an LM writes them: one part of JSON text."""
        plain = [{"document": c.document_index + 1, "cited_text": c.cited_text} for c in self.citations]
        return [{"type": "text", "text": json.dumps(plain, ensure_ascii=False)}]

    def format(self) -> list[dict[str, Any]]:
        """Return the citations as plain data."""
        return [citation.to_dict() for citation in self.citations]

    def to_dict(self) -> dict[str, Any]:
        """Return the citations as plain data."""
        return {"citations": self.format()}

    def __len__(self) -> int:
        return len(self.citations)

    def __iter__(self) -> Iterator[Citation]:
        return iter(self.citations)

    def __getitem__(self, index: int) -> Citation:
        return self.citations[index]

    def __bool__(self) -> bool:
        return True

    def __repr__(self) -> str:
        return f"Citations({truncate(repr(self.citations), 400)})"

    @classmethod
    def __get_pydantic_json_schema__(cls, core_schema: Any, handler: Any) -> dict[str, Any]:
        properties = {"document": {"type": "integer"}, "cited_text": {"type": "string"}}
        item = {"type": "object", "properties": properties, "required": list(properties)}
        return {"type": "array", "items": {**item, "additionalProperties": False}}


def _located(citation: Citation, documents: Sequence[Source]) -> Citation:
    index = citation.document_index
    if index >= len(documents):
        known = "there are none" if not documents else f"there are {len(documents)}"
        raise ValueError(f"there is no document {index + 1}; {known}")
    document = documents[index]
    if not document.is_text:
        return citation._replace(document_title=document.title)
    place = _find(citation, document.data)
    if place is None:
        others = [n for n, d in enumerate(documents, 1) if d.is_text and _find(citation, d.data) is not None]
        hint = f"; document {others[0]} has it" if others else "; quote its exact words"
        raise ValueError(
            f"{truncate(citation.cited_text, 120)!r} does not stand in document {index + 1}{hint}"
        )
    start, end = place
    return citation._replace(
        cited_text=document.data[start:end],
        document_title=document.title,
        start_char_index=start,
        end_char_index=end,
    )


def _find(citation: Citation, text: str) -> tuple[int, int] | None:
    quoted, start, end = citation.cited_text, citation.start_char_index, citation.end_char_index
    if start is not None and end is not None and text[start:end] == quoted:
        return start, end
    at = text.find(quoted)
    if at >= 0:
        return at, at + len(quoted)
    words = _plain_words(quoted).strip(_AROUND)
    if not words:
        return None
    plain = _plain_words(text)
    at = plain.find(words)
    if at < 0:
        return None
    before = at - plain.count(" ", 0, at)
    return _place(text, before), _place(text, before + len(words) - words.count(" ") - 1) + 1


def _plain_words(text: str) -> str:
    """Return text with single blanks, small letters, and one form of quotation marks and dashes."""
    plain = " ".join(text.translate(_SAME_LENGTH).split())
    small = plain.lower()
    return small if len(small) == len(plain) else plain


def _place(text: str, count: int) -> int:
    """Return where the character stands that has `count` others before it, blanks not counted."""
    for word in re.finditer(r"\S+", text):
        if count < word.end() - word.start():
            return word.start() + count
        count -= word.end() - word.start()
    return len(text)
