"""Fields as the text that an LM would have written for them, in the format of the adapter in use."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from telic import _text
from telic.context import get
from telic.data import Example
from telic.errors import ConfigurationError

FORMATS = ("chat", "json", "xml")


def format_of(adapter: Any = None) -> str:
    """Return "chat", "json" or "xml" for an adapter, or for the one in force (None).

    Raises:
        ConfigurationError: The adapter is none of the three; a fake then needs whole texts.
    """
    chosen = get("adapter") if adapter is None else adapter
    if chosen is None:
        return "chat"
    for word in (str(getattr(chosen, "name", "")), *(kind.__name__ for kind in type(chosen).__mro__)):
        for known in FORMATS:
            if known in word.lower():
                return known
    raise ConfigurationError(
        f"cannot write fields in the format of {chosen!r}; script whole reply texts instead of fields, "
        f"or use the {_text.join_names(FORMATS, 'or')} adapter"
    )


def reply_text(fields: Mapping[str, Any], form: str, *, completed: bool = True) -> str:
    """Return a reply that holds `fields`, in order.

    Args:
        fields: Values by name: strings as they are, anything else as JSON (True, False and None as Python says them
            outside of JSON replies).
        form: "chat", "json" or "xml".
        completed: End a chat reply with the `completed` marker.

    Example:
        >>> print(reply_text({"answer": "4", "sure": True}, "chat"))
        [[ ## answer ## ]]
        4
        <BLANKLINE>
        [[ ## sure ## ]]
        True
        <BLANKLINE>
        [[ ## completed ## ]]
    """
    values = Example(fields).to_dict()  # pydantic models, enums, dates … as plain data
    if form == "json":
        return json.dumps(values, ensure_ascii=False, indent=2)
    shown = {name: _shown(value) for name, value in values.items()}
    if form == "xml":
        return "\n\n".join(f"<{name}>\n{text}\n</{name}>" for name, text in shown.items())
    parts = [f"[[ ## {name} ## ]]\n{text}" for name, text in shown.items()]
    return "\n\n".join([*parts, "[[ ## completed ## ]]"] if completed else parts)


def _shown(value: Any) -> str:
    if isinstance(value, str):
        return value
    if value is None or isinstance(value, bool):
        return str(value)
    return json.dumps(value, ensure_ascii=False)
