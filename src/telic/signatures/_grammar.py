'''The string syntax of signatures, read by recursive descent.

    signature   = fields "->" fields
    fields      = [ field { "," field } [ "," ] ]           the output side needs at least one
    field       = NAME [ ":" type ] [ "=" value ] [ STRING ]
    type        = part { "|" part }
    part        = "None" | "(" type ")" | NAME { "." NAME } [ "[" arguments "]" ]
    value       = STRING | NUMBER | "-" NUMBER | "True" | "False" | "None" | list | tuple | dict | set of values

A field without a type is a `str`. The quoted string at its end is its description:
`"""context: list[str] "facts that may help", k: int = 3 -> answer: Literal["yes", "no"]"""`. Constraints are written
`score: Annotated[float, Field(ge=0, le=1)]`. Names mean what `_names.find_type` or `custom_types` say, nothing else:
no module is imported and no caller is looked at. Every fault is a `SignatureSyntaxError` with its column.
'''

from __future__ import annotations

import keyword
import typing
from collections.abc import Callable, Mapping
from typing import Any, Final, NoReturn

from telic._optional import load
from telic._text import did_you_mean
from telic.errors import SignatureError
from telic.signatures._field import FieldInfo, Kind, check_constraints
from telic.signatures._names import MISSING, find_type, known_names
from telic.signatures._options import field_changes
from telic.signatures._tokens import CONSTANTS, Tokens
from telic.types import Code

_ARITY: Final[Mapping[Any, tuple[int, str]]] = {
    list: (1, "one type: list[str]"),
    set: (1, "one type: set[str]"),
    frozenset: (1, "one type: frozenset[str]"),
    dict: (2, "a key type and a value type: dict[str, int]"),
}
_NEEDS_BRACKETS: Final = (typing.Literal, typing.Annotated, typing.Union, typing.Optional)
_LITERALS: Final = "Literal takes text, whole numbers, True, False, None and enum members"

FieldsByName = dict[str, FieldInfo]


def parse(text: str, custom_types: Mapping[str, Any] | None = None) -> tuple[FieldsByName, FieldsByName]:
    """Return the input and the output fields that a signature string declares.

    Raises:
        SignatureSyntaxError: The string does not follow the grammar, or a type's name is not known.

    Example:
        >>> inputs, outputs = parse('question "what is asked", k: int = 3 -> answer: list[str]')
        >>> inputs["k"].default, outputs["answer"].annotation
        (3, list[str])
    """
    return _Parser(text, {} if custom_types is None else custom_types).signature()


