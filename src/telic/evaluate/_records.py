"""Rows as files: JSON, JSON lines and CSV that can always be written, whatever a program returned.

An evaluation was paid for by the time its files are written, so nothing here raises on odd values: dates, NumPy
scalars, lone surrogates, circular lists, objects whose `repr` fails. Files are checked before the first call
(`check_path`) and written beside their place and moved there, so that a crash leaves the old file.
"""

from __future__ import annotations

import csv
import errno
import json
import math
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from telic.data import Example
from telic.errors import ConfigurationError

if TYPE_CHECKING:
    from telic.evaluate._row import Row

_MAX_DEPTH = 32


def check_path(path: str | Path, option: str) -> Path:
    """Return `path` if a file can be written there, and say so now if not.

    Raises:
        ConfigurationError: Its folder is missing or nothing can be written there, or it is a folder itself.
    """
    target = Path(path)
    folder = target.parent
    if target.is_dir():
        raise ConfigurationError(f"{option}={str(path)!r} is a folder; name a file in it")
    if not folder.is_dir():
        raise ConfigurationError(
            f"{option}={str(path)!r}: the folder {str(folder)!r} does not exist; create it first"
        )
    try:
        if target.exists() and not os.access(target, os.W_OK):
            raise PermissionError(errno.EACCES, "permission denied")
        with _beside(target):  # tried, not asked: to root every folder looks writable
            pass
    except OSError as error:
        raise ConfigurationError(
            f"{option}={str(path)!r} cannot be written: {error.strerror or error}; name another place"
        ) from error
    return target


def records(rows: Iterable[Row], metric_name: str) -> Iterator[dict[str, Any]]:
    """Yield each row as one flat dict: the example's fields, the prediction's, the score under the metric's name.

    A field of both is `example_name` and `pred_name`. `feedback`, `error`, `seconds`, `tokens` and `cost_usd` follow.
    """
    for row in rows:
        example, prediction = _fields(row.example, "example"), _fields(row.prediction, "prediction")
        record: dict[str, Any] = {}
        for name, value in example.items():
            record[f"example_{name}" if name in prediction else name] = value
        for name, value in prediction.items():
            record[f"pred_{name}" if name in example else name] = value
        record[metric_name] = row.score
        if row.feedback:
            record["feedback"] = row.feedback
        if row.error is not None:
            record["error"] = str(row.error)
        record["seconds"] = round(row.seconds, 6)
        record["tokens"] = row.tokens
        if row.cost_usd is not None:
            record["cost_usd"] = row.cost_usd
        if row.assertions:
            record["assertions"] = [outcome._asdict() for outcome in row.assertions]
        yield record


def _fields(value: Any, name: str) -> dict[str, Any]:
    if isinstance(value, Example):
        return dict(value.items())
    if isinstance(value, Mapping):
        return {str(key): item for key, item in cast("Mapping[Any, Any]", value).items()}
    return {name: value}


def jsonable(value: Any, depth: int = 0) -> Any:
    """Return `value` as what JSON holds: NaN and infinities as None, the unknown as text. Never raises."""
    if value is None or isinstance(value, (bool, int, str)):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if depth >= _MAX_DEPTH:
        return _text(value)
    try:
        return _converted(value, depth)
    except Exception:  # noqa: BLE001 - whatever an odd object does when looked at, the file is written
        return _text(value)


def _converted(value: Any, depth: int) -> Any:
    if isinstance(value, Example):
        value = dict(value.items())
    for method in ("model_dump", "to_dict", "tolist"):  # pydantic, ours, NumPy
        convert = getattr(value, method, None)
        if callable(convert) and not isinstance(value, type):
            return jsonable(convert(), depth + 1)
    if isinstance(value, Mapping):
        items = cast("Mapping[Any, Any]", value).items()
        return {key if isinstance(key, str) else _text(key): jsonable(item, depth + 1) for key, item in items}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [jsonable(item, depth + 1) for item in cast("Iterable[Any]", value)]
    return _text(value)


def _text(value: Any) -> str:
    try:
        return str(value)
    except Exception:  # noqa: BLE001 - see jsonable
        return f"<{type(value).__name__} without a text>"


def write_json(path: Path, items: Sequence[Mapping[str, Any]]) -> None:
    """Write the records as one JSON list, indented."""
    _replace(path, (json.dumps(jsonable(list(items)), indent=2, ensure_ascii=True), "\n"))


def write_jsonl(path: Path, items: Iterable[Mapping[str, Any]]) -> None:
    """Write one JSON object on each line."""
    _replace(path, (json.dumps(jsonable(item), ensure_ascii=True) + "\n" for item in items))


def write_csv(path: Path, items: Sequence[Mapping[str, Any]]) -> None:
    """Write a table whose columns are the union of all rows' names, in order of their first appearance."""
    columns = list(dict.fromkeys(name for item in items for name in item))
    with _beside(path) as (temporary, file):
        writer = csv.DictWriter(file, columns, restval="")
        writer.writeheader()
        for item in items:
            writer.writerow({name: _cell(value) for name, value in item.items()})
        file.close()
        temporary.replace(path)


def _cell(value: Any) -> Any:
    plain = jsonable(value)
    if isinstance(plain, (dict, list)):
        return json.dumps(plain, ensure_ascii=False)
    return plain.replace("\0", "\\0") if isinstance(plain, str) else plain


def _replace(path: Path, pieces: Iterable[str]) -> None:
    with _beside(path) as (temporary, file):
        file.writelines(pieces)
        file.close()
        temporary.replace(path)


class _beside:  # noqa: N801 - reads as a verb: with _beside(path) as …
    """A temporary file in the same folder; removed if the block fails."""

    def __init__(self, path: Path) -> None:
        self._temporary = path.with_name(f".{path.name}.{os.getpid()}.part")

    def __enter__(self) -> tuple[Path, Any]:
        self._file = self._temporary.open("w", encoding="utf-8", errors="backslashreplace", newline="")
        return self._temporary, self._file

    def __exit__(self, *_: object) -> None:
        self._file.close()
        self._temporary.unlink(missing_ok=True)
