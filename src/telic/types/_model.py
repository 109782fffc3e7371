"""`Type`: the base of field types that users write as pydantic models, with their own form in prompts.

Here and not in `_base` because it needs pydantic, which nothing loads before a program names `telic.Type`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Final, cast

import pydantic

from telic.errors import ConfigurationError
from telic.types._media import shown

_NEVER_CALLED: Final = ("adapt_to_native_lm_feature", "parse_lm_response", "parse_stream_chunk")


class Type(pydantic.BaseModel):
    """A field type with fields of its own.

    Define `format` to say how a value stands in a prompt: text, or the parts of a message's content. Without it a value
    is shown as JSON. As an output it is asked for by its JSON schema and validated by pydantic.

    Example:
        >>> class Event(Type):
        ...     name: str
        ...     def format(self):
        ...         return f"the event {self.name}"
        >>> Event(name="opening").to_parts()
        [{'type': 'text', 'text': 'the event opening'}]
    """

    shown_as_model: ClassVar[bool] = True
    """Whether prompts show it as they show any pydantic model: it has no `format` of its own."""

    @classmethod
    def __pydantic_init_subclass__(cls, **kwargs: Any) -> None:
        """Look whether the class defines `format`."""
        super().__pydantic_init_subclass__(**kwargs)
        cls.shown_as_model = cls.format is Type.format
        for name in _NEVER_CALLED:
            if hasattr(cls, name):
                raise ConfigurationError(
                    f"{cls.__name__}.{name} would never be called: LMs' channels are chosen by adapters; read a reply "
                    "in a pydantic validator of the type, and leave it out"
                )

    def format(self) -> str | list[dict[str, Any]]:
        """Return the value as it stands in prompts: text, or parts such as `{"type": "image_url", …}`."""
        return self.model_dump_json()

    @classmethod
    def description(cls) -> str:
        """Return what prompts say of the type beside each field of it; "" for nothing."""
        return ""

    def to_parts(self) -> list[dict[str, Any]]:
        """Return `format()` as parts of a message's content.

        Raises:
            TypeError: It is neither text nor a list of parts.
        """
        given: Any = self.format()
        if isinstance(given, str):
            return [{"type": "text", "text": given}]
        if isinstance(given, Sequence):
            parts = list(cast("Sequence[Any]", given))
            if all(isinstance(part, dict) and "type" in part for part in parts):
                return parts
        raise TypeError(
            f"{type(self).__name__}.format() returned {shown(given)}; it must be text, or a list of "
            "parts such as {'type': 'text', 'text': …}"
        )
