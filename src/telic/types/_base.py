"""`FieldType`: what a field's value must offer to be more than text in a prompt.

An adapter asks any value for `to_parts`; one that has it becomes message parts instead of text. A type that an LM is
to produce also reads itself back from the reply's text.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, Self

from telic._optional import load


class FieldType(ABC):
    """The base of field types that bring their own place in a message."""

    __slots__ = ()

    @abstractmethod
    def to_parts(self) -> list[dict[str, Any]]:
        """Return the value as parts of a message's content, such as `{"type": "text", "text": …}`."""

    @classmethod
    def from_text(cls, text: str) -> Self:
        """Return the value that an LM's text stands for.

        Raises:
            ValueError: The type can only be given to an LM, not asked of it (the default), or `text` does not fit.
        """
        raise ValueError(f"a {cls.__name__} is an input only: it cannot be read from text ({text[:40]!r})")

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: Any) -> Any:
        """Let the type stand inside pydantic models: an instance is kept, text goes through `from_text`."""
        core = load("pydantic_core.core_schema")

        def read(value: Any) -> Any:
            return cls.from_text(value) if isinstance(value, str) else value

        return core.no_info_before_validator_function(read, core.is_instance_schema(cls))

    @classmethod
    def __get_pydantic_json_schema__(cls, core_schema: Any, handler: Any) -> dict[str, Any]:
        return {"type": "string", "title": cls.__name__}
