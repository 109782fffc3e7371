"""What crosses the wall between host and sandbox: plain data, both ways, of a bounded size and depth.

Objects never cross. A model, a dataclass or an `Example` goes in as its fields; what is no data at all is known by its
`repr`, and code inside can do nothing with it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, cast, final

from telic._optional import load

MAX_DEPTH: Final = 100
_MAX_BITS: Final = 14_000  # Python turns at most 4,300 digits into text
_AS_THEY_ARE: Final = (bool, float, bytes, type(None))


def plain(value: Any, max_chars: int) -> Any:
    """Return a value as data: None, bool, int, float, str, bytes, and lists, tuples, sets and dicts of them.

    Args:
        value: Any value.
        max_chars: How large it may be: the characters of its texts, and 8 for every other value.

    Raises:
        ValueError: It is larger, nested more than 100 deep, or holds a number of more than 4,200 digits.

    Example:
        >>> plain({"at": (1, {"a"})}, 100)
        {'at': (1, {'a'})}
    """
    return _Copy(max_chars).of(value, 0)


@final
class _Copy:
    """One walk through a value."""

    __slots__ = ("limit", "size")

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.size = 0

    def of(self, value: Any, depth: int) -> Any:
        kind: Any = type(cast("object", value))
        self.size += len(value) if kind in (str, bytes) else 8
        if self.size > self.limit:
            raise ValueError(f"the value is larger than {self.limit} characters")
        if kind is str:
            return clean(value)
        if kind is int:
            if value.bit_length() > _MAX_BITS:
                raise ValueError("the value holds a number of more than 4,200 digits")
            return value
        if kind in _AS_THEY_ARE:
            return value
        if depth > MAX_DEPTH:
            raise ValueError(f"the value is nested more than {MAX_DEPTH} deep")
        if kind in (list, tuple, set, frozenset):
            items = [self.of(item, depth + 1) for item in value]
            return cast("Any", kind)(items)
        if isinstance(value, Mapping):
            items = cast("Mapping[Any, Any]", value).items()
            return {self.of(key, depth + 1): self.of(item, depth + 1) for key, item in items}
        return self.of(_data_of(value), depth + 1)


def _data_of(value: Any) -> Any:
    to_dict = getattr(value, "to_dict", None)
    if to_dict is not None and not isinstance(value, type):
        return to_dict()
    try:
        return load("pydantic_core").to_jsonable_python(value, fallback=repr)
    except (ValueError, RecursionError):  # it contains itself, or says something impossible about itself
        return f"<{type(value).__name__}>"


def clean(text: str) -> str:
    """Return text without lone surrogates, which no wire carries."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-8", "replace").decode()
    return text
