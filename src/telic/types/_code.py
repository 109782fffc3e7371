"""`Code`: a program text that an LM writes or reads; `Code["java"]` says in which language.

What an LM writes around code (a fence, a sentence before it) is taken off on the way in.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Mapping
from typing import Any, ClassVar, Final, Self, cast

from telic._text import truncate
from telic.types._base import FieldValue
from telic.types._media import as_mapping, shown

_FENCE: Final = re.compile(
    r"^[ \t]{0,8}(`{3,9}|~{3,9})[ \t]*([^\n`]{0,80})\n(.*?)(?:^[ \t]{0,8}\1[ \t]*$|\Z)",
    re.DOTALL | re.MULTILINE,
)
_LANGUAGE: Final = re.compile(r"[A-Za-z][\w+#. -]{0,39}")
_lock: Final = threading.Lock()
_kinds: Final[dict[str, type[Code]]] = {}


class Code(FieldValue):
    r"""Program text without a fence.

    `Code["java"]` is the type of Java code; plain `Code` is Python's.

    Args:
        code: The text; a Markdown fence around it is taken off.

    Raises:
        ValueError: It is no text.

    Example:
        >>> Code["java"]("```java\nint x;\n```").code
        'int x;'
        >>> str(Code(code="print(1)"))
        'print(1)'
    """

    __slots__ = ("code",)
    language: ClassVar[str] = "python"

    def __init__(self, code: Any = "") -> None:
        if isinstance(code, Code):
            code = code.code
        given = as_mapping(code)
        if given is not None and set(given) == {"code"}:
            code = given["code"]
        if not isinstance(code, str):
            raise ValueError(f"code is text, not {shown(code)} of type {type(code).__name__}")
        self.code: Final = without_fence(code, self.language)

    def __class_getitem__(cls, language: str) -> type[Code]:
        if not isinstance(language, str) or not _LANGUAGE.fullmatch(language):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise TypeError(
                f'Code takes the name of a language in quotes, such as Code["java"], not {language!r}'
            )
        with _lock:  # one class a language, so that types of equal fields are equal
            kind = _kinds.get(language)
            if kind is None:
                body = {
                    "language": language,
                    "__slots__": (),
                    "__module__": __name__,
                    "__doc__": f"{language} code.",
                }
                kind = _kinds[language] = cast("type[Code]", type(cls)(f'Code["{language}"]', (Code,), body))
        return kind

    @classmethod
    def from_text(cls, text: str) -> Self:
        """Return the code that an LM wrote, without fence and prose around it."""
        return cls(text)

    @classmethod
    def of(cls, value: Any) -> Any:
        """Return the code that a text, `{"code": …}` or code of another language's class stands for."""
        return value if type(value) is cls or not isinstance(value, (str, Mapping, Code)) else cls(value)

    @classmethod
    def output_note(cls) -> str:
        """Return what an LM is to write."""
        return f"must be {cls.language} code and nothing else"

    def to_parts(self) -> list[dict[str, Any]]:
        """Return the code as one part of text."""
        return [{"type": "text", "text": self.code}]

    def format(self) -> str:
        """Return the code."""
        return self.code

    def to_dict(self) -> dict[str, Any]:
        """Return the code as plain data."""
        return {"code": self.code}

    def __eq__(self, other: object) -> bool:
        if isinstance(other, Code):
            return self.code == other.code and self.language == other.language
        return NotImplemented

    def __hash__(self) -> int:
        return hash((self.code, self.language))

    def __reduce__(self) -> tuple[Any, ...]:
        return _remade, (None if type(self) is Code else self.language, self.code)

    def __str__(self) -> str:
        return self.code

    def __repr__(self) -> str:
        return f"{type(self).__name__}({truncate(self.code, 200)!r})"


def _remade(language: str | None, code: str) -> Code:
    """Return a copy from another process, where the class of its language may not be made yet."""
    made = object.__new__(Code if language is None else Code[language])
    object.__setattr__(made, "code", code)
    return made


def without_fence(text: str, language: str) -> str:
    r"""Return the code in `text`: what stands in its fences, or all of it where there is none.

    Of several fenced blocks those in `language`, or without a language, count, joined by an empty line; where none is,
    all do.

    Example:
        >>> without_fence("Sure:\n```py\na = 1\n```\nDone.", "python")
        'a = 1'
    """
    if "```" not in text and "~~~" not in text:
        return text
    blocks = [(match.group(2).strip().lower(), match.group(3).rstrip()) for match in _FENCE.finditer(text)]
    wanted = {"", language.lower(), *(("py", "python3") if language == "python" else ())}
    mine = [block for kind, block in blocks if kind in wanted]
    chosen = mine or [block for _, block in blocks]
    return "\n\n".join(chosen) if chosen else text
