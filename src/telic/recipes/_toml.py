"""A TOML file whose faults are told with file, line and key.

`tomllib` tells lines of syntax alone, so where a key stands is found by reading the lines once more: table headers and
`key =` at the start of a line, outside of texts of several lines. A key that stands elsewhere (in an inline table) is
told without its line.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, cast, final

from telic._text import did_you_mean, join_names
from telic.errors import ConfigurationError

Key = tuple[str | int, ...]
"""From the top; whole numbers are places in a list of tables, counted from 0."""

_HEADER: Final = re.compile(r"\s*(\[\[?)\s*([\w.\-\"' ]+?)\s*\]\]?\s*(#.*)?$")
_ASSIGNED: Final = re.compile(r"\s*([\w\-.\"']+)\s*=")
_WORDS: Final = {
    str: "a text",
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    list: "a list",
    dict: "a table",
}


@final
class TomlFile:
    """A file that was read.

    Args:
        path: Where it is.

    Raises:
        ConfigurationError: It cannot be read, or is no TOML.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            text = path.read_bytes().decode("utf-8-sig")
        except OSError as error:
            raise ConfigurationError(f"{str(path)!r} cannot be read: {error.strerror or error}") from error
        except UnicodeDecodeError as error:
            raise ConfigurationError(f"{str(path)!r} is not UTF-8 (byte {error.start})") from error
        try:
            self.data: dict[str, Any] = tomllib.loads(text)
        except (tomllib.TOMLDecodeError, RecursionError) as error:
            raise ConfigurationError(f"{str(path)!r} is no TOML: {error}") from error
        self._lines = key_lines(text)

    def fault(self, key: Key, message: str) -> ConfigurationError:
        """Return the error that says what is wrong with a key."""
        at = next((self._lines[key[:n]] for n in range(len(key), 0, -1) if key[:n] in self._lines), None)
        where = f"{str(self.path)!r}" + ("" if at is None else f", line {at}")
        name = ".".join(str(part + 1) if isinstance(part, int) else part for part in key)
        return ConfigurationError(f"{where}, {name!r}: {message}")

    def table(self, key: Key, known: Mapping[str, type], needed: tuple[str, ...] = ()) -> dict[str, Any]:
        """Return a table, its keys and the types of its values checked; an absent one is empty.

        Raises:
            ConfigurationError: A key is unknown or missing, or a value is of another type.
        """
        held: Any = self.data
        for part in key:
            held = held.get(part, {}) if isinstance(part, str) else held[part]
        if not isinstance(held, dict):
            raise self.fault(key, f"must be a table, [{key[-1]}]")
        values = cast("dict[str, Any]", held)
        for name, value in values.items():
            if name not in known:
                raise self.fault(
                    (*key, name), f"unknown{did_you_mean(name, known)}; known are {join_names(known)}"
                )
            self.check((*key, name), value, known[name])
        missing = [name for name in needed if name not in values]
        if missing:
            raise self.fault(key, f"needs {missing[0]!r}")
        return values

    def check(self, key: Key, value: Any, kind: type) -> None:
        """Refuse a value of another type.

        Raises:
            ConfigurationError: It is.
        """
        fits = isinstance(value, kind) or (kind is float and type(value) is int)
        if not fits or (kind is not bool and isinstance(value, bool)):
            raise self.fault(key, f"must be {_WORDS.get(kind, kind.__name__)}, got {value!r:.60}")


def key_lines(text: str) -> dict[Key, int]:
    """Return where keys and tables stand, as lines counted from 1."""
    found: dict[Key, int] = {}
    counts: dict[Key, int] = {}
    table: Key = ()
    within: str | None = None
    for number, line in enumerate(text.splitlines(), 1):
        if within is None:
            header, assigned = _HEADER.match(line), _ASSIGNED.match(line)
            if header:
                table = _placed(_parts(header[2]), counts)
                if header[1] == "[[":
                    counts[table] = counts.get(table, -1) + 1
                    table = (*table, counts[table])
                found.setdefault(table, number)
            elif assigned:
                found.setdefault((*table, *_parts(assigned[1])), number)
        for quotes in ('"""', "'''"):
            if within in (None, quotes) and line.count(quotes) % 2:
                within = None if within else quotes
    return found


def _parts(dotted: str) -> list[str]:
    return [part.strip().strip("\"'") for part in dotted.split(".")]


def _placed(parts: list[str], counts: Mapping[Key, int]) -> Key:
    """Return a header's key, with the place in each list of tables that it is under."""
    key: Key = ()
    for n, part in enumerate(parts):
        key = (*key, part)
        if n < len(parts) - 1 and key in counts:
            key = (*key, counts[key])
    return key
