"""Rows of files as examples: CSV, TSV, JSON, JSON lines and parquet, or a folder of such.

All rows of a file have the same columns, and a file that breaks this, or cannot be read, is refused with its name
and the row at fault: a metric that meets a missing label after an hour of paid calls is the costly way to find out.
Nothing is converted: CSV values are the strings in the file, JSON values are what JSON says. Files are UTF-8; a byte
order mark is taken off.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final, cast

from telic._optional import require
from telic._text import did_you_mean, join_names, truncate
from telic.data import Example
from telic.errors import DatasetError

ENDINGS: Final = (".csv", ".tsv", ".json", ".jsonl", ".parquet")
"""Of the files that can be read."""

Row = tuple[int, dict[str, Any]]
"""The line (or, in a JSON list, the place counted from 1) where a row stands, and its values."""


def load_examples(path: str | Path, inputs: str | Sequence[str] | None = None) -> list[Example]:
    r"""Read examples from a `.csv`, `.tsv`, `.json`, `.jsonl` or `.parquet` file, or from all of these in a folder.

    A `.json` file holds a list of objects, or one object a line. Parquet needs the extra `parquet`.

    Args:
        path: The file, or a folder whose files have the same columns.
        inputs: Which columns are inputs, as names or as one string "context, question"; None leaves that open
            (`example.with_inputs(…)` declares it later).

    Returns:
        One example a row, in the order of the file; at least one.

    Raises:
        DatasetError: The file cannot be read, has no rows, has a row that does not parse or whose columns differ
            from the first row's, or lacks a column that `inputs` names. The message names file and row.

    Example:
        >>> import tempfile, pathlib
        >>> file = pathlib.Path(tempfile.mkdtemp()) / "qa.csv"
        >>> _ = file.write_text("question,answer\nTwo plus two?,4\n")
        >>> load_examples(file, inputs="question")[0].inputs().toDict()
        {'question': 'Two plus two?'}
    """
    file = Path(path)
    if file.is_dir():
        return _of_folder(file, inputs)
    rows = list(_parquet_rows(file) if file.suffix.lower() == ".parquet" else _rows(file, _read(file)))
    if not rows:
        raise DatasetError(f"{str(file)!r} has no rows; it needs at least one example")
    columns = list(rows[0][1])
    _check_columns(file, rows, columns)
    names = _input_names(file, inputs, columns)
    examples = [Example(**_names_are_text(file, line, values)) for line, values in rows]
    return examples if names is None else [example.with_inputs(*names) for example in examples]


def _of_folder(folder: Path, inputs: str | Sequence[str] | None) -> list[Example]:
    """Return the rows of all data files of a folder, in the order of their names."""
    files = sorted(
        file for file in folder.iterdir() if file.suffix.lower() in ENDINGS and file.name[:1] != "."
    )
    if not files:
        raise DatasetError(
            f"the folder {str(folder)!r} has no data files; it needs {join_names(ENDINGS)} files"
        )
    found: list[Example] = []
    for file in files:
        rows = load_examples(file, inputs)
        if found and set(rows[0].keys()) != set(found[0].keys()):
            raise DatasetError(
                f"{str(file)!r} has the columns {join_names(rows[0].keys())}, and {str(files[0])!r} has "
                f"{join_names(found[0].keys())}; the files of one folder need the same ones"
            )
        found += rows
    return found


def _parquet_rows(file: Path) -> Iterator[Row]:
    parquet: Any = require("pyarrow.parquet", extra="parquet", purpose=f"reading {file.name!r}")
    try:
        rows: list[dict[str, Any]] = parquet.read_table(file).to_pylist()
    except FileNotFoundError as error:
        raise DatasetError(f"there is no file {str(file)!r} (looked in {str(Path.cwd())!r})") from error
    except (OSError, ValueError) as error:  # of pyarrow's own classes
        raise DatasetError(f"{str(file)!r} is no parquet file that can be read: {error}") from error
    yield from enumerate(rows, 1)


def _read(file: Path) -> str:
    try:
        return file.read_bytes().decode("utf-8-sig")
    except FileNotFoundError as error:
        raise DatasetError(f"there is no file {str(file)!r} (looked in {str(Path.cwd())!r})") from error
    except UnicodeDecodeError as error:
        raise DatasetError(
            f"{str(file)!r} is not UTF-8 (byte {error.start}); convert it, for example with iconv"
        ) from error
    except OSError as error:
        raise DatasetError(f"{str(file)!r} cannot be read: {error.strerror or error}") from error


def _rows(file: Path, text: str) -> Iterator[Row]:
    suffix = file.suffix.lower()
    if suffix in {".csv", ".tsv"}:
        return _table_rows(file, text, delimiter="," if suffix == ".csv" else "\t")
    if suffix == ".jsonl" or (suffix == ".json" and not text.lstrip().startswith("[")):
        return _line_rows(file, text)
    if suffix == ".json":
        return _list_rows(file, text)
    raise DatasetError(f"{str(file)!r}: cannot read {suffix!r} files; use {join_names(ENDINGS)}")


def _table_rows(file: Path, text: str, *, delimiter: str) -> Iterator[Row]:
    # newline="": line breaks inside quoted cells stay as they are in the file.
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    header: list[str] = []
    try:
        for cells in reader:
            if not cells:
                continue  # a blank line
            if not header:
                header = _header(file, cells)
            elif len(cells) != len(header):
                raise DatasetError(
                    f"{str(file)!r}, row at line {reader.line_num}: {len(cells)} cells where the header has "
                    f"{len(header)}; a cell that holds {delimiter!r} must stand in double quotes"
                )
            else:
                yield reader.line_num, dict(zip(header, cells, strict=True))
    except csv.Error as error:
        hint = "; JSON lines have no such limit" if "field limit" in str(error) else ""
        raise DatasetError(f"{str(file)!r}, row at line {reader.line_num}: {error}{hint}") from error


def _header(file: Path, cells: list[str]) -> list[str]:
    names = [cell.strip() for cell in cells]
    twice = [name for index, name in enumerate(names) if name in names[:index]]
    if twice or "" in names:
        fault = f"column {twice[0]!r} twice" if twice else "a column without a name"
        raise DatasetError(f"{str(file)!r}: the header has {fault}")
    return names


def _line_rows(file: Path, text: str) -> Iterator[Row]:
    for number, line in enumerate(
        text.split("\n"), 1
    ):  # not splitlines: U+2028 may stand inside JSON strings
        if line.strip():
            yield number, _object(file, f"line {number}", _parse(file, f"line {number}", line))


def _list_rows(file: Path, text: str) -> Iterator[Row]:
    value = _parse(file, "the list", text)
    for number, item in enumerate(cast("list[Any]", value), 1):
        yield number, _object(file, f"row {number}", item)


def _parse(file: Path, place: str, text: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        where = f"{place}, character {error.pos}" if error.lineno == 1 else f"line {error.lineno}"
        raise DatasetError(
            f"{str(file)!r}, {where}: not JSON ({error.msg}): {truncate(text.strip(), 80)!r}; "
            "a file holds one object a line, or (.json) one list of objects"
        ) from error
    except RecursionError as error:
        raise DatasetError(f"{str(file)!r}, {place}: JSON nested too deeply") from error


def _object(file: Path, place: str, value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise DatasetError(f"{str(file)!r}, {place}: expected an object, got {truncate(repr(value), 80)}")
    return cast("dict[str, Any]", value)


def _check_columns(file: Path, rows: Sequence[Row], columns: Sequence[str]) -> None:
    expected = set(columns)
    for line, values in rows:
        if values.keys() == expected:
            continue
        missing = [name for name in columns if name not in values]
        extra = [name for name in values if name not in expected]
        faults = [f"lacks {join_names(missing)}"] if missing else []
        faults += [f"also has {join_names(extra)}"] if extra else []
        raise DatasetError(
            f"{str(file)!r}, row at {line}: {' and '.join(faults)}; the first row has {join_names(columns)}, "
            "and all rows need the same columns (write null where there is no value)"
        )


def _input_names(file: Path, inputs: str | Sequence[str] | None, columns: Sequence[str]) -> list[str] | None:
    if inputs is None:
        return None
    names = [name.strip() for name in inputs.split(",")] if isinstance(inputs, str) else list(inputs)
    for name in names:
        if name not in columns:
            raise DatasetError(_no_column(file, name, columns))
    return names


def _no_column(file: Path, name: str, columns: Sequence[str]) -> str:
    return f"{str(file)!r} has no column {name!r}{did_you_mean(name, columns)}; it has {join_names(columns)}"


def _names_are_text(file: Path, line: int, values: dict[str, Any]) -> dict[str, Any]:
    if "base" in values:  # `Example(base=…)` means another example
        raise DatasetError(f"{str(file)!r}, row at {line}: a column cannot be called 'base'; rename it")
    return values
