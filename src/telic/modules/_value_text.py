"""Values as text that strategies put into prompts of their own: observations, attempts, steps."""

from __future__ import annotations

import json
from typing import Any

from telic._optional import load
from telic._text import truncate
from telic.types import has_parts, text_of_value


def value_text(value: Any, limit: int | None = None) -> str:
    """Return text as it is and anything else as JSON, or by its `repr` where JSON has no words for it.

    Args:
        value: Any value.
        limit: How many characters are kept; how many were left out is said at the end. None: all.

    Example:
        >>> value_text({"a": [1, None]}), value_text("abcdef", 4)
        ('{"a": [1, null]}', 'abcd… (+2 characters)')
    """
    text = value if isinstance(value, str) else text_of_value(value) if has_parts(value) else _json(value)
    return text if limit is None else truncate(text, limit)


def _json(value: Any) -> str:
    try:
        return json.dumps(value, ensure_ascii=False, default=_plain)
    except (TypeError, ValueError):  # keys that JSON has not, or a value that contains itself
        return repr(value)


def _plain(value: Any) -> Any:
    if has_parts(value):  # a picture is never written into a text as megabytes of base64
        return text_of_value(value)
    to_dict = getattr(value, "to_dict", None)
    if to_dict is not None and not isinstance(value, type):
        return to_dict()
    return load("pydantic_core").to_jsonable_python(value, fallback=repr)


def labelled(label: str, text: str) -> str:
    r"""Return `label: text`, with later lines indented so that no line of the text passes for a label.

    Example:
        >>> labelled("observation_0", "one\ntwo")
        'observation_0: one\n    two'
    """
    return f"{label}: " + "\n    ".join(text.splitlines())
