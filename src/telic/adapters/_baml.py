"""`BAMLAdapter`: the JSON adapter with types written short, for outputs with much structure.

A JSON schema of nested models is long, and LMs follow it no better than a sketch of the object: names, types, and the
descriptions of fields as comments. This shows the sketch; what comes back is read as by `JSONAdapter`.

Source: the schema notation of BAML (https://docs.boundaryml.com). Deviation: a model inside of itself is named
instead of refused.
"""

from __future__ import annotations

import enum
import json
import types
import typing
from collections.abc import Mapping
from typing import Any, Final

from telic.adapters._annotations import bare_annotation, is_field_type, split_histories
from telic.adapters._json import JSONAdapter
from telic.signatures import type_name

_PLAIN: Final[Mapping[Any, str]] = {
    str: "string", int: "int", float: "float", bool: "bool", type(None): "null", None: "null", Any: "any value",
}  # fmt: skip
_LISTS: Final = (list, set, frozenset)
_STEP: Final = "  "


class BAMLAdapter(JSONAdapter):
    """Asks for one JSON object, and shows its types as a sketch with comments.

    Example:
        >>> from telic.signatures import Signature
        >>> asked = Signature("question -> tags: list[str], score: float | None")
        >>> print(*BAMLAdapter().format_field_structure(asked).splitlines()[-4:-1])
        {   "tags": string[],   "score": float or null
    """

    def format_field_structure(self, signature: Any) -> str:
        """Return one section for each input, and the sketch of the object of the outputs."""
        inputs, _ = split_histories(signature)
        outputs = signature.output_fields.values()
        lines = [f'{_STEP}"{field.name}": {sketch(field.annotation, 1)}' for field in outputs]
        body = ",\n".join(lines)
        return "\n\n".join(
            (
                self._form(inputs),
                "Outputs are one JSON object of this form, with these fields in this order:",
                f"{{\n{body}\n}}",
            )
        )


def sketch(annotation: Any, depth: int = 0, inside: tuple[Any, ...] = ()) -> str:
    """Return a type as a sketch of the JSON that is asked for.

    Args:
        annotation: The type.
        depth: How far it is indented.
        inside: The models that it stands in: one that comes again is named.

    Example:
        >>> sketch(dict[str, list[int]]), sketch(int | None)
        ('map<string, int[]>', 'int or null')
    """
    annotation = bare_annotation(annotation)
    try:
        if annotation in _PLAIN:
            return _PLAIN[annotation]
    except TypeError:
        return type_name(annotation)
    origin, args = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is typing.Literal:
        return " or ".join(_constant(value) for value in args)
    if origin in (typing.Union, types.UnionType):
        return " or ".join(sketch(member, depth, inside) for member in args)
    if origin in _LISTS and args:
        item = sketch(args[0], depth, inside)
        return f"({item})[]" if " or " in item and "\n" not in item else f"{item}[]"
    if origin is dict and args:
        return f"map<{sketch(args[0], depth, inside)}, {sketch(args[1], depth, inside)}>"
    if origin is tuple and args:
        return f"[{', '.join('...' if arg is ... else sketch(arg, depth, inside) for arg in args)}]"
    if isinstance(annotation, type):
        return _of_class(annotation, depth, inside)
    return type_name(annotation)


def _of_class(kind: Any, depth: int, inside: tuple[Any, ...]) -> str:
    if issubclass(kind, enum.Enum):
        return " or ".join(_constant(member.value) for member in kind)
    if is_field_type(kind):
        note: str | None = kind.output_note()
        return f"string ({note})" if note else "string"
    fields: Any = getattr(kind, "model_fields", None)
    if fields is None:
        return type_name(kind)
    if kind in inside:
        return f"({kind.__name__}, as above)"
    indent = _STEP * (depth + 1)
    lines: list[str] = []
    for name, field in fields.items():
        about = " ".join((field.description or "").split())
        if about:
            lines.append(f"{indent}# {about}")
        alias: str = field.alias if isinstance(field.alias, str) else name
        lines.append(f'{indent}"{alias}": {sketch(field.annotation, depth + 1, (*inside, kind))},')
    return "\n".join(("{", *lines, f"{_STEP * depth}}}"))


def _constant(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, default=str)
