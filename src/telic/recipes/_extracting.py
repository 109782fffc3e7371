"""`extract`: typed records out of texts. What a record is, is read from the rows."""

from __future__ import annotations

import dataclasses
import json
import keyword
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple, cast

from telic._text import join_names, truncate
from telic.data import Example
from telic.errors import DatasetError
from telic.recipes._choice import choose_optimizer
from telic.recipes._measures import record_f1
from telic.recipes._recipe import Recipe, rows_of
from telic.recipes._rows import cut, given_rows, read_rows
from telic.recipes._source import ProgramSource
from telic.recipes.programs import Extract

_TYPES: Final = {"str": str, "int": int, "float": float, "bool": bool, "list[str]": list[str]}
_NUMBER: Final = re.compile(r"[+-]?(0|[1-9]\d{0,18})(\.\d+)?([eE][+-]?\d{1,3})?")
RECORDS: Final = "records"


class Field(NamedTuple):
    """A field of a record."""

    name: str
    kind: str
    """One of `_TYPES`."""
    optional: bool

    @property
    def annotation(self) -> Any:
        """The type of its values."""
        return _TYPES[self.kind] | None if self.optional else _TYPES[self.kind]

    def line(self) -> str:
        """Return its line in the class."""
        return f"    {self.name}: {self.kind}{' | None = None' if self.optional else ''}"


def extract(rows: Any, *, text: str = "text", seed: int = 0, num_threads: int | None = None) -> Recipe:
    """Read records out of texts.

    Args:
        rows: A file of rows, or examples; at least 10. A row has its text, and either `records`, a list of objects with
            the same fields, or the fields of its one record as columns. Numbers of a .csv file are told from texts by
            what all rows have there; an empty cell is a field without a value.
        text: The column of texts.
        seed: Of splits and search.
        num_threads: Calls at once; None: the setting.

    Returns:
        The recipe: print it, then `compile(out)`. A record's class is in `program.py`. Texts whose values nearly always
        stand in the text word for word must do so.

    Raises:
        DatasetError: The rows cannot be used; nothing was paid for.

    Cost: none; no LM is called.

    Example:
        >>> rows = [{"text": f"Ann{n} is {n + 20}.", "name": f"Ann{n}", "age": n + 20} for n in range(12)]
        >>> print(extract(rows).program.read.signature.output_fields["records"].annotation.__args__[0].__annotations__)
        {'name': <class 'str'>, 'age': <class 'int'>}
    """
    where, given = given_rows(rows)
    found = [_with_records(where, place, row, text) for place, row in enumerate(given)]
    fields = _fields(where, found)
    typed = [
        {"text": row["text"], RECORDS: [_typed(record, fields) for record in row[RECORDS]]} for row in found
    ]
    kept, notes = read_rows(
        typed, {"text": "text", RECORDS: RECORDS}, "text", owner="extract", most_leaks=1.0
    )
    parts = cut(kept, seed)
    verbatim = [field.name for field in fields if field.kind == "str" and _stands(rows_of(parts), field.name)]
    program = Extract(_made(fields), verbatim=verbatim)
    make = f"Extract(Record, verbatim={verbatim!r})"
    source = ProgramSource(
        Extract, make, record_f1.__name__, ("from dataclasses import dataclass",), _class(fields)
    )
    count = sum(len(row[RECORDS]) for row in typed)
    told = [
        *(("rows", note) for note in notes),
        ("program", make),
        ("records", f"{count} in {len(typed)} texts: {', '.join(field.line().strip() for field in fields)}"),
        ("metric", "record_f1: values found and right, over all records of a text"),
    ]
    return Recipe(
        "extract",
        program,
        source,
        parts,
        choose_optimizer(record_f1, len(parts.trainset), seed, num_threads),
        told,
    )


