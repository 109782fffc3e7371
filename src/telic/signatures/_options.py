"""`InputField` and `OutputField`: fields as they are declared in the body of a signature class.

Their keywords are pydantic's and DSPy's. What is no option of theirs is kept for adapters of the user's own, unless it
looks like a misspelt one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final, Protocol, cast

from telic._text import did_you_mean
from telic._unset import UNSET
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


class DeclareField(Protocol):
    """The signature of `InputField` and `OutputField`, for type checkers and editors."""

    def __call__(
        self,
        *,
        desc: str | None = None,
        description: str | None = None,
        default: Any = ...,
        default_factory: Callable[[], Any] | None = None,
        gt: Any = None,
        ge: Any = None,
        lt: Any = None,
        le: Any = None,
        multiple_of: float | None = None,
        min_length: int | None = None,
        max_length: int | None = None,
        pattern: str | None = None,
        prefix: str | None = None,
        format: Any = None,
        parser: Any = None,
        **extra: Any,
    ) -> Any:
        """Declare a field of a signature class; see `InputField`."""
        ...


if TYPE_CHECKING:
    InputField: DeclareField
    OutputField: DeclareField
else:  # bare keywords: only what was given is looked at

    def InputField(**options):  # noqa: ANN003, ANN202, N802
        """Declare an input field in the body of a signature class.

        Args:
            options: Any of these keywords, none of which is needed.
                `desc`, `description`: what the field means, in words for the LM.
                `default`: the value of callers that give none; `default_factory`: makes it anew for each call.
                `gt`, `ge`, `lt`, `le`: smallest and largest value, excluded or included (`e`).
                `multiple_of`: what a number must be a multiple of.
                `min_length`, `max_length`: fewest and most characters or items.
                `pattern`: a regular expression that text must match.
                `prefix`: a title, kept in saved programs and shown by no adapter.
                `format`, `parser`: accepted for old programs, and without effect.
                Anything else is kept in `FieldInfo.extra`, for adapters of your own.

        Raises:
            SignatureError: A keyword looks like a misspelt option, or a value cannot be.

        Example:
            >>> InputField(desc="what is asked", max_length=500)
            FieldInfo(input, '', desc='what is asked', max_length=500)
        """
        return make_field("input", options)

    def OutputField(**options):  # noqa: ANN003, ANN202, N802
        """Declare an output field in the body of a signature class.

        The keywords are those of `InputField`. Constraints are shown to the LM and hold on what it answers; a default
        stands where the LM leaves the field out.

        Raises:
            SignatureError: A keyword looks like a misspelt option, or a value cannot be.
        """
        return make_field("output", options)
