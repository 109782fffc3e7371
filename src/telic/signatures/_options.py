"""`InputField` and `OutputField`: fields as they are declared in the body of a signature class.

Their keywords are pydantic's and DSPy's. What is no option of theirs is kept for adapters of the user's own, unless it
looks like a misspelt one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, cast

from telic._text import did_you_mean
from telic._unset import UNSET, Unset
from telic.errors import SignatureError
from telic.signatures._field import CONSTRAINTS, FieldInfo, Kind

_PLAIN_OPTIONS: Final = frozenset({"desc", "default", "default_factory", "prefix"})
_DEAD_OPTIONS: Final = frozenset(
    {"format", "parser"}
)  # accepted for programs that pass them; nothing reads them
_OPTIONS: Final = (*CONSTRAINTS, *sorted(_PLAIN_OPTIONS), "description", *sorted(_DEAD_OPTIONS))


def make_field(kind: Kind, options: dict[str, Any]) -> FieldInfo:
    """Return a nameless field from the keywords of `InputField` and `OutputField`.

    Raises:
        SignatureError: A keyword is a misspelt option, or has a value that it cannot have.
    """
    changes = field_changes(options)
    return FieldInfo("", UNSET, kind, **changes)


def field_changes(options: dict[str, Any]) -> dict[str, Any]:
    """Return the attributes of a `FieldInfo` that keywords of `InputField` set.

    Raises:
        SignatureError: As in `make_field`.
    """
    changes: dict[str, Any] = {}
    constraints: dict[str, Any] = {}
    extra: dict[str, Any] = {}
    for name, value in options.items():
        if value is UNSET or (value is None and name != "default"):
            continue
        if name in CONSTRAINTS:
            constraints[name] = value
        elif name in _PLAIN_OPTIONS:
            changes[name] = value
        elif name == "description":
            changes["desc"] = value
        elif name not in _DEAD_OPTIONS:
            extra[name] = value
    _check_changes(changes)
    if constraints:
        changes["constraints"] = constraints
    if extra:
        changes["extra"] = _checked_extra(extra)
    return changes


def _check_changes(changes: dict[str, Any]) -> None:
    if not isinstance(changes.get("desc", ""), str):
        raise SignatureError(f"the description of a field must be text, not {changes['desc']!r}")
    if "default" in changes:
        if changes["default"] is ...:  # pydantic's way to say "required"
            del changes["default"]
        elif "default_factory" in changes:
            raise SignatureError("a field has either a default or a default_factory, not both")


def _checked_extra(extra: dict[str, Any]) -> dict[str, Any]:
    more = extra.pop("json_schema_extra", None)
    if isinstance(more, Mapping):
        extra = {**extra, **cast("Mapping[str, Any]", more)}
    for name in extra:
        if hint := did_you_mean(name, _OPTIONS):
            raise SignatureError(f"a field has no option {name!r}{hint}")
    return extra


def InputField(  # noqa: N802
    *,
    desc: str | None = None,
    description: str | None = None,
    default: Any = UNSET,
    default_factory: Callable[[], Any] | Unset = UNSET,
    gt: Any = None,
    ge: Any = None,
    lt: Any = None,
    le: Any = None,
    multiple_of: float | None = None,
    min_length: int | None = None,
    max_length: int | None = None,
    pattern: str | None = None,
    prefix: str | Unset = UNSET,
    format: Any = None,
    parser: Any = None,
    **extra: Any,
) -> Any:
    """Declare an input field in the body of a signature class.

    Args:
        desc: What the field means, in words for the LM. `description` is the same.
        default: The value of callers that give none.
        default_factory: Makes that value anew for each call.
        gt: Smallest value, itself excluded; `ge`: included; `lt`, `le`: the same for the largest.
        multiple_of: What a number must be a multiple of.
        min_length: Fewest characters or items; `max_length`: most.
        pattern: A regular expression that text must match.
        prefix: Kept in saved programs; shown by no adapter.
        format: Accepted for old programs, and without effect; so is `parser`.
        extra: Anything else, kept in `FieldInfo.extra` for adapters of your own.

    Raises:
        SignatureError: A keyword looks like a misspelt option.
    """
    given = {"desc": desc, "description": description, "default": default, "default_factory": default_factory}
    bounds = {"gt": gt, "ge": ge, "lt": lt, "le": le, "multiple_of": multiple_of}
    sizes = {"min_length": min_length, "max_length": max_length, "pattern": pattern, "prefix": prefix}
    return make_field("input", {**given, **bounds, **sizes, **extra})


def OutputField(  # noqa: N802
    *,
    desc: str | None = None,
    description: str | None = None,
    default: Any = UNSET,
    default_factory: Callable[[], Any] | Unset = UNSET,
    gt: Any = None,
    ge: Any = None,
    lt: Any = None,
    le: Any = None,
    multiple_of: float | None = None,
    min_length: int | None = None,
    max_length: int | None = None,
    pattern: str | None = None,
    prefix: str | Unset = UNSET,
    format: Any = None,
    parser: Any = None,
    **extra: Any,
) -> Any:
    """Declare an output field in the body of a signature class.

    The options are those of `InputField`. Constraints are shown to the LM and hold on what it answers; a default
    stands where the LM leaves the field out.

    Raises:
        SignatureError: A keyword looks like a misspelt option.
    """
    given = {"desc": desc, "description": description, "default": default, "default_factory": default_factory}
    bounds = {"gt": gt, "ge": ge, "lt": lt, "le": le, "multiple_of": multiple_of}
    sizes = {"min_length": min_length, "max_length": max_length, "pattern": pattern, "prefix": prefix}
    return make_field("output", {**given, **bounds, **sizes, **extra})
