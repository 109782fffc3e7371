"""Values in DSPy's saved programs: parts of a message as JSON between two marks, in a string.

Read only from files, and only for fields whose type names a field type. In prompts and replies these marks mean
nothing.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final, cast

from telic.types._media import as_mapping

_START: Final = "<<CUSTOM-TYPE-START-IDENTIFIER>>"
_END: Final = "<<CUSTOM-TYPE-END-IDENTIFIER>>"


def unmarked(value: Any) -> Any:
    """Return saved data with every marked string as the plain data of its field type; the rest as it is.

    Example:
        >>> unmarked([_START + '[{"type": "image_url", "image_url": {"url": "https://x/y"}}]' + _END, "text"])
        [{'url': 'https://x/y'}, 'text']
    """
    if isinstance(value, str):
        return _plain(value) if value.startswith(_START) and value.endswith(_END) else value
    if isinstance(value, list):
        return [unmarked(item) for item in cast("list[Any]", value)]
    given = as_mapping(value)
    return value if given is None else {name: unmarked(item) for name, item in given.items()}


def _plain(text: str) -> Any:
    try:
        parts = json.loads(text[len(_START) : -len(_END)])
    except (ValueError, RecursionError):
        return text
    part = as_mapping(cast("list[Any]", parts)[0]) if isinstance(parts, list) and parts else None
    if part is None or len(cast("list[Any]", parts)) != 1:
        return text
    inner = as_mapping(part.get(str(part.get("type"))))
    if part.get("type") == "document":
        return _document(part)
    if inner is None:
        return text
    if part.get("type") == "input_audio":
        return {"data": inner.get("data"), "audio_format": inner.get("format")}
    return dict(inner)


def _document(part: Mapping[str, Any]) -> dict[str, Any]:
    source = as_mapping(part.get("source"))
    values = {**({} if source is None else source), **part}
    return {
        name: values[name]
        for name in ("data", "title", "media_type", "context")
        if values.get(name) is not None
    }