def _with_records(where: str, place: int, row: Mapping[str, Any], text: str) -> dict[str, Any]:
    here = f"{where}, row {place} (counted from 0)"
    if text not in row:
        raise DatasetError(
            f"{here}: there is no column {text!r}; it has {join_names(row)}; say which has the text: text="
        )
    rest = {name: value for name, value in row.items() if name != text}
    if not rest:
        raise DatasetError(f"{here} has a text and nothing that is to be found in it")
    if RECORDS not in rest:
        return {"text": row[text], RECORDS: [rest]}
    held = rest[RECORDS]
    if isinstance(held, str):
        try:
            held = json.loads(held)
        except json.JSONDecodeError as error:
            raise DatasetError(
                f"{here}: {RECORDS!r} is no JSON ({error.msg}): {truncate(str(held), 60)!r}"
            ) from error
    if not isinstance(held, list) or not all(isinstance(one, Mapping) for one in cast("list[Any]", held)):
        raise DatasetError(
            f"{here}: {RECORDS!r} must be a list of objects, got {truncate(repr(cast('Any', held)), 60)}"
        )
    return {"text": row[text], RECORDS: [dict(one) for one in cast("list[Mapping[str, Any]]", held)]}


def _fields(where: str, rows: Sequence[Mapping[str, Any]]) -> list[Field]:
    """Return the fields of all records, with their types."""
    records: list[dict[str, Any]] = [record for row in rows for record in row[RECORDS]]
    names = list(dict.fromkeys(name for record in records for name in record))
    wrong = [name for name in names if not name.isidentifier() or keyword.iskeyword(name)]
    if wrong or not names:
        raise DatasetError(
            f"{where}: {wrong[0]!r} cannot be the name of a field: letters, digits and _ alone" if wrong
            else f"{where} has no records to learn from"
        )  # fmt: skip
    fields: list[Field] = []
    for name in names:
        values = [record.get(name) for record in records]
        there = [value for value in values if not _is_empty(value)]
        kind = next((kind for kind in _KINDS if there and all(_is_of(kind, value) for value in there)), None)
        if kind is None:
            raise DatasetError(
                f"{where}: the values of {name!r} are of no one type (text, whole number, number, true or false, "
                f"list of texts): {truncate(', '.join(map(repr, there[:4])), 120)}"
            )
        fields.append(Field(name, kind, len(there) < len(values)))
    return sorted(fields, key=lambda field: field.optional)  # in a class those without a default come first


_KINDS: Final = ("bool", "int", "float", "list[str]", "str")


def _is_empty(value: Any) -> bool:
    return value is None or (isinstance(value, str) and not value.strip())


def _is_of(kind: str, value: Any) -> bool:
    """Return whether a value is of a kind, or a text that says such a value."""
    if kind == "list[str]":
        return isinstance(value, list) and all(isinstance(one, str) for one in cast("list[Any]", value))
    if kind == "str":
        return isinstance(value, str)
    if isinstance(value, str):
        return _read(kind, value) is not None
    return type(value) is _TYPES[kind] or (kind == "float" and type(value) is int)


def _read(kind: str, text: str) -> Any:
    """Return the value that a text says, or None; "007" is no number."""
    if kind == "bool":
        return {"true": True, "false": False}.get(text.strip().casefold())
    if _NUMBER.fullmatch(text.strip()) is None:
        return None
    try:
        return int(text) if kind == "int" else float(text)
    except ValueError:
        return None


def _typed(record: Mapping[str, Any], fields: Iterable[Field]) -> dict[str, Any]:
    typed: dict[str, Any] = {}
    for field in fields:
        value = record.get(field.name)
        if _is_empty(value):
            typed[field.name] = None
        elif isinstance(value, str) and field.kind != "str":
            typed[field.name] = _read(field.kind, value)
        else:
            typed[field.name] = float(value) if field.kind == "float" and value is not None else value
    return typed


def _stands(rows: Sequence[Example], name: str) -> bool:
    """Return whether the values of a field nearly always stand in the text."""
    pairs = [(record[name], row.text) for row in rows for record in row[RECORDS] if record[name] is not None]
    return bool(pairs) and sum(value in text for value, text in pairs) >= 0.95 * len(pairs)


def _made(fields: Sequence[Field]) -> type[Any]:
    made = [
        (f.name, f.annotation, dataclasses.field(default=None)) if f.optional else (f.name, f.annotation)
        for f in fields
    ]
    return dataclasses.make_dataclass("Record", cast("Any", made))


def _class(fields: Iterable[Field]) -> str:
    lines = "\n".join(field.line() for field in fields)
    return f'\n@dataclass\nclass Record:\n    """What is read out of a text."""\n\n{lines}\n'
