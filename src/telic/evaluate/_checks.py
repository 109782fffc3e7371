"""What is refused at the door: misspelt options, impossible sizes, unusable examples."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, cast

from telic._counts import checked_count
from telic._text import did_you_mean
from telic.context import get as get_setting
from telic.data import Example
from telic.errors import ConfigurationError, DatasetError

_IN_BATCHES: Final = 256  # rows at once: what waits at the same time goes into one batch


def setting(name: str, given: Any) -> Any:
    """Return `given`, or the setting of that name where it is None."""
    return get_setting(name) if given is None else given


def threads_of(given: int | None) -> int:
    """Return how many rows run at once: `given`, else the setting; more for an LM whose calls wait for each other."""
    if given is not None:
        return given
    threads: int = get_setting("num_threads")
    return max(threads, _IN_BATCHES) if getattr(get_setting("lm"), "batch", False) is True else threads


def refuse_unknown(where: str, given: dict[str, Any], known: Sequence[str]) -> None:
    """Refuse options that nobody reads.

    Raises:
        ConfigurationError: There is one.
    """
    for name in given:
        if name == "return_outputs":
            raise ConfigurationError("return_outputs is gone: the rows are always in the result's `.results`")
        if name not in known:
            raise ConfigurationError(f"{where} has no option {name!r}{did_you_mean(name, known)}")


def check_count(name: str, value: Any, least: int, *, optional: bool = False) -> None:
    """Refuse a count that is no whole number of at least `least`; None passes where it is `optional`.

    Raises:
        ConfigurationError: It is.
    """
    if value is not None or not optional:
        checked_count(value, name, least)


def checked_examples(name: str, examples: Any, *, inputs: bool = True) -> list[Example]:
    """Return `examples` as a list of examples, with declared inputs unless `inputs` is False.

    Raises:
        DatasetError: There is none, or one is no `Example`, or it does not say which of its fields are inputs.
    """
    _refuse_no_list(name, examples)
    rows: list[Any] = list(examples)
    if not rows:
        raise DatasetError(f"{name} is empty; pass at least one example")
    for index, row in enumerate(rows):
        if not isinstance(row, Example):
            raise DatasetError(
                f"{name}[{index}] is {type(row).__name__}, not an Example; wrap it: Example(**fields)"
            )
        try:
            _ = row.inputs() if inputs else None
        except DatasetError as error:
            raise DatasetError(f"{name}[{index}]: {error}") from error
    return rows


def _refuse_no_list(name: str, examples: Any) -> None:
    """Refuse what could be gone through, but holds no rows of its own.

    Raises:
        DatasetError: It is such a thing.
    """
    kind: type = type(cast("object", examples))
    if isinstance(examples, Example):
        raise DatasetError(f"{name} is one example, and must be a list of them; pass [example]")
    if isinstance(examples, str):
        raise DatasetError(
            f"{name} is the text {examples!r:.100}, and must be a list of examples; rows of a file come by "
            "telic.datasets.load_examples(path, inputs=…)"
        )
    if hasattr(examples, "to_dict") and hasattr(
        examples, "columns"
    ):  # a data frame: it yields its columns' names
        raise DatasetError(
            f"{name} is a {kind.__name__}, and must be a list of examples; "
            "[Example(**row).with_inputs(…) for row in frame.to_dict('records')] makes one of it"
        )
    if isinstance(examples, Mapping):
        names = ", ".join([repr(key) for key in cast("Mapping[Any, Any]", examples)][:4])
        raise DatasetError(
            f"{name} is a {kind.__name__} with {names}, and must be a list of examples; pass one of its parts"
        )
    if not isinstance(examples, Iterable):
        raise DatasetError(f"{name} is {kind.__name__} {examples!r:.100}, and must be a list of examples")
