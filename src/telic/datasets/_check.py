"""Looking at rows before anything is paid for: what is missing, mixed, doubled, or gives the answer away."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Hashable, Iterator, Sequence
from typing import Any, NamedTuple

from telic._hash import canonical_json
from telic.data import Example
from telic.datasets._splits import question_key
from telic.errors import DatasetError


class Finding(NamedTuple):
    """Something about rows that deserves a look."""

    kind: str
    """"missing", "empty", "types", "duplicate", "contradiction" or "leak"."""
    rows: tuple[int, ...]
    """Which, counted from 0."""
    message: str

    def __str__(self) -> str:
        return self.message


def check_examples(examples: Sequence[Example], *, strict: bool = False) -> list[Finding]:
    """Return what is odd about examples.

    Found are: fields that some rows lack, labels that are empty, fields whose type changes, rows that ask the same (and
    those of them that are answered differently), and answers that stand word for word in an input, which makes a
    question easy that was not meant to be (where a task is to find the answer in a text, that is as it should be).

    Args:
        examples: Rows; inputs should be declared (`with_inputs`), else nothing is known of answers.
        strict: Raise what is found.

    Raises:
        DatasetError: `strict`, and something was found.

    Example:
        >>> rows = [Example(q="2+2?", a="4"), Example(q="2+2?", a="5")]
        >>> [str(finding) for finding in check_examples([row.with_inputs("q") for row in rows])]
        ['rows 0 and 1 ask the same and are answered differently']
    """
    found = [*_fields(examples), *_doubles(examples), *_leaks(examples)]
    if strict and found:
        raise DatasetError("; ".join(finding.message for finding in found))
    return found


def _fields(examples: Sequence[Example]) -> Iterator[Finding]:
    names = Counter(name for example in examples for name in example.keys())  # noqa: SIM118  an Example is no dict
    for name, count in names.items():
        if count < len(examples):
            rows = tuple(place for place, example in enumerate(examples) if name not in example)
            yield Finding("missing", rows, f"{_rows(rows)} {_lack(rows)} the field {name!r}")
        kinds: dict[str, list[int]] = defaultdict(list)
        empty: list[int] = []
        for place, example in enumerate(examples):
            if name not in example:
                continue
            value: Any = example[name]
            if value is None or (isinstance(value, str) and not value.strip()):
                empty.append(place)
            else:
                kinds["a number" if type(value) in (int, float) else type(value).__name__].append(place)
        if empty and kinds:
            yield Finding("empty", tuple(empty), f"{name!r} is empty in {_rows(empty)}")
        if len(kinds) > 1:
            usual = max(kinds, key=lambda kind: len(kinds[kind]))
            others = tuple(place for kind, places in kinds.items() if kind != usual for place in places)
            yield Finding(
                "types",
                others,
                f"{name!r} is {usual} in most rows, and {_others(kinds, usual)} in {_rows(others)}",
            )


def _doubles(examples: Sequence[Example]) -> Iterator[Finding]:
    groups: dict[Hashable, list[int]] = defaultdict(list)
    for place, example in enumerate(examples):
        groups[question_key(example)].append(place)
    for rows in groups.values():
        if len(rows) > 1:
            answers = {canonical_json(examples[place].toDict()) for place in rows}
            fold = {canonical_json(_folded(examples[place])) for place in rows}
            if len(answers) > 1 and len(fold) > 1:
                yield Finding(
                    "contradiction", tuple(rows), f"{_rows(rows)} ask the same and are answered differently"
                )
            else:
                yield Finding("duplicate", tuple(rows), f"{_rows(rows)} are the same")


def _leaks(examples: Sequence[Example]) -> Iterator[Finding]:
    places: dict[tuple[str, str], list[int]] = defaultdict(list)
    for place, example in enumerate(examples):
        keys = example._input_keys  # pyright: ignore[reportPrivateUsage]
        if keys is None:
            continue
        fields = {name: _words(value) for name, value in example.items() if isinstance(value, str)}
        for label in fields.keys() - keys:
            for name in fields.keys() & keys:
                if len(fields[label]) > 4 and f" {fields[label].strip()} " in fields[name]:
                    places[label, name].append(place)
    for (label, name), rows in sorted(places.items()):
        yield Finding(
            "leak", tuple(rows), f"the input {name!r} contains {label!r} word for word in {_rows(rows)}"
        )


def _words(text: str) -> str:
    kept = "".join(char if char.isalnum() else " " for char in text.casefold())
    return f" {' '.join(kept.split())} "


def _folded(example: Example) -> dict[str, Any]:
    fields = example.toDict()
    return {name: _words(value) if isinstance(value, str) else value for name, value in fields.items()}


def _rows(rows: Sequence[int]) -> str:
    if len(rows) == 1:
        return f"row {rows[0]}"
    if len(rows) <= 5:
        return f"rows {', '.join(map(str, rows[:-1]))} and {rows[-1]}"
    return f"{len(rows)} rows (first {', '.join(map(str, rows[:3]))})"


def _lack(rows: Sequence[int]) -> str:
    return "lacks" if len(rows) == 1 else "lack"


def _others(kinds: dict[str, list[int]], usual: str) -> str:
    return " or ".join(sorted(kind for kind in kinds if kind != usual))
