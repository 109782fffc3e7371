"""Texts into the words that BM25 counts: lower case, accents taken off, frequent words left out, stems.

The steps are those of bm25s with its Snowball stemmer; the accents are ours, so that "Müller" is found by "Muller".
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final, final

from telic._optional import load, require
from telic.errors import ConfigurationError

WORD: Final = re.compile(r"\w\w+")
_STOPWORDS: Final = {
    "english": "STOPWORDS_EN", "german": "STOPWORDS_GERMAN", "dutch": "STOPWORDS_DUTCH",
    "french": "STOPWORDS_FRENCH", "spanish": "STOPWORDS_SPANISH", "portuguese": "STOPWORDS_PORTUGUESE",
    "italian": "STOPWORDS_ITALIAN", "russian": "STOPWORDS_RUSSIAN", "swedish": "STOPWORDS_SWEDISH",
    "norwegian": "STOPWORDS_NORWEGIAN", "danish": "STOPWORDS_DANISH", "turkish": "STOPWORDS_TURKISH",
}  # fmt: skip
"""Languages, by the names that both lists know."""


def fold(text: str) -> str:
    """Return `text` in lower case without accents.

    Example:
        >>> fold("Erdős Müller")
        'erdos muller'
    """
    text = text.lower()
    if text.isascii():
        return text
    return "".join(char for char in unicodedata.normalize("NFKD", text) if not unicodedata.combining(char))


@final
class Words:
    """Cuts texts into words.

    Args:
        language: Whose frequent words are left out and whose endings are taken off; None: all words as they are.
        tokenizer: Cuts a text into words in place of the built-in way; for languages that write no blanks.

    Raises:
        ConfigurationError: The language is not known.
        MissingExtraError: The extra `retrieve` is not installed.
    """

    def __init__(self, language: str | None, tokenizer: Callable[[str], Sequence[str]] | None = None) -> None:
        self._tokenizer = tokenizer
        self._stop: frozenset[str] = frozenset()
        self._language: str | None = None
        if language is None:
            return
        if language not in _STOPWORDS:
            raise ConfigurationError(
                f"BM25: language {language!r} is not known; one of {', '.join(_STOPWORDS)}, or None with a tokenizer "
                "of your own"
            )
        lists: Any = require("bm25s.stopwords", extra="retrieve", purpose="BM25")
        require("Stemmer", extra="retrieve", purpose="BM25")
        self._stop = frozenset(fold(word) for word in getattr(lists, _STOPWORDS[language]))
        self._language = language

    def _stems(self, words: list[str]) -> list[str]:
        if self._language is None:
            return words
        # A Snowball stemmer is not to be used by two threads at once; making one costs less than a lock that is shared.
        return load("Stemmer").Stemmer(self._language).stemWords(words)

    def raw(self, text: str) -> Sequence[str]:
        """Return the words of a text before stemming, frequent ones included."""
        return WORD.findall(fold(text)) if self._tokenizer is None else self._tokenizer(text)

    def of(self, text: str) -> list[str]:
        """Return the words that are counted, in order."""
        kept = [word for word in self.raw(text) if word not in self._stop]
        return self._stems(kept)

    def number(self, texts: Iterable[str]) -> tuple[list[list[int]], dict[str, int]]:
        """Return each text's words as numbers, and the number of each word; every different word is stemmed once."""
        seen: dict[str, int] = {}
        rows = [[seen.setdefault(word, len(seen)) for word in self.raw(text)] for text in texts]
        different = list(seen)
        stems = self._stems(different)
        vocabulary: dict[str, int] = {}
        place = [
            -1 if word in self._stop else vocabulary.setdefault(stem, len(vocabulary))
            for word, stem in zip(different, stems, strict=True)
        ]
        return [[place[number] for number in row if place[number] >= 0] for row in rows], vocabulary
