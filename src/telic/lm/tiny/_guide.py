"""Replies that are JSON by construction: what may come next so that a text can still become what was asked for.

A guide reads the text so far from its beginning, as far as it goes. Replies are short, so this costs less than a step
of the network, and there is no state that could be wrong.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, Final, NoReturn, cast, final

from telic.errors import LMInvalidRequestError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_NUMBER: Final = re.compile(r"-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?")
_NUMBER_BEGUN: Final = re.compile(r"-?(?:0|[1-9]\d*)?(?:\.\d*)?(?:[eE][+-]?\d*)?")
_STRING: Final = re.compile(r'"(?:[^"\\\x00-\x1f]|\\["\\/bfnrt]|\\u[0-9a-fA-F]{4})*"')
_STRING_BEGUN: Final = re.compile(
    r'"(?:[^"\\\x00-\x1f]|\\["\\/bfnrt]|\\u[0-9a-fA-F]{4})*(?:\\(?:u[0-9a-fA-F]{0,3})?)?'
)
_BLANK: Final = re.compile(r"\n? {0,8}")
_DEEP: Final = 8


class _CutError(Exception):
    """The text ends before the value does: more may come."""


class _WrongError(Exception):
    """No JSON that was asked for begins like this."""


@final
class Guide:
    """What a reply must be: a JSON object, of a schema where there is one.

    Args:
        schema: A JSON schema whose types, properties, required keys, items and choices are held; None: any object.
    """

    def __init__(self, schema: Mapping[str, Any] | None = None) -> None:
        self._schema: Mapping[str, Any] = {"type": "object"} if schema is None else schema
        self._definitions: Mapping[str, Any] = self._schema.get("$defs") or {}

    def allows(self, text: str, more: str, *, ends: bool) -> bool:
        """Return whether `more` may follow `text`, or, where `ends`, whether the text may end."""
        if ends:
            return self._state(text) == "whole"
        # Nothing follows the object; a token without text (a capital, glue) may come anywhere before its end.
        return self._state(text) != "whole" and self._state(text + more) != "wrong"

    def _state(self, text: str) -> str:
        try:
            at = self._value(text, 0, self._schema, 0)
        except _CutError:
            return "cut"
        except _WrongError:
            return "wrong"
        return "whole" if at == len(text) else "wrong"

    def _value(self, text: str, at: int, schema: Mapping[str, Any], depth: int) -> int:
        """Return where the value that begins at `at` ends."""
        if depth > _DEEP:
            raise _WrongError
        schema = self._resolved(schema)
        choices: Any = schema.get("anyOf") or schema.get("oneOf")
        if choices:
            return self._any(text, at, cast("Sequence[Mapping[str, Any]]", choices), depth)
        if "enum" in schema or "const" in schema:
            wanted: Any = schema.get("enum", [schema.get("const")])
            return self._literal(text, at, [_json(value) for value in wanted])
        kind: Any = schema.get("type")
        if isinstance(kind, list):
            return self._any(text, at, [{**schema, "type": k} for k in cast("list[str]", kind)], depth)
        kinds = [kind] if kind else ["object", "array", "string", "number", "boolean", "null"]
        if len(kinds) > 1:
            return self._any(text, at, [{"type": k} for k in kinds], depth)
        if kind == "object":
            return self._object(text, at, schema, depth)
        if kind == "array":
            return self._array(text, at, schema, depth)
        if kind == "string":
            return _matched(text, at, _STRING, _STRING_BEGUN)
        if kind == "boolean":
            return self._literal(text, at, ["true", "false"])
        if kind == "null":
            return self._literal(text, at, ["null"])
        end = _number(text, at)
        if kind == "integer" and not re.fullmatch(r"-?\d+", text[at:end]):
            raise _WrongError
        return end

    def _resolved(self, schema: Mapping[str, Any]) -> Mapping[str, Any]:
        name = str(schema.get("$ref", "")).rpartition("/")[2]
        return cast("Mapping[str, Any]", self._definitions.get(name, {})) if name else schema

    def _any(self, text: str, at: int, schemas: Sequence[Mapping[str, Any]], depth: int) -> int:
        cut = False
        for schema in schemas:
            try:
                return self._value(text, at, schema, depth)
            except _CutError:
                cut = True
            except _WrongError:
                continue
        raise _CutError if cut else _WrongError

    @staticmethod
    def _literal(text: str, at: int, wanted: Sequence[str]) -> int:
        rest = text[at:]
        for word in wanted:
            if rest.startswith(word):
                return at + len(word)
        raise _CutError if any(word.startswith(rest) for word in wanted) else _WrongError

    def _object(self, text: str, at: int, schema: Mapping[str, Any], depth: int) -> int:
        properties: Mapping[str, Any] = schema.get("properties") or {}
        extra: Any = schema.get("additionalProperties", not properties)
        left = [*properties]
        at = _expect(text, at, "{")
        first = True
        while True:
            at = _skip(text, at)
            required = [name for name in schema.get("required") or () if name in left]
            if text.startswith("}", at):
                return at + 1 if not required else _wrong()
            if not (left or extra):
                raise _WrongError  # nothing may follow: not even a comma
            if not first:
                at = _skip(text, _expect(text, at, ","))
            if left:  # in the order of the schema; what need not be there may be left out
                upto = left.index(required[0]) + 1 if required else len(left)
                allowed = left[:upto]
                end = self._literal(text, at, [_json(name) for name in allowed])
                name = next(n for n in allowed if text[at:end] == _json(n))
                del left[: left.index(name) + 1]
                inner: Any = properties[name]
            elif extra:
                end = _matched(text, at, _STRING, _STRING_BEGUN)
                inner = cast("Mapping[str, Any]", extra) if isinstance(extra, dict) else {}
            else:
                raise _WrongError
            at = self._value(text, _skip(text, _expect(text, end, ":")), inner, depth + 1)
            first = False

    def _array(self, text: str, at: int, schema: Mapping[str, Any], depth: int) -> int:
        at = _skip(text, _expect(text, at, "["))
        if text.startswith("]", at):
            return at + 1
        while True:
            at = _skip(text, self._value(text, at, schema.get("items") or {}, depth + 1))
            if text.startswith("]", at):
                return at + 1
            at = _skip(text, _expect(text, at, ","))


def _wrong() -> NoReturn:
    raise _WrongError


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def _expect(text: str, at: int, mark: str) -> int:
    if at >= len(text):
        raise _CutError
    return at + 1 if text[at] == mark else _wrong()


def _skip(text: str, at: int) -> int:
    found = _BLANK.match(text, at)
    end = found.end() if found else at
    if end >= len(text):
        raise _CutError
    return end


def _matched(text: str, at: int, whole: re.Pattern[str], begun: re.Pattern[str]) -> int:
    found = whole.match(text, at)
    if found:
        return found.end()
    start = begun.match(text, at)
    raise _CutError if at >= len(text) or (start and start.end() == len(text)) else _WrongError


def _number(text: str, at: int) -> int:
    begun = _NUMBER_BEGUN.match(text, at)
    if at >= len(text) or (begun and begun.end() == len(text)):
        raise _CutError  # digits may still follow
    found = _NUMBER.match(text, at)
    return found.end() if found else _wrong()


def guide_of(response_format: Any) -> Guide | None:
    """Return the guide of a `response_format` in OpenAI's shape, or None for plain text.

    Raises:
        LMInvalidRequestError: It has another shape.
    """
    given: Mapping[str, Any] = (
        cast("Mapping[str, Any]", response_format) if isinstance(response_format, dict) else {}
    )
    kind: Any = given.get("type")
    if response_format is None or kind == "text":
        return None
    if kind == "json_object":
        return Guide()
    described: Any = given.get("json_schema") if kind == "json_schema" else None
    schema: Any = described.get("schema") if isinstance(described, dict) else None  # pyright: ignore[reportUnknownVariableType, reportUnknownMemberType]
    if not isinstance(schema, dict):
        raise LMInvalidRequestError(
            f"response_format must be of type 'text', 'json_object' or 'json_schema' (with a schema), not "
            f"{response_format!r}",
            provider="telic",
        )
    return Guide(cast("Mapping[str, Any]", schema))
