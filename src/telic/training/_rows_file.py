"""Training rows as JSON lines, in the shape that chat finetuning reads everywhere.

    {"messages": [{"role": "system", …}, …, {"role": "assistant", "content": …, "weight": 1}], "telic": {…}}

`weight` 0 marks assistant turns that are shown and not learned (demos). What else is known of a row stands under
`telic`; `plain=True` leaves it out, for servers that refuse what they do not know. Preference pairs have the shape of
TRL: `prompt`, `chosen`, `rejected`, each a list of turns.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, cast

from telic.errors import DatasetError
from telic.training._files import written_whole
from telic.training._rows import ChatRow, PreferencePair


def row_to_dict(row: ChatRow, *, plain: bool = False) -> dict[str, Any]:
    """Return a row as a line of the file holds it.

    Example:
        >>> row = ChatRow(({"role": "user", "content": "2+2?"},), "4")
        >>> row_to_dict(row, plain=True)["messages"][-1]
        {'role': 'assistant', 'content': '4', 'weight': 1}
    """
    shown: list[dict[str, Any]] = [
        {**message, "weight": 0} if message["role"] == "assistant" else dict(message)
        for message in row.messages
    ]
    line: dict[str, Any] = {"messages": [*shown, {"role": "assistant", "content": row.reply, "weight": 1}]}
    if not plain:
        line["telic"] = {
            "predictor": row.predictor, "weight": row.weight, "score": row.score, "example": row.example
        }  # fmt: skip
    return line


def write_rows(path: Path, rows: Iterable[ChatRow], *, plain: bool = False) -> None:
    """Write rows, one a line; the file is there whole or not at all.

    Raises:
        OSError: It cannot be written.
    """
    _write(path, (row_to_dict(row, plain=plain) for row in rows))


def write_pairs(path: Path, pairs: Iterable[PreferencePair]) -> None:
    """Write preference pairs, one a line.

    Raises:
        OSError: It cannot be written.
    """
    _write(
        path,
        (
            {
                "prompt": list(pair.messages),
                "chosen": [{"role": "assistant", "content": pair.chosen}],
                "rejected": [{"role": "assistant", "content": pair.rejected}],
                "telic": {"predictor": pair.predictor, "margin": pair.margin, "example": pair.example},
            }
            for pair in pairs
        ),
    )


def read_rows(path: Path) -> list[ChatRow]:
    """Return the rows of a file that `write_rows` wrote, or of another one of chat turns, the last of which is learned.

    Raises:
        DatasetError: It cannot be read, or a line is no such row; the message says which.
    """
    return [_row(line, place) for line, place in _lines(path)]


def read_pairs(path: Path) -> list[PreferencePair]:
    """Return the pairs of a file that `write_pairs` wrote, or of another one of `prompt`, `chosen` and `rejected`.

    Raises:
        DatasetError: It cannot be read, or a line is no such pair; the message says which.
    """
    return [_pair(line, place) for line, place in _lines(path)]


def _pair(line: bytes, place: str) -> PreferencePair:
    try:
        found: Any = json.loads(line)
        about = cast("dict[str, Any]", found.get("telic", {}))
        chosen, rejected = (_said(found[side], side) for side in ("chosen", "rejected"))
        messages = cast("Any", tuple(found["prompt"]))
        if not all("role" in message for message in messages):
            raise ValueError("'prompt' is no list of turns")
        margin = float(about.get("margin", 1.0))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise DatasetError(
            f"{place} is no preference pair ({error}): it is an object with `prompt`, a list of turns, and `chosen` "
            "and `rejected`, each a list of one turn of the assistant"
        ) from error
    return PreferencePair(
        messages, chosen, rejected, margin, str(about.get("predictor", "")), about.get("example")
    )


def _said(turns: Any, side: str) -> str:
    (turn,) = turns
    if turn["role"] != "assistant" or not isinstance(turn["content"], str):
        raise ValueError(f"{side!r} is no text of the assistant")
    return turn["content"]


def _lines(path: Path) -> Iterator[tuple[bytes, str]]:
    try:
        lines = path.read_bytes().splitlines()
    except OSError as error:
        raise DatasetError(f"the training rows in {str(path)!r} cannot be read: {error}") from error
    for number, line in enumerate(lines, 1):
        if line.strip():
            yield line, f"line {number} of {str(path)!r}"


def _row(line: bytes, place: str) -> ChatRow:
    try:
        found: Any = json.loads(line)
        *before, last = found["messages"]
        about = cast("dict[str, Any]", found.get("telic", {}))
        messages = tuple({k: v for k, v in turn.items() if k != "weight"} for turn in before)
        if (
            last["role"] != "assistant"
            or not isinstance(last["content"], str)
            or not all("role" in m for m in messages)
        ):
            raise ValueError("the last turn is no text of the assistant")
        weight = float(about.get("weight", 1.0))
        if not 0 < weight < float("inf"):
            raise ValueError(f"its weight is {weight!r}")
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise DatasetError(
            f"{place} is no training row ({error}); a row is an object with `messages`, the last of the assistant"
        ) from error
    return ChatRow(
        cast("Any", messages), last["content"], weight, str(about.get("predictor", "")), about.get("score"),
        about.get("example"),
    )  # fmt: skip


def _write(path: Path, lines: Iterable[dict[str, Any]]) -> None:
    body = "".join(json.dumps(line, ensure_ascii=True) + "\n" for line in lines)
    written_whole(path, body.encode())
