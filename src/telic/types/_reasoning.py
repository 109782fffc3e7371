"""`Reasoning`: what an LM thought before it answered. It is text, and can be used wherever text can.

Where the LM gives its reasoning in a channel of its own, an output field of this type is read from there and does not
stand in the prompt; everywhere else it is a field of text like any other.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self, final

from telic._optional import load
from telic.types._base import FieldType
from telic.types._media import as_mapping, shown


@final
class Reasoning(str, FieldType):
    """The reasoning behind an answer.

    Args:
        content: The text.

    Raises:
        ValueError: It is no text.

    Example:
        >>> thought = Reasoning(content="2 and 2 are 4.")
        >>> thought.content == thought, thought.upper()
        (True, '2 AND 2 ARE 4.')
    """

    __slots__ = ()

    def __new__(cls, content: Any = "") -> Self:
        given = as_mapping(content)
        if given is not None and set(given) == {"content"}:
            content = given["content"]
        if not isinstance(content, str):
            raise ValueError(f"reasoning is text, not {shown(content)} of type {type(content).__name__}")
        return super().__new__(cls, content)

    @property
    def content(self) -> str:
        """The text."""
        return str.__str__(self)

    @classmethod
    def from_text(cls, text: str) -> Self:
        """Return the reasoning that an LM wrote."""
        return cls(text)

    @classmethod
    def of(cls, value: Any) -> Any:
        """Return the reasoning that a text or `{"content": …}` stands for; anything else as it is."""
        return cls(value) if isinstance(value, (str, Mapping)) and not isinstance(value, cls) else value

    @classmethod
    def prompt_name(cls) -> str:
        """Return "str": in a prompt it is a field of text."""
        return "str"

    @classmethod
    def output_note(cls) -> str:
        """Return nothing: any text will do."""
        return ""

    def to_parts(self) -> list[dict[str, Any]]:
        """Return the text as one part."""
        return [{"type": "text", "text": self.content}]

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: Any) -> Any:
        """Let the type stand inside pydantic models, whose dumps hold it as text."""
        core = load("pydantic_core.core_schema")
        return core.no_info_before_validator_function(
            cls.of,
            core.is_instance_schema(cls),
            serialization=core.plain_serializer_function_ser_schema(str.__str__, when_used="json"),
        )
