"""The user's rows: read, looked at before anything is paid for, cut in three.

Refused are: a column that is not there, an input or a label that is missing, empty or of another type than the rest,
rows that ask the same and are answered differently, and rows most of which have the answer in their input. Rows that
say the same twice are left out, and the recipe says so.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, cast

from telic._text import did_you_mean, join_names, plural
from telic.data import Example
from telic.datasets import check_examples, load_examples, split
from telic.errors import DatasetError

LEAST = 10
"""So many rows a recipe needs: some to learn from, some to choose by, some to measure by."""
SHARES = (0.4, 0.3, 0.3)
MOST = (200, 200, 300)
"""More rows than these make a search dearer and not better."""


class Parts(NamedTuple):
    """Rows, cut in three, and what was done to get there."""

    trainset: list[Example]
    valset: list[Example]
    testset: list[Example]
    notes: list[str]


def read_rows(
    data: Any, columns: Mapping[str, str], inputs: str, *, owner: str, most_leaks: float = 0.5
) -> tuple[list[Example], list[str]]:
    """Return rows whose fields are called as the program calls them, and notes on what was left out.

    Args:
        data: A file (or folder of files), or examples or mappings.
        columns: What a field is called in the data, by the name that the program has for it.
        inputs: Which of the fields is the input.
        owner: The recipe, for messages.
        most_leaks: In more than this share of the rows the answer must not stand in its input.

    Raises:
        DatasetError: See above; before anything is paid for.
    """
    where, given = given_rows(data)
    rows = [_renamed(where, place, row, columns, owner) for place, row in enumerate(given)]
    for place, row in enumerate(rows):
        _check_values(where, place, row, inputs, columns)
    examples = [Example(**row).with_inputs(inputs) for row in rows]
    kept = _looked_at(where, examples, inputs, most_leaks)
    gone = len(examples) - len(kept)
    if len(kept) < LEAST:
        twice = f", {plural(gone, 'doubled one')} left out" if gone else ""
        raise DatasetError(
            f"{where} has {plural(len(kept), 'row')}{twice}; a recipe needs at least {LEAST}, to learn from, to choose "
            "by and to measure by"
        )
    notes = (
        [f"{plural(gone, 'row')} said the same as another and {'was' if gone == 1 else 'were'} left out"]
        if gone
        else []
    )
    return kept, notes


def cut(rows: Sequence[Example], seed: int) -> Parts:
    """Return rows in three parts; equal inputs are in one."""
    parts = split(rows, *SHARES, seed=seed)
    cut_off = [part[:most] for part, most in zip(parts, MOST, strict=True)]
    used, notes = sum(map(len, cut_off)), list[str]()
    if used < len(rows):
        notes.append(f"{used:,} of {len(rows):,} rows are used: more would make it dearer and hardly better")
    return Parts(cut_off[0], cut_off[1], cut_off[2], notes)


def given_rows(data: Any) -> tuple[str, list[Mapping[str, Any]]]:
    """Return what the rows are called in messages, and the rows: those of a file, or as they were given.

    Raises:
        DatasetError: They cannot be read, are none, or are no rows.
    """
    if isinstance(data, (str, os.PathLike)):
        path = Path(cast("str", data))
        return repr(str(path)), [dict(row.items()) for row in load_examples(path)]
    if not isinstance(data, Iterable):
        raise DatasetError(f"the data is {type(data).__name__}; pass a file, or a list of examples")
    rows: list[Mapping[str, Any]] = []
    for place, row in enumerate(cast("Iterable[Any]", data)):
        if not isinstance(row, (Example, Mapping)):
            raise DatasetError(f"row {place} of the data is {type(row).__name__}; pass examples or mappings")
        rows.append(dict(cast("Any", row).items()))
    if not rows:
        raise DatasetError("the data has no rows")
    return "the data", rows


def _renamed(
    where: str, place: int, row: Mapping[str, Any], columns: Mapping[str, str], owner: str
) -> dict[str, Any]:
    for name, column in columns.items():
        if column not in row:
            known = f"{did_you_mean(column, row)}; it has {join_names(row)}"
            raise DatasetError(
                f"{where}, row {place} (counted from 0): there is no column {column!r}{known}. Say which one is the "
                f"{name}: {name}= of recipes.{owner}, --{name} on the command line"
            )
    return {name: row[column] for name, column in columns.items()}


def _check_values(
    where: str, place: int, row: dict[str, Any], inputs: str, columns: Mapping[str, str]
) -> None:
    for name, value in row.items():
        here = f"{where}, row {place} (counted from 0): {columns[name]!r}"
        if value is None or (isinstance(value, str) and not value.strip()):
            hint = '; write "not in the documents" where they do not say it' if name == "answer" else ""
            raise DatasetError(f"{here} is empty{hint}, or leave the row out")
        if name == inputs and not isinstance(value, str):
            raise DatasetError(f"{here} is {type(value).__name__} {value!r:.60}, and must be a text")
        if name in ("answer", "label"):
            row[name] = _texts(here, value)


def _texts(here: str, value: Any) -> str | list[str]:
    if isinstance(value, list) and value:
        return [str(_texts(here, one)) for one in cast("list[Any]", value)]
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        found = cast("Any", value)
        raise DatasetError(f"{here} is {type(found).__name__} {found!r:.60}, and must be a text")
    return str(value)


def _looked_at(where: str, rows: list[Example], inputs: str, most_leaks: float) -> list[Example]:
    doubled: set[int] = set()
    for finding in check_examples(rows):
        if finding.kind in ("contradiction", "types"):
            raise DatasetError(f"{where}: {finding} (counted from 0)")
        if finding.kind == "duplicate":
            doubled.update(finding.rows[1:])
        if finding.kind == "leak" and len(finding.rows) > most_leaks * len(rows):
            raise DatasetError(
                f"{where}: {finding}: what is asked for is told in {inputs!r}, so that nothing would be learned or "
                "measured; take it out of the column"
            )
    return [row for place, row in enumerate(rows) if place not in doubled]
