"""Where in a type a class is named."""

from __future__ import annotations

import typing
from typing import Any


def mentions(annotation: Any, kind: type, _seen: frozenset[Any] = frozenset()) -> bool:
    """Return whether `kind` is named anywhere in a type: in containers, unions, and the fields of models."""
    if isinstance(annotation, type) and issubclass(annotation, kind):
        return True
    arguments = typing.get_args(annotation)
    if arguments:
        return any(mentions(argument, kind, _seen) for argument in arguments)
    if not isinstance(annotation, type) or annotation in _seen:
        return False
    fields: Any = getattr(annotation, "model_fields", None)
    if fields is not None:
        inner = [field.annotation for field in fields.values()]
    elif hasattr(annotation, "__dataclass_fields__"):
        try:
            inner = [*typing.get_type_hints(annotation).values()]
        except (NameError, TypeError):
            return True  # names that cannot be looked up from here: anything
    else:
        return False
    return any(mentions(one, kind, _seen | {annotation}) for one in inner)
