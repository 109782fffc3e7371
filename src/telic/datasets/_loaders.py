"""Rows of a file as examples: CSV, TSV, JSON and JSON lines.

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
from typing import Any, cast, final

from telic._seed import derive
from telic._text import did_you_mean, join_names, truncate
from telic.data import Example
from telic.errors import DatasetError

Row = tuple[int, dict[str, Any]]
"""The line (or, in a JSON list, the place counted from 1) where a row stands, and its values."""


def load_examples(path: str | Path, inputs: str | Sequence[str] | None = None) -> list[Example]:
    r"""Read examples from a `.csv`, `.tsv`, `.json` or `.jsonl` file.

    A `.json` file holds a list of objects, or one object a line.

    Args:
        path: The file.
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
    rows = list(_rows(file, _read(file)))
    if not rows:
        raise DatasetError(f"{str(file)!r} has no rows; it needs at least one example")
    columns = list(rows[0][1])
    _check_columns(file, rows, columns)
    names = _input_names(file, inputs, columns)
    examples = [Example(**_names_are_text(file, line, values)) for line, values in rows]
    return examples if names is None else [example.with_inputs(*names) for example in examples]


def split(examples: Sequence[Example], *sizes: float, seed: int = 0) -> list[list[Example]]:
    """Shuffle examples and cut them into parts: a trainset, a valset, a testset.

    Args:
        examples: What to split; it stays as it is.
        sizes: One number a part: a share between 0 and 1 (`0.5`), or a count (`200`). What is left over after the
            last part is left out, except where shares add up to 1.
        seed: The same seed and number of examples give the same parts.

    Returns:
        The parts, in the order of `sizes`; no example is in two of them.

    Raises:
        DatasetError: The parts need more examples than there are, or one would be empty.

    Example:
        >>> rows = [Example(n=n) for n in range(10)]
        >>> [len(part) for part in split(rows, 0.6, 0.2, 0.2, seed=1)]
        [6, 2, 2]
    """
    counts = _counts(len(examples), sizes)
    order = list(range(len(examples)))
    derive(seed, "split", len(examples)).shuffle(order)
    parts: list[list[Example]] = []
    start = 0
    for count in counts:
        parts.append([examples[index] for index in order[start : start + count]])
        start += count
    return parts


@final
class DataLoader:
    """Files as examples, under the names that DSPy programs use.

    Deviations: values of CSV files stay strings (nothing guesses types), and splits are seeded.
    """

    def from_csv(
        self, file_path: str | Path, fields: Sequence[str] | None = None, input_keys: Sequence[str] = ()
    ) -> list[Example]:
        """Read a CSV file; `fields` keeps those columns only, `input_keys` are declared as inputs.

        Raises:
            DatasetError: As `load_examples`.
        """
        return self._load(file_path, fields, input_keys)

    def from_json(
        self, file_path: str | Path, fields: Sequence[str] | None = None, input_keys: Sequence[str] = ()
    ) -> list[Example]:
        """Read a JSON or JSON-lines file; as `from_csv`.

        Raises:
            DatasetError: As `load_examples`.
        """
        return self._load(file_path, fields, input_keys)

    def from_pandas(
        self, df: Any, fields: Sequence[str] | None = None, input_keys: Sequence[str] = ()
    ) -> list[Example]:
        """Return the rows of a data frame as examples; as `from_csv`, with the frame's own values.

        Raises:
            DatasetError: It has no rows, or lacks a column that `fields` or `input_keys` name.
        """
        columns = [str(name) for name in df.columns]
        if len(df) == 0:
            raise DatasetError("the data frame has no rows; it needs at least one example")
        for name in (*(() if fields is None else fields), *input_keys):
            if name not in columns:
                raise DatasetError(
                    f"the data frame has no column {name!r}{did_you_mean(name, columns)}; it has {join_names(columns)}"
                )
        kept = columns if fields is None else list(fields)
        rows = [Example({name: row[name] for name in kept}) for _, row in df.iterrows()]
        return [row.with_inputs(*input_keys) for row in rows] if input_keys else rows

    def sample(self, dataset: Sequence[Example], n: int, *, seed: int = 0) -> list[Example]:
        """Return `n` examples drawn without putting back, in the order of the dataset.

        Raises:
            DatasetError: There are fewer than `n`.
        """
        if not 0 < n <= len(dataset):
            raise DatasetError(f"cannot sample {n} of {len(dataset)} examples")
        chosen = sorted(derive(seed, "sample", n, len(dataset)).sample(range(len(dataset)), n))
        return [dataset[index] for index in chosen]

    def train_test_split(
        self,
        dataset: Sequence[Example],
        train_size: float = 0.75,
        test_size: float | None = None,
        random_state: int | None = None,
    ) -> dict[str, list[Example]]:
        """Return `{"train": …, "test": …}`, shuffled by `random_state` (None: 0).

        Raises:
            DatasetError: As `split`.
        """
        train = _counts(len(dataset), (train_size,))[0]
        rest: float = len(dataset) - train if test_size is None else test_size
        parts = split(dataset, train, rest, seed=0 if random_state is None else random_state)
        return {"train": parts[0], "test": parts[1]}

    def _load(
        self, path: str | Path, fields: Sequence[str] | None, input_keys: Sequence[str]
    ) -> list[Example]:
        examples = load_examples(path, inputs=tuple(input_keys) or None)
        if fields is None:
            return examples
        unknown = [name for name in fields if name not in examples[0]]
        if unknown:
            raise DatasetError(_no_column(Path(path), unknown[0], list(examples[0].keys())))
        dropped = [name for name in examples[0].keys() if name not in fields]  # noqa: SIM118  an Example is no dict
        return [example.without(*dropped) for example in examples]


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
    raise DatasetError(f"{str(file)!r}: cannot read {suffix!r} files; use .csv, .tsv, .json or .jsonl")


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


def _counts(total: int, sizes: Sequence[float]) -> list[int]:
    counts = [_count(total, size) for size in sizes]
    if any(isinstance(size, float) for size in sizes) and abs(sum(sizes) - 1.0) < 1e-9:
        counts[-1] = total - sum(counts[:-1])
    if any(count < 1 for count in counts) or sum(counts) > total:
        raise DatasetError(f"cannot split {total} examples into parts of {join_names(map(str, sizes))}")
    return counts


def _count(total: int, size: float) -> int:
    if isinstance(size, float):
        if not 0.0 < size <= 1.0:
            raise DatasetError(f"a part of {size!r}: a share lies between 0 and 1; a count is a whole number")
        return round(total * size)
    return size
