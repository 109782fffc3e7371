"""Rows of the Hugging Face hub, by the package `datasets` (extra `hub`); without the hub, the way to local files."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, cast

from telic._optional import require
from telic.errors import DatasetError


def hub_splits(name: str, *args: Any, local: str = "", **options: Any) -> dict[str, list[dict[str, Any]]]:
    """Return the rows of a dataset of the hub, by split; with `split=`, that one under its name.

    Args:
        name: "owner/name", or a folder that `datasets` reads.
        args: As for `datasets.load_dataset`: the configuration's name.
        local: How the same rows are read from a file, for the message.
        options: As for `datasets.load_dataset`: `split`, `revision` …. Code of a dataset is never run.

    Raises:
        DatasetError: The hub cannot be reached, or has no such dataset; the message names the local way.
        MissingExtraError: The package is not installed.
    """
    way = local or "download its files once and use telic.datasets.load_examples(path)"
    if options.pop("trust_remote_code", False):
        raise DatasetError(f"{name!r}: trust_remote_code runs code of strangers, and is not taken; {way}")
    library: Any = require(
        "datasets", extra="hub", purpose=f"the dataset {name!r} of the hub (without it, {way})"
    )
    try:
        found: Any = library.load_dataset(name, *args, **options)
    except Exception as error:  # what the library raises without a network differs from version to version
        raise DatasetError(
            f"the dataset {name!r} could not be loaded from the hub ({type(error).__name__}: {error!s:.200}); without "
            f"the hub, {way}"
        ) from error
    if not isinstance(found, Mapping):
        return {str(options.get("split", "train")): rows_of(found)}
    return {str(split): rows_of(rows) for split, rows in cast("Mapping[Any, Any]", found).items()}


def rows_of(found: Any) -> list[dict[str, Any]]:
    """Return rows as dicts, the names of classes in the place of their numbers."""
    features: Any = getattr(found, "features", None) or {}
    names: dict[str, Any] = {
        name: feature.names for name, feature in dict(features).items() if hasattr(feature, "names")
    }
    rows = [dict(row) for row in cast("Iterable[Mapping[str, Any]]", found)]
    for row in rows:
        for name, known in names.items():
            if isinstance(row.get(name), int) and 0 <= row[name] < len(known):
                row[name] = known[row[name]]
    return rows