class _Parser(Tokens):
    __slots__ = ("custom",)

    def __init__(self, text: str, custom: Mapping[str, Any]) -> None:
        super().__init__(text)
        self.custom = custom

    # Fields

    def signature(self) -> tuple[FieldsByName, FieldsByName]:
        inputs = self.fields("input", {})
        if not self.accept("->"):
            if not self.words[self.at]:
                self.fail(
                    "a signature needs '->' between its inputs and its outputs, as in 'question -> answer'"
                )
            self.fail(f"expected ',' or '->' after a field, found {self.found()}")
        outputs = self.fields("output", inputs)
        if self.words[self.at] == "->":
            self.fail("a signature has one '->', and this is the second")
        if self.words[self.at]:
            self.fail(f"expected ',' or the end after a field, found {self.found()}")
        if not outputs:
            self.fail("a signature needs at least one output field after '->'")
        return inputs, outputs

    def fields(self, kind: Kind, others: FieldsByName) -> FieldsByName:
        made: FieldsByName = {}
        words = self.words
        while words[self.at] not in ("", "->"):
            start = self.at
            name = words[start]
            if not name.isidentifier() or name[0] == "_" or keyword.iskeyword(name):
                self.bad_name(name)
            if name in made or name in others:
                self.fail(f"the field {name!r} is declared twice; each name may stand once")
            self.at = start + 1
            if words[self.at] in (",", "->", ""):
                made[name] = FieldInfo(name, str, kind)
            else:
                made[name] = self.field(kind, name, start)
            if words[self.at] != ",":
                break
            self.at += 1
        return made

    def field(self, kind: Kind, name: str, start: int) -> FieldInfo:
        annotation: Any = str
        changes: dict[str, Any] = {}
        if self.accept(":"):
            if self.words[self.at] == "Annotated" and "Annotated" not in self.custom:
                annotation, changes = self.annotated_field()
            else:
                annotation = self.type()
        if self.accept("="):
            changes["default"] = self.value()
        word = self.words[self.at]
        if len(word) > 1 and word[0] in "\"'":
            changes["desc"] = self.string()
        field = FieldInfo(name, annotation, kind, **changes)
        if field.constraints:
            try:
                check_constraints(field)
            except SignatureError as error:
                self.fail(str(error), start)
        return field

    def bad_name(self, name: str) -> NoReturn:
        if name == "*":
            self.fail("a field has no '*': write each field by its name")
        if keyword.iskeyword(name):
            self.fail(f"{name!r} is a keyword of Python and cannot name a field; write {name + '_'!r}")
        if name[0] == "_":
            self.fail(f"the field {name!r} may not start with an underscore")
        self.fail(f"expected the name of a field, found {self.found()}")

    def annotated_field(self) -> tuple[Any, dict[str, Any]]:
        """Return type and options of `Annotated[type, Field(...)]`, whose constraints become the field's own."""
        start = self.at
        self.at += 1
        self.expect("[", "after Annotated")
        annotation = self.type()
        if self.accept(",") and self.words[self.at] == "Field":
            call = self.at
            options = self.field_call()
            if self.accept("]") and self.words[self.at] != "|":
                try:
                    return annotation, field_changes(options)
                except SignatureError as error:
                    self.fail(str(error), call)
        self.at = start
        return self.type(), {}

    # Types

    def type(self) -> Any:
        self.deeper("types")
        first = self.part()
        if self.words[self.at] == "|":
            start = self.at
            parts = [first]
            while self.accept("|"):
                parts.append(self.part())
            first = self.made(typing.Union, tuple(parts), start)
        self.depth -= 1
        return first

    def part(self) -> Any:
        words, start = self.words, self.at
        name = words[start]
        if not name.isidentifier():
            if self.accept("("):
                inner = self.type()
                self.expect(")", "after a type in parentheses")
                return inner
            if len(name) > 1 and name[0] in "\"'":
                self.fail(
                    "a type is written without quotes; a description follows the type or the name, without ':'"
                )
            self.fail(f"expected a type, found {self.found()}")
        self.at = start + 1
        while words[self.at] == "." and words[self.at + 1].isidentifier():
            name = f"{name}.{words[self.at + 1]}"
            self.at += 2
        base = self.named(name, start)
        if words[self.at] == "[":
            return self.subscript(base, start)
        if base in _NEEDS_BRACKETS:
            self.fail(f"{name} needs brackets: {name}[…]", start)
        return base

    def named(self, name: str, start: int) -> Any:
        custom = self.custom
        if custom:
            if name in custom:
                return custom[name]
            first, *rest = name.split(".")
            if rest and first in custom:
                found = custom[first]
                for attribute in rest:
                    found = getattr(found, attribute, MISSING)
                if found is not MISSING:
                    return found
        found = find_type(name)
        if found is not MISSING:
            return found
        first = name.partition(".")[0]
        hint = did_you_mean(name, [*custom, *known_names()])
        return self.fail(
            f"unknown type {name!r}{hint}; a type of your own is passed in as "
            f"Signature(…, custom_types={{{first!r}: {first}}})",
            start,
        )

    def subscript(self, base: Any, start: int) -> Any:
        self.at += 1
        if base is typing.Literal:
            return self.made(base, self.until_bracket(self.literal), start)
        if base is typing.Annotated:
            args = [self.type()]
            if self.accept(","):
                args += self.until_bracket(self.metadata)
            else:
                self.expect("]", "or ','")
            return self.made(base, tuple(args), start)
        if base is Code:
            return self.made(base, self.until_bracket(self.language), start)
        args = self.until_bracket(self.argument)
        arity, wanted = _ARITY.get(typing.get_origin(base) or base, (0, ""))
        if arity and len(args) != arity:
            self.fail(f"{base.__name__} takes {wanted}", start)
        if ... in args and (typing.get_origin(base) or base) not in (tuple, Callable):
            self.fail("'...' stands only in tuple[…, ...] and Callable[..., …]", start)
        return self.made(base, args, start)

    def until_bracket(self, item: Callable[[], Any]) -> tuple[Any, ...]:
        items: list[Any] = []
        while not self.accept("]"):
            items.append(item())
            if not self.accept(","):
                self.expect("]", "or ','")
                break
        if not items:
            self.fail("there is nothing between the brackets", self.at - 1)
        return tuple(items)

    def argument(self) -> Any:
        if self.accept("..."):
            return ...
        if self.accept("["):  # Callable[[int], str]
            return [] if self.accept("]") else list(self.until_bracket(self.type))
        return self.type()

    def language(self) -> str:
        if self.words[self.at][:1] not in ("'", '"'):
            self.fail('Code takes the name of a language in quotes: Code["java"]')
        return self.string()

    def literal(self) -> Any:
        start, word = self.at, self.words[self.at]
        if word.isidentifier() and word not in CONSTANTS:
            member = self.part()
            if isinstance(member, type) or not hasattr(member.__class__, "__members__"):
                self.fail(f"{_LITERALS}, not {word}", start)
            return member
        found = self.value()
        if isinstance(found, (str, int)) or found is None:
            return found
        return self.fail(f"{_LITERALS}, not {found!r}", start)

    def metadata(self) -> Any:
        if self.words[self.at] != "Field":
            return self.value()
        start = self.at
        options = self.field_call()
        try:
            return load("pydantic").Field(**options)
        except TypeError as error:
            return self.fail(f"this Field cannot be made: {error}", start)

    def field_call(self) -> dict[str, Any]:
        self.at += 1
        self.expect("(", "after Field")
        options: dict[str, Any] = {}
        while not self.accept(")"):
            name = self.words[self.at]
            if not name.isidentifier():
                self.fail(f"expected an option of Field, found {self.found()}")
            self.at += 1
            self.expect("=", f"after the option {name!r}")
            options[name] = self.value()
            if not self.accept(","):
                self.expect(")", "or ','")
                break
        return options

    def made(self, base: Any, args: tuple[Any, ...], start: int) -> Any:
        """Return `base[args]`, with Python's own objections as syntax errors."""
        try:
            return base[args if len(args) != 1 else args[0]]
        except (TypeError, ValueError, AttributeError) as error:
            return self.fail(f"this type cannot be made: {error}", start)
