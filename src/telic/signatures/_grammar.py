'''The string syntax of signatures: a tokenizer and a parser by recursive descent.

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
import re
import typing
from collections.abc import Mapping
from typing import Any, Final, NoReturn

from telic._optional import load
from telic._text import did_you_mean
from telic.errors import SignatureError, SignatureSyntaxError
from telic.signatures._field import FieldInfo, Kind, check_constraints, field_changes
from telic.signatures._names import MISSING, find_type, known_names

_TOKEN: Final = re.compile(
    r"""\s*(?:
      (?P<name>[^\W\d]\w*)
    | (?P<op>->|\.\.\.|[:,=\[\](){}|.\-*])
    | (?P<string>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')
    | (?P<number>\d[\d_]*(?:\.\d+)?(?:[eE][+-]?\d+)?)
    | (?P<bad>\S)
    )""",
    re.VERBOSE | re.DOTALL,
)
_ESCAPE: Final = re.compile(r"\\(x[0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8}|.)", re.DOTALL)
_SIMPLE_ESCAPES: Final = {"n": "\n", "t": "\t", "r": "\r", "0": "\0", "\\": "\\", "'": "'", '"': '"', "\n": ""}
_CONSTANTS: Final[Mapping[str, Any]] = {"True": True, "False": False, "None": None}
_ARITY: Final[Mapping[Any, tuple[int, str]]] = {
    list: (1, "one type: list[str]"),
    set: (1, "one type: set[str]"),
    frozenset: (1, "one type: frozenset[str]"),
    dict: (2, "a key type and a value type: dict[str, int]"),
}
_MAX_DEPTH: Final = 50

Fields = dict[str, FieldInfo]


def parse(text: str, custom_types: Mapping[str, Any] | None = None) -> tuple[Fields, Fields]:
    """Return the input and the output fields that a signature string declares.

    Raises:
        SignatureSyntaxError: The string does not follow the grammar, or a type's name is not known.
    """
    return _Parser(text, {} if custom_types is None else custom_types).signature()


class _Parser:
    __slots__ = ("at", "custom", "depth", "text", "tokens")

    def __init__(self, text: str, custom: Mapping[str, Any]) -> None:
        self.text = text
        self.custom = custom
        self.at = 0
        self.depth = 0
        self.tokens: list[tuple[str, str, int]] = [
            (kind, match[kind], match.start(kind))
            for match in _TOKEN.finditer(text)
            if (kind := match.lastgroup) is not None
        ]
        self.tokens.append(("end", "", len(text)))

    # Tokens

    def fail(self, message: str, column: int | None = None) -> NoReturn:
        column = self.tokens[self.at][2] if column is None else column
        raise SignatureSyntaxError(message, text=self.text, column=column)

    def accept(self, symbol: str) -> bool:
        if self.tokens[self.at][1] == symbol:
            self.at += 1
            return True
        return False

    def expect(self, symbol: str, why: str) -> None:
        if not self.accept(symbol):
            self.fail(f"expected {symbol!r} {why}, found {self.found()}")

    def found(self) -> str:
        kind, value, _ = self.tokens[self.at]
        if kind == "end":
            return "the end"
        if kind == "bad" and value in "\"'":
            return "a quote that is never closed"
        return f"'{value}'" if kind != "string" else value

    # Fields

    def signature(self) -> tuple[Fields, Fields]:
        inputs = self.fields("input", {})
        if not self.accept("->"):
            if self.tokens[self.at][0] == "end":
                self.fail("a signature needs '->' between its inputs and its outputs, as in 'question -> answer'")
            self.fail(f"expected ',' or '->' after a field, found {self.found()}")
        outputs = self.fields("output", inputs)
        if self.tokens[self.at][1] == "->":
            self.fail("a signature has one '->', and this is the second")
        if self.tokens[self.at][0] != "end":
            self.fail(f"expected ',' or the end after a field, found {self.found()}")
        if not outputs:
            self.fail("a signature needs at least one output field after '->'")
        return inputs, outputs

    def fields(self, kind: Kind, others: Fields) -> Fields:
        made: Fields = {}
        tokens = self.tokens
        while True:
            token, name, column = tokens[self.at]
            if token == "end" or name == "->":
                return made
            field = self.field(kind, token, name, column)
            if field.name in made or field.name in others:
                self.fail(f"the field {field.name!r} is declared twice; each name may stand once", column)
            made[field.name] = field
            if not self.accept(","):
                return made

    def field(self, kind: Kind, token: str, name: str, column: int) -> FieldInfo:
        if token != "name":
            self.no_name(name)
        if keyword.iskeyword(name) or name[0] == "_" or not name.isidentifier():
            self.bad_name(name, column)
        self.at += 1
        annotation: Any = str
        changes: dict[str, Any] = {}
        if self.accept(":"):
            if self.tokens[self.at][1] == "Annotated" and "Annotated" not in self.custom:
                annotation, changes = self.annotated_field()
            else:
                annotation = self.type()
        if self.accept("="):
            changes["default"] = self.value()
        if self.tokens[self.at][0] == "string":
            changes["desc"] = self.string()
        field = FieldInfo(name, annotation, kind, **changes)
        if field.constraints:
            try:
                check_constraints(field)
            except SignatureError as error:
                self.fail(str(error), column)
        return field

    def no_name(self, value: str) -> NoReturn:
        if value == "*":
            self.fail("a field has no '*': write each field by its name")
        self.fail(f"expected the name of a field, found {self.found()}")

    def bad_name(self, name: str, column: int) -> NoReturn:
        if keyword.iskeyword(name):
            self.fail(f"{name!r} is a keyword of Python and cannot name a field; write {name + '_'!r}", column)
        if name[0] == "_":
            self.fail(f"the field {name!r} may not start with an underscore", column)
        self.fail(f"{name!r} cannot name a field: it is no Python identifier", column)

    def annotated_field(self) -> tuple[Any, dict[str, Any]]:
        """Return type and options of `Annotated[type, Field(...)]`, whose constraints become the field's own."""
        start = self.at
        self.at += 1
        self.expect("[", "after Annotated")
        annotation = self.type()
        if self.accept(",") and self.tokens[self.at][1] == "Field":
            column = self.tokens[self.at][2]
            options = self.field_call()
            if self.accept("]") and self.tokens[self.at][1] != "|":
                try:
                    return annotation, field_changes(options)
                except SignatureError as error:
                    self.fail(str(error), column)
        self.at = start
        return self.type(), {}

    # Types

    def type(self) -> Any:
        self.depth += 1
        if self.depth > _MAX_DEPTH:
            self.fail(f"types are nested more than {_MAX_DEPTH} deep")
        first = self.part()
        if self.tokens[self.at][1] == "|":
            column = self.tokens[self.at][2]
            parts = [first]
            while self.accept("|"):
                parts.append(self.part())
            first = self.made(typing.Union, tuple(parts), column)
        self.depth -= 1
        return first

    def part(self) -> Any:
        kind, value, column = self.tokens[self.at]
        if kind != "name":
            if self.accept("("):
                inner = self.type()
                self.expect(")", "after a type in parentheses")
                return inner
            if kind == "string":
                self.fail("a type is written without quotes; a description follows the type or the name, without ':'")
            self.fail(f"expected a type, found {self.found()}")
        self.at += 1
        while self.tokens[self.at][1] == "." and self.tokens[self.at + 1][0] == "name":
            value = f"{value}.{self.tokens[self.at + 1][1]}"
            self.at += 2
        base = self.named(value, column)
        if self.tokens[self.at][1] == "[" and self.tokens[self.at][0] == "op":
            return self.subscript(base, column)
        if base is typing.Literal or base is typing.Annotated or base is typing.Union or base is typing.Optional:
            self.fail(f"{value} needs brackets: {value}[…]", column)
        return base

    def named(self, name: str, column: int) -> Any:
        if name in self.custom:
            return self.custom[name]
        first, *rest = name.split(".")
        if rest and first in self.custom:
            found = self.custom[first]
            for attribute in rest:
                found = getattr(found, attribute, MISSING)
            if found is not MISSING:
                return found
        found = find_type(name)
        if found is not MISSING:
            return found
        hint = did_you_mean(name, [*self.custom, *known_names()])
        self.fail(
            f"unknown type {name!r}{hint or '; types of your own are passed in'}: "
            f"Signature(…, custom_types={{{first!r}: {first}}})",
            column,
        )

    def subscript(self, base: Any, column: int) -> Any:
        self.at += 1
        if base is typing.Literal:
            return self.made(base, self.until_bracket(self.literal), column)
        if base is typing.Annotated:
            args = (self.type(), *(self.until_bracket(self.metadata) if self.accept(",") else self.closed()))
            return self.made(base, args, column)
        args = self.until_bracket(self.argument)
        arity, wanted = _ARITY.get(typing.get_origin(base) or base, (0, ""))
        if arity and len(args) != arity:
            self.fail(f"{base.__name__} takes {wanted}", column)
        return self.made(base, args, column)

    def closed(self) -> tuple[Any, ...]:
        self.expect("]", "at the end of the brackets")
        return ()

    def until_bracket(self, item: Any) -> tuple[Any, ...]:
        items: list[Any] = []
        while not self.accept("]"):
            items.append(item())
            if not self.accept(","):
                self.expect("]", "or ','")
                break
        if not items:
            self.fail("there is nothing between the brackets", self.tokens[self.at - 1][2])
        return tuple(items)

    def argument(self) -> Any:
        if self.accept("..."):
            return ...
        if self.accept("["):  # Callable[[int], str]
            return [] if self.accept("]") else list(self.until_bracket(self.type))
        return self.type()

    def literal(self) -> Any:
        kind, value, column = self.tokens[self.at]
        if kind == "name" and value not in _CONSTANTS:
            member = self.part()
            if isinstance(member, type) or not hasattr(type(member), "__members__"):
                self.fail(f"Literal takes text, whole numbers, True, False, None and enum members, not {value}", column)
            return member
        found = self.value()
        if isinstance(found, (str, int)) or found is None:
            return found
        self.fail(f"Literal takes text, whole numbers, True, False, None and enum members, not {found!r}", column)

    def metadata(self) -> Any:
        if self.tokens[self.at][1] != "Field":
            return self.value()
        return load("pydantic").Field(**self.field_call())

    def field_call(self) -> dict[str, Any]:
        self.at += 1
        self.expect("(", "after Field")
        options: dict[str, Any] = {}
        while not self.accept(")"):
            kind, name, _ = self.tokens[self.at]
            if kind != "name":
                self.fail(f"expected an option of Field, found {self.found()}")
            self.at += 1
            self.expect("=", f"after the option {name!r}")
            options[name] = self.value()
            if not self.accept(","):
                self.expect(")", "or ','")
                break
        return options

    def made(self, base: Any, args: tuple[Any, ...], column: int) -> Any:
        """Return `base[args]`, with Python's own objections as syntax errors."""
        try:
            return base[args if len(args) != 1 else args[0]]
        except (TypeError, ValueError, AttributeError) as error:
            self.fail(f"this type cannot be made: {error}", column)

    # Values

    def value(self) -> Any:
        kind, value, _ = self.tokens[self.at]
        if kind == "string":
            return self.string()
        if kind == "number":
            return self.number()
        if kind == "name" and value in _CONSTANTS:
            self.at += 1
            return _CONSTANTS[value]
        if self.accept("-"):
            if self.tokens[self.at][0] != "number":
                self.fail(f"expected a number after '-', found {self.found()}")
            return -self.number()
        return self.collection()

    def collection(self) -> Any:
        self.depth += 1
        if self.depth > _MAX_DEPTH:
            self.fail(f"values are nested more than {_MAX_DEPTH} deep")
        found: Any
        if self.accept("["):
            found = self.values("]")
        elif self.accept("("):
            found = tuple(self.values(")"))
        elif self.accept("{"):
            found = self.mapping()
        else:
            self.fail(f"expected a value (text in quotes, a number, True, False, None, a list …), found {self.found()}")
        self.depth -= 1
        return found

    def values(self, end: str) -> list[Any]:
        found: list[Any] = []
        while not self.accept(end):
            found.append(self.value())
            if not self.accept(","):
                self.expect(end, "or ','")
                break
        return found

    def mapping(self) -> Any:
        pairs: list[tuple[Any, Any]] = []
        items: list[Any] = []
        start = self.tokens[self.at][2]
        while not self.accept("}"):
            first = self.value()
            if self.accept(":"):
                pairs.append((first, self.value()))
            else:
                items.append(first)
            if not self.accept(","):
                self.expect("}", "or ','")
                break
        if pairs and items:
            self.fail("a value in braces is either a dict or a set", start)
        try:
            return set(items) if items else dict(pairs)
        except TypeError as error:
            self.fail(f"this value cannot be made: {error}", start)

    def number(self) -> int | float:
        _, text, column = self.tokens[self.at]
        self.at += 1
        try:
            return int(text) if text.replace("_", "").isdigit() else float(text)
        except ValueError:
            self.fail(f"{text[:20]!r} is no number that can be read", column)

    def string(self) -> str:
        """Return adjacent quoted strings as Python reads them, one at a time."""
        _, quoted, column = self.tokens[self.at]
        self.at += 1
        body = quoted[1:-1]
        if "\\" not in body:
            return body

        def unescape(match: re.Match[str]) -> str:
            code = match[1]
            if code in _SIMPLE_ESCAPES:
                return _SIMPLE_ESCAPES[code]
            number = int(code[1:], 16) if len(code) > 1 else 0x110000
            if number > 0x10FFFF:
                self.fail(f"unknown escape {match[0]!r} in a string", column + 1 + match.start())
            return chr(number)

        return _ESCAPE.sub(unescape, body)


