"""The JSON schema of a signature's outputs in the subset that servers enforce strictly.

Every object is closed and all its properties are required; a default or an optional field becomes "required, may be
null" only if its type says so. What the subset cannot say (dicts with free keys, tuples, `Any`) means None: the caller
then asks for "some JSON object" and the reply is checked on this side. Limits of values are left out, as servers
differ in which they accept; they are checked on this side as well.

Source: https://platform.openai.com/docs/guides/structured-outputs (supported schemas). Deviations: none known.
"""

from __future__ import annotations

import re
from typing import Any, cast

from telic.signatures import json_schema

_KEPT = frozenset({"type", "enum", "const", "description", "$ref", "anyOf", "items", "properties", "$defs"})
_UNSAYABLE = frozenset({"patternProperties", "prefixItems", "allOf", "not", "if"})


class _OpenEnded(Exception):
    """A schema that the strict subset cannot say."""


def strict_schema(signature: Any) -> dict[str, Any] | None:
    """Return `{"name", "strict", "schema"}` for `response_format`, or None where no closed schema exists."""
    properties: dict[str, Any] = {}
    definitions: dict[str, Any] = {}
    try:
        for name, field in signature.output_fields.items():
            schema = _closed(json_schema(field.annotation))
            _add_definitions(definitions, schema.pop("$defs", {}))
            properties[name] = schema
    except _OpenEnded:
        return None
    whole: dict[str, Any] = {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }
    if definitions:
        whole["$defs"] = definitions
    title = re.sub(r"[^\w-]", "_", signature.__name__, flags=re.ASCII)[:60]
    return {"name": title or "outputs", "strict": True, "schema": whole}


def _add_definitions(known: dict[str, Any], more: dict[str, Any]) -> None:
    for name, schema in more.items():
        if known.setdefault(name, schema) != schema:
            raise _OpenEnded  # two classes of one name


def _closed(schema: dict[str, Any]) -> dict[str, Any]:
    """Return a schema with all objects closed; the given one is not changed."""
    if not schema or not _UNSAYABLE.isdisjoint(schema):
        raise _OpenEnded
    closed: dict[str, Any] = {}
    for key, value in schema.items():
        if key == "oneOf":
            key = "anyOf"
        if key not in _KEPT:
            continue
        if key in ("properties", "$defs"):
            closed[key] = {name: _closed(inner) for name, inner in cast("dict[str, Any]", value).items()}
        elif key == "anyOf":
            closed[key] = [_closed(member) for member in cast("list[dict[str, Any]]", value)]
        elif key == "items":
            closed[key] = _closed(value)
        else:
            closed[key] = value
    if closed.get("type") == "object":
        if schema.get("additionalProperties", False) is not False or "properties" not in closed:
            raise _OpenEnded
        closed["required"] = list(closed["properties"])
        closed["additionalProperties"] = False
    if closed.get("type") == "array" and "items" not in closed:
        raise _OpenEnded
    return closed
