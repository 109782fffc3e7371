"""Reading the output fields out of a reply that is (or holds) a JSON object."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, cast

from telic.adapters._reading import EMPTY, Reading
from telic.adapters._repair import NoJSON, read_json


def read_object(text: str, names: Collection[str]) -> Reading:
    """Return the fields of the JSON object in `text`; "complete" means that it needed no closing.

    Keys that are no field are dropped. One level of wrapping around the object is taken off, names are compared without
    regard to case where needed, and with a single field a bare value stands for it.
    """
    try:
        value, whole = read_json(text)
    except NoJSON:
        return EMPTY
    found = _fields(value, names)
    if not found and isinstance(value, dict) and len(cast("dict[str, Any]", value)) == 1:
        found = _fields(next(iter(cast("dict[str, Any]", value).values())), names)
    if not found and isinstance(value, list) and len(cast("list[Any]", value)) == 1:
        found = _fields(cast("list[Any]", value)[0], names)
    if not found and len(names) == 1:
        found = {next(iter(names)): cast("Any", value)}
    return Reading(found, whole)


def _fields(value: Any, names: Collection[str]) -> dict[str, Any]:
    if not isinstance(value, dict):
        return {}
    keyed = cast("dict[Any, Any]", value)
    found = {name: keyed[name] for name in names if name in keyed}
    if len(found) < len(names):
        folded = {str(key).strip().casefold(): item for key, item in keyed.items()}
        for name in names:
            if name not in found and name.casefold() in folded:
                found[name] = folded[name.casefold()]
    return found
