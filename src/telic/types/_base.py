"""`FieldType`: what a field's value must offer to be more than text in a prompt.

An adapter asks any value for `to_parts`; one that has it becomes message parts instead of text. A type that an LM is
to produce also reads itself back from the reply's text. `FieldValue` is the base of those that are plain values.
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
    def of(cls, value: Any) -> Any:
        """Return the instance that a plain value stands for, or `value` itself where it stands for none.

        Raises:
            ValueError: It is of a form that the type has, and does not fit.
        """
        return cls.from_text(value) if isinstance(value, str) and not isinstance(value, cls) else value

    @classmethod
    def description(cls) -> str:
        """Return what prompts say of the type beside each field of it; "" for nothing."""
        return ""

    @classmethod
    def prompt_name(cls) -> str:
        """Return the type as prompts name it."""
        return cls.__name__

    @classmethod
    def output_note(cls) -> str | None:
        """Return what an LM's text for the type must be, "" for any text; None: JSON by its schema."""
        return None

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: Any) -> Any:
        """Let the type stand inside pydantic models: an instance is kept, anything else goes through `of`."""
        core = load("pydantic_core.core_schema")
        return core.no_info_before_validator_function(cls.of, core.is_instance_schema(cls))

    @classmethod
    def __get_pydantic_json_schema__(cls, core_schema: Any, handler: Any) -> dict[str, Any]:
        return {"type": "string", "title": cls.__name__}


class FieldValue(FieldType):
    """The base of field types that are values: equal by content, never changed, saved as plain data."""

    __slots__ = ()

    @abstractmethod
    def to_dict(self) -> dict[str, Any]:
        """Return the value as plain data, from which `of` makes it again."""

    def __eq__(self, other: object) -> bool:
        if self is other:
            return True
        return self.to_dict() == other.to_dict() if isinstance(other, type(self)) else NotImplemented

    def __hash__(self) -> int:
        return hash((type(self).__name__, *map(str, self.to_dict().values())))

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: object) -> Self:
        return self

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: Any) -> Any:
        """Let the type stand inside pydantic models, whose dumps hold it as plain data."""
        core = load("pydantic_core.core_schema")
        return core.no_info_before_validator_function(
            cls.of,
            core.is_instance_schema(cls),
            serialization=core.plain_serializer_function_ser_schema(_plain, when_used="json"),
        )


def _plain(value: Any) -> Any:
    return value.to_dict()
