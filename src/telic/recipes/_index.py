"""The index of a program folder: written once, and held against the passages when the recipe is run again."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

from telic.retrieve import BM25


def save_index(rm: BM25, folder: Path) -> None:
    """Write the index, or see that the one that is there is of the same passages.

    Raises:
        StoredIndexError: It is not, or the folder cannot be written.
    """
    if folder.exists():
        BM25(list(cast("Sequence[Any]", rm.corpus)), folder=folder)
    else:
        rm.save(folder)
